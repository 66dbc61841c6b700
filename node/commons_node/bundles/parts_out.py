"""Large parts of a bundle: which are written, and in which pieces.

They stand behind all operations, the smaller ones first: nothing that happened waits for a photo.
Only what is whole here is written; what is let go or erased meanwhile breaks off.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence, Set
from dataclasses import dataclass

from commons_node.realm.realm import Realm
from commons_node.store.large_parts import LargePart
from commons_protocol.bundles.contents import MAX_PIECE, MAX_WANTED, Piece
from commons_protocol.parts import PartId
from commons_protocol.replica import Range


@dataclass(frozen=True, slots=True)
class Choice:
    """The large parts for one bundle. ``left``: how many stay behind for their length."""

    parts: Sequence[LargePart]
    left: int


async def choose(
    realm: Realm,
    sent: Sequence[Range],
    first: int | None,
    asked: Set[PartId],
    most: int | None,
) -> Choice:
    """Those of the operations that are sent, and those that were asked for.

    ``sent`` and ``first``: the ranges, and the number of the first operation of log 1. ``most``:
    bytes beyond which a part stays behind.
    """
    places = await realm.store.large.places()
    spans: dict[tuple[bytes, int], list[Range]] = {}
    for one in sent:
        spans.setdefault((one.device, one.log), []).append(one)
    parts, left = [], 0
    for part in await realm.store.large.parts("l.whole AND o.verdict = 1 ORDER BY l.length, l.n"):
        place = places.get(part.n)
        if place is None or part.n in realm.parts.leaving or not realm.parts.wants(part):
            continue
        device, log, seq, number = place
        goes = any(r.first <= seq <= r.last for r in spans.get((device, log), ()))
        goes = goes and (not log or first is None or number >= first)
        if goes or PartId(part.operation, part.hash) in asked:
            fits = most is None or part.length <= most
            parts += [part] * fits
            left += not fits
    return Choice(parts, left)


async def lacking(realm: Realm) -> list[PartId]:
    """What this node asks for, the smaller ones first."""
    found = await realm.parts.lacking()
    return [PartId(part.operation, part.hash) for part in found[:MAX_WANTED]]


async def pieces(realm: Realm, part: LargePart, done: Callable[[], None]) -> AsyncIterator[Piece]:
    """The bytes of a part; ``done`` is called when all of them were given."""
    at = 0
    while at < part.length:
        key = PartId(part.operation, part.hash)
        data = await realm.parts.read(key, at, MAX_PIECE)
        if not data:
            return  # it was erased or let go a moment ago
        yield Piece(part.operation, part.hash, at, data)
        at += len(data)
    done()
