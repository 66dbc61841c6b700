"""`sync wait`: a fresh, full round with every peer that ends in equal digests, or the deadline."""

# A deadline is part of the outside contract (`sync wait --timeout`):
# ruff: noqa: ASYNC109

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from commons_crdt.ids import RealmId
from commons_node.peering.conversation import Conversation
from commons_node.peering.types import Convergence
from commons_protocol.names import NodeId, peer_id
from commons_protocol.network import PeerId

if TYPE_CHECKING:
    from commons_node.peering.peering import Peering

_AGAIN_S = 1.0


class _Wait:
    """One peer: the rounds that count are those begun after the call."""

    def __init__(self, peering: Peering, peer: PeerId) -> None:
        self._peering = peering
        self._peer = peer
        self._talk: Conversation | None = None
        self._from: dict[RealmId, int] = {}
        self._next = 0.0

    def nudge(self, at: float) -> None:
        """Make sure that a round that counts is under way; again after a while, not at once."""
        talk = self._peering.talks.now.get(self._peer)
        if talk is not self._talk:
            self._talk, self._next = talk, 0.0
            self._from.clear()
        if talk is None:
            if at >= self._next:
                self._peering.talks.hurry(self._peer)
                self._next = at + _AGAIN_S
            return
        late = at >= self._next
        if late:
            self._next = at + _AGAIN_S
        for realm, sync in talk.session.realms.items():
            if realm not in self._from:
                # Whatever runs now began before, and the next round may end by what the peer said
                # before: it is on its way. The one after that is the first that counts.
                self._from[realm] = sync.rounds + 2
                talk.perform(talk.session.poke(realm))
            elif sync.phase == "idle" and (
                late if not sync.equal_now else sync.rounds < self._from[realm]
            ):
                talk.perform(talk.session.poke(realm))

    @property
    def done(self) -> bool:
        """Every shared realm has ended such a round equal, and still is."""
        talk = self._peering.talks.now.get(self._peer)
        if talk is None or talk is not self._talk or not talk.session.realms:
            return False
        return talk.session.settled and all(
            sync.equal_now and sync.rounds >= self._from.get(realm, 1 << 62)
            for realm, sync in talk.session.realms.items()
        )


async def wait_converged(
    peering: Peering, nodes: Sequence[NodeId] | None, timeout: float
) -> Convergence:
    """See ``Peering.wait_converged``."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    named = (
        list(nodes)
        if nodes is not None
        else [
            known.node
            for known in peering.book.all()
            if not known.blocked and peering.guard.penalty(known.node) is None
        ]
    )
    waits = [_Wait(peering, peer_id(node)) for node in named]
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            while True:
                moved = peering.talks.moved
                if all(wait.done for wait in waits):
                    break
                for wait in waits:
                    if not wait.done:
                        wait.nudge(loop.time())
                with suppress(TimeoutError):
                    async with asyncio.timeout(_AGAIN_S):
                        await moved.wait()
    states = {state.node: state.sync.state for state in peering.peers()}
    return Convergence(
        all(wait.done for wait in waits),
        loop.time() - began,
        {node: states.get(node, "unknown") for node in named},
    )
