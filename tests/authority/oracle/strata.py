"""The strata of one set under one council chain: (A), (B), (C), B' and (D), in this order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.authority.oracle import identity, signatures
from tests.authority.oracle.archive import Archive, Id, remembered
from tests.authority.oracle.council import Council, State
from tests.authority.oracle.cuts import Chains, Cut, Demoting
from tests.authority.oracle.seals import Sealed, listed

from commons_crdt.authority.council_facts import Coordinators, Lift, Members, Seal, Tip
from commons_crdt.authority.facts import (
    Admit,
    Branch,
    Demotion,
    Genesis,
    Invite,
    NodeGrant,
    Removal,
    Revocation,
    RoleAct,
)
from commons_crdt.authority.identity_facts import Own, Pick, Readmit
from commons_crdt.ids import MemberId
from commons_crdt.roles import Role
from commons_crdt.verdict import Judgement, Verdict

C_KINDS = (RoleAct, Demotion, Removal, Revocation, Branch)


class World:
    """One set of operations, judged under one chain of council acts."""

    def __init__(
        self,
        archive: Archive,
        council: Council,
        within: frozenset[Id],
        chain: tuple[Id, ...],
        split: frozenset[Id] = frozenset(),
        tips: Sequence[Tip] = (),
        whole: World | None = None,
    ) -> None:
        self.archive, self.council, self.set = archive, council, within
        self.chain, self.split, self.whole = chain, split, whole or self
        self.memo: dict[Any, Any] = {}
        state = council.state(chain[-1])
        assert state is not None
        self.state: State = state
        acts = [archive.body(a).act for a in chain[1:]]
        self.seals = [a for a in chain[1:] if isinstance(archive.body(a).act, Seal)]
        self.lifted = frozenset(Id(act.cut) for act in acts if isinstance(act, Lift))
        sealed = [tip for s in self.seals for tip in listed(archive, s)]
        self.chains = Chains(archive, within, [*sealed, *tips], self.listed, self.whole.set)
        self.sealed = Sealed(self)

    # --- rules and seals -------------------------------------------------------------------------

    def state_in(self, view: frozenset[Id]) -> State:
        return self.council.prefix(view & self.set, self.chain)

    def version(self, x: Id) -> int:
        return self.state_in(self.archive.view(x)).rules

    @remembered
    def listed(self, x: Id) -> bool:
        """x is well formed, of a kind of log 0 that the rules of its view list."""
        rules = self.archive.rules.get(self.version(x))
        kind = rules.kinds.get(self.archive.ops[x].header.kind) if rules else None
        if kind is None or self.archive.log(x) or self.archive.body(x) is None:
            return False
        return self.archive.ops[x].header.body_length <= kind.max_body

    def sealed_accepted(self, x: Id) -> bool:
        found = self.sealed.verdict(x)
        return found is not None and found.verdict is Verdict.ACCEPTED

    def sealed_otherwise(self, x: Id) -> bool:
        found = self.sealed.verdict(x)
        return found is not None and found.verdict is not Verdict.ACCEPTED

    # --- (A) -------------------------------------------------------------------------------------

    @remembered
    def dismissals(self) -> list[tuple[Id, Any]]:
        """Every dismissal of the chain with its act; who is dropped silently is dismissed too."""
        found: list[tuple[Id, Any]] = []
        for before, act in zip(self.chain, self.chain[1:], strict=False):
            content = self.archive.body(act).act
            if isinstance(content, Coordinators | Members) and act not in self.lifted:
                found += [(act, d) for d in content.dismissals]
            if isinstance(content, Coordinators) and act not in self.lifted:
                old, new = self.council.state(before), self.council.state(act)
                assert old is not None
                assert new is not None
                kept = {d.member for d in content.dismissals} | new.members
                found += [(act, Silent(m)) for m in sorted(old.members) if m not in kept]
        return found

    @remembered
    def cuts_a(self) -> list[Cut]:
        forms = {0: "member", 5: "branch"}
        return [
            Cut(act, forms[d.role], d.member, d.endings)  # type: ignore[arg-type]
            for act, d in self.dismissals()
            if d.role in forms
        ]

    @remembered
    def demotions_a(self) -> list[Demoting]:
        return [
            Demoting(act, MemberId(d.member), d.role, d.endings)
            for act, d in self.dismissals()
            if d.role in {1, 2, 3, 4}
        ]

    # --- (B) -------------------------------------------------------------------------------------

    def cuts_before(self, stage: identity.Stage) -> list[Cut]:
        return self.cuts_a() if stage == "B" else [*self.cuts_a(), *self.cuts_c()]

    @remembered
    def chain_of(self, root: Id, stage: identity.Stage) -> identity.Chain:
        return identity.follow(self, root, stage)

    @remembered
    def roots(self) -> list[Id]:
        return self.archive.of(self.set, Genesis, Admit, Readmit)

    def recoveries(self, x: Id, stage: identity.Stage) -> list[Cut]:
        root = self.archive.root(x)
        return list(self.chain_of(root, stage).newest.cuts) if root is not None else []

    def device_in_b(self, x: Id, stage: identity.Stage) -> bool:
        """The grant of x's chain is the root, or in the identity chain."""
        grant, root = self.archive.grant(x), self.archive.root(x)
        if root is None or self.archive.unattended(x):
            return False
        return grant == root or grant in self.chain_of(root, stage).bases

    def of_member_by_own_past(self, x: Id) -> bool:
        """x's device is one of its member's, by what x itself knew."""
        archive, root = self.archive, self.archive.root(x)
        if root is None or archive.limit(x) is not None:
            return False
        there = self.alone(archive.view(x) & self.set).chain_of(root, "B").newest
        return archive.grant(x) in there.devices

    @remembered
    def alone(self, view: frozenset[Id]) -> World:
        """The world of somebody who knows ``view`` and nothing else."""
        return World(self.archive, self.council, view, self.state_in(view).chain)

    # --- (C) -------------------------------------------------------------------------------------

    def is_c(self, x: Id) -> bool:
        """x is a well-formed act of (C), by a device that a person holds."""
        body = self.archive.body(x)
        pick = isinstance(body, Pick) and isinstance(body.warrant, Own)
        of_c = isinstance(body, C_KINDS) or pick
        return of_c and self.listed(x) and not self.archive.unattended(x)

    def stands_in_c(self, x: Id) -> bool:
        return self.verdict_in_c(x) == Judgement(Verdict.ACCEPTED)

    @remembered
    def verdict_in_c(self, x: Id) -> Judgement:
        """The whole verdict of a coordinator's act, or of a member's own revocation."""
        sealed = self.sealed.verdict(x)
        if sealed is not None:
            return sealed
        status = self.chains.status(x, [*self.cuts_a(), *self.recoveries(x, "B")])
        if status != "in":
            contested = status == "fork"
            return Judgement(Verdict.CONTESTED if contested else Verdict.REJECTED, status)
        grant = self.granted_in_b(x)
        if grant is not None:
            return grant
        if self.archive.limit(x) is not None:
            return Judgement(Verdict.REJECTED, "limit")
        reason = self.role_in_c(x) or self.rule_in_c(x)
        return Judgement(Verdict.REJECTED, reason) if reason else Judgement(Verdict.ACCEPTED)

    def granted_in_b(self, x: Id) -> Judgement | None:
        """Why the device does not stand in B, None if it does."""
        archive, root = self.archive, self.archive.root(x)
        grant = archive.grant(x)
        if root is None:
            return Judgement(Verdict.REJECTED, "grant")
        if self.device_in_b(x, "B"):
            return None
        status = self.chains.status(grant, [*self.cuts_a(), *self.recoveries(grant, "B")])
        frozen = grant in self.chain_of(root, "B").frozen
        return Judgement(
            Verdict.CONTESTED if frozen or status == "fork" else Verdict.REJECTED, "grant"
        )

    def acts_as_coordinator(self, x: Id) -> bool:
        """x's author is a coordinator in its view, and no council's demotion lowers it."""
        author = self.archive.member(x)
        state = self.state_in(self.archive.view(x))
        return author in state.members and not self.lowered(x, self.demotions_a(), ())

    def role_in_c(self, x: Id) -> str:
        """Revocations may be by anybody, of what is their own; the rest is by coordinators."""
        revokes = isinstance(self.archive.body(x), Revocation)
        return "" if revokes or self.acts_as_coordinator(x) else "role"

    def rule_in_c(self, x: Id) -> str:
        archive, body = self.archive, self.archive.body(x)
        view = archive.view(x)
        subject: bytes | None
        if isinstance(body, Revocation):
            target = Id(body.target)
            if target not in view or not isinstance(archive.body(target), NodeGrant | Invite):
                return "target" if self.acts_as_coordinator(x) else "role"
            subject = archive.member(target)
            if subject is not None and subject == archive.member(x):
                return signatures.named(archive, x, subject)
            if not self.acts_as_coordinator(x):
                return "role"
        else:
            subject = body.member
        if subject is None or not self.known(subject, view):
            return "subject"
        made = self.state.made_by(MemberId(subject))
        if subject in self.state_in(view).members or (
            made is not None and not archive.before(x, made)
        ):
            return "subject"
        return signatures.named(archive, x, subject)

    def known(self, member: bytes, view: frozenset[Id]) -> bool:
        """A member by the bytes in the view: some root of theirs is there."""
        archive = self.archive
        return any(
            isinstance(archive.body(r), Genesis | Admit | Readmit)
            and archive.member_of(r) == member
            for r in view
        )

    @remembered
    def acts_c(self) -> list[Id]:
        """The standing acts of (C) that are not lifted."""
        kinds = (*C_KINDS, Pick)
        return [
            x
            for x in self.archive.of(self.set, *kinds)
            if self.is_c(x) and x not in self.lifted and self.stands_in_c(x)
        ]

    @remembered
    def cuts_c(self) -> list[Cut]:
        found = []
        for x in self.acts_c():
            match self.archive.body(x):
                case Removal(member=m, endings=endings):
                    found.append(Cut(x, "member", m, endings))
                case Branch(member=m, ending=ending):
                    found.append(Cut(x, "branch", m, (ending,)))
                case Revocation(target=t, endings=endings):
                    if isinstance(self.archive.body(Id(t)), NodeGrant):
                        own = self.archive.member(x) == self.archive.member(Id(t))
                        found.append(Cut(x, "grant", t, endings, names=not own))
        return found

    @remembered
    def demotions(self) -> list[Demoting]:
        return [
            *self.demotions_a(),
            *(
                Demoting(x, MemberId(b.member), b.role, b.endings)
                for x in self.acts_c()
                if isinstance(b := self.archive.body(x), Demotion)
            ),
        ]

    # --- roles -----------------------------------------------------------------------------------

    @remembered
    def role_acts(self) -> list[tuple[Id, MemberId, int]]:
        """(act, member, role) of every standing role act, the council's among them."""
        found = [(d.op, d.member, d.role) for d in self.demotions()]
        for x in self.acts_c():
            body = self.archive.body(x)
            if isinstance(body, RoleAct):
                found.append((x, MemberId(body.member), body.role))
        return found

    def lowered(
        self, x: Id, demotions: Sequence[Demoting], acts: Sequence[tuple[Id, MemberId, int]]
    ) -> int | None:
        """The lowest role to which a demotion lowers x's author, None if none does."""
        archive, member, view = self.archive, self.archive.member(x), self.archive.view(x)
        roles = []
        for d in demotions:
            if d.member != member or not self.chains.beyond_or_nothing(x, d):
                continue
            later = [a for a, m, _ in acts if m == member and a in view]
            later += [a for a in self.seatings(member) if a in view]
            if not any(archive.before(d.op, a) for a in later):
                roles.append(d.role)
        return min(roles, default=None)

    def seatings(self, member: bytes | None) -> list[Id]:
        """The acts of the chain that made the member a coordinator."""
        found = []
        for act in self.chain[1:]:
            state = self.council.state(act)
            assert state is not None
            if member is not None and state.made_by(MemberId(member)) == act:
                found.append(act)
        return found

    def base_role(self, member: bytes, view: frozenset[Id]) -> Role | None:
        return self._base_role(member, view & self.set)

    @remembered
    def _base_role(self, member: bytes, view: frozenset[Id]) -> Role | None:
        archive, state = self.archive, self.state_in(view)
        if member in state.members:
            return Role.COORDINATOR
        acts = [(a, r) for a, m, r in self.role_acts() if m == member and a in view]
        newest = [r for a, r in acts if not any(archive.before(a, b) for b, _ in acts)]
        if newest:
            return Role(min(newest))
        seated = any(self.seats(a, member) for a in state.chain)
        admitted = any(
            r in view and archive.member_of(r) == member and self.admission(r) == ""
            for r in self.roots()
        )
        return Role.NEWCOMER if seated or admitted else None

    def seats(self, act: Id, member: bytes) -> bool:
        state = self.council.state(act)
        assert state is not None
        return member in state.members

    def role_from_now_on(self, member: bytes) -> Role | None:
        """What the whole set gives the member, lowered by the demotions that nobody took back."""
        everything = frozenset(x for x in self.set if self.archive.log(x) == 0)
        role = self.base_role(member, everything)
        later = [a for a, m, _ in self.role_acts() if m == member] + self.seatings(member)
        lower = [
            d.role
            for d in self.demotions()
            if d.member == member and not any(self.archive.before(d.op, a) for a in later)
        ]
        return None if role is None else Role(min([role, *lower]))

    def role(self, x: Id) -> Role | None:
        """The role of x's author, for x."""
        member = self.archive.member(x)
        if member is None:
            return None
        role = self.base_role(member, self.archive.view(x))
        lower = self.lowered(x, self.demotions(), self.role_acts())
        if role is None or lower is None:
            return role
        return min(role, Role(lower))

    # --- (D) admissions --------------------------------------------------------------------------

    def root_stands(self, root: Id) -> bool:
        member = self.archive.member_of(root)
        seated = any(self.seats(a, member) and root in self.archive.past(a) for a in self.chain)
        return seated or self.admission(root) == ""

    @remembered
    def admission(self, root: Id) -> str:
        """Why an admission or readmission does not stand; "" if it does."""
        sealed = self.sealed.verdict(root)
        if sealed is not None:
            return sealed.reason
        if root == self.archive.genesis:
            return ""
        if not self.listed(root):
            return "malformed"
        if isinstance(self.archive.body(root), Admit):
            return self._admit(root)
        return self._readmit(root)

    def _member_cuts(self) -> list[Cut]:
        return [c for c in [*self.cuts_a(), *self.cuts_c()] if c.form == "member"]

    def _admit(self, x: Id) -> str:
        archive, body = self.archive, self.archive.body(x)
        invite, view = Id(body.invite), archive.view(x)
        fact = archive.body(invite) if invite in view else None
        inviter = archive.member(invite) if isinstance(fact, Invite) else None
        if inviter is None or not isinstance(fact, Invite) or not self.listed(invite):
            return "invite"
        role = self.base_role(inviter, archive.view(invite))
        if role is None or role < Role.MEMBER or not self.of_member_by_own_past(invite):
            return "invite"
        if archive.ops[x].header.time_ms > fact.expires_ms:
            return "expired"
        fault = signatures.admission_signatures(archive, x)
        if fault:
            return fault
        if not signatures.usable(body.identity.device):
            return "keys"
        used = {
            archive.member_of(a)
            for a in archive.of(view, Admit)
            if archive.body(a).invite == invite
            and invite in archive.past(a)
            and signatures.genuine(archive, a)
        }
        if len(used) >= fact.uses:
            return "spent"
        named = signatures.named(archive, x, body.identity.member)
        if named:
            return named
        root = archive.root(invite)
        assert root is not None
        revoked = any(
            c.subject == inviter and not archive.before(c.op, root) and not archive.before(x, c.op)
            for c in self._member_cuts()
        ) or any(
            isinstance(r := archive.body(a), Revocation)
            and r.target == invite
            and not archive.before(x, a)
            for a in self.acts_c()
        )
        return "revoked" if revoked else ""

    def _readmit(self, x: Id) -> str:
        archive, body = self.archive, self.archive.body(x)
        fault = signatures.readmission_signatures(archive, x)
        if fault:
            return fault
        for cut in self._member_cuts():
            if cut.subject != body.member or not archive.before(cut.op, x):
                continue
            act = archive.body(cut.op)
            until = act.until_ms if isinstance(act, Removal) else 0
            if not until or until >= archive.ops[x].header.time_ms:
                return "removed"
        named = signatures.named(archive, x, body.member)
        if named:
            return named
        void = any(
            c.subject == body.member and not archive.before(c.op, x) and not archive.before(x, c.op)
            for c in self._member_cuts()
        )
        return "revoked" if void else ""

    def verdict(self, x: Id) -> Judgement:
        """The verdict of any operation of the set."""
        from tests.authority.oracle.verdicts import verdict

        return verdict(self, x)


class Silent:
    """The dismissal of somebody who is dropped from the list without one."""

    role = 0
    endings = ()

    def __init__(self, member: MemberId) -> None:
        self.member = member
