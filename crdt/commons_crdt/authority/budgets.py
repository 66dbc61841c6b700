"""The role that counts for budgets: by an operation's own view, whatever else a node holds.

Budgets are part of the envelope, so that all nodes must refuse alike. Ends, cuts and demotions
do not count here: they may come to light later.

Source: docs/protocol/authority.md "The verdict", budgets.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from commons_crdt.authority.book import Book, View
from commons_crdt.authority.council import Council, State
from commons_crdt.authority.facts import RoleAct
from commons_crdt.authority.settings import Constitution
from commons_crdt.budget import Rate
from commons_crdt.ids import MemberId
from commons_crdt.roles import Role

_KEPT = 100_000


@dataclass(slots=True)
class Budgets:
    """Answers from the book alone; remembers them."""

    book: Book
    council: Council
    _states: dict[View, State] = field(default_factory=dict)
    _rightful: dict[int, bool] = field(default_factory=dict)
    _roles: dict[tuple[MemberId, View], Role] = field(default_factory=dict)
    _constitutions: dict[int, Constitution] = field(default_factory=dict)

    def state(self, view: View) -> State:
        """The council as somebody sees it who knows this view alone."""
        seen = view & self.council.mask
        known = self._states.get(seen)
        if known is None:
            acts, _ = self.council.chain(view=seen)
            known = self._states[seen] = self.council.states[acts[-1]]
        return known

    def constitution(self, view: View) -> Constitution:
        """The settings in a view alone."""
        state = self.state(view)
        known = self._constitutions.get(state.base)
        if known is None:
            known = self._constitutions[state.base] = state.constitution
        return known

    def role(self, member: MemberId, view: View) -> Role:
        """The role by the acts in the view whose authors had the right by their own views."""
        key = (member, view)
        known = self._roles.get(key)
        if known is None:
            if len(self._roles) > _KEPT:
                self._roles.clear()
            known = self._roles[key] = self._find(member, view)
        return known

    def _find(self, member: MemberId, view: View) -> Role:
        if member in self.state(view).members:
            return Role.COORDINATOR
        lowest: Role | None = None
        replaced = 0
        for n in reversed(self.book.role_acts.get(member, ())):
            if not view >> n & 1 or not self._had_the_right(n):
                continue
            body = self.book.entries[n].body
            if isinstance(body, RoleAct) and not replaced >> n & 1:
                lowest = min(lowest or Role.COORDINATOR, Role(body.role))
            replaced |= self.book.entries[n].past
        return lowest or Role.NEWCOMER

    def _had_the_right(self, n: int) -> bool:
        known = self._rightful.get(n)
        if known is None:
            entry = self.book.entries[n]
            body = entry.body
            state = self.state(entry.past)
            known = self._rightful[n] = (
                isinstance(body, RoleAct)
                and entry.member in state.members
                and not self.book.given[entry.grant].unattended
                and body.member not in state.members
                and self.book.is_member(MemberId(body.member), entry.past)
                and entry.document == body.member
            )
        return known

    def rate(self, member: MemberId | None, unattended: bool, view: View) -> Rate:
        """The budget of a device's chains for an operation with this view."""
        constitution = self.constitution(view)
        if unattended:
            return constitution.node_rate
        role = Role.NEWCOMER if member is None else self.role(member, view)
        return constitution.rates[role]
