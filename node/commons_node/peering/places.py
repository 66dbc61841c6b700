"""Who stays connected, where there are more peers than this node has places for.

Two places are never kept, of all and of those for who dials in. Who comes proves itself there, and
stays; for it goes who was here longest and needs nothing. So no two parts of a community stay
apart, however full their nodes are. Strangers make nobody leave: see decision 33.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Hashable, Mapping
from typing import TYPE_CHECKING, Final

from commons_node.peering.conversation import Conversation
from commons_protocol.names import node_id
from commons_protocol.network import NetworkError, PeerConnection, PeerId

if TYPE_CHECKING:
    from commons_node.peering.peering import Peering

SPARE: Final = 2
"""Places that nobody keeps."""
PACE_S: Final = 15.0
"""At the soonest after one peer had to go for another, the next; and between two dials for it."""
AGAIN_S: Final = 600.0
"""So long whose node had to go, or came for another, makes nobody go."""
OWN: Final = 3
"""Nodes of one member that stay while others wait."""
_STAY_S = 60.0
_STUCK_S = 3600.0
"""Who was not made equal in this time goes as if it were: it may never be."""
_STRANGER_S = 60.0

Owner = Hashable
"""A member in a realm: (realm, member's id)."""


class Places:
    """Of one node. ``tick`` comes about once a second; times are the loop's."""

    def __init__(self, peering: Peering) -> None:
        """Nobody is connected."""
        self._peering = peering
        self._since: dict[PeerId, float] = {}
        self._proven: dict[PeerId, float] = {}
        self._guests: set[PeerId] = set()
        """Who had its turn not long ago: for these nobody goes."""
        self._turns: dict[Owner, float] = {}
        self._leaving: set[PeerId] = set()
        self._next = 0.0
        self._sought = {True: 0.0, False: 0.0}
        """When the next one that is known, or rumoured, may be dialled while this node is full."""

    @property
    def most(self) -> int:
        """Peers that may stay."""
        return max(1, self._peering.settings.connections - SPARE)

    @property
    def most_inbound(self) -> int:
        """Of those, who dialled this node."""
        return max(1, self._peering.settings.inbound_connections - SPARE)

    def may_dial(self, peer: PeerId) -> bool:
        """True while there are places; in turn, when there are none and it was long unseen."""
        peering, now = self._peering, self._now()
        here = peering.network.peers()
        # Strangers who came in count for nothing: the network itself has a bound for them.
        taken = sum(who in self._proven or one.direction == "out" for who, one in here.items())
        if peer in here or taken < self.most:
            return True
        known = peering.book.get(node_id(peer))
        seen = known.last_seen_ms if known is not None else None
        if seen is not None and 0 <= peering.clock.now() - seen < AGAIN_S * 1000:
            return False
        # Addresses that somebody made up take no turns of those whom this node has met.
        if now < self._sought[known is not None]:
            return False
        self._sought[known is not None] = now + PACE_S
        return True

    def tick(self) -> None:
        """Note who came, and let go of whom there is no place for."""
        peering, now = self._peering, self._now()
        here = peering.network.peers()
        self._since = {peer: self._since.get(peer, now) for peer in here}
        self._leaving &= here.keys()
        self._turns = {own: at for own, at in self._turns.items() if now - at < AGAIN_S}
        apart = self._bound() | self._leaving
        talks = {
            peer: talk
            for peer, talk in peering.talks.now.items()
            if peer in here and talk.session.realms and peer not in apart
        }
        for peer in talks.keys() - self._proven.keys():
            if not self._turns.keys().isdisjoint(self._owners(talks[peer])):
                self._guests.add(peer)
        # A stream that is made anew is no new visit.
        self._proven = {
            peer: self._proven.get(peer, now)
            for peer in here
            if peer in talks or peer in self._proven
        }
        self._guests &= self._proven.keys()
        inbound = [peer for peer in talks if here[peer].direction == "in"]
        if len(inbound) > self.most_inbound:
            self._make_room(len(inbound) - self.most_inbound, inbound, talks)
        elif len(talks) > self.most:
            newest = max(talks, key=self._proven.__getitem__)
            # Who dialled in makes nobody go whom this node has dialled.
            among = inbound if newest in inbound else talks.keys()
            self._make_room(len(talks) - self.most, among, talks)
        else:
            self._guests.clear()
        self._send_strangers_away(here, talks)

    # --- letting go ---

    def _make_room(
        self, surplus: int, among: Collection[PeerId], talks: dict[PeerId, Conversation]
    ) -> None:
        """Let one of them go, if there is one that may."""
        now = self._now()
        guests = [peer for peer in among if peer in self._guests]
        done = [p for p in guests if talks[p].rests or now - self._proven[p] >= _STAY_S]
        if done:
            self._leave(max(done, key=self._proven.__getitem__), talks)
            return
        if len(guests) >= surplus:
            return
        newest = max(among, key=self._proven.__getitem__)
        realms = Counter(realm for talk in talks.values() for realm in talk.session.realms)
        owners = Counter(own for talk in talks.values() for own in self._owners(talk))
        settled = [peer for peer in among if now - self._proven[peer] >= _STAY_S]

        def weight(peer: PeerId) -> tuple[bool, int, float]:
            """The one with the most goes: of a member with many nodes, of a community with many."""
            talk = talks[peer]
            crowded = any(owners[own] > OWN for own in self._owners(talk))
            return crowded, min(realms[r] for r in talk.session.realms), now - self._proven[peer]

        able = [p for p in settled if weight(p)[0] or self._rests(p, talks[p])]
        if not able or now < self._next:
            # Nobody may go for it yet. It has been compared with, and now nobody else can come.
            if surplus >= SPARE and talks[newest].rests:
                self._leave(newest, talks)
            return
        self._next = now + PACE_S
        oldest = max(able, key=weight)
        for own in self._owners(talks[newest]) | self._owners(talks[oldest]):
            self._turns[own] = now
        self._leave(oldest, talks)

    def _send_strangers_away(
        self, here: Mapping[PeerId, PeerConnection], talks: dict[PeerId, Conversation]
    ) -> None:
        """Who proves nothing has a place while nobody else needs it; not on a relay, which lives
        of strangers and has more places for them.
        """
        settings, now = self._peering.settings, self._now()
        inbound = sum(one.direction == "in" for one in here.values())
        full = len(here) > self.most or inbound > self.most_inbound
        if not full or self._peering.network.relay_use is not None:
            return
        staying = talks.keys() | self._bound() | self._leaving
        idle = [
            peer
            for peer in here
            if peer not in staying
            and now - self._since[peer] >= max(_STRANGER_S, settings.join_timeout)
        ]
        if idle:
            self._leave(min(idle, key=self._since.__getitem__), talks)

    def _leave(self, peer: PeerId, talks: dict[PeerId, Conversation]) -> None:
        self._leaving.add(peer)
        self._proven.pop(peer, None)
        self._guests.discard(peer)
        self._peering.count("place")
        self._peering.spawn(self._part(peer, talks.get(peer)), "let a peer go")

    async def _part(self, peer: PeerId, talk: Conversation | None) -> None:
        try:
            if talk is not None:
                talk.end("place")
                await talk.ended.wait()
                await talk.drained()
            await self._peering.network.disconnect(peer)
        except NetworkError:
            return  # the connection has gone with the network
        finally:
            self._leaving.discard(peer)

    # --- about one peer ---

    def _bound(self) -> frozenset[PeerId]:
        """Who takes none of these places, and would lose more than a conversation: relays of this
        node, and who is reached here.
        """
        use = self._peering.network.relay_use
        return self._peering.relays.peers() | (use.holders if use is not None else frozenset())

    def _rests(self, peer: PeerId, talk: Conversation) -> bool:
        """True if neither lacks anything of the other, or has lacked it for long."""
        return talk.rests or self._now() - self._proven[peer] >= _STUCK_S

    def _owners(self, talk: Conversation) -> set[Owner]:
        """Whose node it is, in each realm: keys for the network cost nothing."""
        devices = talk.session.devices
        return {
            (replica.realm, replica.whose(devices[replica.realm]))
            for replica in self._peering.replicas()
            if replica.realm in devices
        }

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
