"""Telling members that what they wrote counts otherwise than before, in words that they understand.

Source: ARCHITECTURE §3 "Every verdict explains itself"; the event `flip` in the reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from commons_crdt.ids import MemberId
from commons_crdt.verdict import Judgement
from commons_node.community import Community
from commons_node.explaining.explained import Explaining
from commons_node.realm.revised import Flip
from commons_node.store.database import fetch, placeholders

MOST_MEMBERS = 64
"""Members whose flips are told one by one; the others read the views again."""
MOST_LISTED = 16
"""Operations of one member that are listed; all are counted."""
_IN = 500


async def told(community: Community, flips: Sequence[Flip]) -> list[Mapping[str, object]]:
    """One event for each member whose acts were touched, most touched first."""
    by_id = {flip.id: flip for flip in flips}
    touched: dict[MemberId, list[tuple[Flip, str]]] = {}
    grants = community.realm.judge.authority.grants
    ids = list(by_id)
    for i in range(0, len(ids), _IN):
        chunk = ids[i : i + _IN]
        query = f"SELECT id, kind, origin FROM operations WHERE id IN ({placeholders(len(chunk))})"  # noqa: S608 - own clauses
        for ident, kind, origin in await fetch(
            community.realm.store.database.read, f"{query} ORDER BY n", chunk
        ):
            granted = grants.get(origin)
            if granted is not None:
                touched.setdefault(granted.member, []).append((by_id[ident], kind))
    most = sorted(touched.items(), key=lambda one: (-len(one[1]), one[0]))[:MOST_MEMBERS]
    explaining = await Explaining.of(community)
    return [
        {
            "community": community.id,
            "member": member.hex(),
            "count": len(some),
            "operations": [await _one(explaining, *one) for one in some[:MOST_LISTED]],
        }
        for member, some in most
    ]


async def _one(explaining: Explaining, flip: Flip, kind: str) -> Mapping[str, object]:
    """One act: its sentence is that of ``explain`` now, which may be later than the flip."""
    explained = await explaining.explain(flip.id)
    return {
        "operation": flip.id.hex(),
        "kind": kind,
        "before": _said(flip.before),
        "after": _said(flip.after),
        "sentence": explained.sentence,
        "because": list(explained.because),
    }


def _said(judgement: Judgement) -> Mapping[str, str]:
    return {"verdict": judgement.verdict.name.lower(), "reason": judgement.reason}
