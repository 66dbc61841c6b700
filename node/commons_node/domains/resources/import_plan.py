"""What an import would write: rows of a file against the things that are here. Pure.

A number that is here already is changed, in the fields that differ; nothing is ever emptied, since
an empty cell says nothing. Things of the same name, brand, model, size and strength share a kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from commons_crdt.document.values import Value
from commons_crdt.ids import DocumentId
from commons_crdt.texts import _
from commons_node.domains.resources.csv_import import Row
from commons_node.domains.resources.facts import IDENTITY, SPECIFICATION_SCHEMA
from commons_node.domains.resources.things import Thing

Key = tuple[str, ...]
"""What makes two specifications the same: the texts of ``IDENTITY``, "" where there is none."""

Kinds = Mapping[Key, tuple[DocumentId, Mapping[str, object]]]
"""The specifications that are here, by key: their documents and fields."""

_NEW: Mapping[str, Value] = {"quantity": 1, "state": "active", "uncounted": False}
"""What a new thing is where its row says nothing."""


@dataclass(slots=True)
class Step:
    """One row's outcome: ``created``, ``updated``, ``unchanged`` or ``failed``."""

    row: Row
    outcome: str
    reason: str = ""
    resource: DocumentId | None = None


@dataclass(slots=True)
class Plan:
    """All that an import would write.

    ``kinds``: new specifications by key. ``items``: new things, whose specification is filled in
    once it has an id. ``moves``: things whose row names another specification than they have.
    """

    steps: list[Step] = field(default_factory=list)
    kinds: dict[Key, dict[str, Value]] = field(default_factory=dict)
    kind_changes: dict[DocumentId, dict[str, Value]] = field(default_factory=dict)
    items: list[tuple[Step, Key, dict[str, Value]]] = field(default_factory=list)
    item_changes: dict[DocumentId, dict[str, Value]] = field(default_factory=dict)
    moves: dict[DocumentId, Key] = field(default_factory=dict)

    def count(self, outcome: str) -> int:
        """How many rows have this outcome."""
        return sum(step.outcome == outcome for step in self.steps)


def key_of(fields: Mapping[str, object]) -> Key:
    """The key of a specification with these fields."""
    return tuple(str(fields.get(name) or "") for name in IDENTITY)


def plan(rows: Sequence[Row], here: Iterable[Thing], kinds: Kinds) -> Plan:
    """What importing ``rows`` takes; rows with faults are left out and named."""
    made = Plan()
    known = _Known(here, kinds)
    good: list[tuple[Step, Key, Thing | None]] = []
    wanted: dict[Key, dict[str, Value]] = {}
    for row in rows:
        found = [] if row.fault else known.of(row)
        fault = row.fault
        if len(found) > 1:
            fault = _("{count} things here have the number {number}").format(
                count=len(found), number=row.number
            )
        step = Step(row, "failed", fault)
        made.steps.append(step)
        if fault:
            continue
        thing = found[0] if found else None
        key = key_of({**thing.kind, **row.kind} if thing else row.kind)
        good.append((step, key, thing))
        fields = wanted.setdefault(key, {})
        for name, value in row.kind.items():
            fields.setdefault(name, value)  # of rows that share a kind, the first to say something
    for step, key, thing in good:
        if thing is None:
            step.outcome = "created"
            _kind(made, key, wanted[key], {}, kinds)
            made.items.append((step, key, {**_NEW, **step.row.item}))
        else:
            _update(made, step, thing, key, wanted[key], kinds)
    return made


class _Known:
    """The things that are here, by number; those without one by kind and serial."""

    def __init__(self, here: Iterable[Thing], kinds: Kinds) -> None:
        self._kinds = kinds
        self._numbered: dict[str, list[Thing]] = {}
        self._nameless: dict[tuple[DocumentId, str], list[Thing]] = {}
        for thing in here:
            if thing.number:
                self._numbered.setdefault(thing.number, []).append(thing)
            else:
                place = (thing.specification, str(thing.item["serial"] or ""))
                self._nameless.setdefault(place, []).append(thing)

    def of(self, row: Row) -> list[Thing]:
        """The thing that a row means; several if their number is the same."""
        if row.number:
            return self._numbered.get(row.number, [])
        kind = self._kinds.get(key_of(row.kind))
        if kind is None:
            return []
        same = self._nameless.get((kind[0], str(row.item.get("serial") or "")), [])
        return [same.pop()] if same else []


def _kind(
    made: Plan, key: Key, wanted: Mapping[str, Value], base: Mapping[str, Value], kinds: Kinds
) -> None:
    """Plan a new specification, or the change of the one that is here."""
    if key not in kinds:
        made.kinds.setdefault(key, {**base, **wanted})
        return
    ident, current = kinds[key]
    if changes := _differing(wanted, current):
        made.kind_changes[ident] = changes


def _update(
    made: Plan, step: Step, thing: Thing, key: Key, wanted: Mapping[str, Value], kinds: Kinds
) -> None:
    step.resource = thing.id
    if changes := _differing(step.row.item, thing.item):
        made.item_changes[thing.id] = changes
    if key == key_of(thing.kind):
        of_kind = _differing(wanted, thing.kind)
        if of_kind:
            made.kind_changes[thing.specification] = of_kind
    else:
        base = {name: _plain(name, value) for name, value in thing.kind.items()}
        of_kind = {"specification": None}
        made.moves[thing.id] = key
        _kind(made, key, wanted, base, kinds)
    step.outcome = "updated" if changes or of_kind else "unchanged"


def _plain(name: str, value: object) -> Value:
    """A row's value as a document holds it: SQL has no booleans."""
    if value is not None and SPECIFICATION_SCHEMA.fields[name].type == "boolean":
        return bool(value)
    return value if isinstance(value, (str, int)) else None


def _differing(wanted: Mapping[str, Value], current: Mapping[str, object]) -> dict[str, Value]:
    return {
        name: value
        for name, value in wanted.items()
        if current.get(name) != value  # SQL's 0 and 1 equal False and True
        and not (value is False and current.get(name) is None)
    }
