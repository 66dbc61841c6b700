"""(B) Identities: chains of acts linked by base, one for each root."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from tests.authority.oracle import signatures
from tests.authority.oracle.archive import Archive, Id
from tests.authority.oracle.cuts import Cut

from commons_crdt.authority.facts import Admit, Genesis
from commons_crdt.authority.identity_facts import (
    AddDevice,
    GuardianEndorsement,
    Guardians,
    Own,
    Pick,
    Readmit,
    Recover,
    Recovery,
    SetGuardians,
)
from commons_crdt.ids import digest

if TYPE_CHECKING:
    from tests.authority.oracle.strata import World

Stage = Literal["B", "B'"]
RECOVERY, GUARDIANS, OWN = 1, 2, 3
"""Classes of warrants, the strongest first; 0 is for what is sealed."""


@dataclass(frozen=True)
class Identity:
    """The identity at a base: its devices by their grants, who can recover it, what ended.

    A device that is granted again is there by either grant: granting takes nothing away.
    """

    root: Id
    base: Id
    devices: Mapping[Id, bytes]
    guardians: tuple[bytes, ...]
    threshold: int
    recovery: bytes
    cuts: tuple[Cut, ...]


@dataclass(frozen=True)
class Chain:
    """An identity chain as far as it goes; ``frozen``: the acts that nobody has picked from."""

    identities: tuple[Identity, ...]
    frozen: frozenset[Id]

    @property
    def newest(self) -> Identity:
        return self.identities[-1]

    @property
    def bases(self) -> tuple[Id, ...]:
        return tuple(i.base for i in self.identities)

    def at(self, base: bytes) -> Identity | None:
        return next((i for i in self.identities if i.base == base), None)


def initial(archive: Archive, root: Id) -> Identity:
    keys = archive.granted(root)
    assert keys is not None
    devices = {root: bytes(keys.id)}
    match archive.body(root):
        case Genesis(identity=i) | Admit(identity=i):
            return Identity(root, root, devices, i.guardians, i.threshold, i.recovery, ())
        case Readmit():
            return Identity(root, root, devices, (), 0, bytes(32), ())
    raise AssertionError(root)


def follow(world: World, root: Id, stage: Stage) -> Chain:
    """The identity chain from ``root``, with the cuts of (A), in B' of (C) too."""
    at = initial(world.archive, root)
    passed = [at]
    while True:
        first = contenders(world, at, stage)
        if not first:
            return Chain(tuple(passed), frozenset())
        chosen = first if len(first) == 1 else picked(world, at, first, stage)
        if len(chosen) != 1:
            return Chain(tuple(passed), first)
        at = after(world, at, *chosen)
        passed.append(at)


def contenders(world: World, at: Identity, stage: Stage) -> frozenset[Id]:
    """The first of the acts at this base that stand."""
    archive = world.archive
    ranks = {}
    for x in archive.of(world.set, AddDevice, Recover, SetGuardians):
        if archive.body(x).base == at.base and at.base in archive.past(x):
            rank = 0 if world.sealed_accepted(x) else warrant(world, at, x, stage)
            if rank is not None and not world.sealed_otherwise(x) and not shape(archive, x):
                ranks[x] = rank
    return frozenset(x for x, rank in ranks.items() if rank == min(ranks.values()))


def picked(world: World, at: Identity, first: frozenset[Id], stage: Stage) -> frozenset[Id]:
    """What the strongest class of picks at this base names."""
    archive = world.archive
    named: dict[int, set[Id]] = {}
    for x in archive.of(world.set, Pick):
        body = archive.body(x)
        if body.base != at.base or body.act not in first or world.sealed_otherwise(x):
            continue
        if isinstance(body.warrant, Own):
            by_hand = stage == "B'" and world.stands_in_c(x) and x not in world.lifted
            rank = OWN if by_hand and not covered(world, at.root, x, stage) else None
        else:
            rank = warrant(world, at, x, stage)
        if rank is not None:
            named.setdefault(rank, set()).add(Id(body.act))
    return frozenset(named[min(named)]) if named else frozenset()


