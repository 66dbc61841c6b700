"""The things that a member described or has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from commons_crdt.texts import N_
from commons_node.community import Actor, Community
from commons_node.domains.domain import About
from commons_node.domains.resources.things import details_of, things

if TYPE_CHECKING:
    from commons_node.daemon import Daemon


async def _mine(_daemon: Daemon, community: Community, actor: Actor) -> Sequence[object]:
    names = await community.names()
    return [
        details_of(one, names)
        for one in await things(community)
        if actor.member in {one.owner, one.custodian}
    ]


ABOUT = (
    About(
        "things.json",
        N_("the things that {name} described or has"),
        "resource, number, name, state, custodian and more",
        _mine,
    ),
)
