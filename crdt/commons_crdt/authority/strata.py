"""The strata: one set of log-0 operations, evaluated under one council chain.

(A) council · (B) identities · (C) coordinator acts · (B') identities again · (D) the rest. Each
uses only earlier ones and an operation's own past, so that no cycle exists: here one class rests on
the one before. A ``Polity`` is the answer for one set; it is total, and grows by operations that
change nothing elsewhere (``extend``).

Source: AUTHORITY.md "Strata", docs/protocol/authority.md.
"""

from __future__ import annotations

from commons_crdt.authority.book import NOWHERE, Entry
from commons_crdt.authority.council_facts import Ballot, CouncilAct, Endorse, Promise
from commons_crdt.authority.endings import Position
from commons_crdt.authority.facts import (
    Admit,
    Branch,
    Demotion,
    Genesis,
    NodeGrant,
    Removal,
    Revocation,
    RoleAct,
)
from commons_crdt.authority.flips import Anchor
from commons_crdt.authority.identity import named
from commons_crdt.authority.identity_facts import (
    AddDevice,
    Close,
    ForkProof,
    GuardianEndorsement,
    Own,
    Pick,
    Readmit,
    Recover,
    SetGuardians,
)
from commons_crdt.authority.stratum_d import MemberStratum
from commons_crdt.ids import DeviceId, MemberId, OperationId
from commons_crdt.roles import Role
from commons_crdt.verdict import ACCEPTED, Judgement, Verdict, contested, rejected


