"""Every operation's verdict, in the order of the page, and the whole answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.authority.oracle import identity, signatures
from tests.authority.oracle.archive import Archive, Id
from tests.authority.oracle.council import Council
from tests.authority.oracle.strata import World

from commons_crdt.authority.council_facts import Ballot, CouncilAct, Endorse, Promise
from commons_crdt.authority.facts import Admit, Epoch, Erasure, Genesis, Invite, NodeGrant
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
from commons_crdt.authority.judge import Candidate
from commons_crdt.ids import DeviceId, MemberId, OperationId, RealmId
from commons_crdt.kinds import Antecedent, Claim, Kind, Rules, own_document
from commons_crdt.roles import Role
from commons_crdt.verdict import Judgement, Verdict

ACCEPTED = Judgement(Verdict.ACCEPTED)
COUNCIL = (CouncilAct, Promise, Ballot, Endorse)


def rejected(reason: str) -> Judgement:
    return Judgement(Verdict.REJECTED, reason)


def contested(reason: str) -> Judgement:
    return Judgement(Verdict.CONTESTED, reason)


def verdict(world: World, x: Id) -> Judgement:
    """The first that applies."""
    key = ("verdict", x)
    if key not in world.memo:
        world.memo[key] = _verdict(world, x)
    found: Judgement = world.memo[key]
    return found


def _verdict(world: World, x: Id) -> Judgement:
    archive = world.archive
    sealed = world.sealed.verdict(x)
    if sealed is not None:
        return sealed
    if x == archive.genesis:
        return ACCEPTED
    if archive.log(x) == 1 and world.sealed.waiting:
        return Judgement(Verdict.PENDING, "seal")
    if by_content(world, x):
        return content(world, x)
    if world.is_c(x):
        said = world.verdict_in_c(x)
        if said == ACCEPTED and isinstance(archive.body(x), Pick):
            return identity_verdict(world, x)
        return said
    status = world.chains.status(x, [*world.cuts_a(), *world.cuts_c(), *world.recoveries(x, "B'")])
    if status == "pending":
        return Judgement(Verdict.PENDING, "cut")
    if status != "in":
        return contested("fork") if status == "fork" else rejected(status)
    return granted(world, x) or permitted(world, x)


# --- what counts by its bytes ------------------------------------------------------------------


def by_content(world: World, x: Id) -> bool:
    body = world.archive.body(x)
    if not world.listed(x):
        return False
    if isinstance(body, (*COUNCIL, Admit, Readmit, GuardianEndorsement, ForkProof)):
        return True
    return isinstance(body, Recover | SetGuardians | Pick) and not isinstance(body.warrant, Own)


def content(world: World, x: Id) -> Judgement:
    """The verdict of what counts by its bytes."""
    archive, body = world.archive, world.archive.body(x)
    if isinstance(body, COUNCIL):
        return council_verdict(world, x)
    if isinstance(body, Admit | Readmit):
        reason = world.admission(x)
    elif isinstance(body, GuardianEndorsement):
        reason = signatures.named(archive, x, body.member)
    elif isinstance(body, ForkProof):
        reason = "" if signatures.doubled(archive, x) else "proof"
    else:
        return identity_verdict(world, x)
    return rejected(reason) if reason else ACCEPTED


def council_verdict(world: World, x: Id) -> Judgement:
    if world.council.fault(x):
        return rejected(world.council.fault(x))
    if world.archive.body(x).base not in world.chain:
        return rejected("council")
    return ACCEPTED if world.council.counts(x) else rejected("ballot")


# --- by its grant, kind, limit, role -----------------------------------------------------------


def granted(world: World, x: Id) -> Judgement | None:
    """What is wrong with the grant of x's device and what it rests on; None if nothing."""
    archive, root = world.archive, world.archive.root(x)
    if root is None:
        return rejected("grant")
    grant = archive.grant(x)
    if grant != root:
        own = verdict(world, grant)
        if own.verdict is Verdict.CONTESTED:
            return contested("grant")
        if own.verdict is not Verdict.ACCEPTED:
            return rejected("grant")
    return None if world.root_stands(root) else rejected("grant")


