"""Who stands when a thing is promised twice: one rule for refusing, showing and explaining.

Pure. Physically out goes before confirmed; then the confirmer's role, BLAKE2b(thing ‖ confirmer),
and within one confirmer's chain the earlier word. Requests are not promises. Nothing is deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from commons_crdt.ids import digest

FOREVER_MS = 1 << 62


@dataclass(frozen=True, slots=True)
class Booking:
    """A confirmed loan: ``[from_ms, until_ms)``, and the confirmer's role and place in a chain.

    ``out``: somebody has it now; then it ends when it is back, if it is overdue.
    """

    loan: bytes
    resource: bytes
    from_ms: int
    until_ms: int
    out: bool
    role: int
    confirmer: bytes
    device: bytes
    seq: int

    @property
    def rank(self) -> tuple[bool, int, bytes, bytes, int, bytes]:
        """Lower stands before higher."""
        claim = digest("claim", self.resource, self.confirmer)
        return not self.out, -self.role, claim, self.device, self.seq, self.loan

    def overlaps(self, from_ms: int, until_ms: int) -> bool:
        """True if both need the thing at one moment."""
        return self.from_ms < until_ms and from_ms < self.until_ms


@dataclass(frozen=True, slots=True)
class Clash:
    """A loan that does not stand, and those that do in its place."""

    loan: bytes
    stands: tuple[bytes, ...]


def busiest(bookings: Iterable[Booking], from_ms: int, until_ms: int) -> int:
    """How many are needed at the busiest moment of ``[from_ms, until_ms)``."""
    known = [one for one in bookings if one.overlaps(from_ms, until_ms)]
    moments = [from_ms, *(one.from_ms for one in known if one.from_ms > from_ms)]
    return max(sum(one.from_ms <= at < one.until_ms for one in known) for at in moments)


def clashes(bookings: Iterable[Booking], quantity: int | None) -> list[Clash]:
    """The loans of one thing that are too many; ``quantity`` None: nobody counts."""
    if quantity is None:
        return []
    stands: list[Booking] = []
    found: list[Clash] = []
    for one in sorted(bookings, key=lambda booking: booking.rank):
        if busiest(stands, one.from_ms, one.until_ms) < max(quantity, 1):
            stands.append(one)
            continue
        before = tuple(other.loan for other in stands if other.overlaps(one.from_ms, one.until_ms))
        found.append(Clash(one.loan, before))
    return found


def free_from(
    bookings: Sequence[Booking], quantity: int, from_ms: int, length_ms: int
) -> int | None:
    """The earliest moment from which it is free for ``length_ms``; None if nobody can say."""
    for at in sorted({from_ms, *(one.until_ms for one in bookings if one.until_ms > from_ms)}):
        if at < FOREVER_MS and busiest(bookings, at, at + length_ms) < quantity:
            return at
    return None
