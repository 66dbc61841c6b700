"""Who is refused by this node: those whom a person blocked, and those who broke rules for a time.

Carries out what `penalties` decides. A person's word goes first: `peer unblock` lifts both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from commons_node.peering.penalties import BLAMED, BLAMED_OPERATIONS, Penalties
from commons_node.peering.records import Offender, PeerRecords
from commons_node.peering.types import KnownPeer, UnknownPeer
from commons_protocol.names import NodeId, node_id, peer_id
from commons_protocol.network import PeerId

if TYPE_CHECKING:
    from commons_node.peering.conversation import Conversation
    from commons_node.peering.peering import Peering


class Guard:
    """Of one node."""

    def __init__(self, peering: Peering, records: PeerRecords) -> None:
        """``start`` must follow."""
        self._peering = peering
        self._records = records
        self._penalties = Penalties(peering.settings.offences)
        self._out: set[PeerId] = set()
        """Whom the network keeps out because of a penalty."""

    async def start(self) -> None:
        """Block whom a person blocked, and who is still kept out; before the network starts."""
        self._penalties.remember(await self._records.offenders())
        for known in self._peering.book.all():
            if known.blocked:
                await self._peering.network.block(peer_id(known.node))
        now = self._peering.clock.now()
        for known in self._peering.book.all():
            if self._penalties.of(known.node, now):
                await self._keep_out(peer_id(known.node))

    # --- penalties ---

    def penalty(self, node: NodeId) -> Offender | None:
        """Why and until when a node is kept out, if it is."""
        return self._penalties.of(node, self._peering.clock.now())

    def penalties(self) -> list[Offender]:
        """All that stand now, of nodes, of devices, and what counts for members."""
        return self._penalties.here(self._peering.clock.now())

    def ended(self, talk: Conversation, code: str) -> None:
        """A conversation ended with this code."""
        if code in BLAMED:
            self._offence(talk, code)

    def brought(self, talk: Conversation, refused: Mapping[str, int]) -> None:
        """A batch of a peer was taken in; some of it was refused."""
        for code in sorted(BLAMED_OPERATIONS & refused.keys()):
            self._offence(talk, code)

    def proven(self, talk: Conversation, device: bytes) -> None:
        """A peer has proven to be this device: one that is kept out, maybe, by another name."""
        now = self._peering.clock.now()
        found = self._penalties.of(device.hex(), now)
        if found is not None:
            node = node_id(talk.peer)
            self._penalties.remember([replace(found, subject=node, node=node)])
            self._shut(talk.peer)

    def _offence(self, talk: Conversation, code: str) -> None:
        """Only of who is known: a stranger's name costs nothing, and leads to nothing here."""
        node, now, session = node_id(talk.peer), self._peering.clock.now(), talk.session
        if self._peering.book.get(node) is None:
            return
        devices = [device.hex() for device in session.devices.values()]
        members = [member.hex() for member in session.members.values()]
        offenders = self._penalties.broken(node, devices, members, code, now)
        for offender in offenders:
            self._peering.spawn(self._records.save_offender(offender), "note an offender")
        if offenders:
            self._peering.count("penalty")
            self._shut(talk.peer)

    def _shut(self, peer: PeerId) -> None:
        self._peering.spawn(self._keep_out(peer), "keep a peer out")

    async def _keep_out(self, peer: PeerId) -> None:
        self._out.add(peer)
        await self._peering.network.block(peer)
        self._peering.talks.leave(peer)

    def tick(self) -> None:
        """About once a second: let in whose time is over, forget what is long over."""
        now = self._peering.clock.now()
        for subject in self._penalties.stale(now):
            self._penalties.lift(subject)
            self._peering.spawn(self._records.forget_offender(subject), "forget an offender")
        for peer in [p for p in self._out if self._penalties.of(node_id(p), now) is None]:
            self._out.discard(peer)
            self._peering.spawn(self._let_in(peer), "let a peer in again")

    async def _let_in(self, peer: PeerId) -> None:
        known = self._peering.book.get(node_id(peer))
        if known is not None and known.blocked:
            return
        await self._peering.network.unblock(peer)
        if known is not None:
            self._peering.talks.keep(peer)

    # --- a person's word ---

    async def block(self, node: NodeId) -> None:
        """Close, and refuse this node both ways from now on; survives a restart."""
        peering, peer = self._peering, peer_id(node)
        if peer == peering.peer:
            raise UnknownPeer(node=node)
        known = peering.book.get(node) or KnownPeer(node)
        await peering.book.save(replace(known, blocked=True))
        await peering.network.block(peer)
        peering.talks.leave(peer)

    async def unblock(self, node: NodeId) -> None:
        """Let this node in again, hold nothing against it, and dial it at once."""
        peering, peer = self._peering, peer_id(node)
        known = peering.book.get(node)
        if known is None:
            raise UnknownPeer(node=node)
        for subject in self._penalties.of_node(node):
            self._penalties.lift(subject)
            await self._records.forget_offender(subject)
        self._out.discard(peer)
        await peering.book.save(replace(known, blocked=False))
        await peering.network.unblock(peer)
        peering.talks.keep(peer)
        peering.talks.hurry(peer)
