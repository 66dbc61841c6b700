"""What peers may say on sync streams, and the nodes of one member together.

Kept over the end of a stream: who opens another one goes on with what is left. A member may have
any number of nodes, since each of its devices may grant another; together they get what one gets,
which is enough for three machines that people use. What a sibling has used up is nobody's fault:
only a peer's own plenty ends its stream, and what this node begins itself is not counted against
the member. Counts only; times are milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from commons_crdt.ids import RealmId
from commons_protocol.limits import Bucket, Buckets
from commons_protocol.network import PeerId

STREAMS = 60.0
STREAMS_PER_SECOND = 1.0
PUSHES = 256.0
PUSHES_PER_SECOND = 100.0
INTRODUCTIONS = 96.0
INTRODUCTIONS_PER_SECOND = 1.5
"""What three machines may say each (`node/peering/introductions`): what is dropped is never told
again."""
COMPARISONS = 40.0
COMPARISONS_PER_SECOND = 5.0

_LONGEST_MS = 10_000
"""Half of what the other side waits for an answer: a round is not put off for longer."""

Holder = PeerId | tuple[RealmId, bytes]
"""A peer, in all its communities; or a member, in one."""


@dataclass(frozen=True, slots=True)
class Both:
    """What a peer has left, and what its member has."""

    peer: Bucket
    member: Bucket

    def take(self, now: int, tokens: float = 1.0) -> bool:
        """Take from both, if both have enough."""
        if self.peer.due(now, tokens):
            return False
        return self.member.take(now, tokens) and self.peer.take(now, tokens)


@dataclass(frozen=True, slots=True)
class Allowance:
    """Of one peer in one community."""

    pushes: Both
    introductions: Both
    comparisons: Both

    def put_off(self, now: int) -> int | None:
        """How long a round that the peer begins has to wait for its member's share.

        None: longer than the peer waits for an answer; then nothing is taken.
        """
        member = self.comparisons.member
        return None if member.due(now) > _LONGEST_MS else member.wait(now)


class Allowances:
    """Of one node: what everybody has left."""

    def __init__(self) -> None:
        """Nobody has said anything."""
        self._streams: Buckets[PeerId] = Buckets(STREAMS, STREAMS_PER_SECOND)
        self._pushes: Buckets[Holder] = Buckets(PUSHES, PUSHES_PER_SECOND)
        self._introductions: Buckets[Holder] = Buckets(INTRODUCTIONS, INTRODUCTIONS_PER_SECOND)
        self._comparisons: Buckets[tuple[RealmId, bytes | PeerId]] = Buckets(
            COMPARISONS, COMPARISONS_PER_SECOND
        )

    def size(self) -> int:
        """How many buckets are kept."""
        said = len(self._pushes) + len(self._introductions) + len(self._comparisons)
        return len(self._streams) + said

    def opens(self, peer: PeerId, now: int) -> bool:
        """May this peer open a stream? Before it has proven anything."""
        return self._streams.of(peer).take(now)

    def of(self, peer: PeerId, realm: RealmId, member: bytes) -> Allowance:
        """What a peer has in a community, in which it has proven to be ``member``'s node."""
        whose = (realm, member)
        return Allowance(
            Both(self._pushes.of(peer), self._pushes.of(whose)),
            Both(self._introductions.of(peer), self._introductions.of(whose)),
            Both(self._comparisons.of((realm, peer)), self._comparisons.of(whose)),
        )