def permitted(world: World, x: Id) -> Judgement:
    archive, op = world.archive, world.archive.ops[x]
    rules = archive.rules.get(world.version(x))
    if rules is None:
        return Judgement(Verdict.PENDING, "rules")
    kind = rules.kinds.get(op.header.kind)
    if kind is None:
        return Judgement(Verdict.UNKNOWN, "unlisted") if op.header.log else rejected("kind")
    if kind.log != op.header.log:
        return rejected("log")
    limit = archive.limit(x)
    if limit is not None and not within(limit, archive, x):
        return rejected("limit")
    role = world.role(x)
    fits = kind.unattended in (None, archive.unattended(x))
    if role is None or role < kind.role or not fits:
        return rejected("role")
    if any(part.length > kind.parts.get(part.name, 0) for part in op.header.parts):
        return rejected("part")
    document = own_document(x, op.header)
    if kind.erased == "body" and (document if kind.schema else x) in erased(world.whole):
        return ACCEPTED
    if op.header.body_length > kind.max_body:
        return rejected("oversize")
    if not op.present:
        return Judgement(Verdict.PENDING, "contents")
    if op.fault:
        return rejected(op.fault)
    if kind.log == 0:
        return own_rule(world, x)
    reason = kind.rule(claim(world, kind, x, role))
    return rejected(reason) if reason else ACCEPTED


def within(limit: Any, archive: Archive, x: Id) -> bool:
    header = archive.ops[x].header
    if header.log == 0:
        return header.kind == "identity.close.1"
    return (
        header.kind in limit.kinds
        and header.seq <= limit.operations
        and header.time_ms <= limit.until_ms
    )


def own_rule(world: World, x: Id) -> Judgement:
    """The rules of the kinds of (B) by one's own warrant, and of (D)."""
    archive, body = world.archive, world.archive.body(x)
    match body:
        case NodeGrant():
            reason = signatures.own_device(archive, x)
        case AddDevice() | Recover() | SetGuardians() | Pick():
            return identity_verdict(world, x)
        case Close():
            reason = signatures.named(archive, x, archive.member(x))
        case Genesis():
            reason = "document"
        case Invite() | Epoch():
            reason = ""
        case _:
            reason = "role"
    return rejected(reason) if reason else ACCEPTED


def identity_verdict(world: World, x: Id) -> Judgement:
    """Where x is in its identity chain, as B' has it."""
    archive, body = world.archive, world.archive.body(x)
    base = Id(body.base)
    root = archive.root_of(base) if base in archive.past(x) and archive.is_base(base) else None
    fault = identity.shape(archive, x)
    if fault:
        return rejected(fault)
    if root is None:
        return rejected("base")
    chain = world.chain_of(root, "B'")
    if not isinstance(body, Pick):
        if x in chain.bases:
            return ACCEPTED
        if x in chain.frozen:
            return contested("identity")
    if identity.covered(world, root, x, "B'"):
        return rejected("cut")
    at = chain.at(base)
    if at is None:
        return rejected("base")
    if not world.is_c(x) and identity.warrant(world, at, x, "B'") is None:
        return rejected("warrant")
    if isinstance(body, Pick) and body.act in identity.contenders(world, at, "B'"):
        return ACCEPTED
    return rejected("base")


# --- log 1 -------------------------------------------------------------------------------------


def claim(world: World, kind: Kind, x: Id, role: Role) -> Claim:
    """What the own rule of a kind of log 1 sees."""
    archive, op = world.archive, world.archive.ops[x]
    member = archive.member(x)
    assert member is not None
    refs = {ref: antecedent(world, Id(ref)) for ref in op.header.refs}
    none: Any = None
    return Claim(x, op.header, op.body, member, role, 0, none, refs)


