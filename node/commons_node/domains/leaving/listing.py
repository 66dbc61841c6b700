"""Receipts as people read them: what each node confirmed, and since when others owe an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from commons_crdt.authority.judge import ERASURE
from commons_crdt.ids import DeviceId, MemberId, OperationId
from commons_crdt.verdict import Verdict
from commons_node.community import Community
from commons_node.domains.leaving.receipts import CLOCKS_MS
from commons_node.moments import moment
from commons_node.realm.erasing import target_of
from commons_node.store.database import placeholders


@dataclass(frozen=True, slots=True)
class Erased:
    """One erasure of something that a member wrote: ``by`` whoever, at a claimed time."""

    id: OperationId
    target: OperationId
    time_ms: int


async def erasures_of(community: Community, member: MemberId) -> list[Erased]:
    """The standing erasures of what this member wrote, their own and coordinators', by age."""
    rows = await community.query(
        "SELECT id, body, time_ms FROM operations WHERE kind = ? AND verdict = 1 ORDER BY n",
        (ERASURE,),
    )
    found = [
        Erased(OperationId(ident), target, time_ms)
        for ident, body, time_ms in rows
        if (target := target_of(body)) is not None
    ]
    grants = community.realm.judge.authority.grants
    standings = await community.realm.store.standings([one.target for one in found])
    return [
        one
        for one in found
        if (known := standings.get(one.target)) is not None and grants[known.grant].member == member
    ]


async def receipts_of(
    community: Community, erased: Sequence[Erased]
) -> dict[DeviceId, dict[OperationId, int]]:
    """By node, the erasures that it has confirmed, with the claimed time of the receipt."""
    wanted = {one.id for one in erased}
    found: dict[DeviceId, dict[OperationId, int]] = {}
    for device, packed, time_ms in await community.query(
        "SELECT v.device, v.erasures, o.time_ms FROM v_receipts v JOIN operations o ON o.id = v.key"
    ):
        for at in range(0, len(packed), 32):
            ident = OperationId(packed[at : at + 32])
            if ident in wanted:
                found.setdefault(DeviceId(device), {})[ident] = time_ms
    return found


async def nodes_of(
    community: Community, erased: Sequence[Erased], own: DeviceId | None
) -> list[dict[str, object]]:
    """A row for each standing node that was one at an erasure, those that owe an answer first."""
    judge = community.realm.judge
    names = await community.names()
    receipts = await receipts_of(community, erased)
    nodes = [
        grant
        for grant in judge.authority.devices.values()
        if grant.unattended
        and grant.verdict is Verdict.ACCEPTED
        and not judge.end(grant.keys.id, 0).why
    ]
    since = await _times(community, [one.id for one in nodes])
    rows = []
    for grant in nodes:
        asked = [one for one in erased if one.time_ms >= since.get(grant.id, 0) - CLOCKS_MS]
        if not asked:
            continue
        confirmed = receipts.get(grant.keys.id, {})
        left = [one.time_ms for one in asked if one.id not in confirmed]
        rows.append(
            {
                "node": grant.keys.id.hex(),
                "member": grant.member.hex(),
                "name": names.get(grant.member, grant.member.hex()[:8]),
                "this": grant.keys.id == own,
                "asked": len(asked),
                "confirmed": len(asked) - len(left),
                "state": "waiting" if left else "confirmed",
                "since": moment(min(left)) if left else None,
                "at": moment(max(confirmed.values())) if confirmed else None,
            }
        )
    return sorted(rows, key=lambda row: (row["state"] == "confirmed", str(row["name"])))


async def _times(community: Community, ids: Sequence[OperationId]) -> Mapping[bytes, int]:
    rows = await community.query(
        f"SELECT id, time_ms FROM operations WHERE id IN ({placeholders(len(ids))})",  # noqa: S608 - own clause
        ids,
    )
    return dict(rows)
