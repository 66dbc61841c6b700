"""The rows of things and of kinds of things, as their documents read now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from commons_crdt.document.schema import DocumentSchema
from commons_crdt.folds import Fact, Subject, Value, View, by_document
from commons_node.domains.resources.facts import (
    ITEM,
    ITEM_SCHEMA,
    PHOTO,
    SPECIFICATION,
    SPECIFICATION_SCHEMA,
    STATES,
    Photo,
)

_SQL = {"text": "TEXT", "integer": "INTEGER", "boolean": "INTEGER"}

Fields = Mapping[str, str | int | bool | None]


def specification_row(subject: Subject) -> Sequence[Value] | None:
    """One kind of thing; no row for a document that was erased or never took its creation."""
    fields = subject.fields
    if not fields or fields.get("name") is None:
        return None
    return _row(SPECIFICATION_SCHEMA, fields)


def item_row(subject: Subject) -> Sequence[Value] | None:
    """One thing. A state that this version does not know reads as ``active``, no quantity as 1."""
    fields = subject.fields
    if not fields or fields.get("specification") is None:
        return None
    quantity = fields.get("quantity")
    known: dict[str, Value] = {
        "specification": _document(fields.get("specification")),
        "state": state if (state := fields.get("state")) in STATES else "active",
        "quantity": 1 if quantity is None else quantity,
        "uncounted": bool(fields.get("uncounted")),
    }
    return _row(ITEM_SCHEMA, {**fields, **known})


def _document(text: object) -> bytes:
    """A document's id from its 64 hex digits; empty where it is no id."""
    try:
        ident = bytes.fromhex(text) if isinstance(text, str) and len(text) == 64 else b""
    except ValueError:
        return b""
    return ident if len(ident) == 32 else b""  # fromhex passes over blanks


def _row(schema: DocumentSchema, fields: Mapping[str, Value]) -> Sequence[Value]:
    values = (fields.get(name) for name in schema.fields)
    return tuple(int(value) if isinstance(value, bool) else value for value in values)


def _view(
    name: str,
    kind: str,
    schema: DocumentSchema,
    fold: Callable[[Subject], Sequence[Value] | None],
    indexes: Sequence[str],
) -> View:
    columns = {column: _SQL[field.type] for column, field in schema.fields.items()}
    if "specification" in columns:
        columns["specification"] = "BLOB"
    return View(name, frozenset({kind}), columns, by_document, fold, document=True, indexes=indexes)


def photo_key(fact: Fact) -> tuple[bytes, ...]:
    """A photo stands for itself."""
    return (fact.id,)


def photo_row(subject: Subject) -> Sequence[Value] | None:
    """One photo: of which thing, and how its bytes are read; no row once it is erased."""
    for fact in subject.facts:
        if isinstance(fact.body, Photo) and not fact.erased:
            return fact.document, fact.body.media, fact.member
    return None


VIEWS = (
    _view("specifications", SPECIFICATION, SPECIFICATION_SCHEMA, specification_row, ("name",)),
    _view("items", ITEM, ITEM_SCHEMA, item_row, ("number", "specification")),
    View(
        "photos",
        frozenset({PHOTO}),
        {"resource": "BLOB", "media": "TEXT", "member": "BLOB"},
        photo_key,
        photo_row,
        indexes=("resource",),
    ),
)
