"""A village that signs real operations of every kind of log 0, right ones and wrong ones.

A `Village` holds everything that was ever signed; an `Island` is what some people there know, and
where they write. Nothing is judged here: the evaluators do that. The same story gives the same
bytes. People: alice founds; bob and carol become coordinators; dan has guardians and a recovery
key; erin has a recovery key; eve lies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from types import SimpleNamespace
from typing import Any, cast

import msgspec
from tests.authority.oracle.archive import STRUCTS
from tests.unit.town import Number, secrets

from commons_crdt import canonical
from commons_crdt.author import Draft, Place, compose, found
from commons_crdt.authority.council_facts import (
    Ballot,
    Coordinators,
    CouncilAct,
    CouncilContent,
    Dismissal,
    Endorse,
    Promise,
    Seal,
    Tip,
)
from commons_crdt.authority.endings import NOTHING, Ending, Position
from commons_crdt.authority.facts import (
    Admit,
    Branch,
    Demotion,
    Genesis,
    Identity,
    Invite,
    NodeGrant,
    Reason,
    Removal,
    Revocation,
    RoleAct,
)
from commons_crdt.authority.identity_facts import (
    AddDevice,
    Close,
    ForkProof,
    GuardianEndorsement,
    Guardians,
    Limit,
    NewDevice,
    Own,
    Pick,
    Readmit,
    Recover,
    Recovery,
    SetGuardians,
    Warrant,
)
from commons_crdt.authority.judge import Candidate, Standing
from commons_crdt.authority.kinds import CORE
from commons_crdt.device import DeviceKeys, DeviceSecrets, sign_claim
from commons_crdt.errors import Refused
from commons_crdt.ids import ZERO, DocumentId, MemberId, OperationId, RealmId, digest
from commons_crdt.kinds import Kind, Rules, decode_fact
from commons_crdt.operation import Header, Operation, content, decode_header, operation_id
from commons_crdt.roles import Role

START_MS = 1_750_000_000_000
DAY_MS = 86_400_000
NOTE, NOTICE, METER, LATER = "town.note.1", "town.notice.1", "town.meter.1", "town.later.1"

_known = {kind.name for kind in CORE}
_missing = tuple(
    Kind(name, struct, Role.NEWCOMER, log=0, max_body=40_000)
    for name, struct in STRUCTS.items()
    if name not in _known
)
TOWN = (
    Kind(NOTE, Number, Role.NEWCOMER, erased="body"),
    Kind(NOTICE, Number, Role.STEWARD),
    Kind(METER, Number, Role.NEWCOMER, unattended=True),
)
RULES: Mapping[int, Rules] = {
    1: Rules.of(1, (*CORE, *_missing, *TOWN)),
    2: Rules.of(2, (*CORE, *_missing, *TOWN, Kind(LATER, Number, Role.NEWCOMER))),
}


@dataclass(frozen=True)
class Person:
    """Somebody, with the identity that their member id is a hash of."""

    name: str
    guardians: tuple[MemberId, ...] = ()
    threshold: int = 0
    recoverable: bool = False

    @property
    def device(self) -> DeviceSecrets:
        return secrets(self.name)

    @property
    def node(self) -> DeviceSecrets:
        return secrets(f"{self.name}'s node")

    @property
    def identity(self) -> Identity:
        return _identity(self)

    @property
    def recovery_seed(self) -> bytes:
        return digest("t-recov", self.name.encode())

    @property
    def member(self) -> MemberId:
        return _member(self)


@cache
def keys_of(device: DeviceSecrets) -> DeviceKeys:
    """The public half of a device, computed once."""
    return device.keys


@cache
def _identity(person: Person) -> Identity:
    recovery = digest("recover", key_of(person.recovery_seed)) if person.recoverable else ZERO
    guardians = tuple(sorted(bytes(g) for g in person.guardians))
    return Identity(person.device.keys, guardians, person.threshold, recovery)


@cache
def _member(person: Person) -> MemberId:
    return person.identity.member


@cache
def key_of(seed: bytes) -> bytes:
    """The public half of a signing seed."""
    return DeviceSecrets(seed, seed).keys.signing


ALICE = Person("alice", recoverable=True)
BOB = Person("bob")
CAROL = Person("carol")
ERIN = Person("erin", recoverable=True)
EVE = Person("eve")
DAN = Person("dan", (BOB.member, CAROL.member, ERIN.member), 2, recoverable=True)
PEOPLE = (ALICE, BOB, CAROL, DAN, ERIN, EVE)


@dataclass(frozen=True)
class Signed:
    """One operation, as written."""

    id: OperationId
    operation: Operation
    header: Header
    body: Any
    view: frozenset[OperationId]

    @property
    def prev(self) -> OperationId:
        """What it follows in its chain."""
        return OperationId(self.header.prev)

    @cached_property
    def candidate(self) -> Candidate:
        """What the verifier makes of it: parsed by the kinds that any rules version lists."""
        kind = RULES[2].kinds.get(self.header.kind)
        body = self.operation.body
        if kind is None or body is None or len(body) > kind.max_body:
            return Candidate(self.id, self.header, None, body is not None)
        try:
            fact = decode_fact(cast(Any, kind.body), content(body))
            return Candidate(self.id, self.header, fact, True)
        except Refused as refused:
            return Candidate(self.id, self.header, None, True, refused.why)


@dataclass
class Island:
    """What is known at some place, and the tips that devices there write on."""

    village: Village
    name: str
    known: set[OperationId] = field(default_factory=set)
    tips: dict[tuple[bytes, int], OperationId] = field(default_factory=dict)

    def learn(self, ids: Iterable[OperationId]) -> None:
        """Hear of operations, in the order of their pasts."""
        for ident in sorted(ids, key=lambda i: (self.village.all[i].header.lamport, i)):
            if ident in self.known:
                continue
            self.known.add(ident)
            header = self.village.all[ident].header
            chain = (header.device, header.log)
            tip = self.tips.get(chain)
            if tip is None or header.prev == tip:
                self.tips[chain] = ident

    def meet(self, other: Island) -> None:
        """Both know what either knew."""
        mine, theirs = set(self.known), set(other.known)
        self.learn(theirs)
        other.learn(mine)

    def tip(self, device: DeviceSecrets, log: int) -> OperationId | None:
        return self.tips.get((bytes(keys_of(device).id), log))

    def position(self, device: DeviceSecrets, log: int) -> Position:
        """The last operation of a chain, as known here."""
        tip = self.tip(device, log)
        return NOTHING if tip is None else self.village.position(tip)

    def ending(self, device: DeviceSecrets) -> Ending:
        """An ending at what is known here of a device."""
        return Ending(bytes(keys_of(device).id), self.position(device, 0), self.position(device, 1))

    # --- writing ---------------------------------------------------------------------------------

    def write(
        self,
        device: DeviceSecrets,
        kind: str,
        body: msgspec.Struct | bytes,
        *,
        log: int = 0,
        document: bytes | None = None,
        refs: Sequence[OperationId] = (),
        after: OperationId | None = None,
        aware: bool = True,
        later_ms: int = 0,
        parts: Sequence[tuple[str, bytes]] = (),
    ) -> OperationId:
        """Sign an operation at the end of the device's chain, or a fork ``after`` something."""
        village = self.village
        prev = after or self.tip(device, log) or village.grant_of(device, self.known)
        seen = village.seen(prev).union(*(village.seen(r) for r in refs))
        news = village.heads(self.known - seen) if aware else []
        village.now_ms += 1000
        draft = (
            Draft(kind, body, log, DocumentId(document) if document else None, refs, parts)
            if isinstance(body, bytes)
            else Draft.fact(
                kind,
                body,
                log=log,
                document=DocumentId(document) if document else None,
                refs=refs,
                parts=parts,
            )
        )
        place = Place(
            village.realm,
            village.standing(prev),
            [village.standing(r) for r in refs],
            [village.standing(h) for h in news],
        )
        made = compose(draft, place, device, village.now_ms + later_ms, village.salt)
        ident = village.add(made)
        self.known.add(ident)
        self.tips[bytes(keys_of(device).id), log] = ident
        return ident

    def note(self, device: DeviceSecrets, value: int = 0, **how: Any) -> OperationId:
        return self.write(device, NOTE, Number(value), log=1, **how)

    # --- (A) -------------------------------------------------------------------------------------

    def act(
        self,
        who: Person,
        act: CouncilContent,
        base: OperationId | None = None,
        turn: int = 0,
        **how: Any,
    ) -> OperationId:
        """Somebody puts a new act to the council."""
        body = CouncilAct(base or self.village.base, turn, act)
        return self.write(who.device, "council.act.1", body, **how)

    def promise(
        self, who: Person, turn: int, index: int, base: OperationId | None = None, **how: Any
    ) -> OperationId:
        body = Promise(base or self.village.base, turn, index)
        return self.write(who.device, "council.promise.1", body, **how)

    def ballot(
        self,
        who: Person,
        turn: int,
        act: OperationId,
        base: OperationId | None = None,
        **how: Any,
    ) -> OperationId:
        body = Ballot(base or self.village.base, turn, act)
        return self.write(who.device, "council.ballot.1", body, **how)

    def endorse(
        self, who: Person, ballot: OperationId, base: OperationId | None = None, **how: Any
    ) -> OperationId:
        body = Endorse(base or self.village.base, ballot)
        return self.write(who.device, "council.endorse.1", body, **how)

    # --- (B) -------------------------------------------------------------------------------------

    def add_device(
        self,
        who: Person,
        new: DeviceSecrets,
        base: OperationId,
        *,
        by: DeviceSecrets | None = None,
        limit: tuple[Limit, ...] = (),
        **how: Any,
    ) -> OperationId:
        body = AddDevice(base, keys_of(new), self.village.consent(new, who.member), limit, ())
        author = by or who.device
        return self.write(author, "identity.device.1", body, document=who.member, **how)

    def recover(
        self,
        who: Person,
        base: OperationId,
        new: DeviceSecrets | None,
        endings: Sequence[Ending],
        warrant: str | Sequence[OperationId] = "recovery",
        *,
        by: DeviceSecrets | None = None,
        **how: Any,
    ) -> OperationId:
        """A recovery; ``warrant``: "own", "recovery", or guardians' endorsements."""
        body = self.village.recovery(who, base, new, endings)
        body = msgspec.structs.replace(
            body, warrant=self.village.warrant("identity.recover.1", body, who, warrant)
        )
        author = by or who.device
        return self.write(author, "identity.recover.1", body, document=who.member, **how)

    def set_guardians(
        self,
        who: Person,
        base: OperationId,
        guardians: Sequence[Person],
        threshold: int,
        warrant: str | Sequence[OperationId] = "own",
        *,
        by: DeviceSecrets | None = None,
        **how: Any,
    ) -> OperationId:
        others = tuple(sorted(bytes(g.member) for g in guardians))
        body = SetGuardians(who.member, base, others, threshold, ZERO, Own())
        body = msgspec.structs.replace(
            body, warrant=self.village.warrant("identity.guardians.1", body, who, warrant)
        )
        author = by or who.device
        return self.write(author, "identity.guardians.1", body, document=who.member, **how)

    def pick(
        self,
        who: Person,
        base: OperationId,
        act: OperationId,
        warrant: str | Sequence[OperationId],
        by: DeviceSecrets,
        **how: Any,
    ) -> OperationId:
        body = Pick(who.member, base, act, Own())
        body = msgspec.structs.replace(
            body, warrant=self.village.warrant("identity.pick.1", body, who, warrant)
        )
        return self.write(by, "identity.pick.1", body, document=who.member, **how)

    def stand_for(
        self, guardian: DeviceSecrets, who: Person, statement: bytes, **how: Any
    ) -> OperationId:
        """A guardian endorses an act on somebody's identity."""
        body = GuardianEndorsement(who.member, statement)
        return self.write(guardian, "identity.endorse.1", body, document=who.member, **how)

    def close(
        self, device: DeviceSecrets, member: bytes, record: Position | None = None, **how: Any
    ) -> OperationId:
        body = Close(self.position(device, 1) if record is None else record)
        return self.write(device, "identity.close.1", body, document=member, **how)

    # --- (C) -------------------------------------------------------------------------------------

    def give(self, by: Person, subject: Person, role: Role, **how: Any) -> OperationId:
        body = RoleAct(subject.member, role)
        return self.write(by.device, "membership.role.1", body, document=subject.member, **how)

    def demote(
        self, by: Person, subject: Person, role: int, endings: Sequence[Ending], **how: Any
    ) -> OperationId:
        body = Demotion(subject.member, role, tuple(endings), "conduct")
        return self.write(by.device, "membership.demotion.1", body, document=subject.member, **how)

    def remove(
        self,
        by: Person,
        subject: Person,
        endings: Sequence[Ending] = (),
        until_ms: int = 0,
        reason: Reason = "conduct",
        **how: Any,
    ) -> OperationId:
        body = Removal(subject.member, until_ms, tuple(endings), reason)
        return self.write(by.device, "membership.removal.1", body, document=subject.member, **how)

    def revoke(
        self,
        by: Person,
        target: OperationId,
        owner: Person,
        endings: Sequence[Ending] = (),
        **how: Any,
    ) -> OperationId:
        body = Revocation(target, tuple(endings), "other")
        return self.write(by.device, "membership.revocation.1", body, document=owner.member, **how)

    def branch(self, by: Person, subject: Person, ending: Ending, **how: Any) -> OperationId:
        body = Branch(subject.member, ending)
        return self.write(by.device, "membership.branch.1", body, document=subject.member, **how)

    # --- (D) -------------------------------------------------------------------------------------

    def invite(
        self, by: DeviceSecrets, label: str, uses: int = 1, days: int = 30, **how: Any
    ) -> OperationId:
        body = Invite(key_of(ticket(label)), uses, self.village.now_ms + days * DAY_MS)
        ident = self.write(by, "membership.invite.1", body, **how)
        self.village.tickets[ident] = label
        return ident

    def admit(
        self,
        node: DeviceSecrets,
        invite: OperationId,
        newcomer: Person,
        *,
        ticket_of: str = "",
        signed_by: DeviceSecrets | None = None,
        **how: Any,
    ) -> OperationId:
        """A node lets somebody in; with another ticket or signature if the story wants a lie."""
        village, who = self.village, newcomer.identity
        signed = (village.realm, invite, who.member)
        seed = ticket(ticket_of or village.tickets[invite])
        consent = sign_claim("consent", (signed_by or newcomer.device).signing, *signed)
        body = Admit(invite, who, sign_claim("possess", seed, *signed), consent, ())
        return self.write(node, "membership.admit.1", body, document=who.member, **how)

    def readmit(
        self,
        node: DeviceSecrets,
        who: Person,
        new: DeviceSecrets,
        old: DeviceSecrets | None = None,
        **how: Any,
    ) -> OperationId:
        village, leaving = self.village, old or who.device
        release = sign_claim("release", leaving.signing, village.realm, who.member, keys_of(new).id)
        body = Readmit(
            who.member,
            keys_of(leaving).id,
            keys_of(new),
            village.consent(new, who.member),
            release,
            (),
        )
        return self.write(node, "membership.readmit.1", body, document=who.member, **how)

    def grant_node(
        self, by: DeviceSecrets, member: bytes, node: DeviceSecrets, **how: Any
    ) -> OperationId:
        body = NodeGrant(keys_of(node), self.village.consent(node, member), ())
        return self.write(by, "membership.node.1", body, document=member, **how)

    def prove(
        self, by: DeviceSecrets, first: OperationId, second: OperationId, **how: Any
    ) -> OperationId:
        one, two = (self.village.all[i].operation for i in (first, second))
        body = ForkProof(one.header, one.signature, two.header, two.signature)
        return self.write(by, "fork.proof.1", body, **how)

    def seal(self, tips: Sequence[OperationId]) -> Seal:
        """The content of a seal that lists these operations."""
        listed = []
        for ident in tips:
            h = self.village.all[ident].header
            listed.append(Tip(h.device, h.log, h.seq, ident))
        return Seal(tuple(sorted(listed)), digest("state", b"village"))


