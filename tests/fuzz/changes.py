"""Targets of Automerge changes: the fence in Python, and Automerge itself behind it.

A change that passes the fence has one encoding, and Automerge never fails on it. The targets with
a *body* make the chunk's length and checksum themselves, so that mutations get past them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
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
)

from commons_crdt.document import rules
from commons_crdt.document.apply import apply
from commons_crdt.document.change import MalformedChange, MalformedCode, parse_change
from commons_crdt.document.values import Applied, Candidate, Value
from commons_crdt.document.write import create

MALFORMED = frozenset(get_args(MalformedCode))


def take(data: bytes) -> bool:
    """The fence in Python: a change that is taken has exactly one encoding."""
    try:
        header, written = rules.parse(data)
    except MalformedChange as error:
        hold(error.code in MALFORMED, f"{error.code} is no code")
        return False
    craft = Craft(
        header.actor, header.seq, header.start_op, header.deps, tuple(map(Write.of, written)),
        header.time, header.message.encode(), header.other_actors,
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
    Target("change-body", _change_body, _change_body_seeds),
    Target("document", _document, _document_seeds),
)