def shape(archive: Archive, x: Id) -> str:
    """The rules of an identity act that are about its own bytes."""
    match archive.body(x):
        case AddDevice():
            return signatures.own_device(archive, x)
        case Recover():
            return signatures.recovered_device(archive, x)
        case SetGuardians(member=member) | Pick(member=member):
            return signatures.named(archive, x, member)
    raise AssertionError(x)


def warrant(world: World, at: Identity, x: Id, stage: Stage) -> int | None:
    """The class of the warrant by which x may change the identity, None if it may not."""
    archive, body = world.archive, world.archive.body(x)
    if not world.listed(x) or covered(world, at.root, x, stage):
        return None
    if isinstance(body, AddDevice):
        return OWN if own(world, at, x, stage) else None
    if body.member != archive.member_of(at.root):
        return None
    match body.warrant:
        case Own():
            if isinstance(body, Recover):
                alone = all(e.device == archive.ops[x].header.device for e in body.endings)
            else:
                alone = isinstance(body, SetGuardians) and not at.guardians
                alone = alone and at.recovery == bytes(32)
            return OWN if alone and own(world, at, x, stage) else None
        case Recovery(key=key, signature=signature):
            right = digest("recover", key) == at.recovery
            signed = signatures.verify_claim("warrant", key, signature, archive.stated(x))
            return RECOVERY if right and signed else None
        case Guardians(endorsements=endorsements):
            who = {guardian(world, at, x, Id(e)) for e in endorsements} - {None}
            return GUARDIANS if at.threshold and len(who) >= at.threshold else None
    return None


def covered(world: World, root: Id, x: Id, stage: Stage) -> bool:
    """A member cut ends the identity, and x is not in its past."""
    archive = world.archive
    return any(
        cut.form == "member"
        and cut.subject == archive.member_of(root)
        and not archive.before(cut.op, root)
        and not archive.before(x, cut.op)
        for cut in world.cuts_before(stage)
    )


def own(world: World, at: Identity, x: Id, stage: Stage) -> bool:
    """x is by an unlimited device of the identity, at a place that stands."""
    archive = world.archive
    grant = archive.grant(x)
    return (
        grant in at.devices
        and not archive.limited_grant(grant)
        and world.chains.status(x, [*world.cuts_before(stage), *at.cuts]) == "in"
    )


def guardian(world: World, at: Identity, x: Id, endorsement: Id) -> bytes | None:
    """The guardian who endorses x, by the endorsement's own past."""
    archive = world.archive
    if endorsement not in archive.past(x):
        return None
    body, who = archive.body(endorsement), archive.member(endorsement)
    fits = (
        isinstance(body, GuardianEndorsement)
        and world.listed(endorsement)
        and body.member == archive.member_of(at.root)
        and body.statement == archive.statement(x)
        and signatures.named(archive, endorsement, body.member) == ""
        and who in at.guardians
    )
    return who if fits and world.of_member_by_own_past(endorsement) else None


def after(world: World, at: Identity, x: Id) -> Identity:
    """The identity with x as its next base."""
    body = world.archive.body(x)
    devices = dict(at.devices)
    match body:
        case AddDevice(device=keys):
            devices[x] = bytes(keys.id)
        case SetGuardians():
            return replace(
                at,
                base=x,
                guardians=body.guardians,
                threshold=body.threshold,
                recovery=body.recovery,
            )
        case Recover():
            ended = {ending.device for ending in body.endings}
            devices = {grant: device for grant, device in devices.items() if device not in ended}
            for new in body.device:
                devices[x] = bytes(new.keys.id)
            self_retired = isinstance(body.warrant, Own)
            cut = Cut(x, "recovery", at.root, body.endings, names=False, own=self_retired)
            cuts = at.cuts if x in world.lifted else (*at.cuts, cut)
            return replace(at, base=x, devices=devices, cuts=cuts)
    return replace(at, base=x, devices=devices)
