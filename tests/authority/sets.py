"""What the properties do to sets: cut them at a causal line, prune, shuffle, shrink them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

import msgspec
from tests.authority.oracle import Answer, judge_all
from tests.authority.oracle.archive import COUNCIL
from tests.authority.village import PEOPLE, RULES, Village

from commons_crdt.authority.facts import Admit
from commons_crdt.authority.identity_facts import (
    ForkProof,
    GuardianEndorsement,
    Own,
    Readmit,
    Recover,
    SetGuardians,
)
from commons_crdt.authority.identity_facts import Pick as IdentityPick
from commons_crdt.ids import OperationId
from commons_crdt.verdict import Verdict

Ids = frozenset[OperationId]
PROLOGUE = 16
"""Lamport of the prologue's last operation."""


def past(village: Village, x: OperationId) -> Ids:
    """x with everything before it."""
    found: set[OperationId] = set()
    todo = [x]
    while todo:
        at = todo.pop()
        if at in found:
            continue
        found.add(at)
        header = village.all[at].header
        if any(header.prev):
            todo += [OperationId(a) for a in header.antecedents]
    return frozenset(found)


def closure(village: Village, ids: Iterable[OperationId]) -> Ids:
    """These operations with everything before them."""
    return frozenset[OperationId]().union(*(past(village, x) for x in ids))


def some_part(village: Village, dice: random.Random) -> Ids:
    """A causally closed part of everything."""
    every = sorted(village.all)
    return closure(village, dice.sample(every, dice.randrange(1, len(every) + 1)))


def causal_order(
    village: Village, ids: Iterable[OperationId], dice: random.Random
) -> list[OperationId]:
    """The operations in a random order in which nothing comes before its past."""
    waiting, here = sorted(ids), set[OperationId]()
    order: list[OperationId] = []
    while waiting:
        ready = [
            x
            for x in waiting
            if not any(village.all[x].header.prev)
            or all(a in here for a in village.all[x].header.antecedents)
        ]
        chosen = dice.choice(ready)
        waiting.remove(chosen)
        here.add(chosen)
        order.append(chosen)
    return order


def judged(
    village: Village, ids: Iterable[OperationId] | None = None, pin: OperationId | None = None
) -> Answer:
    """The oracle's answer for these operations of the village."""
    return judge_all(village.realm, village.candidates(ids), RULES, pin)


def certifies_itself(village: Village, x: OperationId) -> bool:
    """Its contents count by their bytes, whoever's chain carries them."""
    body = village.all[x].body
    if isinstance(body, (*COUNCIL, Admit, Readmit, GuardianEndorsement, ForkProof)):
        return True
    warranted = isinstance(body, Recover | SetGuardians | IdentityPick)
    return warranted and not isinstance(body.warrant, Own)


def pruned(village: Village, answer: Answer) -> Ids:
    """What a node keeps: AUTHORITY "Pruning keeps".

    Operations inside their chains' ends, what cuts and seals name, two siblings of each fork, and
    self-certifying contents; all with their pasts.
    """
    world = answer.world
    assert world is not None
    ids = frozenset(answer.verdicts)
    keep = {x for x in ids if x in answer.inside or x in answer.sealed}
    keep |= {x for x in ids if certifies_itself(village, x)}
    keep |= {x for x in ids if answer.verdicts[x].verdict is Verdict.ACCEPTED}
    for cut in world.cuts_before("B'"):
        for ending in cut.endings:
            keep |= {OperationId(p.id) for p in (ending.authority, ending.record)} & ids
    for root in world.roots():
        for cut in world.chain_of(root, "B'").newest.cuts:
            for ending in cut.endings:
                keep |= {OperationId(p.id) for p in (ending.authority, ending.record)} & ids
    places: dict[tuple[bytes, int, int], list[OperationId]] = {}
    for x in sorted(ids):
        h = village.all[x].header
        places.setdefault((h.device, h.log, h.seq), []).append(x)
    for (device, log, seq), siblings in places.items():
        if len(siblings) > 1 and world.chains.forked((device, log)) == seq:
            kept = [x for x in siblings if x in keep]
            others = [x for x in siblings if x not in keep]
            keep |= set(others[: max(0, 2 - len(kept))])
    return closure(village, keep)


def shrink(village: Village, ids: Iterable[OperationId], fails: Callable[[Ids], bool]) -> Ids:
    """The smallest part found for which ``fails`` still holds: for people who debug."""
    at = frozenset(ids)
    smaller = True
    while smaller:
        smaller = False
        for x in sorted(at, key=lambda i: -village.all[i].header.lamport):
            rest = at - {y for y in at if x in past(village, y)}
            if rest and village.roots["alice"] in rest and fails(rest):
                at, smaller = rest, True
                break
    return at


def told(village: Village, ids: Iterable[OperationId], answer: Answer | None = None) -> str:
    """The operations beyond the prologue as lines, for the message of a failing test."""
    names = {x: f"o{n}" for n, x in enumerate(village.all)}
    known: dict[bytes, str] = {bytes(x): name for x, name in names.items()}
    for who in PEOPLE:
        known[bytes(who.member)] = who.name
        known[bytes(who.device.keys.id)] = f"{who.name}/d"
        known[bytes(who.node.keys.id)] = f"{who.name}/n"

    def plain(value: object) -> object:
        if isinstance(value, bytes):
            return known.get(value, value.hex()[:4])
        if isinstance(value, list | tuple):
            return "[" + " ".join(str(plain(v)) for v in value) + "]"
        return value

    lines, list_of = [], frozenset(ids)
    for x in sorted(list_of, key=lambda i: (village.all[i].header.lamport, i)):
        h, body = village.all[x].header, village.all[x].body
        cites = " ".join(names[OperationId(a)] for a in h.antecedents if OperationId(a) in names)
        said = answer.verdicts.get(x) if answer else None
        word = f"{said.verdict.name.lower()}({said.reason})" if said else ""
        what = plain(msgspec.to_builtins(body, builtin_types=(bytes,))) if body else ""
        if len(list_of) < 4 or h.lamport > PROLOGUE or (said is not None and said.reason):
            place = f"{plain(h.device)}.{h.log}.{h.seq}"
            lines.append(f"{names[x]} {place} {h.kind} <- {cites}: {word} {str(what)[:300]}")
    return "\n".join(lines)
