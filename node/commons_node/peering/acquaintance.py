"""Who is where: what proven peers say of themselves and of others, and what this node makes of it.

A peer is known once it has proven itself here. Until then an address is a rumour: it is tried a
few times, listed nowhere, and believed only as far as the transport key in it answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from commons_crdt.ids import RealmId
from commons_node.peering.conversation import Conversation
from commons_node.peering.types import KnownPeer
from commons_node.peering.ways import best_first
from commons_protocol.names import node_id, peer_key, peer_of_key
from commons_protocol.network import Address, PeerId

if TYPE_CHECKING:
    from commons_node.peering.peering import Peering

_TRIES = 4


class Acquaintance:
    """Keeps the peer book true."""

    def __init__(self, peering: Peering) -> None:
        """Of this node."""
        self._peering = peering

    async def seen(self, peer: PeerId) -> None:
        """A peer has proven itself: remember it, and where it may be found."""
        peering, node = self._peering, node_id(peer)
        connection = peering.network.peers().get(peer)
        known = peering.book.get(node) or KnownPeer(node, peering.book.heard(node))
        if known.blocked:
            return
        addresses = known.addresses
        if connection is not None and connection.direction == "out":
            for address in connection.addresses:
                full = address if "/p2p/" in address else f"{address}/p2p/{peer}"
                addresses = best_first(addresses, Address(full))
        now = peering.clock.now()
        await peering.book.save(replace(known, addresses=addresses, last_seen_ms=now))
        peering.talks.keep(peer)

    def introduce(self, realm: RealmId) -> None:
        """Tell all proven peers of the realm where the others are, and this node first."""
        peering = self._peering
        here = [talk for talk in peering.talks.now.values() if realm in talk.session.realms]
        nodes = []
        for talk in here:
            known = peering.book.get(node_id(talk.peer))
            if known is not None and known.addresses and not known.blocked:
                nodes.append((peer_key(talk.peer), known.addresses))
        own = (peer_key(peering.peer), peering.addresses)
        for talk in here:
            others = [node for node in nodes if node[0] != peer_key(talk.peer)]
            talk.perform(talk.session.introduce(realm, [own, *others]))

    def met(self, talk: Conversation, nodes: Sequence[tuple[bytes, Sequence[str]]]) -> None:
        """A proven peer says where it is, and where others are."""
        for key, addresses in nodes:
            peer = peer_of_key(key)
            fitting = tuple(Address(a) for a in addresses if a.endswith(f"/p2p/{peer}"))
            if peer == self._peering.peer or not fitting:
                continue
            if peer == talk.peer:
                self._peering.spawn(self._located(peer, fitting), "note an address")
            else:
                self.found(peer, fitting)

    async def _located(self, peer: PeerId, addresses: tuple[Address, ...]) -> None:
        node = node_id(peer)
        self._peering.book.hear(node, addresses)
        known = self._peering.book.get(node)
        if known is None:
            return
        merged = known.addresses
        for address in reversed(addresses):
            merged = best_first(merged, address)
        if merged != known.addresses:
            await self._peering.book.save(replace(known, addresses=merged))

    def found(self, peer: PeerId, addresses: tuple[Address, ...]) -> None:
        """A node is said to be at these addresses: try, but believe nothing."""
        peering, node = self._peering, node_id(peer)
        if peer == peering.peer or peer in peering.talks.now or peer in peering.network.blocked:
            return
        known = peering.book.get(node)
        peering.book.hear(node, addresses)
        if known is None:
            peering.talks.keep(peer, _TRIES)
        elif not set(addresses) <= set(known.addresses):
            peering.spawn(self._located(peer, addresses), "note an address")
            peering.talks.hurry(peer)
