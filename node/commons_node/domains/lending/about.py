"""The loans in which a member is a party: borrower, or who took one of the steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from commons_crdt.ids import MemberId
from commons_crdt.texts import N_
from commons_node.community import Actor, Community
from commons_node.domains.domain import About
from commons_node.domains.lending.loans import loans
from commons_node.domains.lending.rows import rows_of

if TYPE_CHECKING:
    from commons_node.daemon import Daemon


async def _mine(daemon: Daemon, community: Community, actor: Actor) -> Sequence[object]:
    def node_of(member: bytes, device: bytes) -> str | None:
        return daemon.node_of(community, member, device)

    rows = await rows_of(community, await loans(community), daemon.now_ms(), node_of)
    return [row for row in rows if _party(row, actor.member)]


def _party(row: Mapping[str, Any], member: MemberId) -> bool:
    return member.hex() in {row["borrower"], *(step["member"] for step in row["steps"])}


ABOUT = (
    About(
        "loans.json",
        N_("the loans in which {name} is a party, step by step"),
        "loan, resource, name, borrower, state, from, due, overdue, forgiven, steps",
        _mine,
    ),
)
