"""What a node listens on: that the port is really free, and what others can dial."""

from collections.abc import Iterable

import trio
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # ships no types
from multiaddr.utils import get_network_addrs  # type: ignore[import-untyped]  # same

from commons_crdt.texts import N_
from commons_protocol.network import Address, NetworkDown, PeerId


async def check_free(address: Multiaddr) -> None:
    """Raise `NetworkDown` when the port is taken.

    libp2p listens with SO_REUSEPORT: two nodes on one port would share its callers unseen.
    """
    _, family, ip, _, port = str(address).split("/")
    if port == "0":
        return
    version = trio.socket.AF_INET6 if family == "ip6" else trio.socket.AF_INET
    with trio.socket.socket(version) as probe:
        probe.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_REUSEADDR, 1)
        try:
            await probe.bind((ip, int(port)))
        except OSError as error:
            raise NetworkDown(
                N_("{address}: {why}"), address=address, why=error.strerror
            ) from error


def dialable(bound: Iterable[str], peer: PeerId) -> tuple[Address, ...]:
    """The bound addresses as others see them: "everywhere" becomes each interface's own."""
    found: list[str] = []
    for address in bound:
        _, family, ip, *rest = address.split("/")
        ips = [ip]
        if ip == "0.0.0.0":  # noqa: S104 - compared, not bound
            ips = [*get_network_addrs(4), "127.0.0.1"]
        elif ip == "::":
            ips = [*get_network_addrs(6), "::1"]
        found += ("/".join(["", family, real, *rest]) for real in ips)
    return tuple(Address(f"{address}/p2p/{peer}") for address in dict.fromkeys(found))
