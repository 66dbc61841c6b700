"""Roles: what the standing acts in a view make of a member, and what demotions lower it to.

Source: docs/protocol/authority.md "Role".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from commons_crdt.authority.book import Book, View
from commons_crdt.authority.endings import Ending
from commons_crdt.ids import DeviceId, MemberId
from commons_crdt.roles import Role


@dataclass(frozen=True, slots=True)
class Demoting:
    """A standing demotion: beyond these endings the member has at most ``role``."""

    act: int
    member: MemberId
    role: Role
    endings: Mapping[DeviceId, Ending]


@dataclass(slots=True)
class RoleActs:
    """The standing role acts of a set, demotions among them, and the standing admissions."""

    book: Book
    acts: defaultdict[MemberId, list[tuple[int, Role]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    roots: defaultdict[MemberId, View] = field(default_factory=lambda: defaultdict(int))
    """Standing admissions and readmissions of each member, as a view."""

    def newest(self, member: MemberId, view: View) -> Role | None:
        """The lowest of the newest role acts in a view; a newcomer if only admitted there."""
        entries = self.book.entries
        acts = [(n, role) for n, role in self.acts.get(member, ()) if view >> n & 1]
        lowest: Role | None = None
        replaced = 0
        for n, role in sorted(acts, reverse=True):  # later numbers are in no earlier one's past
            if not replaced >> n & 1 and (lowest is None or role < lowest):
                lowest = role
            replaced |= entries[n].past
        if lowest is None and self.roots.get(member, 0) & view:
            return Role.NEWCOMER
        return lowest

    def later(self, member: MemberId, act: int, view: View, made: Iterable[int]) -> bool:
        """True if a role act in a view, or a seating, has a demotion in its past."""
        known: Sequence[int] = [n for n, _ in self.acts.get(member, ())]
        return any(view >> n & 1 and self.book.entries[n].past >> act & 1 for n in (*known, *made))