def ticket(label: str) -> bytes:
    """The seed of the invite called ``label``."""
    return digest("t-invite", label.encode())


NOWHERE, NOTHING_YET = RealmId(ZERO), OperationId(ZERO)


@dataclass
class Village:
    """Everything that was signed, by anybody."""

    realm: RealmId = NOWHERE
    all: dict[OperationId, Signed] = field(default_factory=dict)
    now_ms: int = START_MS
    salts: int = 0
    tickets: dict[OperationId, str] = field(default_factory=dict)
    base: OperationId = NOTHING_YET
    """What council messages name as their base unless told otherwise."""
    roots: dict[str, OperationId] = field(default_factory=dict)
    """The admission of each person of the prologue."""

    def salt(self) -> bytes:
        self.salts += 1
        return digest("t-salt", self.salts.to_bytes(4, "big"))

    def found(self, founder: Person, rules: int = 1) -> Island:
        """The founder makes the realm."""
        body = Genesis(founder.identity, rules, ())
        self.realm, genesis = found(body, founder.device, self.now_ms, self.salt)
        self.base = self.add(genesis)
        self.roots[founder.name] = self.base
        return self.island("home", [self.base])

    def island(self, name: str, known: Iterable[OperationId]) -> Island:
        made = Island(self, name)
        made.learn(known)
        return made

    def add(self, operation: Operation) -> OperationId:
        ident = operation_id(operation.header)
        header = decode_header(operation.header)
        kind = RULES[2].kinds.get(header.kind)
        body = None
        if kind is not None and operation.body is not None:
            try:
                body = decode_fact(cast(Any, kind.body), content(operation.body))
            except Refused:
                body = None
        view: frozenset[OperationId] = frozenset()
        if any(header.prev):
            view = view.union(*(self.seen(OperationId(a)) for a in header.antecedents))
        self.all[ident] = Signed(ident, operation, header, body, view)
        return ident

    def seen(self, x: OperationId) -> frozenset[OperationId]:
        """What somebody who has x in the past knows of log 0."""
        own = self.all[x]
        return own.view if own.header.log else own.view | {x}

    def heads(self, ids: Iterable[OperationId]) -> list[OperationId]:
        """The newest operations of log 0 among these, at most 16."""
        new = {i for i in ids if self.all[i].header.log == 0}
        covered = frozenset[OperationId]().union(*(self.all[i].view for i in new))
        return sorted(new - covered)[:16]

    def standing(self, x: OperationId) -> Standing:
        """As much of a standing as the author of an operation needs."""
        h = self.all[x].header
        return cast(
            Standing,
            SimpleNamespace(
                id=x, device=h.device, log=h.log, seq=h.seq, lamport=h.lamport, time_ms=h.time_ms
            ),
        )

    def grant_of(self, device: DeviceSecrets, known: Iterable[OperationId]) -> OperationId:
        """The operation that grants this device, of those that are known the oldest."""
        grants = [i for i in known if self.grants(i) == keys_of(device)]
        return min(grants, key=lambda i: (self.all[i].header.lamport, i))

    def grants(self, x: OperationId) -> DeviceKeys | None:
        match self.all[x].body:
            case Genesis(identity=i) | Admit(identity=i):
                return i.device
            case Recover(device=(new,)):
                return new.keys
            case AddDevice(device=keys) | NodeGrant(device=keys) | Readmit(device=keys):
                return keys
        return None

    def position(self, x: OperationId) -> Position:
        return Position(self.all[x].header.seq, x)

    def consent(self, device: DeviceSecrets, member: bytes) -> bytes:
        return sign_claim("consent", device.signing, self.realm, member)

    def stated(self, kind: str, body: msgspec.Struct) -> bytes:
        """What a warrant stands over, as bytes."""
        plain = msgspec.to_builtins(body, builtin_types=(bytes,))
        last = 2 if isinstance(body, Recover) else 1
        return canonical.encode([self.realm, kind, plain[:-last]])

    def statement(self, kind: str, body: msgspec.Struct) -> bytes:
        return digest("warrant", self.stated(kind, body))

    def warrant(
        self, kind: str, body: msgspec.Struct, who: Person, how: str | Sequence[OperationId]
    ) -> Warrant:
        if how == "own":
            return Own()
        if isinstance(how, str):
            seed = who.recovery_seed if how == "recovery" else digest("t-wrong", how.encode())
            return Recovery(key_of(seed), sign_claim("warrant", seed, self.stated(kind, body)))
        return Guardians(tuple(how))

    @property
    def genesis(self) -> OperationId:
        return OperationId(self.realm)

    def role_act(self, subject: Person, role: Role) -> RoleAct:
        return RoleAct(subject.member, role)

    def recovery(
        self,
        who: Person,
        base: OperationId,
        new: DeviceSecrets | None,
        endings: Sequence[Ending],
    ) -> Recover:
        """A recovery without its warrant: what guardians are asked to stand for."""
        devices = () if new is None else (NewDevice(keys_of(new), self.consent(new, who.member)),)
        return Recover(who.member, base, devices, tuple(endings), Own(), ())

    def weak_node(self, member: bytes) -> NodeGrant:
        """A grant of a device to which nothing can be sealed: its key is of small order."""
        good = secrets("weak")
        keys = DeviceKeys(1, good.keys.signing, bytes(32))
        return NodeGrant(keys, self.consent(good, member), ())

    def candidates(self, ids: Iterable[OperationId] | None = None) -> list[Candidate]:
        return [self.all[i].candidate for i in (self.all if ids is None else ids)]

    def seat(self, *people: Person, dismissals: Sequence[Dismissal] = ()) -> Coordinators:
        seats = tuple((bytes(p.member), bytes(keys_of(p.device).id)) for p in people)
        return Coordinators(seats, tuple(dismissals))


def prologue(coordinators: Sequence[Person] = (ALICE, BOB, CAROL)) -> tuple[Village, Island]:
    """Alice founds, her node lets the others in, they get roles, and the council is chosen."""
    village = Village()
    home = village.found(ALICE)
    home.grant_node(ALICE.device, ALICE.member, ALICE.node)
    invite = home.invite(ALICE.device, "everybody", uses=20)
    for person in PEOPLE[1:]:
        village.roots[person.name] = home.admit(ALICE.node, invite, person)
    roles = {
        "bob": Role.HOST,
        "carol": Role.HOST,
        "dan": Role.STEWARD,
        "erin": Role.MEMBER,
        "eve": Role.MEMBER,
    }
    for person in PEOPLE[1:]:
        home.give(ALICE, person, roles[person.name])
    home.grant_node(BOB.device, BOB.member, BOB.node)
    home.grant_node(EVE.device, EVE.member, EVE.node)
    if tuple(coordinators) != (ALICE,):
        village.base = home.act(ALICE, village.seat(*coordinators))
    return village, home
