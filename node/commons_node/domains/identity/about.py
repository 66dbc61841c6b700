"""Who guards a member's identity, whom the member guards, and what guardians were asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from commons_crdt.ids import ZERO
from commons_crdt.texts import N_
from commons_node.community import Actor, Community, Names
from commons_node.domains.domain import About
from commons_node.membership.identities import identity
from commons_node.moments import moment

if TYPE_CHECKING:
    from commons_node.daemon import Daemon


async def _mine(_daemon: Daemon, community: Community, actor: Actor) -> Sequence[object]:
    names = Names(await community.names())
    own = identity(community.realm, actor.member)
    rows: list[dict[str, object]] = []
    if own is not None:
        rows += [{"what": "guardian", "member": one, "name": names[one]} for one in own.guardians]
        rows.append({"what": "guardians_needed", "count": own.threshold})
        rows.append({"what": "recovery_key", "set": own.recovery != ZERO})
    for other, state in community.realm.judge.authority.identities.items():
        if actor.member in state.guardians:
            rows.append({"what": "guards", "member": other, "name": names[other]})
    for ident, act, time_ms in await community.query(
        "SELECT key, act, time_ms FROM v_requests WHERE member = ? ORDER BY time_ms, key",
        (actor.member,),
    ):
        asked = {"what": "request", "operation": ident, "act": act, "time": moment(time_ms)}
        rows.append(asked)
    return rows


ABOUT = (
    About(
        "identity.json",
        N_("who guards {name}'s identity, and whose {name} guards"),
        "what, and by that: member, name, count, set, operation, act, time",
        _mine,
    ),
)
