"""``loan list``: which loans, and of how many of them the rows are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec

from commons_crdt.texts import _
from commons_node.certainty import certainty, provisional_rows
from commons_node.community import Community
from commons_node.domains.lending.loans import (
    OUT,
    Loan,
    conflicts_of,
    filled,
    loans,
    outlines,
    some_loans,
)
from commons_node.domains.lending.rows import OUTLINED, rows_of
from commons_node.domains.resources.things import find_thing
from commons_node.registry import Complete, Reading, Request, option
from commons_node.selecting import Selection
from commons_node.store.database import placeholders

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_THINGS: Final = Complete("resource.list", "resources", "number")
_SETTLED: Final = "settled"


class Listing(msgspec.Struct):
    """Arguments of ``loan list``."""

    mine: Annotated[bool, option("only those of the member who is unlocked")] = False
    overdue: Annotated[bool, option("only those whose time is over")] = False
    state: Annotated[
        Literal[
            "requested",
            "approved",
            "declined",
            "offered",
            "on_loan",
            "returning",
            "returned",
            "cancelled",
        ]
        | None,
        option("only these"),
    ] = None
    resource: Annotated[str | None, option("only of this thing", complete=_THINGS)] = None


async def list_loans(request: Request[Daemon], args: Listing) -> Reading:
    """Who asked for what, and where it is."""
    community = await request.node.community(request)
    now = request.node.now_ms()
    where, arguments = await _where(request, community, args, now)
    if request.selection is not None:
        return await _selected(request, community, request.selection, (where, arguments), now)
    return await reading_of(request, community, await loans(community, where, arguments), now, {})


async def _where(
    request: Request[Daemon], community: Community, args: Listing, now: int
) -> tuple[str, Sequence[object]]:
    """A clause over the columns of loans (l), and what it compares with."""
    where, arguments = ["1"], list[object]()
    if args.resource is not None:
        where.append("l.resource = ?")
        arguments.append((await find_thing(community, args.resource)).id)
    if args.mine:
        where.append("l.borrower = ?")
        arguments.append((await request.node.actor(request, community)).member)
    if args.overdue:
        where.append(f"l.state IN ({placeholders(len(OUT))}) AND l.until_ms <= ?")
        arguments += [*OUT, now]
    if args.state:
        where.append("l.state = ?")
        arguments.append(args.state)
    return " AND ".join(where), arguments


async def _selected(
    request: Request[Daemon],
    community: Community,
    wanted: Selection,
    among: tuple[str, Sequence[object]],
    now: int,
) -> Reading:
    """The rows of a selection: whether a loan fits is said by as little of it as will do."""
    if wanted.looks:
        outlined = wanted.looks <= OUTLINED
        known = await (outlines if outlined else loans)(community, *among)
        looked = await _rows(request, community, known, now, wanted.looks)
        found, more = wanted.among(known, looked)
        if outlined and not wanted.fields <= OUTLINED:
            found = await filled(community, found)
    else:
        some = await some_loans(community, *among, wanted.skip, wanted.limit + 1)
        found, more = some[: wanted.limit], len(some) > wanted.limit
    rows = await _rows(request, community, found, now, wanted.fields)
    return Reading({"loans": rows}, community.as_of(), more=more)


async def reading_of(
    request: Request[Daemon],
    community: Community,
    found: Sequence[Loan],
    now: int,
    more: Mapping[str, object],
) -> Reading:
    """Rows with the other halves that are known to be missing; of one loan its fields as well."""
    rows = await _rows(request, community, found, now)
    missing = [
        {"loan": one.id.hex(), "missing": _("the other half of a hand-over or return")}
        for one in found
        if one.row["provisional"]
    ]
    single = {**rows[0], **certainty(bool(rows[0][_SETTLED]))} if more else {}
    return await community.reading(
        {**single, **more, "loans": rows},
        missing=missing,
        conflicts=await conflicts_of(community, found, now),
    )


async def _rows(
    request: Request[Daemon],
    community: Community,
    found: Sequence[Loan],
    now: int,
    fields: frozenset[str] | None = None,
) -> list[dict[str, object]]:
    """As ``rows_of``, and whether each is settled."""

    @cache  # many steps are of few machines
    def node_of(member: bytes, device: bytes) -> str | None:
        return request.node.node_of(community, member, device)

    rows = await rows_of(community, found, now, node_of, fields)
    if fields is None or _SETTLED in fields:
        lent = await provisional_rows(community, "loans")
        for row, one in zip(rows, found, strict=True):
            row[_SETTLED] = one.id not in lent
    return rows
