"""Trying addresses one after the other, and looking a name up first, each within its time.

libp2p dials one address of a kind and gives up; here all are tried, and every reason is told.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from multiaddr import Multiaddr  # type: ignore[import-untyped]  # ships no types

from commons_crdt.texts import N_
from commons_protocol.libp2p_host.addresses import is_name, look_up, parse
from commons_protocol.network import Address, NetworkError, PeerId, Unreachable

T = TypeVar("T")


async def numerically(
    address: Address,
    seconds: float,
    dial: Callable[[Multiaddr, PeerId | None, float], Awaitable[T]],
) -> T:
    """`dial` the parsed address, or what its name stands for. Raises `Unreachable`."""
    target, peer = parse(address)
    if not is_name(target):
        return await dial(target, peer, seconds)
    deadline = asyncio.get_running_loop().time() + seconds
    found = await look_up(target, peer, seconds)

    async def one(numeric: Address, share: float) -> T:
        target, peer = parse(numeric)
        return await dial(target, peer, share)

    return await one_of(found, deadline, one)


async def one_of(
    candidates: Sequence[Address],
    deadline: float,
    dial: Callable[[Address, float], Awaitable[T]],
) -> T:
    """The first success; each candidate gets its share of the time that is left.

    `Unreachable` names all reasons, and is of the kind of the last.
    """
    causes: list[tuple[str, NetworkError]] = []
    kind = Unreachable
    for at, address in enumerate(candidates):
        left = deadline - asyncio.get_running_loop().time()
        if left <= 0:
            break
        try:
            return await dial(address, left / (len(candidates) - at))
        except Unreachable as error:
            kind = type(error)
            causes.append((str(address), error))
    raise kind(causes=causes) if causes else kind(N_("no address"))
