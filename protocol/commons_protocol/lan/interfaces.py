"""Which IPv4 addresses this machine has now. Asks the system, never the network."""

import ipaddress

import ifaddr


def current() -> tuple[str, ...]:
    """The machine's IPv4 addresses in a stable order, without loopback."""
    found = {
        str(ip.ip)
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
        if ip.is_IPv4 and not ipaddress.ip_address(str(ip.ip)).is_loopback
    }
    return tuple(sorted(found))


def present(wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Those of `wanted` that the machine has now; loopback is always there."""
    now = set(current())
    return tuple(ip for ip in wanted if ip in now or ipaddress.ip_address(ip).is_loopback)
