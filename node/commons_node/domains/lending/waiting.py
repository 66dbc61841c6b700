"""Who waits for a thing, and why: promises that do not stand first, then requests with no room.

Pure: a function of the loans that are known, so that equal nodes show equal lists; the losing word
is never deleted. A place is what is known here now, not a right: a steward decides. Promises are in
the order in which they would stand; requests in the order in which they are shown everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from commons_node.domains.lending.booking import Booking, busiest, clashes

Why = Literal["out", "role", "first", "lot", "taken"]
"""By what another stands before: it is out; a higher role or an earlier word of one person
promised it; of equals one had to be; or it was only asked for and there is no room."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A request that nobody has decided; ``order`` as lists show it, it decides nothing."""

    loan: bytes
    from_ms: int
    until_ms: int
    order: tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A loan that waits at ``place`` (from 1), and the loans that stand in its time."""

    loan: bytes
    place: int
    why: Why
    stands: tuple[bytes, ...]


def waiting(
    bookings: Sequence[Booking], wishes: Iterable[Wish], quantity: int | None
) -> list[Waiting]:
    """The list of one thing; empty where nobody counts how many there are."""
    if quantity is None:
        return []
    by_loan = {one.loan: one for one in bookings}
    lost = clashes(bookings, quantity)
    fallen = {clash.loan for clash in lost}
    standing = [one for one in bookings if one.loan not in fallen]
    found = [
        (clash.loan, _why(by_loan[clash.loan], by_loan[clash.stands[0]]), clash.stands)
        for clash in lost
    ]
    for wish in sorted(wishes, key=lambda one: one.order):
        if busiest(standing, wish.from_ms, wish.until_ms) >= max(quantity, 1):
            before = [one.loan for one in standing if one.overlaps(wish.from_ms, wish.until_ms)]
            found.append((wish.loan, "taken", tuple(before)))
    return [Waiting(loan, n, why, stands) for n, (loan, why, stands) in enumerate(found, 1)]


def _why(lost: Booking, stands: Booking) -> Why:
    """The first step of the rule (``Booking.rank``) that tells two promises apart."""
    if stands.out and not lost.out:
        return "out"
    if stands.role != lost.role:
        return "role"
    return "first" if stands.confirmer == lost.confirmer else "lot"
