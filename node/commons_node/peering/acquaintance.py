"""Who is where: what proven peers say of themselves and of others, and what this node makes of it.

A peer is known once it has proven itself here. Until then an address is a rumour: it is tried a
few times and then now and then, listed nowhere, and believed only as far as the transport key in
it answers. Peers of one community are told of each other, see `introductions`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from commons_crdt.ids import RealmId
from commons_node.peering.conversation import Conversation
from commons_node.peering.introductions import Introductions
from commons_node.peering.types import KnownPeer
from commons_node.peering.ways import best_first
from commons_protocol.about import About, about_in
from commons_protocol.names import node_id, peer_id, peer_key, peer_of_key
from commons_protocol.network import Address, PeerId

if TYPE_CHECKING:
    from commons_node.peering.peering import Peering

_TRIES = 4


class Acquaintance:
    """Keeps the peer book true."""

    def __init__(self, peering: Peering) -> None:
        """Of this node."""
        self._peering = peering
        self._introductions = Introductions()
        self._owed: set[RealmId] = set()
        self._shown: dict[PeerId, tuple[Address, ...]] = {}
        self._programs: dict[PeerId, About] = {}
        self._retry = 0.0

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
        for surplus in peering.book.surplus():
            if peer_id(surplus) not in peering.talks.now:
                peering.talks.leave(peer_id(surplus))
                self._programs.pop(peer_id(surplus), None)
                await peering.book.forget(surplus)
                await peering.shares.forget(surplus)
        if addresses and addresses != self._shown.get(peer):
            self._introduce(peer, addresses)

    def introduce(self, realm: RealmId) -> None:
        """Tell every proven peer of the realm where the others are, as far as it was not told."""
        peering = self._peering
        talks = [talk for talk in peering.talks.now.values() if realm in talk.session.realms]
        here = [
            (talk.peer, known.addresses)
            for talk in talks
            if (known := peering.book.get(node_id(talk.peer))) is not None
            and known.addresses
            and not known.blocked
        ]
        about = (Address(str(peering.about)),) if peering.about is not None else ()
        own, now = (peering.peer, (*about, *peering.addresses)), peering.clock.now()
        self._owed.discard(realm)
        for talk in talks:
            if not talk.session.realms[realm].speaks:
                continue  # its first comparison is still to come, and with it the next call
            news, more = self._introductions.due(talk.peer, realm, own, here, now)
            if more:
                self._owed.add(realm)
            nodes = [(peer_key(peer), addresses) for peer, addresses in news]
            effects = talk.session.introduce(realm, nodes) if nodes else []
            if effects:
                self._introductions.told(talk.peer, realm, news)
                talk.perform(effects)

    def _introduce(self, peer: PeerId, addresses: tuple[Address, ...]) -> None:
        """It is known now, or known elsewhere: others may hear of it."""
        talk = self._peering.talks.now.get(peer)
        if talk is not None:
            self._shown[peer] = addresses
        for realm in talk.session.realms if talk is not None else ():
            self.introduce(realm)

    def program(self, peer: PeerId) -> About | None:
        """Which program a peer said it is, when it was here last; None if it never did."""
        return self._programs.get(peer)

    def gone(self, peer: PeerId) -> None:
        """The conversation with it is over."""
        self._introductions.gone(peer)
        self._shown.pop(peer, None)

    def tick(self) -> None:
        """About once a second: what had to wait, and a new try of rumours that came to nothing."""
        for realm in tuple(self._owed):
            self.introduce(realm)
        now = asyncio.get_running_loop().time()
        if now >= self._retry:
            self._retry = now + self._peering.settings.last_retry
            for node in self._peering.book.rumoured():
                self._peering.talks.keep(peer_id(node), 1)

    def met(self, talk: Conversation, nodes: Sequence[tuple[bytes, Sequence[str]]]) -> None:
        """A proven peer says where it is, and where others are."""
        for key, addresses in nodes:
            peer = peer_of_key(key)
            if peer == talk.peer:
                self._is(peer, about_in(addresses))
            fitting = tuple(Address(a) for a in addresses if a.endswith(f"/p2p/{peer}"))
            if peer == self._peering.peer or not fitting:
                continue
            if peer == talk.peer:
                self._peering.spawn(self._located(peer, fitting), "note an address")
            else:
                self.found(peer, fitting)

    def _is(self, peer: PeerId, program: About | None) -> None:
        """Only of itself a node says which program it is; one that says nothing is an older one."""
        if program == self._programs.get(peer):
            return
        if program is None:
            del self._programs[peer]
        else:
            self._programs[peer] = program
        self._peering.on_change("peer", node_id(peer))

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
            self._introduce(peer, merged)

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
        peering.talks.hint(peer)
