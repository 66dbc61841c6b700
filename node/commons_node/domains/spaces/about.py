"""A member's check-ins: where they were, until when, and to whom they showed it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from commons_crdt.ids import DocumentId, MemberId
from commons_crdt.texts import N_
from commons_node.community import Actor, Community
from commons_node.domains.domain import About
from commons_node.domains.own.about import own_realm
from commons_node.domains.spaces.finding import space_of
from commons_node.domains.spaces.mine import mine
from commons_node.moments import moment

if TYPE_CHECKING:
    from commons_node.daemon import Daemon


async def _mine(daemon: Daemon, community: Community, actor: Actor) -> Sequence[object]:
    own = await own_realm(daemon, actor.member)
    if own is None:
        return []
    names, rows = await community.names(), []
    for one in await mine(own, community.realm.realm):
        space = await space_of(community, DocumentId(one.entry.space))
        rows.append(
            {
                "checkin": one.entry.id,
                "space": one.entry.space,
                "space_name": space.name if space is not None else None,
                "since": moment(one.entry.at_ms),
                "until": moment(one.ends_ms),
                "state": one.state(daemon.now_ms()),
                "shown": [
                    {
                        "operation": told.operation,
                        "time": moment(told.at_ms),
                        "to": [names.get(MemberId(to), to.hex()[:8]) for to in told.members],
                    }
                    for told in one.shown
                ],
            }
        )
    return rows


ABOUT = (
    About(
        "checkins.json",
        N_("where {name} checked in, and who was shown it (no name: all)"),
        "checkin, space, space_name, since, until, state, shown",
        _mine,
    ),
)
