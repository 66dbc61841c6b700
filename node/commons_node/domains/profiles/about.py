"""A member's own profile, with the sealed words opened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from commons_crdt.texts import N_
from commons_node.community import Actor, Community
from commons_node.domains.domain import About
from commons_node.domains.profiles.reading import words_of
from commons_node.moments import moment

if TYPE_CHECKING:
    from commons_node.daemon import Daemon


async def _mine(_daemon: Daemon, community: Community, actor: Actor) -> Sequence[object]:
    return [
        {
            "field": one.field,
            "text": one.text,
            "state": one.state,
            "time": moment(one.standing.time_ms),
            "operation": one.operation,
        }
        for one in await words_of(community, actor.member, actor.secrets)
    ]


ABOUT = (
    About(
        "profile.json",
        N_("what {name} said of themselves, opened"),
        "field, text, state, time, operation",
        _mine,
    ),
)
