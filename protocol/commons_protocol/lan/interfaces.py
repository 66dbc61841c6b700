"""Which IP addresses this machine has now. Asks the system, never the network."""

import ipaddress
from collections.abc import Iterator, Sequence

import ifaddr

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


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


class ThisMachine:
    """What this computer's own network looks like; for who must notice that it changed."""

    def __init__(self) -> None:
        """Looks at nothing yet."""
        self._seen: Sequence[Interface] = ()

    def addresses(self) -> tuple[str, ...]:
        """All IP addresses but loopback and the link-local ones of IPv6, in a stable order."""
        self._seen = tuple(_interfaces())
        found = (interface.ip for interface in self._seen)
        return tuple(sorted(str(ip) for ip in found if not (ip.is_loopback or _of_link(ip))))

    def is_near(self, ip: str) -> bool:
        """Is this address on a network that the computer is on itself, or on itself?

        As ``addresses`` saw it last, which a node asks each second: many peers are many questions.
        """
        try:
            address = ipaddress.ip_address(ip)
        except ValueError:
            return False
        if not self._seen:
            self.addresses()
        return any(address in interface.network for interface in self._seen)


def _interfaces() -> Iterator[Interface]:
    for adapter in ifaddr.get_adapters():
        for found in adapter.ips:
            ip = found.ip[0] if isinstance(found.ip, tuple) else found.ip
            yield ipaddress.ip_interface(f"{ip}/{found.network_prefix}")


def _of_link(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return ip.version == 6 and ip.is_link_local
