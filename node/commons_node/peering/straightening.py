"""A direct way in place of a relayed one, once there is one.

Who is reached through a relay is tried at its own addresses now and then, and where that does not
do both dial each other at once (`Network.punch`; who was called begins). The first direct
connection ends the relayed ones (in `libp2p_host`), and the conversation goes on over it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from commons_protocol.circuit import is_relayed
from commons_protocol.names import node_id
from commons_protocol.network import NetworkError, PeerId

if TYPE_CHECKING:
    from commons_node.peering.peering import Peering

_FIRST_S = 2.0


class Straightening:
    """Of one node. ``tick`` comes about once a second."""

    def __init__(self, peering: Peering) -> None:
        """Nobody is tried yet."""
        self._peering = peering
        self._due: dict[PeerId, tuple[float, float]] = {}

    def tick(self) -> None:
        """Try those whose time has come; each later than the last time, up to five minutes."""
        peering, now = self._peering, asyncio.get_running_loop().time()
        relayed = {
            peer
            for peer, connection in peering.network.peers().items()
            if connection.relayed and peer in peering.talks.now
        }
        self._due = {peer: due for peer, due in self._due.items() if peer in relayed}
        for peer in relayed:
            at, step = self._due.setdefault(peer, (now + _FIRST_S, _FIRST_S))
            if now >= at:
                later = min(2 * step, peering.settings.last_retry)
                self._due[peer] = now + later, later
                peering.spawn(self._try(peer), "try a direct way")

    def again(self) -> None:
        """Another network, or news of addresses: try everybody soon."""
        self._due.clear()

    async def _try(self, peer: PeerId) -> None:
        peering = self._peering
        known = peering.book.get(node_id(peer))
        direct = [one for one in known.addresses if not is_relayed(one)] if known else []
        network = peering.network
        if direct:
            with suppress(NetworkError):
                await network.connect_any(direct, peering.settings.dial_timeout)
        connection = network.peers().get(peer)
        if connection is not None and connection.relayed and connection.direction == "in":
            with suppress(NetworkError):
                await network.punch(peer)