class Polity(MemberStratum):
    """See the module."""

    def evaluate(self) -> Polity:
        """Judge everything, in the order of learning; returns itself.

        Guardians' endorsements first: one may rest on another, thousands deep.
        """
        for n in self.book.among(self.book.endorsements, self.view):
            self.own_past(n)
        for n in range(len(self.book)):
            if self.view >> n & 1:
                self.verdict(n)
        return self

    def verdict(self, n: int) -> Judgement:
        """The verdict of one log-0 operation of the set."""
        known = self._verdicts.get(n)
        if known is None:
            known = self._verdicts[n] = self._judge(n)
            if known is ACCEPTED and isinstance(self.book.entries[n].body, Admit | Readmit):
                member = self.book.given[n].member
                if member is not None:
                    self.role_acts.roots[member] |= 1 << n
        return known

    def _judge(self, n: int) -> Judgement:
        entry = self.book.entries[n]
        body = entry.body
        strata = self.strata
        sealed = self.sealed(n)
        if sealed is not None:
            return sealed
        if isinstance(body, Genesis) and n == 0:
            return ACCEPTED
        match body:
            case CouncilAct() | Promise() | Ballot() | Endorse():
                return self._judge_message(entry)
            case Admit() | Readmit():
                return _because(self.admission(n))
            case GuardianEndorsement():
                return _because(named(entry, body.member))
            case ForkProof():
                return _because("" if self.ledger.shown(n) else "proof")
            case Recover() | SetGuardians() | Pick() if not isinstance(body.warrant, Own):
                reason, unsure = strata.identities.reason(n)
                return contested(reason) if unsure else _because(reason)
            case _:
                pass
        if self.is_of_c(n):
            return self._judge_pick(n) if isinstance(body, Pick) else self.verdict_in_c(n)
        place = strata.identities.place(n)
        if place:
            return contested(place) if place == "fork" else rejected(place)
        return self.granted(entry.grant) or self._permitted(entry)

    def place(self, n: int) -> str:
        """Where an operation is in its chain, as its stratum has it; "" if it is inside."""
        stage = self.b if self.is_of_c(n) else self.strata.identities
        return stage.place(n)

    def _judge_message(self, entry: Entry) -> Judgement:
        message = self.council.messages.get(entry.n)
        if entry.n in self.council.bad_tips:
            return rejected("tip")
        if message is None or message.base not in self._council_acts:
            return rejected("council")
        return ACCEPTED if message.counts else rejected("ballot")

    def _judge_pick(self, n: int) -> Judgement:
        """A coordinator's pick: by (C), then it must name one of the first acts."""
        stands = self.verdict_in_c(n)
        if stands is not ACCEPTED:
            return stands
        return _because(self.strata.identities.reason(n)[0])

    def granted(self, grant: int) -> Judgement | None:
        """What is wrong with a device's grant and what it rests on; None if nothing."""
        given = self.book.given.get(grant)
        if given is None or given.root == NOWHERE:
            return rejected("grant")
        if grant != given.root:
            own = self.verdict(grant)
            if own.verdict is Verdict.CONTESTED:
                return contested("grant")
            if own is not ACCEPTED:
                return rejected("grant")
        return None if self.root_stands(given.root) else rejected("grant")

    def root_stands(self, root: int) -> bool:
        """True if the admission stands, or an act of the chain that knew it seats the member."""
        if self.verdict(root) is ACCEPTED:
            return True
        member = self.book.given[root].member
        return any(
            member in state.members and self.book.entries[act].past >> root & 1
            for act, state in zip(self.acts, self.states, strict=True)
        )

    def _permitted(self, entry: Entry) -> Judgement:
        kind = self.ledger.kind_of(self.state_in(entry.past).rules, entry.kind)
        if kind is None or kind.log != 0:
            return rejected("kind" if kind is None else "log")
        given = self.book.given[entry.grant]
        if given.limit is not None and not isinstance(entry.body, Close):
            return rejected("limit")
        role = self.role_of(entry)
        unfit = kind.unattended is not None and kind.unattended != given.unattended
        if unfit or role is None or role < kind.role:
            return rejected("role")
        if entry.fault:
            return rejected(entry.fault)
        return self._own_rule(entry)

    def _own_rule(self, entry: Entry) -> Judgement:
        match entry.body:
            case NodeGrant():
                fault = self.book.signatures.consents(self.book, entry)
                return _because(fault or named(entry, entry.member))
            case AddDevice() | Recover() | SetGuardians():
                reason, unsure = self.strata.identities.reason(entry.n)
                return contested(reason) if unsure else _because(reason)
            case Close():
                return _because(named(entry, entry.member))
            case Genesis():
                return rejected("document")
            case _:
                return ACCEPTED

    # --- growing ---------------------------------------------------------------------------------

    def extend(self, entry: Entry) -> bool:
        """Add the newest operation; True if no other verdict changes by it.

        If not, a new polity must be evaluated. The caller looks at the council's chain first.
        """
        fork = self.ground.fork(entry.device)
        doubled = len(self.book.places[entry.device, entry.seq]) > 1
        if doubled and (fork is None or entry.seq < fork):
            return False
        body = entry.body
        match body:
            case RoleAct() if self.is_of_c(entry.n):
                if self.verdict_in_c(entry.n) is ACCEPTED:
                    member = MemberId(body.member)
                    self.role_acts.acts[member].append((entry.n, Role(body.role)))
            case Pick() if isinstance(body.warrant, Own):
                if self.is_of_c(entry.n) and self.verdict_in_c(entry.n) is ACCEPTED:
                    return False
            case Demotion() | Removal() | Revocation() | Branch() if self.is_of_c(entry.n):
                if self.verdict_in_c(entry.n) is ACCEPTED:
                    return False
            case AddDevice() | Recover() | SetGuardians() | Pick():
                if not self._extend_identity(entry, body):
                    return False
            case Close():
                if not self.strata.identities.place(entry.n) or not self.b.place(entry.n):
                    return False
            case ForkProof():
                if not self.ground.hear(self.ledger.shown(entry.n)):
                    return False
            case GuardianEndorsement():
                self.own_past(entry.n)
            case _:
                pass
        self.view |= entry.bit
        self.ground.view = self.view
        self.verdict(entry.n)
        return True

    def _extend_identity(
        self, entry: Entry, body: AddDevice | Recover | SetGuardians | Pick
    ) -> bool:
        """True if the act changes nothing, or adds a device at the end of its chain."""
        base = self.book.number(body.base, entry.past)
        root = self.book.root_of(base) if base != NOWHERE else NOWHERE
        if root == NOWHERE or self.b.shape(entry.n):
            return True
        stages = (self.b, self.strata.identities)
        rivals = not isinstance(body, Pick) and len(self.book.identity_acts[base]) > 1
        if rivals:  # whether it stood is asked at its base: not by what the chain cut since then
            return False
        if not any(stage.may(entry.n, root, base) for stage in stages):
            return True
        if not isinstance(body, AddDevice):
            return False
        return all(stage.may(entry.n, root, base) for stage in stages) and all(
            stage.grow(entry.n, root, base) for stage in stages
        )

    # --- log 1 -----------------------------------------------------------------------------------

    def record_closings(self, device: DeviceId) -> tuple[Position, ...]:
        """Where the standing closings of a device leave its log 1."""
        closings = self.strata.identities.closings(device)
        return tuple(self.ground.closed_record(n) for n in closings)

    def ends_log_1(self, device: DeviceId) -> bool:
        """True if a cut or a closing may end a device's log 1, so that a sealed tip matters."""
        grants, identities = self.book.grants.get(device, ()), self.strata.identities
        return bool(identities.closings(device)) or any(identities.rulings(n) for n in grants)

    def bearing(self, grant: int) -> tuple[object, ...]:
        """All that bears on the log-1 operations of a device, to see whether it changed."""
        given = self.book.given[grant]
        identities = self.strata.identities
        member = given.member
        roles: tuple[object, ...] = ()
        if member is not None:
            roles = (
                tuple(sorted(self.role_acts.acts.get(member, ()))),
                self.role_acts.roots.get(member, 0),
                tuple(one.act for one in self.demotions.get(member, ())),
                tuple(self.seatings(member)),
            )
        rulings = tuple((r.act, r.record, r.names) for r in identities.rulings(grant))
        return (
            self.granted(grant), rulings, self.record_closings(given.device), given.limit, roles
        )  # fmt: skip

    def anchors(self) -> set[Anchor]:
        """Every position of log 1 that something standing names."""
        found = set()
        endings = [cut.endings for cut in self.strata.identities.cuts.all()]
        endings += [one.endings for ones in self.demotions.values() for one in ones]
        for table in endings:
            for device, ending in table.items():
                found.add((device, ending.record))
        for device in self.book.closings:
            found |= {(device, record) for record in self.record_closings(device)}
        return {
            Anchor(device, record.seq, OperationId(record.id))
            for device, record in found
            if record.seq
        }


def _because(reason: str) -> Judgement:
    return rejected(reason) if reason else ACCEPTED
