"""(C) Coordinator acts: who may take away from whom, decided by (A), (B) and an act's own past.

Source: docs/protocol/authority.md "(C) Coordinator acts".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from commons_crdt.authority.book import NOWHERE, Entry
from commons_crdt.authority.cuts import Cut, Cuts, by_device
from commons_crdt.authority.facts import (
    Branch,
    Demotion,
    Invite,
    NodeGrant,
    Removal,
    Revocation,
    RoleAct,
)
from commons_crdt.authority.identity import Identities, named
from commons_crdt.authority.identity_facts import Own, Pick
from commons_crdt.authority.roles import Demoting
from commons_crdt.authority.stratum_a import CouncilStratum
from commons_crdt.ids import MemberId
from commons_crdt.roles import Role
from commons_crdt.verdict import ACCEPTED, Judgement, contested, rejected


@dataclass(slots=True)
class Strata:
    """What (C) made: identities as of B', all cuts but those of recoveries, revoked invites."""

    identities: Identities
    cuts: Cuts
    revoked: Mapping[int, Sequence[int]]


def is_act_of_c(body: object) -> bool:
    """True for the contents of (C), if a device that a person holds writes them."""
    if isinstance(body, Pick):
        return isinstance(body.warrant, Own)
    return isinstance(body, RoleAct | Demotion | Removal | Revocation | Branch)


class CoordinatorStratum(CouncilStratum):
    """The acts of coordinators, and members' own revocations."""

    _strata: Strata | None = None

    def is_of_c(self, n: int) -> bool:
        """True for the kinds of (C), by a device that a person holds."""
        entry = self.book.entries[n]
        given = self.book.given.get(entry.grant)
        return is_act_of_c(entry.body) and given is not None and not given.unattended

    def verdict_in_c(self, n: int) -> Judgement:
        """The whole verdict of a coordinator's act, or of a member's own revocation."""
        known = self._of_c.get(n)
        if known is None:
            known = self._of_c[n] = self.sealed(n) or self._judge_c(n)
        return known

    def _judge_c(self, n: int) -> Judgement:
        entry = self.book.entries[n]
        place = self.b.place(n)
        if place:
            return contested(place) if place == "fork" else rejected(place)
        grant = self._granted_in_b(entry)
        if grant is not None:
            return grant
        if self.book.given[entry.grant].limit is not None:
            return rejected("limit")
        reason = self._rule_in_c(entry)
        return rejected(reason) if reason else ACCEPTED

    def _granted_in_b(self, entry: Entry) -> Judgement | None:
        given = self.book.given[entry.grant]
        if given.root == NOWHERE:
            return rejected("grant")
        chain = self.b.chain(given.root)
        if entry.grant in chain.bases:
            return None
        unsure = entry.grant in chain.frozen or self.b.place(entry.grant) == "fork"
        return contested("grant") if unsure else rejected("grant")

    def _rule_in_c(self, entry: Entry) -> str:
        body, author = entry.body, entry.member
        state = self.state_in(entry.past)
        own = False
        subject: MemberId | None = None
        if isinstance(body, Revocation):
            target = self.book.number(body.target, entry.past)
            named_ = self.book.entries[target] if target != NOWHERE else None
            if named_ is not None and isinstance(named_.body, NodeGrant | Invite):
                subject = named_.member
            own = subject is not None and subject == author
        elif isinstance(body, RoleAct | Demotion | Removal | Branch | Pick):
            subject = MemberId(body.member)
        if not own:
            if author not in state.members or self._lowered_by_council(entry):
                return "role"
            if subject is None:
                return "target"
            if not self.book.is_member(subject, entry.past) or subject in state.members:
                return "subject"
            made = self.newest.made_by(subject)
            if made != NOWHERE and not self.book.entries[made].past >> entry.n & 1:
                return "subject"
        return named(entry, subject)

    def _lowered_by_council(self, entry: Entry) -> bool:
        """Called while only the council's demotions are known."""
        if entry.member is None:
            return False
        return any(
            demoting.act in self._council_acts
            and self.beyond_in_log_0(entry, demoting)
            and not self.seated_since(demoting, entry.past)
            for demoting in self.demotions.get(entry.member, ())
        )

    def beyond_in_log_0(self, entry: Entry, demoting: Demoting) -> bool:
        """True if an operation of log 0 lies beyond the endings of a demotion."""
        ending = demoting.endings.get(entry.device)
        if ending is None:
            return True
        position = ending.authority
        past = self.book.entries[demoting.act].past
        last = self.book.at(entry.device, position.seq, position.id, past)
        return last == NOWHERE or not self.book.leads(entry.n, last)

    # --- what they make ---------------------------------------------------------------------------

    @property
    def strata(self) -> Strata:
        """The cuts, demotions and identities after (C)."""
        if self._strata is None:
            self._strata = self._after_c()
        return self._strata

    def _after_c(self) -> Strata:
        cuts = self._council_cuts.copy()
        revoked: defaultdict[int, list[int]] = defaultdict(list)
        standing: set[int] = set()
        demoted: list[Demoting] = []
        given_roles: list[tuple[MemberId, int, Role]] = []
        for n in self.book.among(self.book.coordinator_acts, self.view):
            if not self.is_of_c(n) or self.verdict_in_c(n) is not ACCEPTED:
                continue
            standing.add(n)
            if n in self.lifted:
                continue
            entry = self.book.entries[n]
            match entry.body:
                case Removal(member=member, endings=endings):
                    cuts.add(Cut(n, by_device(endings), True, MemberId(member), whole=True))
                case Branch(member=member, ending=ending):
                    cuts.add(Cut(n, by_device((ending,)), True, MemberId(member)))
                case Revocation():
                    self._revoke(entry, entry.body, cuts, revoked)
                case Demotion(member=member, role=role, endings=endings):
                    demoted.append(Demoting(n, MemberId(member), Role(role), by_device(endings)))
                case RoleAct(member=member, role=role):
                    given_roles.append((MemberId(member), n, Role(role)))
                case _:
                    pass
        for demoting in demoted:
            self._demote(demoting)
        for member, n, role in given_roles:
            self.role_acts.acts[MemberId(member)].append((n, role))
        picks = frozenset(n for n in standing if n not in self.lifted)
        again = Identities(self._means(picks.__contains__), cuts)
        return Strata(again, cuts, revoked)

    def _revoke(
        self,
        entry: Entry,
        body: Revocation,
        cuts: Cuts,
        revoked: defaultdict[int, list[int]],
    ) -> None:
        target = self.book.number(body.target, entry.past)
        named_ = self.book.entries[target]
        if isinstance(named_.body, Invite):
            revoked[target].append(entry.n)
        elif named_.member is not None:
            endings = by_device(body.endings)
            names = entry.member != named_.member
            cuts.add(Cut(entry.n, endings, names, named_.member, target=target))
