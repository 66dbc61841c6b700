"""What becomes of a town's operations when all of them are known."""

from __future__ import annotations

from typing import Any

import msgspec

from commons_crdt.authority.flips import Anchor
from commons_crdt.authority.judge import Judge, Standing
from commons_crdt.folds import set_hash
from commons_crdt.ids import DeviceId, OperationId
from commons_crdt.operation import Operation, decode_header, operation_id
from making.names import NOTE, RULES, bytes_of
from making.town import Town, candidate, judged


def listed(town: Town) -> dict[str, Any]:
    """The operations of a town, each with what becomes of it when all of them are known."""
    again = Judge(town.realm, RULES)
    final: dict[OperationId, Standing] = {}
    told = {operation_id(operation.header): operation for operation in town.operations.values()}
    for operation in told.values():
        standing = judged(again, operation, final)
        final[standing.id] = standing
    for (device, log), seq in doubled(town).items():
        again.forked(device, log, seq)
    heed(again, final, told)
    for ident, standing in final.items():
        kind = RULES.kinds.get(standing.kind)
        if kind is not None and again.is_erased(kind, ident, standing.document):
            final[ident] = again.rejudge(candidate(told[ident]), standing, final.get)
    counted = [(i, s.judgement.verdict) for i, s in final.items() if again.relays(s)]
    return {
        "about": "Judged in this order or any other, each operation ends with its verdict here.",
        "realm": town.realm.hex(),
        "kinds": [
            {
                "name": NOTE,
                "body": "[value: int]",
                "role": "newcomer",
                "max_body": 100,
                "parts": {"text": 100},
                "erased": "body",
            }
        ],
        "operations": [
            {
                "name": name,
                **bytes_of(operation),
                "id": operation_id(operation.header).hex(),
                "verdict": final[operation_id(operation.header)].judgement.verdict.name.lower(),
                "reason": final[operation_id(operation.header)].judgement.reason,
            }
            for name, operation in town.operations.items()
        ],
        "refused": [
            {"name": name, **bytes_of(operation), "code": code}
            for name, operation, code in town.refused
        ],
        "set_hash": set_hash(counted).hex(),
    }


def heed(
    judge: Judge, known: dict[OperationId, Standing], told: dict[OperationId, Operation]
) -> None:
    """Do what the judge's flips ask for, until it comes to rest."""
    for _ in range(100):
        flips = judge.flips()
        if not flips:
            return
        for ident, judgement in flips.operations.items():
            known[ident] = msgspec.structs.replace(known[ident], judgement=judgement)
        for anchor in flips.wanted:
            judge.anchor(anchor, branch(judge, known, told, anchor))
        for seal, tips in flips.closures.items():
            judge.closure(seal, closure(judge, known, told, [tip.id for tip in tips]))
        for standing in sorted(known.values(), key=lambda s: s.seq):
            if (standing.device, standing.log) in flips.chains:
                again = judge.rejudge(candidate(told[standing.id]), standing, known.get)
                known[standing.id] = again
    raise AssertionError("the judge comes to rest")


def branch(
    judge: Judge,
    known: dict[OperationId, Standing],
    told: dict[OperationId, Operation],
    anchor: Anchor,
) -> list[OperationId] | None:
    """What ``Anchor`` asks for."""
    at = known.get(anchor.id)
    if at is None:
        return None
    if (at.device, at.log, at.seq) != (anchor.device, 1, anchor.seq):
        return []
    lowest = judge.forks.get((anchor.device, 1), anchor.seq)
    ids = [anchor.id]
    while known[ids[0]].seq > min(lowest, anchor.seq):
        ids.insert(0, OperationId(decode_header(told[ids[0]].header).prev))
    return ids


def closure(
    judge: Judge,
    known: dict[OperationId, Standing],
    told: dict[OperationId, Operation],
    tips: list[OperationId],
) -> dict[Anchor, list[OperationId]]:
    """What ``Flips.closures`` asks for."""
    here: set[OperationId] = set()
    waiting = list(tips)
    while waiting:
        ident = waiting.pop()
        if ident not in here and known[ident].log == 1:
            here.add(ident)
            waiting += [OperationId(a) for a in decode_header(told[ident].header).antecedents]
    inner = {decode_header(told[ident].header).prev for ident in here}
    tops = [known[ident] for ident in here if ident not in inner]
    anchors = [Anchor(top.device, top.seq, top.id) for top in tops]
    return {anchor: branch(judge, known, told, anchor) or [] for anchor in anchors}


def doubled(town: Town) -> dict[tuple[DeviceId, int], int]:
    """The lowest doubled seq of each forked chain."""
    seen: set[tuple[DeviceId, int, int]] = set()
    forks: dict[tuple[DeviceId, int], int] = {}
    for standing in town.standings.values():
        place = (standing.device, standing.log, standing.seq)
        if place in seen:
            chain = (standing.device, standing.log)
            forks[chain] = min(standing.seq, forks.get(chain, standing.seq))
        seen.add(place)
    return forks
