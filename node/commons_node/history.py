"""The verb of the history: who did what, the newest first, a page at a time.

Reads what is stored and judged; what waits for others has no line yet. Times are those that the
authors' clocks said. Why a line counts is for ``explain``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import msgspec

from commons_crdt.ids import OperationId
from commons_node.community import Community, Unknown
from commons_node.domains.council.saying import said_to_council
from commons_node.explaining.doing import did
from commons_node.explaining.explained import Explaining, moment
from commons_node.registry import (
    Column,
    Complete,
    Count,
    Reading,
    Registry,
    Request,
    Table,
    View,
    option,
)
from commons_node.store.database import placeholders

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_MEMBERS = Complete("member.list", "members", "name")
_ADMISSION = "membership.admit.1"
_LABELS = (
    "SELECT i.key, s.name, i.number FROM v_items i"
    " LEFT JOIN v_specifications s ON s.key = i.specification WHERE i.key IN ({0})"
    " UNION ALL SELECT l.key, s.name, i.number FROM v_loans l LEFT JOIN v_items i"
    " ON i.key = l.resource LEFT JOIN v_specifications s ON s.key = i.specification"
    " WHERE l.key IN ({0})"
    " UNION ALL SELECT key, name, NULL FROM v_specifications WHERE key IN ({0})"
    " UNION ALL SELECT key, name, NULL FROM v_spaces WHERE key IN ({0})"
)


class Lines(msgspec.Struct):
    """Arguments of ``activity list``."""

    who: Annotated[str | None, option("only what this member did", complete=_MEMBERS)] = None
    nodes: Annotated[bool, option("also what nodes do by themselves")] = False
    limit: Annotated[Count, option("at most so many")] = 50
    before: Annotated[str | None, option("go on behind this operation, by its id")] = None


async def list_activity(request: Request[Daemon], args: Lines) -> Reading:
    """Who did what, the newest first."""
    community = await request.node.community(request)
    where, arguments = await _where(community, args)
    rows = await community.query(
        f"SELECT id FROM operations WHERE {where}"  # noqa: S608 - our own words
        " ORDER BY time_ms DESC, n DESC LIMIT ?",
        (*arguments, args.limit + 1),
    )
    page = [OperationId(row[0]) for row in rows[: args.limit]]
    lines = await _lines(community, page)
    more = len(rows) > args.limit
    return await community.reading(
        {"activity": lines, "next": page[-1].hex() if more and page else None}
    )


async def _where(community: Community, args: Lines) -> tuple[str, Sequence[object]]:
    grants = community.realm.judge.authority.grants
    where, arguments = ["1"], list[object]()
    if args.who is not None:
        member = await community.member(args.who)
        mine = community.grants_of(member)
        where.append(f"origin IN ({placeholders(len(mine))})")
        arguments += mine
    if not args.nodes:
        nodes = [ident for ident, grant in grants.items() if grant.unattended]
        where.append(f"(origin NOT IN ({placeholders(len(nodes))}) OR kind = ?)")
        arguments += [*nodes, _ADMISSION]
    if args.before is not None:
        where.append("(time_ms, n) < (SELECT time_ms, n FROM operations WHERE id = ?)")
        arguments.append(await _known(community, args.before))
    return " AND ".join(where), arguments


async def _known(community: Community, text: str) -> bytes:
    """The whole id of a stored operation. Raises Unknown."""
    wanted = text.strip().lower()
    unknown = Unknown(what="operation", name=text, list="commons-node activity list")
    if len(wanted) != 64 or any(letter not in "0123456789abcdef" for letter in wanted):
        raise unknown
    ident = bytes.fromhex(wanted)
    if not await community.query("SELECT 1 FROM operations WHERE id = ?", (ident,)):
        raise unknown
    return ident


async def _lines(community: Community, page: Sequence[OperationId]) -> list[dict[str, object]]:
    explaining = await Explaining.of(community)
    standings = await community.realm.store.standings(page)
    documents = {bytes(one.document) for one in standings.values()}
    labels = await _labels(community, documents)
    known: dict[bytes, str] = {**labels}
    known.update((bytes(member), name) for member, name in (await community.names()).items())
    spoken = await said_to_council(community, {i: one.kind for i, one in standings.items()})
    lines: list[dict[str, object]] = []
    for ident in page:
        standing = standings[ident]
        who = explaining.author(standing)
        about = known.get(bytes(standing.document))
        lines.append(
            {
                "operation": ident.hex(),
                "kind": standing.kind,
                "author": who,
                "about": about,
                "sentence": spoken.get(ident) or did(standing.kind, who, about),
                "time": moment(standing.time_ms),
                "verdict": standing.judgement.verdict.name.lower(),
                "reason": standing.judgement.reason,
                "document": standing.document.hex(),
            }
        )
    return lines


async def _labels(community: Community, documents: set[bytes]) -> Mapping[bytes, str]:
    """What things, loans and kinds of things are called, by their documents."""
    wanted = list(documents)
    rows = await community.query(_LABELS.format(placeholders(len(wanted))), [*wanted] * 4)
    return {key: f"{name} {number or ''}".strip() for key, name, number in rows if name}


REGISTRY = Registry(
    views=(
        View("activity.list", "Who did what, the newest first.", Lines, list_activity,
             table=Table("activity", (Column("time", "When", "time"), Column("sentence", "What"),
                                      Column("verdict", "Verdict"),
                                      Column("operation", "Id", "id")), "Nothing yet.")),
    ),
    nouns={"activity": "what everybody did, signed"},
)  # fmt: skip
