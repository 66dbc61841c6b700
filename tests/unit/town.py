"""A small town to test with: named people, keys that follow from their names, and replicas.

A `Replica` is one node's copy of the realm: it writes, receives in any order, meets others, finds
forks, and says what it thinks. It does by hand what the daemon does with a store, so that a test
reads as a story. Nothing here is random: the same story gives the same bytes. What people write is
the same as in the simulator's town (`commons_node.testing.acts`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import msgspec

from commons_crdt.author import Draft, Place, compose, found
from commons_crdt.authority.council_facts import Coordinators, CouncilAct
from commons_crdt.authority.facts import Genesis
from commons_crdt.authority.flips import Anchor
from commons_crdt.authority.judge import ERASURE, GENESIS, Candidate, Judge, Missing, Standing
from commons_crdt.authority.kinds import CORE
from commons_crdt.authority.kinds_council import ACT
from commons_crdt.device import DeviceKeys, DeviceSecrets
from commons_crdt.document.schema import DocumentSchema, Field
from commons_crdt.errors import Refused
from commons_crdt.folds import set_hash
from commons_crdt.ids import DeviceId, MemberId, OperationId, RealmId, digest
from commons_crdt.kinds import Claim, Kind, Rules, decode_fact
from commons_crdt.operation import (
    Header,
    Operation,
    check_contents,
    content,
    decode_header,
    operation_id,
    verify,
)
from commons_crdt.roles import Role
from commons_crdt.verdict import Verdict
from commons_node.testing import acts
from commons_node.testing.acts import DAY_MS, START_MS, erasure, identity, resign, role_act

NOTE, LOAN, NOTICE, PAGE, METER, PHOTO = (
    "town.note.1",
    "town.loan.1",
    "town.notice.1",
    "town.page.1",
    "town.meter.1",
    "town.photo.1",
)


class Number(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The body of every fact in town: one number."""

    value: int


def _loan_rule(claim: Claim) -> str:
    if claim.body.value < 0:
        return "terms"
    return "" if claim.body.value == 0 or claim.refs else "reference"


KINDS = (
    Kind(NOTE, Number, Role.NEWCOMER, parts={"text": 532}, erased="body"),
    Kind(LOAN, Number, Role.MEMBER, parts={"text": 532}, rule=_loan_rule),
    Kind(NOTICE, Number, Role.STEWARD, max_body=64),
    Kind(PAGE, DocumentSchema("page", {"title": Field.text(80)}), Role.MEMBER, erased="body"),
    Kind(METER, Number, Role.NEWCOMER, unattended=True),
    Kind(PHOTO, Number, Role.NEWCOMER, parts={"picture": 400_032}, erased="body"),
)
RULES = Rules.of(1, (*CORE, *KINDS))


