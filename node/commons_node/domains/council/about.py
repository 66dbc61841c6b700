"""What a member proposed to the council, put to the vote, and endorsed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from commons_crdt.ids import OperationId
from commons_crdt.texts import N_
from commons_node.community import Actor, Community
from commons_node.domains.council.saying import KINDS, said_to_council
from commons_node.domains.domain import About
from commons_node.moments import moment
from commons_node.store.database import placeholders

if TYPE_CHECKING:
    from commons_node.daemon import Daemon


async def _mine(_daemon: Daemon, community: Community, actor: Actor) -> Sequence[object]:
    own, kinds = community.grants_of(actor.member), sorted(KINDS)
    rows = await community.query(
        "SELECT id, kind, time_ms FROM operations"  # noqa: S608 - own clause
        f" WHERE kind IN ({placeholders(len(kinds))}) AND origin IN ({placeholders(len(own))})"
        " ORDER BY n",
        [*kinds, *own],
    )
    said = await said_to_council(community, {OperationId(row[0]): row[1] for row in rows})
    return [
        {
            "operation": ident,
            "kind": kind,
            "time": moment(time_ms),
            "says": said.get(OperationId(ident)),
        }
        for ident, kind, time_ms in rows
    ]


ABOUT = (
    About(
        "council.json",
        N_("what {name} proposed to the council, put to the vote and endorsed"),
        "operation, kind, time, says",
        _mine,
    ),
)
