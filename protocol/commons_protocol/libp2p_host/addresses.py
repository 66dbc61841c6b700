"""Addresses of nodes: reading them, looking up a name in one, and who is at the other end.

A name is only looked up where somebody wrote one; numeric addresses never wait for a resolver.
"""

import asyncio
import socket
from typing import Any

from multiaddr import Multiaddr  # type: ignore[import-untyped]  # ships no types
from multiaddr.exceptions import Error as MultiaddrError  # type: ignore[import-untyped]  # same

from commons_crdt.texts import N_
from commons_protocol.names import peer_key
from commons_protocol.network import Address, PeerId, Unreachable

_FAMILIES = {"dns": socket.AF_UNSPEC, "dns4": socket.AF_INET, "dns6": socket.AF_INET6}
_MOST_RESOLVED = 8
_LONGEST = 512
"""Characters: the longest name (253) and a peer id, with room to spare."""


def parse(address: Address) -> tuple[Multiaddr, PeerId | None]:
    """Split `/ip4/…/tcp/…[/p2p/…]`, or the same with a name. Raises `Unreachable`."""
    if len(address) > _LONGEST:  # libp2p takes quadratic time to find out that it is none
        raise Unreachable(N_("this is too long for an address"))
    try:
        whole = Multiaddr(address)
        host, *protocols = [protocol.name for protocol in whole.protocols()]
        peer = whole.value_for_protocol("p2p") if "p2p" in protocols else None
    except (MultiaddrError, ValueError, LookupError) as error:
        raise Unreachable(N_("{address!r} is not an address"), address=address) from error
    if host not in {"ip4", "ip6", *_FAMILIES} or protocols not in (["tcp"], ["tcp", "p2p"]):
        raise Unreachable(N_("{address} is not a TCP address"), address=address)
    if peer is None:
        return whole, None
    try:
        peer_key(PeerId(peer))
    except ValueError as error:
        raise Unreachable(
            N_("{address} names no node: {why}"), address=address, why=error
        ) from error
    return whole.decapsulate(Multiaddr(f"/p2p/{peer}")), PeerId(peer)


def is_name(address: Multiaddr) -> bool:
    """Must this parsed address be looked up before it is dialled?"""
    return str(address).split("/")[1] in _FAMILIES


async def look_up(address: Multiaddr, peer: PeerId | None, seconds: float) -> list[Address]:
    """The numeric addresses that a parsed address with a name stands for, from the system."""
    _, kind, name, _, port = str(address).split("/")
    try:
        async with asyncio.timeout(seconds):
            found = await asyncio.get_running_loop().getaddrinfo(
                name, int(port), family=_FAMILIES[kind], type=socket.SOCK_STREAM
            )
    except (OSError, TimeoutError) as error:
        raise Unreachable(N_("the name {name} is not known here"), name=name) from error
    end = f"/p2p/{peer}" if peer else ""
    addresses = (f"{of_socket(sockaddr)}{end}" for _, _, _, _, sockaddr in found)
    return [Address(one) for one in dict.fromkeys(addresses)][:_MOST_RESOLVED]


def of_socket(sockaddr: Any) -> Address:
    """The address in what `getpeername` gives for IPv4 (host, port) or IPv6 (host, port, …)."""
    host, port = str(sockaddr[0]).split("%", 1)[0], int(sockaddr[1])
    return Address(f"/{'ip6' if ':' in host else 'ip4'}/{host}/tcp/{port}")