@cache
def secrets(name: str) -> DeviceSecrets:
    """The device called ``name``, the same in every test."""
    label = name.encode()
    return DeviceSecrets(digest("t-sign", label), digest("t-seal", label))


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with one device."""

    name: str
    device: DeviceSecrets

    @property
    def member(self) -> MemberId:
        return identity(self.device).member


def person(name: str) -> Person:
    """Alice, bob or eve."""
    return Person(name, secrets(name))


def ticket_seed(label: str) -> bytes:
    """The seed of the invite called ``label``."""
    return digest("t-invite", label.encode())


def invitation(label: str, uses: int, expires_ms: int) -> Draft:
    """What a member writes to invite."""
    seed = ticket_seed(label)
    return acts.invitation(DeviceSecrets(seed, seed).keys.signing, uses, expires_ms)


@dataclass(frozen=True, slots=True)
class Ticket:
    """An invite as its holder has it: the operation and the seed of its key."""

    id: OperationId
    seed: bytes


Outcome = Standing | Missing | str
"""What a replica answers: a standing, what is missing, or the code of a refusal."""


def decided(outcome: Outcome) -> Standing:
    """The standing, where the story is that there is one."""
    assert isinstance(outcome, Standing), f"the operation is judged, not {outcome}"
    return outcome


def said(outcome: Outcome) -> tuple[str, str]:
    """An outcome as (word, reason): ("accepted", ""), ("refused", "chain"), ("missing", "")."""
    match outcome:
        case str():
            return "refused", outcome
        case Missing():
            return "missing", ""
        case _:
            return outcome.judgement.verdict.name.lower(), outcome.judgement.reason


@dataclass(slots=True, repr=False)
class Replica:
    """One copy of a realm: ``operations`` in the order of learning, with their ``standings``."""

    realm: RealmId
    name: str
    judge: Judge
    rules: Rules = RULES
    now_ms: int = START_MS
    operations: dict[OperationId, Operation] = field(default_factory=dict)
    standings: dict[OperationId, Standing] = field(default_factory=dict)
    waiting: dict[OperationId, Operation] = field(default_factory=dict)
    refusals: Counter[str] = field(default_factory=Counter)
    tips: dict[tuple[DeviceId, int], OperationId] = field(default_factory=dict)
    salts: int = 0

    def __repr__(self) -> str:
        return f"Replica({self.name!r}, {len(self.operations)} operations)"

    # --- writing ---------------------------------------------------------------------------------

    def salt(self) -> bytes:
        """The next salt of this replica."""
        self.salts += 1
        return digest("t-salt", self.name.encode(), self.salts.to_bytes(4, "big"))

    def place(self, device: DeviceSecrets, draft: Draft, *, aware: bool = True) -> Place:
        """Where the device writes next; an author who is not ``aware`` cites no log-0 heads."""
        own = device.keys.id
        tip = self.tips.get((own, draft.log)) or self.judge.authority.devices[own].id
        prev = self.standings[tip]
        refs = [self.standings[OperationId(ref)] for ref in draft.refs]
        news = self.judge.authority.news(prev.view) if aware else ()
        return Place(self.realm, prev, refs, [self.standings[i] for i in news])

    def draw(
        self,
        device: DeviceSecrets,
        draft: Draft,
        *,
        after: OperationId | None = None,
        aware: bool = True,
    ) -> Operation:
        """A signed operation that nobody has seen; ``after``: not at the tip but behind this."""
        self.now_ms += 1000
        place = self.place(device, draft, aware=aware)
        if after is not None:
            place = replace(place, prev=self.standings[after], authority=())
        return compose(draft, place, device, self.now_ms, self.salt)

    def write(
        self,
        device: DeviceSecrets,
        draft: Draft,
        *,
        after: OperationId | None = None,
        aware: bool = True,
    ) -> Standing:
        """Write and learn an operation."""
        return decided(self.receive(self.draw(device, draft, after=after, aware=aware)))

    def note(
        self, who: Person, value: int = 0, *, after: OperationId | None = None, aware: bool = True
    ) -> Standing:
        """Somebody writes a note: what the lowest role may do, and erase."""
        return self.write(who.device, Draft.fact(NOTE, Number(value)), after=after, aware=aware)

    def erase(self, who: Person, target: Standing) -> Standing:
        """Somebody erases an operation, or the document it belongs to."""
        return self.write(who.device, erasure(target))

    def invite(self, who: Person, label: str = "ticket", uses: int = 1, days: int = 7) -> Ticket:
        """Somebody writes an invite."""
        draft = invitation(label, uses, self.now_ms + days * DAY_MS)
        return Ticket(self.write(who.device, draft).id, ticket_seed(label))

    def admission(self, ticket: Ticket, newcomer: Person) -> Draft:
        """What a node writes to let a newcomer in, with both of the newcomer's signatures."""
        return acts.admission(self.realm, ticket.id, ticket.seed, newcomer.device)

    def admit(self, node: DeviceSecrets, ticket: Ticket, newcomer: Person) -> Standing:
        """A node lets a newcomer in."""
        return self.write(node, self.admission(ticket, newcomer))

    def grant_node(self, owner: Person, node: DeviceSecrets) -> Standing:
        """A member grants a node's device."""
        return self.write(owner.device, self.node_grant(owner, node))

    def node_grant(self, owner: Person, node: DeviceSecrets) -> Draft:
        """What a member writes to grant a node's device, with the node's signature."""
        return acts.node_grant(self.realm, owner, node)

    def give_role(
        self, who: Person, subject: Person, role: Role, *, aware: bool = True
    ) -> Standing:
        """Somebody gives a role."""
        return self.write(who.device, role_act(subject, role), aware=aware)

    def appoint(self, *people: Person) -> Standing:
        """Alice, alone so far, proposes another list of coordinators, and by that endorses it."""
        seats = tuple((bytes(who.member), bytes(who.device.keys.id)) for who in people)
        base = self.judge.authority.council.base
        act = CouncilAct(base, 0, Coordinators(seats, ()))
        return self.write(person("alice").device, Draft.fact(ACT, act, log=0))

    def welcome(self, name: str, role: Role = Role.NEWCOMER) -> Person:
        """Alice invites somebody, her node lets them in, and she gives them a role."""
        newcomer = person(name)
        self.admit(secrets("alice's node"), self.invite(person("alice"), name), newcomer)
        if role is not Role.NEWCOMER:
            self.give_role(person("alice"), newcomer, role)
        return newcomer

    # --- learning --------------------------------------------------------------------------------

    def receive(self, operation: Operation) -> Outcome:
        """Verify, judge and learn an operation, and whatever waited for it."""
        ident = operation_id(operation.header)
        if ident in self.operations:
            return self._contents(ident, operation)
        try:
            outcome = self._judge(ident, operation)
        except Refused as refused:
            self.refusals[refused.why] += 1
            return refused.why
        if isinstance(outcome, Missing):
            self.waiting[ident] = operation
            return outcome
        self._learn(outcome, operation)
        for other, waiting in list(self.waiting.items()):
            if other in self.waiting:
                del self.waiting[other]
                self.receive(waiting)
        return self.standings[ident]

    def candidate(self, ident: OperationId, operation: Operation) -> Candidate:
        """What the verifier makes of an operation's bytes."""
        header = decode_header(operation.header)
        check_contents(header, operation)
        kind = self.rules.kinds.get(header.kind)
        if kind is None or operation.body is None or len(operation.body) > kind.max_body:
            return Candidate(ident, header, None, operation.body is not None)
        inside = content(operation.body)
        if isinstance(kind.body, DocumentSchema):
            return Candidate(ident, header, None, True, "malformed" if inside == b"bad" else "")
        try:
            return Candidate(ident, header, decode_fact(kind.body, inside), True)
        except Refused as refused:
            return Candidate(ident, header, None, True, refused.why)

    def _judge(self, ident: OperationId, operation: Operation) -> Standing | Missing:
        candidate = self.candidate(ident, operation)
        keys = self._keys(candidate)
        if keys is not None and not verify(operation.header, operation.signature, keys.signing):
            raise Refused("signature")
        return self.judge.judge(candidate, self.standings.get)

    def _keys(self, candidate: Candidate) -> DeviceKeys | None:
        if candidate.header.kind == GENESIS and isinstance(candidate.body, Genesis):
            return candidate.body.identity.device
        grant = self.judge.authority.devices.get(DeviceId(candidate.header.device))
        return grant.keys if grant else None

    def _learn(self, standing: Standing, operation: Operation) -> None:
        self.operations[standing.id] = operation
        self.standings[standing.id] = standing
        doubled = any(
            (other.device, other.log, other.seq) == (standing.device, standing.log, standing.seq)
            for other in self.standings.values()
            if other.id != standing.id
        )
        self._go_on(standing)
        if doubled:
            self.judge.forked(standing.device, standing.log, standing.seq)
        self.heed_flips()
        if operation_is(standing, ERASURE):
            self._fold_erased()

    def _contents(self, ident: OperationId, operation: Operation) -> Outcome:
        known = self.operations[ident]
        if known.body is None and operation.body is not None:
            self.operations[ident] = operation
            self._again(ident)
            if operation_is(self.standings[ident], ERASURE):
                self._fold_erased()
        return self.standings[ident]

    def _again(self, ident: OperationId) -> None:
        candidate = self.candidate(ident, self.operations[ident])
        self.standings[ident] = self.judge.rejudge(
            candidate, self.standings[ident], self.standings.get
        )

    def _fold_erased(self) -> None:
        for standing in list(self.standings.values()):
            kind = self.rules.kinds.get(standing.kind)
            if kind is not None and self.judge.is_erased(kind, standing.id, standing.document):
                self._again(standing.id)

    def lose(self, ident: OperationId) -> Standing:
        """Drop the bytes of an operation here, as an erasure asks; what is thought of it then."""
        self.operations[ident] = replace(self.operations[ident], body=None, parts=())
        self._again(ident)
        return self.standings[ident]

    def heed_flips(self) -> None:
        """Do what the judge tells: answer it, judge chains again, until nothing changes."""
        for _ in range(20):
            flips = self.judge.flips()
            if not flips:
                return
            for ident, judgement in flips.operations.items():
                known = self.standings[ident]
                self.standings[ident] = msgspec.structs.replace(known, judgement=judgement)
            for anchor in flips.wanted:
                self.judge.anchor(anchor, self._line(anchor))
            for seal, tips in flips.closures.items():
                self.judge.closure(seal, self._closure(tip.id for tip in tips))
            for chain in flips.chains:
                for standing in self.chain(*chain):
                    self._again(standing.id)
            if flips.erasures:
                for standing in list(self.standings.values()):
                    if {standing.id, standing.document} & flips.erasures and standing.log:
                        self._again(standing.id)
        raise AssertionError("the judge comes to rest")

    def chain(self, device: DeviceId, log: int) -> list[Standing]:
        """The operations of a chain, all branches, in ascending seq."""
        return sorted(
            (s for s in self.standings.values() if (s.device, s.log) == (device, log)),
            key=lambda s: s.seq,
        )

    def _line(self, anchor: Anchor) -> list[OperationId] | None:
        """What ``Anchor`` asks for."""
        named = self.standings.get(anchor.id)
        if named is None:
            return None
        if (named.device, named.log, named.seq) != (anchor.device, 1, anchor.seq):
            return []
        fork = self.judge.forks.get((anchor.device, 1), anchor.seq)
        ids = [anchor.id]
        while self.standings[ids[0]].seq > min(fork, anchor.seq):
            ids.insert(0, OperationId(self.header(ids[0]).prev))
        return ids

    def _closure(self, tips: Iterable[OperationId]) -> dict[Anchor, list[OperationId]]:
        """What ``Flips.closures`` asks for: the last of each branch in the tips' closure."""
        here: set[OperationId] = set()
        waiting = list(tips)
        while waiting:
            ident = waiting.pop()
            if ident not in here and self.standings[ident].log == 1:
                here.add(ident)
                waiting += [OperationId(a) for a in self.header(ident).antecedents]
        inner = {self.header(ident).prev for ident in here}
        tops = [self.standings[ident] for ident in here if ident not in inner]
        return {a: self._line(a) or [] for a in (Anchor(s.device, s.seq, s.id) for s in tops)}

    def rejudge_from_nothing(self) -> None:
        """Forget every verdict and judge again, in the same order."""
        judge = Judge(self.realm, self.rules, forks=self.judge.forks, pin=self.judge.pin)
        self.judge = judge
        known, self.operations, self.standings, self.tips = self.operations, {}, {}, {}
        for ident, operation in known.items():
            try:
                outcome = self._judge(ident, operation)
            except Refused as refused:
                self.refusals[refused.why] += 1
                continue
            if isinstance(outcome, Missing):
                continue
            self.operations[ident], self.standings[ident] = operation, outcome
            self._go_on(outcome)
        self.heed_flips()
        self._fold_erased()

    def _go_on(self, standing: Standing) -> None:
        """The end of a chain moves; of two branches the first one stays."""
        chain = (standing.device, standing.log)
        tip = self.tips.get(chain)
        if tip is None or self.standings[tip].seq + 1 == standing.seq:
            self.tips[chain] = standing.id

    # --- meeting ---------------------------------------------------------------------------------

    def island(self, name: str) -> Replica:
        """Another node that knows the same, and from now on writes on its own."""
        other = replica(self.realm, name, self.operations.values(), self.rules)
        other.now_ms = self.now_ms
        return other

    def meet(self, other: Replica) -> None:
        """Both learn what the other knows."""
        mine, theirs = list(self.operations.values()), list(other.operations.values())
        for operation in theirs:
            self.receive(operation)
        for operation in mine:
            other.receive(operation)

    # --- saying ----------------------------------------------------------------------------------

    def verdicts(self) -> dict[OperationId, tuple[str, str]]:
        """Every operation's (verdict, reason)."""
        return {ident: said(standing) for ident, standing in self.standings.items()}

    def says(self, standing: Standing | OperationId) -> tuple[str, str]:
        """The (verdict, reason) of one operation, as of now."""
        ident = standing.id if isinstance(standing, Standing) else standing
        return said(self.standings[ident])

    def set_hash(self) -> bytes:
        """The hash that two nodes with the same operations share."""
        counted = (s for s in self.standings.values() if self.judge.relays(s))
        return set_hash((s.id, s.judgement.verdict) for s in counted)

    def role(self, who: Person) -> Role | None:
        """Somebody's role, as everything known here gives it."""
        return self.judge.authority.role(who.member, self.judge.authority.whole)

    def header(self, ident: OperationId) -> Header:
        """The parsed header of a known operation."""
        return decode_header(self.operations[ident].header)


def operation_is(standing: Standing, kind: str) -> bool:
    """True if the operation is of this kind and stands."""
    return standing.kind == kind and standing.judgement.verdict is Verdict.ACCEPTED


def replica(
    realm: RealmId, name: str, operations: Iterable[Operation] = (), rules: Rules = RULES
) -> Replica:
    """A node that received ``operations`` in this order."""
    made = Replica(realm, name, Judge(realm, rules), rules)
    for operation in operations:
        made.receive(operation)
    return made


def town(
    constitution: Sequence[tuple[str, int | str]] = (), salt: Callable[[], bytes] | None = None
) -> Replica:
    """Alice founds a community and grants her node."""
    alice = person("alice")
    body = Genesis(identity(alice.device), 1, tuple(constitution))
    realm, genesis = found(body, alice.device, START_MS, salt or (lambda: digest("t-salt", b"0")))
    home = replica(realm, "home", [genesis])
    home.grant_node(alice, secrets("alice's node"))
    return home


# Tests find here what they need, wherever it is written:
__all__ = ["DAY_MS", "START_MS", "erasure", "identity", "resign", "role_act"]