def antecedent(world: World, x: Id) -> Antecedent:
    archive, header = world.archive, world.archive.ops[x].header
    rules = archive.rules[world.version(x)]
    kind = rules.kinds.get(header.kind)
    edit = kind is not None and kind.schema is not None
    return Antecedent(x, header.kind, archive.member(x), own_document(x, header), header.log, edit)


def erased(world: World) -> frozenset[bytes]:
    """The facts and documents that an accepted erasure names."""
    key = ("erased",)
    if key not in world.memo:
        found: set[bytes] = set()
        for x in world.set:
            body = world.archive.ops[x].body
            if isinstance(body, Erasure) and verdict(world, x) == ACCEPTED:
                target = antecedent(world, Id(body.target))
                found.add(target.document if target.edit else target.id)
        world.memo[key] = frozenset(found)
    names: frozenset[bytes] = world.memo[key]
    return names


# --- the answer --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """All that must not depend on how a node learned what it knows."""

    verdicts: dict[OperationId, Judgement]
    base: OperationId | None
    coordinators: tuple[tuple[MemberId, DeviceId], ...]
    split: frozenset[OperationId]
    members: dict[MemberId, Role]
    identities: dict[OperationId, tuple[OperationId, frozenset[DeviceId], bool]]
    inside: frozenset[OperationId]
    """Operations at or before the effective ends of their chains."""
    sealed: frozenset[OperationId]
    world: World | None

    def rules_version(self, view: Iterable[OperationId]) -> int:
        """The rules version in a view."""
        assert self.world is not None
        return self.world.state_in(frozenset(view)).rules


def judge_all(
    realm: RealmId,
    candidates: Iterable[Candidate],
    rules: Mapping[int, Rules],
    pin: OperationId | None = None,
) -> Answer:
    """Judge everything from nothing. What lacks an antecedent is not in the set."""
    archive = Archive(realm, candidates, rules)
    council = Council(archive)
    start = pinned(archive, council, pin)
    if start is None or archive.genesis not in archive.ops:
        verdicts = {x: Judgement(Verdict.PENDING, "pin") for x in archive.ids}
        nobody: frozenset[OperationId] = frozenset()
        return Answer(verdicts, None, (), nobody, {}, {}, nobody, nobody, None)
    base, split = council.chain(archive.ids, start, None)
    state = council.state(base)
    assert state is not None
    world = World(archive, council, archive.ids, state.chain, split)
    return Answer(
        verdicts={x: verdict(world, x) for x in archive.ids},
        base=base,
        coordinators=tuple((m, DeviceId(d)) for m, d in state.seats),
        split=split,
        members=members(world),
        identities={root: summary(world, root) for root in world.roots()},
        inside=frozenset(x for x in archive.ids if inside(world, x)),
        sealed=frozenset[OperationId]().union(*(one.within for one in world.sealed.layers())),
        world=world,
    )


def pinned(archive: Archive, council: Council, pin: OperationId | None) -> Id | None:
    """Where the chain goes on from: the pin, if it is here and leads to the genesis."""
    if pin is None:
        return archive.genesis
    if pin not in archive.ops or council.state(pin) is None:
        return None
    return pin


def inside(world: World, x: Id) -> bool:
    cuts = [*world.cuts_a(), *world.cuts_c(), *world.recoveries(x, "B'")]
    return world.chains.status(x, cuts) == "in"


def members(world: World) -> dict[MemberId, Role]:
    """Who is a member in the whole set: of a standing root that no member cut covers."""
    archive = world.archive
    found = {}
    for root in world.roots():
        member = archive.member_of(root)
        gone = any(
            cut.form == "member" and cut.subject == member and not archive.before(cut.op, root)
            for cut in world.cuts_before("B'")
        )
        role = world.role_from_now_on(member)
        if not gone and role is not None and world.root_stands(root):
            found[member] = role
    return found


def summary(world: World, root: Id) -> tuple[OperationId, frozenset[DeviceId], bool]:
    chain = world.chain_of(root, "B'")
    devices = frozenset(DeviceId(d) for d in chain.newest.devices.values())
    return chain.newest.base, devices, bool(chain.frozen)
