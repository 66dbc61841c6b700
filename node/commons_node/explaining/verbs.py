"""The verb that says why an operation counts, or does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from commons_crdt.ids import OperationId
from commons_crdt.operation import decode_header
from commons_crdt.texts import _
from commons_node.certainty import OLD_HISTORY, certainty, is_assured
from commons_node.community import Ambiguous, Community, Unknown
from commons_node.explaining.explained import Explaining
from commons_node.proposals.wording import proposed
from commons_node.registry import Column, Reading, Registry, Request, Table, View, argument

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_ITS_HEADER = (
    "SELECT header, (SELECT applied FROM edits e WHERE e.n = o.n) FROM operations o WHERE id = ?"
)


_EXPLAINED = tuple(
    "{kind} by {author}, {time:time}: {verdict}\n{sentence}\n" + rest
    for rest in ("{proposed_by}\n{certainty}", "{certainty}")
)


class OneOperation(msgspec.Struct):
    """Arguments of ``explain``."""

    operation: Annotated[str, argument("the operation's id, or 8 or more digits of it")]


async def explain(request: Request[Daemon], args: OneOperation) -> Reading:
    """Why an operation counts, or does not."""
    daemon = request.node
    found: list[tuple[Community, OperationId]] = []
    wanted = args.operation.strip().lower()
    if not 8 <= len(wanted) <= 64 or any(c not in "0123456789abcdef" for c in wanted):
        raise Unknown(
            what="operation", name=args.operation, list=_("give 8 or more digits of its id")
        )
    for community in daemon.communities.values():
        rows = await community.query(
            "SELECT id FROM operations WHERE id BETWEEN ?1 AND ?2"
            " UNION SELECT id FROM waiting WHERE id BETWEEN ?1 AND ?2 LIMIT 3",
            (bytes.fromhex(wanted.ljust(64, "0")), bytes.fromhex(wanted.ljust(64, "f"))),
        )
        found.extend((community, OperationId(row[0])) for row in rows)
    if not found:
        left_out = any(one.realm.memory.pruned for one in daemon.communities.values())
        where = (
            _("commons-node sync wait; or {old_history}").format(old_history=_(OLD_HISTORY))
            if left_out
            else "commons-node sync wait"
        )
        raise Unknown(what="operation", name=args.operation, list=where)
    if len(found) > 1:
        raise Ambiguous(name=args.operation, found=", ".join(i.hex()[:16] for _, i in found))
    community, ident = found[0]
    explaining = await Explaining.of(community)
    value = await explaining.held(ident) or (await explaining.explain(ident)).json
    value |= await proposed(daemon, ident)
    rows = await community.query(_ITS_HEADER, (ident,))
    header = decode_header(rows[0][0]) if rows else None
    links = []
    for link, ids in (
        (
            ("prev", (header.prev,)),
            ("ref", header.refs),
            ("authority", header.authority),
        )
        if header
        else ()
    ):
        for other in ids:
            past = await community.realm.standing(OperationId(other))
            if past is not None:
                links.append(
                    {
                        "link": link,
                        "operation": other.hex(),
                        "kind": past.kind,
                        "verdict": past.judgement.verdict.name.lower(),
                    }
                )
    applied = rows[0][1] if rows else None
    standing = await community.realm.standing(ident)
    final = standing is not None and community.realm.judge.settled(standing)
    settled = final and await is_assured(community)
    return await community.reading(
        {**value, "applied": applied, "builds_on": links, **certainty(settled)}
    )


REGISTRY = Registry(
    views=(
        View("explain", "Why an operation counts, or does not.", OneOperation, explain,
             says=_EXPLAINED,
             table=Table("because", (Column("sentence", "Because"),
                                     Column("operation", "Id", "id")))),
    ),
)  # fmt: skip
