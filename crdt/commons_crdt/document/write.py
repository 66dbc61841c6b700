"""New changes of this device: exactly one per call, with the device as actor, at time 0.

The same arguments give the same bytes. Never signs, never stores; never imported by the main
process (it loads automerge).
"""

from collections.abc import Iterable, Sequence
from typing import Self

from commons_crdt.document.apply import recall
from commons_crdt.document.causality import Causality
from commons_crdt.document.change import (
    ACTOR_SIZE,
    CHANGE_SIZE_LIMIT,
    DEPENDENCIES_LIMIT,
    parse_change,
)
from commons_crdt.document.engine import write
from commons_crdt.document.rules import BRANCHES_LIMIT, CHANGES_LIMIT
from commons_crdt.document.schema import DocumentSchema, FieldError
from commons_crdt.document.values import Fields
from commons_crdt.errors import CommonsError
from commons_crdt.texts import _


class DocumentFull(CommonsError):
    """This entry has been changed too often to be changed again."""

    code = "document-full"
    hint = "Create a successor that carries its present state."

    def __reduce__(self) -> tuple[type[Self], tuple[()]]:
        return type(self), ()  # it crosses from a worker to its parent


def create(actor: bytes, fields: Fields, schema: DocumentSchema) -> bytes:
    """The first change of a new document. Fields that are None are left out.

    `actor`: the device, 32 bytes. Raises `FieldError`.
    """
    written = {name: value for name, value in fields.items() if value is not None}
    if missing := schema.missing(written):
        raise FieldError(missing, _("is missing"))
    change = write(_actor(actor), _ordered(written, schema))
    if change is None:
        raise FieldError(next(iter(schema.fields)), _("or another field must be given"))
    return _sized(change, written)


def create_many(
    actor: bytes, documents: Iterable[Fields], schema: DocumentSchema
) -> tuple[bytes, ...]:
    """The first changes of many new documents, for imports: about 0.1 ms each."""
    return tuple(create(actor, fields, schema) for fields in documents)


def edit(
    history: Sequence[bytes], actor: bytes, fields: Fields, schema: DocumentSchema
) -> tuple[bytes | None, tuple[bytes, ...]]:
    """One change that sets these fields, and its dependencies (sorted hashes, at most 16): the
    heads and, always, the author's last change.

    The change is None when nothing changes; setting a contended field to its displayed value does
    change something: it settles the conflict. With more than 15 heads, 15 of them are merged, the
    author's own among them; the next edits merge the rest. Raises `FieldError`, `DocumentFull`, and
    like `apply` for a history that this module did not accept.
    """
    known = recall(history)
    heads = _heads(known, _actor(actor))
    if known.past(heads).bit_count() >= CHANGES_LIMIT or len(known) >= BRANCHES_LIMIT:
        raise DocumentFull
    shown = known.standing(heads)
    wanted = {
        name: value
        for name, value in _ordered(fields, schema).items()
        if value is not None or name in shown  # emptying what was never filled changes nothing
    }
    change = write(actor, wanted, history, heads)
    if change is None:
        return None, heads
    return _sized(change, wanted), parse_change(change).deps


def _heads(known: Causality, actor: bytes) -> tuple[bytes, ...]:
    """The heads to merge: with the author's last change, which Automerge adds, at most 16."""
    heads = known.heads
    if len(heads) < DEPENDENCIES_LIMIT:
        return heads
    own = known.head_with(actor)
    first = sorted(heads, key=lambda head: (head != own, head))
    return tuple(sorted(first[: DEPENDENCIES_LIMIT - 1]))


def _actor(actor: bytes) -> bytes:
    if len(actor) != ACTOR_SIZE:
        raise ValueError(f"an actor has {ACTOR_SIZE} bytes")
    return actor


def _ordered(fields: Fields, schema: DocumentSchema) -> Fields:
    """Checks the fields and puts them in the schema's order, so that the bytes are the same."""
    for name, value in fields.items():
        if problem := schema.problem(name, value):
            raise FieldError(name, problem)
        if isinstance(value, str) and not _is_unicode(value):
            raise FieldError(name, _("must be valid Unicode"))
    return {name: fields[name] for name in schema.fields if name in fields}


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair: no other machine could read it
        return False
    return True


def _sized(change: bytes, fields: Fields) -> bytes:
    if len(change) > CHANGE_SIZE_LIMIT:
        longest = max(fields, key=lambda name: len(str(fields[name])))
        raise FieldError(
            longest,
            _("makes the change longer than {change_size_limit} bytes").format(
                change_size_limit=CHANGE_SIZE_LIMIT
            ),
        )
    return change
