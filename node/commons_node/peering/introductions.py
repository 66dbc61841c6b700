"""What each neighbour was told of the others: every one of them hears of every other, once.

Whoever comes first, whoever says late where it is: what a neighbour has not been told yet is told
as soon as it is known, and no more often than the neighbour listens. Values and counts only; what
is sent is `Acquaintance`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence

from commons_crdt.ids import RealmId
from commons_protocol.limits import Buckets
from commons_protocol.network import Address, PeerId

AT_ONCE = 31
"""Nodes in one introduction; the sender itself is the 32nd (`wire.Members`)."""

_BURST = 24.0
_PER_SECOND = 0.4
"""Below what `Session` listens to: an introduction that is dropped there is never told again."""

Told = tuple[PeerId, tuple[Address, ...]]


class Introductions:
    """Of one node. Times are milliseconds."""

    def __init__(self) -> None:
        """Nobody was told anything."""
        self._told: dict[PeerId, dict[tuple[RealmId, PeerId], tuple[Address, ...]]] = {}
        self._pace: Buckets[PeerId] = Buckets(_BURST, _PER_SECOND)

    def due(
        self, to: PeerId, realm: RealmId, own: Told, here: Sequence[Told], now: int
    ) -> tuple[list[Told], bool]:
        """What ``to`` should be told now, and whether something must wait for a later call.

        ``own`` is this node's own entry, which comes first in every introduction. What is
        returned counts as told only with ``told``.
        """
        known = self._told.get(to, {})
        news = [one for one in here if one[0] != to and known.get((realm, one[0])) != one[1]]
        if not news and known.get((realm, own[0])) == own[1]:
            return [], False
        if not self._pace.of(to).take(now):
            return [], True
        return [own, *news[:AT_ONCE]], len(news) > AT_ONCE

    def told(self, to: PeerId, realm: RealmId, nodes: Sequence[Told]) -> None:
        """``to`` was sent this."""
        known = self._told.setdefault(to, {})
        known.update({(realm, peer): addresses for peer, addresses in nodes})

    def gone(self, peer: PeerId) -> None:
        """The conversation with it is over: it is told all anew, and so are others when it comes.

        Whoever hears again of somebody who came back dials it again.
        """
        self._told.pop(peer, None)
        for known in self._told.values():
            for key in [key for key in known if key[1] == peer]:
                del known[key]
