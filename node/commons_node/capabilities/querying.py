"""``docs.query`` and ``docs.get``: rows of the community, as far as the grant goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from commons_node.agents.manifest import Grant
from commons_node.api.arguments import from_body
from commons_node.capabilities.capability import Calling, Capability
from commons_node.capabilities.collections import COLLECTIONS, Collection, find
from commons_node.capabilities.refusals import BadParameters, Fault, NotGranted, TooMuch
from commons_node.registry import describe_arguments
from commons_node.selecting import Row, Selection

_PAGE: Final = 500
MOST_ROWS: Final = 5_000
"""Of one answer, where the grant says nothing."""
Scalar = str | int | float | bool | None
_ORDERS: Final = ("lt", "le", "gt", "ge")


class Query(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``where``: each field has this value, or one of a list of values, or is before or after one:
    ``{"due": {"lt": "2026-12-01"}}`` (lt, le, gt, ge). ``fields``: those wanted; all that are
    granted otherwise. ``limit``: rows at once. ``after``: ``next`` of the answer before.
    """

    collection: Annotated[str, Meta(max_length=64)]
    where: Annotated[dict[str, Any], Meta(max_length=16)] = {}
    fields: Annotated[list[str], Meta(max_length=64)] = []
    limit: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    after: Annotated[str, Meta(pattern=r"^[0-9]{0,9}\Z")] | None = None


class Get(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``id``: the whole id of the row."""

    collection: Annotated[str, Meta(max_length=64)]
    id: Annotated[str, Meta(max_length=128)]
    fields: Annotated[list[str], Meta(max_length=64)] = []


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Of the rows that ``where`` lets through, ``limit`` behind ``skip``, with these fields."""

    fields: Sequence[str]
    limit: int
    skip: int = 0
    where: Mapping[str, Any] = field(default_factory=dict)

    def selection(self, within: Mapping[str, Any]) -> Selection:
        """What a view is told of it: ``within`` is another filter, which counts as well."""
        wanted = (*within.items(), *self.where.items())
        looks = frozenset(name for name, _ in wanted)

        def fits(row: Row) -> bool:
            return all(_fits(row.get(name), value) for name, value in wanted)

        return Selection(looks.union(self.fields), self.limit, self.skip, looks, fits)

    def shown(self, row: Row) -> dict[str, object]:
        """Of a row what was asked for."""
        return {name: row.get(name) for name in self.fields}


def _reach(method: str, grant: Grant, name: str) -> tuple[Collection, tuple[str, ...]]:
    """The collection, and the fields of it that are in reach. Raises ``NotGranted``."""
    found = find(name)
    granted = grant.collections or ()
    if found is None or not {found.name, found.view} & set(granted):
        known = "" if found is not None else f"; there are {', '.join(COLLECTIONS)}"
        raise NotGranted(method=method, why=f"the collection {name!r}{known}")
    fields = found.fields
    if grant.fields is not None:
        fields = tuple(one for one in fields if one in grant.fields)
    return found, fields


def _known(method: str, wanted: Sequence[str], fields: Sequence[str]) -> None:
    """Nobody asks by what they may not see: a question is an answer, too."""
    for name in wanted:
        if name not in fields:
            raise NotGranted(method=method, why=f"the field {name!r}")


async def _rows(
    calling: Calling, grant: Grant, found: Collection, wanted: _Wanted
) -> tuple[Sequence[Row], bool, object]:
    """Rows within the grant's own filter too, whether there are more, and how new they are."""
    view = calling.inside.registry.view(found.view)
    if view is None:
        raise Fault(method="docs.query", why=f"this version has no {found.view}")
    arguments = from_body(
        view, describe_arguments(view), msgspec.json.encode(found.arguments or {})
    )
    selection = wanted.selection(grant.where or {})
    request = replace(calling.inside.request(calling.lease.job.principal), selection=selection)
    reading = await view.read(request, arguments)
    rows = reading.value.get(found.rows)
    if not isinstance(rows, list):
        raise Fault(method="docs.query", why=f"{found.view} has no list {found.rows}")
    if reading.more is not None:
        return rows, reading.more, reading.as_of
    return *selection.among(rows, rows), reading.as_of


def _fits(value: object, wanted: object) -> bool:
    if isinstance(wanted, list):
        return any(_fits(value, one) for one in wanted)
    if isinstance(wanted, dict):
        return all(_ordered(value, order, than) for order, than in wanted.items())
    return value == wanted and isinstance(value, bool) == isinstance(wanted, bool)


def _ordered(value: Any, order: str, than: Any) -> bool:
    kinds = str if isinstance(than, str) else (int, float)
    if not isinstance(value, kinds) or isinstance(value, bool):
        return False  # a list, a truth or nothing is neither before nor after
    match order:
        case "lt":
            return bool(value < than)
        case "le":
            return bool(value <= than)
        case "gt":
            return bool(value > than)
        case _:
            return bool(value >= than)


def _checked(method: str, where: Mapping[str, Any]) -> None:
    for name, wanted in where.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        if isinstance(wanted, dict):
            values = list(wanted.values())
            if not wanted or not wanted.keys() <= set(_ORDERS):
                raise BadParameters(method=method, why=f"{name}: use one of {', '.join(_ORDERS)}")
            if any(isinstance(one, bool) or one is None for one in values):
                raise BadParameters(method=method, why=f"{name}: compare with text or a number")
        if any(isinstance(one, dict | list) for one in values):
            raise BadParameters(method=method, why=f"{name}: a value is text, a number or a truth")


async def query(calling: Calling, grant: Grant, params: Query) -> object:
    """Rows that fit, page by page."""
    found, fields = _reach("docs.query", grant, params.collection)
    _known("docs.query", [*params.where, *params.fields], fields)
    _checked("docs.query", params.where)
    most = grant.max_rows or MOST_ROWS
    if params.limit is not None and params.limit > most:
        raise TooMuch(method="docs.query", why=f"{params.limit} rows, of {most} at most")
    wanted = _Wanted(
        params.fields or fields, params.limit or min(most, _PAGE), int(params.after or 0),
        params.where,
    )  # fmt: skip
    rows, more, as_of = await _rows(calling, grant, found, wanted)
    return {
        "rows": [wanted.shown(row) for row in rows],
        "more": more,
        "next": str(wanted.skip + len(rows)) if more else None,
        "as_of": as_of,
    }


async def get(calling: Calling, grant: Grant, params: Get) -> object:
    """One row."""
    found, fields = _reach("docs.get", grant, params.collection)
    _known("docs.get", params.fields, fields)
    wanted = _Wanted(params.fields or fields, limit=1, where={found.key: params.id})
    rows, _, as_of = await _rows(calling, grant, found, wanted)
    return {"row": wanted.shown(rows[0]) if rows else None, "as_of": as_of}


CAPABILITIES: Final = (
    Capability(
        "docs.query", "Read rows of the community.", Query,
        "`{rows, more, next, as_of}`; `as_of` says up to which state of the community", query,
        ("collections", "fields", "where", "max_rows", "max_bytes"), 2, needs=("collections",),
    ),
    Capability(
        "docs.get", "Read one row of the community.", Get,
        "`{row, as_of}`; `row` is null where there is none", get,
        ("collections", "fields", "where", "max_bytes"), 1, needs=("collections",),
    ),
)  # fmt: skip
