"""Streams of `/commons/attend/1`: one token in, one answer out, in both roles.

Whoever is connected may bring a token: it proves itself. What it is worth, others decide; a peer
that brings many is not heard for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from commons_crdt.errors import Refused
from commons_protocol.attendance import ATTEND, Answer, decode_answer, encode_answer
from commons_protocol.limits import Buckets
from commons_protocol.network import NetworkError, PeerId, Stream

if TYPE_CHECKING:
    from commons_node.peering.peering import Peering

Take = Callable[[bytes], Awaitable[Answer]]
_BURST = 30.0
_PER_SECOND = 0.5
_PATIENCE_S = 10.0


class Tokens:
    """Both sides for one node. All methods run in the daemon's loop."""

    def __init__(self, peering: Peering, take: Take | None) -> None:
        """``take`` answers what a token is worth; without it none is taken."""
        self._peering = peering
        self._take = take
        self._opened: Buckets[PeerId] = Buckets(_BURST, _PER_SECOND)

    async def accept(self, stream: Stream) -> None:
        """The handler of inbound streams."""
        peering = self._peering
        if peering.stopped or self._take is None or stream.peer in peering.network.blocked:
            await stream.reset()
            return
        if not self._opened.of(stream.peer).take(peering.clock.now()):
            peering.count("attend_flood")
            await stream.reset()
            return
        try:
            async with asyncio.timeout(_PATIENCE_S):
                answer = await self._take(await stream.receive())
                if answer == "refused":
                    peering.count("attendance")
                await stream.send(encode_answer(answer))
                await stream.close()
        except (NetworkError, TimeoutError):
            await stream.reset()

    async def bring(self, peer: PeerId, token: bytes) -> Answer:
        """Hand a token to a connected peer. Raises ``NetworkError``, ``Refused``, TimeoutError."""
        stream = await self._peering.network.open(peer, ATTEND, self._peering.settings.dial_timeout)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await stream.send(token)
                return decode_answer(await stream.receive())
        except Refused:
            self._peering.count("encoding")
            raise
        finally:
            await stream.close()
