"""Answering what the judge asks of log 1, which it does not keep: positions, and what seals settle.

Source: the contract in ``commons_crdt.authority.flips``.
"""

from __future__ import annotations

from collections.abc import Iterable

from commons_crdt.authority.flips import Anchor, Flips
from commons_crdt.authority.judge import Judge
from commons_crdt.ids import OperationId
from commons_crdt.operation import decode_header
from commons_node.store.reading import Reader


async def answer(judge: Judge, flips: Flips, reader: Reader) -> None:
    """Answer all questions; ask for ``flips`` again afterwards."""
    for anchor in flips.wanted:
        judge.anchor(anchor, await line_to(judge, reader, anchor))
    for seal, tips in flips.closures.items():
        tops = await closure(reader, (tip.id for tip in tips))
        judge.closure(seal, {top: await line_to(judge, reader, top) or () for top in tops})


async def line_to(judge: Judge, reader: Reader, anchor: Anchor) -> tuple[OperationId, ...] | None:
    """What is stored of a chain up to a position; see ``Anchor``."""
    found = (await reader.standings([anchor.id])).get(anchor.id)
    if found is None:
        return None
    if (found.device, found.log, found.seq) != (anchor.device, 1, anchor.seq):
        return ()
    fork = judge.forks.get((anchor.device, 1))
    if fork is None or fork > anchor.seq:
        return (anchor.id,)
    before: dict[OperationId, OperationId] = {}
    async for rows in reader.chain(anchor.device, 1, fork):
        for row in rows:
            before[row.standing.id] = OperationId(decode_header(row.operation.header).prev)
        if rows[-1].standing.seq > anchor.seq:
            break
    line = [anchor.id]
    for _ in range(anchor.seq - fork):
        line.append(before[line[-1]])
    return tuple(reversed(line))


async def closure(reader: Reader, tips: Iterable[OperationId]) -> list[Anchor]:
    """The last operations of each branch of log 1 in the closure of ``tips``.

    One pass back through the log: what comes later is never in the past of what came before.
    """
    wanted = set[bytes](tips)
    followed: set[bytes] = set()
    tops: list[Anchor] = []
    async for rows in reader.backwards():
        for ident, device, seq, encoded in rows:
            if ident not in wanted:
                continue
            wanted.discard(ident)
            header = decode_header(encoded)
            if ident not in followed:
                tops.append(Anchor(device, seq, ident))
            followed.discard(ident)
            wanted.update(header.antecedents)
            followed.add(header.prev)
    return tops
