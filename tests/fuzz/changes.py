"""Targets of Automerge changes: the fence in Python, and Automerge itself behind it.

A change that passes the fence has one encoding, and Automerge never fails on it. The targets with
a *body* make the chunk's length and checksum themselves, so that mutations get past them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from random import Random
from typing import get_args

from tests.fuzz.target import Target, hold
from tests.unit.test_document_bytes import (
    ALICE,
    THING,
    Craft,
    Write,
    body_of,
    chunk,
    contended,
    contended_and_settled,
    encoded,
)

from commons_crdt.document import rules
from commons_crdt.document.apply import apply
from commons_crdt.document.change import MalformedChange, MalformedCode, parse_change
from commons_crdt.document.leb import uleb
from commons_crdt.document.values import Applied, Candidate, Value
from commons_crdt.document.write import create

MALFORMED = frozenset(get_args(MalformedCode))


VALUES: tuple[Value, ...] = ("", "saw", "\0", "x" * 201, 0, -1, 2**53, 2**62, True, None)

# --- changes of changes --------------------------------------------------------------------------


def _respelt(data: bytes, _other: bytes, rng: Random) -> bytes:
    """The same writes, spelt otherwise: what an encoder never does, with all lengths right.

    Columns in another order, twice, empty or unknown; actors that nobody names; a run cut in two;
    something after the end.
    """
    try:
        header, written = rules.parse(chunk(data))
    except MalformedChange:
        return data + b"\x00"
    craft = Craft(
        header.actor, header.seq, header.start_op, header.deps, tuple(map(Write.of, written)),
        header.time, header.message.encode(), header.other_actors,
    )  # fmt: skip
    columns = craft._columns((craft.actor, *header.other_actors))
    name = rng.choice(sorted(columns))
    match rng.randrange(7):
        case 0:
            strangers = (*header.other_actors, bytes([rng.randrange(256)]) * 32)
            craft = replace(craft, others=tuple(sorted(set(strangers))))
        case 1:
            craft = replace(craft, others=header.other_actors[::-1] or (header.actor,))
        case 2:
            craft = replace(craft, columns={name: columns[name] + bytes([rng.randrange(3)])})
        case 3:
            craft = replace(craft, columns={name: _cut_run(columns[name])})
        case 4:
            strange = rng.choice((0x11, 0x13, 0x61, 0x80, 0x5F))
            craft = replace(craft, columns={strange: b"\x7f\x00"})
        case 5:
            craft = replace(craft, extra=bytes(rng.randrange(1, 4)))
        case _:
            return _shuffled(body_of(craft.pack()), columns, rng)
    return body_of(craft.pack())


def _cut_run(column: bytes) -> bytes:
    """The first literal run in two: `-2 a b` becomes `-1 a -1 b`."""
    if len(column) > 2 and column[0] == 0x7E:
        return b"\x7f" + column[1:2] + b"\x7f" + column[2:]
    return column + column


def _shuffled(body: bytes, columns: Mapping[int, bytes], rng: Random) -> bytes:
    """Two of the columns change places, heads and contents."""
    filled = [(name, data) for name, data in sorted(columns.items()) if data]
    tail = b"".join(uleb(name) + uleb(len(data)) for name, data in filled)
    tail = uleb(len(filled)) + tail + b"".join(data for _, data in filled)
    rng.shuffle(filled)
    mixed = b"".join(uleb(name) + uleb(len(data)) for name, data in filled)
    mixed = uleb(len(filled)) + mixed + b"".join(data for _, data in filled)
    return body.removesuffix(tail) + mixed


def _rewritten(data: bytes, _other: bytes, rng: Random) -> bytes:
    """Another value, field or time: well made, and not always allowed."""
    try:
        craft = Craft.of(chunk(data))
    except MalformedChange:
        return data + b"\x00"
    at = rng.randrange(len(craft.writes))
    write = craft.writes[at]
    match rng.randrange(5):
        case 0 | 1:
            kind, raw = encoded(rng.choice(VALUES))
            write = replace(write, kind=kind, raw=raw)
        case 2:
            write = replace(write, field=rng.choice((*THING.fields, "", "colour")))
        case 3:
            craft = replace(craft, seq=craft.seq + 1, start_op=rng.choice((1, 7, 2**31, 2**62)))
        case _:
            craft = replace(craft, time=rng.choice((0, 1, -1)), message=rng.choice((b"", b"hi")))
    writes = (*craft.writes[:at], write, *craft.writes[at + 1 :])
    return body_of(replace(craft, writes=writes).pack())


def _behind_a_byte(data: bytes, other: bytes, rng: Random) -> bytes:
    change = rng.choice((_respelt, _rewritten))
    return data[:1] + change(data[1:], other[1:], rng)


# --- targets -------------------------------------------------------------------------------------


def take(data: bytes) -> bool:
    """The fence in Python: a change that is taken has exactly one encoding."""
    try:
        header, written = rules.parse(data)
    except MalformedChange as error:
        hold(error.code in MALFORMED, f"{error.code} is no code")
        return False
    craft = Craft(  # which other actors there are, follows from what is written
        header.actor, header.seq, header.start_op, header.deps, tuple(map(Write.of, written)),
        header.time, header.message.encode(),
    )  # fmt: skip
    hold(craft.pack() == data, "a change that is taken has one encoding")
    return True


def _change_body(data: bytes) -> bool:
    return take(chunk(data))


@lru_cache
def _histories() -> tuple[bytes, ...]:
    return tuple(contended())


def _document(data: bytes) -> bool:
    """What the fence lets through, Automerge takes as well, and both see the same fields.

    The first byte says how much of a history is there already; the rest is a change's body.
    """
    history = _histories()[: data[0] % (len(_histories()) + 1)] if data else ()
    change = chunk(data[1:])
    try:
        actor = parse_change(change).actor
    except MalformedChange:
        return False
    (result,) = apply(history, [Candidate(change, actor)], THING).results
    if isinstance(result, Applied):
        return True
    hold(result.reason != "unreadable", "Automerge reads what passes the fence")
    return False


def _changes() -> Iterator[tuple[str, int, bytes]]:
    """(name, how much of the history comes before it, the change)."""
    for n, change in enumerate(_histories()):
        yield f"{n} of a contended history", n, change
    yield "settles", 4, contended_and_settled()[-1]
    whole: dict[str, Value] = {"name": "é" * 80, "count": 1000, "open": True, "note": ""}
    yield "every field", 0, create(ALICE, whole, THING)


def _change_seeds() -> Mapping[str, bytes]:
    found = {name: change for name, _, change in _changes()}
    first = next(iter(found.values()))
    return found | {
        "bad checksum": first[:4] + b"\x00" + first[5:],
        "bad deflated": first[:8] + b"\2",
    }


def _change_body_seeds() -> Mapping[str, bytes]:
    return {name: body_of(change) for name, _, change in _changes()} | {"bad empty": b""}


def _document_seeds() -> Mapping[str, bytes]:
    found = {name: bytes([before]) + body_of(change) for name, before, change in _changes()}
    return found | {"bad dependency": b"\x00" + body_of(_histories()[1])}


TARGETS = (
    Target("change", take, _change_seeds),
    Target("change-body", _change_body, _change_body_seeds, own=(_respelt, _rewritten)),
    Target("document", _document, _document_seeds, own=(_behind_a_byte,)),
)
