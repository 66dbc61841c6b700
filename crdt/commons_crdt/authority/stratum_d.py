"""(D) Admissions and roles: who is a member, and of what role, as standing acts have it.

Source: docs/protocol/authority.md "(D) Admissions, invites, nodes, epochs", "Role".
"""

from __future__ import annotations

from collections.abc import Callable

from commons_crdt.authority.book import Entry, View
from commons_crdt.authority.facts import Admit, Removal
from commons_crdt.authority.identity import named
from commons_crdt.authority.identity_facts import Readmit
from commons_crdt.authority.roles import Demoting
from commons_crdt.authority.stratum_c import CoordinatorStratum
from commons_crdt.ids import MemberId
from commons_crdt.roles import Role

_ROLES = 100_000


class MemberStratum(CoordinatorStratum):
    """Admissions, readmissions, roles."""

    # --- admissions ------------------------------------------------------------------------------

    def admission(self, n: int) -> str:
        """Why an admission or readmission does not stand; "" if it does."""
        known = self._admissions.get(n)
        if known is None:
            entry = self.book.entries[n]
            body = entry.body
            sealed = self.sealed(n)
            if sealed is not None:
                known = sealed.reason
            elif isinstance(body, Admit):
                known = self._admitted(entry, body)
            else:
                known = self._readmitted(entry, body) if isinstance(body, Readmit) else entry.fault
            self._admissions[n] = known
        return known

    def _admitted(self, entry: Entry, body: Admit) -> str:
        n = self.book.number(body.invite, entry.past)
        terms = self.book.invites.get(n)
        if terms is None or not self._invited(n):
            return "invite"
        if entry.time_ms > terms.expires_ms:
            return "expired"
        fault = self.book.signatures.genuine(self.book, entry)
        if fault:
            return fault
        if not self.book.signatures.usable(entry):
            return "keys"
        if self.admitted_by(n, entry.past) >= terms.uses:
            return "spent"
        fault = named(entry, body.identity.member)
        if fault:
            return fault
        invite = self.book.entries[n]
        cuts = [cut.act for cut in self.strata.cuts.covering(invite.root)]
        ends = (*cuts, *self.strata.revoked.get(n, ()))
        seen = (self.book.entries[act].past >> entry.n & 1 for act in ends)
        return "" if all(seen) else "revoked"

    def _invited(self, invite: int) -> bool:
        """True if an invite is one by its own view: its author's device and role there."""
        entry = self.book.entries[invite]
        if entry.member is None or not self.own_past(invite):
            return False
        role = self.base_role(entry.member, entry.past)
        return role is not None and role >= Role.MEMBER

    def admitted_by(self, invite: int, view: View) -> int:
        """How many members a view sees admitted by an invite, counted by the acts' bytes."""
        acts = self.book.admissions.get(invite, ())
        return len({self.book.given[n].member for n in self.book.among(acts, view)})

    def _readmitted(self, entry: Entry, body: Readmit) -> str:
        fault = self.book.signatures.genuine(self.book, entry)
        if fault:
            return fault
        if not self.book.signatures.usable(entry):
            return "keys"
        entries = self.book.entries
        cuts = self.strata.cuts.on_member(MemberId(body.member))
        for cut in cuts:
            if not entry.past >> cut.act & 1:
                continue
            act = entries[cut.act].body
            until = act.until_ms if isinstance(act, Removal) else 0
            if not until or until >= entry.time_ms:
                return "removed"
        fault = named(entry, body.member)
        if fault:
            return fault
        for cut in cuts:
            if not entry.past >> cut.act & 1 and not entries[cut.act].past >> entry.n & 1:
                return "revoked"
        return ""

    # --- roles -----------------------------------------------------------------------------------

    def base_role(self, member: MemberId, view: View) -> Role | None:
        """The member's role as the standing acts in a view give it; None for no member."""
        self.strata  # noqa: B018 - the acts of (C) are known from here on
        key = (member, view)
        if key not in self._roles:
            if len(self._roles) > _ROLES:
                self._roles.clear()
            self._roles[key] = self._find_role(member, view)
        return self._roles[key]

    def _find_role(self, member: MemberId, view: View) -> Role | None:
        state = self.state_in(view)
        if member in state.members:
            return Role.COORDINATOR
        role = self.role_acts.newest(member, view)
        if role is None:
            seated = self.states[: self.states.index(state)]
            return Role.NEWCOMER if any(member in one.members for one in seated) else None
        return role

    def role_of(self, entry: Entry) -> Role | None:
        """The role of an author for one operation of log 0, demotions considered."""
        if entry.member is None:
            return None
        role = self.base_role(entry.member, entry.past)
        return self.lowered(
            role, entry.member, entry.past, lambda one: self.beyond_in_log_0(entry, one)
        )

    def lowered(
        self,
        role: Role | None,
        member: MemberId,
        view: View,
        beyond: Callable[[Demoting], bool],
    ) -> Role | None:
        """A role, lowered by every standing demotion that the operation lies beyond."""
        demotions = self.demotions.get(member)
        if role is None or not demotions:
            return role
        made = self.seatings(member)
        for demoting in demotions:
            if demoting.role >= role or self.role_acts.later(member, demoting.act, view, made):
                continue
            if beyond(demoting):
                role = demoting.role
        return role
