"""Where two stores differ: the first operation, or the first row of a view with what made it.

For whoever reads a complaint; nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from commons_crdt.verdict import Verdict
from commons_node.domains import VIEWS
from commons_node.testing.disk import Disk

_FEW = 4


def differing(one: Disk, two: Disk) -> str:
    """What is different at all, as the end of a sentence; "" if nothing is."""
    return _operation(one, two) or _row(one, two)


def _operation(one: Disk, two: Disk) -> str:
    here, there = _verdicts(one), _verdicts(two)
    for ident in sorted(here.keys() | there.keys()):
        mine, theirs = here.get(ident, "not there"), there.get(ident, "not there")
        if mine != theirs and "contested: fork" not in {mine, theirs}:
            return f"operation {ident.hex()[:16]} is {mine}, or {theirs}"
    return ""


def _verdicts(disk: Disk) -> Mapping[bytes, str]:
    return {
        ident: f"{Verdict(verdict).name.lower()}: {reason}".removesuffix(": ")
        for ident, verdict, reason in disk.rows("SELECT id, verdict, reason FROM operations")
    }


def _row(one: Disk, two: Disk) -> str:
    for view in sorted(view.name for view in VIEWS):
        here, there = _rows(one, view), _rows(two, view)
        for key in sorted(here.keys() | there.keys()):
            if here.get(key) != there.get(key):
                of = _made_of(one, view, key) or _made_of(two, view, key)
                return f"row {key.hex()[:16]} of {view} differs, which is made of {of}"
    return ""


def _rows(disk: Disk, view: str) -> Mapping[bytes, tuple[Any, ...]]:
    found = disk.rows(f"SELECT key, * FROM v_{view}")  # noqa: S608 - a name of ours
    return {row[0]: tuple(row[1:]) for row in found}


def _made_of(disk: Disk, view: str, key: bytes) -> str:
    """The latest operations behind a row: of a fold its facts, of a document its edits."""
    query = (
        "SELECT id FROM operations WHERE document = ?1 OR n IN"
        " (SELECT operation FROM subjects WHERE view = ?2 AND key = ?1) ORDER BY n DESC"
    )
    ids = [ident.hex()[:16] for (ident,) in disk.rows(query, (key, view))]
    return ", ".join(ids[:_FEW]) + (f" and {len(ids) - _FEW} more" if len(ids) > _FEW else "")
