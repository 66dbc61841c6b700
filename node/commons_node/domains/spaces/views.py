"""The rows of spaces, of attendance (one a tag), and of what members publish."""

from __future__ import annotations

from collections.abc import Sequence

from commons_crdt.folds import Fact, Subject, Value, View, by_document
from commons_crdt.ids import digest
from commons_node.domains.spaces.facts import (
    ATTENDANCE,
    PRESENCE,
    SPACE,
    SPACE_SCHEMA,
    TYPES,
    Attendance,
    Presence,
)

_SQL = {"text": "TEXT", "integer": "INTEGER", "boolean": "INTEGER"}


def space_row(subject: Subject) -> Sequence[Value] | None:
    """One space; no row once it is erased. A type that is not known reads as ``custom``."""
    fields = subject.fields
    if not fields or fields.get("name") is None:
        return None
    kind = fields.get("type") or "public"
    known: dict[str, Value] = {**fields, "type": kind if kind in TYPES else "custom"}
    values = (known.get(name) for name in SPACE_SCHEMA.fields)
    return tuple(int(value) if isinstance(value, bool) else value for value in values)


def attendance_key(fact: Fact) -> tuple[bytes, ...]:
    """One for a tag at a space, by one node; whatever is erased has none."""
    if not isinstance(fact.body, Attendance):
        return ()
    return (digest("attrow", fact.document, fact.device, fact.body.signature.tag),)


def attendance_row(subject: Subject) -> Sequence[Value] | None:
    """The same tag again is the same member on the same day: it moves the slot on, no more."""
    standing = [fact for fact in subject.facts if isinstance(fact.body, Attendance)]
    if not standing:
        return None
    newest = max(standing, key=lambda fact: (fact.body.slot, fact.id))
    return newest.document, newest.device, newest.body.signature.tag, newest.body.slot


def presence_key(fact: Fact) -> tuple[bytes, ...]:
    """Each stands for itself."""
    return (fact.id,)


def presence_row(subject: Subject) -> Sequence[Value] | None:
    """Who publishes something, for whom, until when; no row once it is taken back."""
    for fact in subject.facts:
        if isinstance(fact.body, Presence) and not fact.erased:
            return fact.member, fact.body.audience, fact.body.until_ms
    return None


VIEWS = (
    View(
        "spaces",
        frozenset({SPACE}),
        {column: _SQL[field.type] for column, field in SPACE_SCHEMA.fields.items()},
        by_document,
        space_row,
        document=True,
        indexes=("name",),
    ),
    View(
        "attendance",
        frozenset({ATTENDANCE}),
        {"space": "BLOB", "device": "BLOB", "tag": "BLOB", "slot": "INTEGER"},
        attendance_key,
        attendance_row,
        indexes=("space",),
    ),
    View(
        "presences",
        frozenset({PRESENCE}),
        {"member": "BLOB", "audience": "TEXT", "until_ms": "INTEGER"},
        presence_key,
        presence_row,
    ),
)
