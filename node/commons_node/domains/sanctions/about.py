"""What coordinators took from a member and why, and what the member explained as a coordinator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from commons_crdt.errors import Refused
from commons_crdt.ids import MemberId, OperationId
from commons_crdt.kinds import decode_fact
from commons_crdt.operation import content
from commons_crdt.texts import N_
from commons_node.community import Actor, Community
from commons_node.domains.domain import About
from commons_node.domains.sanctions.facts import NOTE, REASON, Note
from commons_node.moments import moment

if TYPE_CHECKING:
    from commons_node.daemon import Daemon


async def _mine(_daemon: Daemon, community: Community, actor: Actor) -> Sequence[object]:
    """Cuts of the member's chains, and every explained act about them or by them."""
    authority = community.realm.judge.authority
    rows: dict[OperationId, list[str | None]] = {
        one.id: [] for one in authority.cuts if one.member == actor.member
    }
    kinds = {one.id: one.kind for one in authority.cuts}
    for act, ident in await _notes(community):
        standing = await community.realm.standing(act)
        if standing is not None and actor.member in {
            MemberId(standing.document), authority.grants[standing.grant].member,
        }:  # fmt: skip
            rows.setdefault(act, []).append(await community.part(ident, REASON))
    acts = await community.realm.store.standings(rows)
    return [
        {
            "operation": act,
            "act": kinds.get(act, acts[act].kind),
            "member": acts[act].document,
            "by": authority.grants[acts[act].grant].member,
            "time": moment(acts[act].time_ms),
            "reasons": said,
        }
        for act, said in rows.items()
        if act in acts
    ]


async def _notes(community: Community) -> list[tuple[OperationId, OperationId]]:
    """Each explained act, and the note that explains it."""
    found = []
    for ident, body in await community.query(
        "SELECT id, body FROM operations WHERE kind = ? AND verdict = 1 AND body IS NOT NULL"
        " ORDER BY n",
        (NOTE,),
    ):
        try:
            found.append((OperationId(decode_fact(Note, content(body)).about), OperationId(ident)))
        except Refused:
            continue
    return found


ABOUT = (
    About(
        "sanctions.json",
        N_("what coordinators took from {name}, or {name} took as one, with the reasons"),
        "operation, act, member, by, time, reasons",
        _mine,
    ),
)
