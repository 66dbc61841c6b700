"""Folds: views as pure functions of accepted operations, one row a key.

A fold never sees the clock, parts, or operations that do not stand. It gets every standing
operation of its key at once, in an order that is stable but decides nothing, and must be total:
a hand-over without its request is still a hand-over. The daemon keeps the rows in SQL and folds
a key again when its operations change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from commons_crdt import canonical
from commons_crdt.ids import DeviceId, DocumentId, MemberId, OperationId, digest
from commons_crdt.roles import Role
from commons_crdt.verdict import Verdict

Value = str | int | bytes | bool | None


@dataclass(frozen=True, slots=True)
class Fact:
    """One standing operation as folds see it.

    ``role`` is the author's in the author's own view. ``body`` is None for edits and for what
    was erased (``erased`` tells them apart).
    """

    id: OperationId
    kind: str
    member: MemberId
    role: Role
    device: DeviceId
    log: int
    seq: int
    lamport: int
    time_ms: int
    document: DocumentId
    body: Any
    erased: bool = False


@dataclass(frozen=True, slots=True)
class Subject:
    """What a fold is given for one key: its facts, and the document's fields if it has one."""

    key: bytes
    facts: Sequence[Fact]
    fields: Mapping[str, str | int | bool | None] | None = None


@dataclass(frozen=True, slots=True)
class View:
    """A replicated view: a SQL table ``name`` with a ``key`` and ``columns`` (name: SQL type).

    ``keys`` tells which rows an operation of ``kinds`` touches; ``fold`` gives the row, or None
    for no row. ``document`` views are about edits: their key is the document, and the fold gets
    its fields.
    """

    name: str
    kinds: frozenset[str]
    columns: Mapping[str, str]
    keys: Callable[[Fact], Iterable[bytes]]
    fold: Callable[[Subject], Sequence[Value] | None]
    document: bool = False
    indexes: Sequence[str] = ()


def by_document(fact: Fact) -> tuple[bytes, ...]:
    """The usual key: the document that the operation is about."""
    return (fact.document,)


def set_hash(verdicts: Iterable[tuple[bytes, int]]) -> bytes:
    """BLAKE2b-256 over (id, verdict) sorted by id; those that are not final are left out."""
    pending = Verdict.PENDING
    counted = [id_ + _OF_VERDICT[verdict] for id_, verdict in verdicts if verdict != pending]
    counted.sort()
    return digest("set", b"".join(counted))


_OF_VERDICT = tuple(bytes([verdict]) for verdict in Verdict)
"""The byte of each verdict, by its number."""


def state_hash(rows: Iterable[tuple[str, bytes, Sequence[Value]]]) -> bytes:
    """BLAKE2b-256 over (view, key, row) as canonical CBOR, sorted by view and key."""
    return digest(
        "state",
        b"".join(
            canonical.encode([view, key, list(row)])
            for view, key, row in sorted(rows, key=itemgetter(0, 1))
        ),
    )


def prevailing(facts: Iterable[Fact]) -> Fact | None:
    """Of facts that claim the same, the one that counts; None if there is none.

    A device's later fact replaces its earlier one; between devices the author's role decides,
    then BLAKE2b(document ‖ member): nothing that an author could grind (ARCHITECTURE §2).
    """
    newest: dict[DeviceId, Fact] = {}
    for fact in facts:
        known = newest.get(fact.device)
        if known is None or fact.seq > known.seq:
            newest[fact.device] = fact
    if len(newest) == 1:  # nearly always: nothing to weigh, so no hash
        return newest.popitem()[1]
    return min(
        newest.values(),
        key=lambda f: (-f.role, digest("claim", f.document, f.member), f.device),
        default=None,
    )
