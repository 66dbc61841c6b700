"""Where a member's chains shall end: the positions that an act which takes something away lists.

By default that is all that this node has heard. With ``before_ms`` it is what was claimed to be
written by then, for somebody whose keys were stolen on a known day.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from commons_crdt.authority.endings import NOTHING, Ending, Position
from commons_crdt.ids import DeviceId, MemberId, OperationId
from commons_node.community import Community

_MOST_REFS = 16


def devices_of(community: Community, member: MemberId) -> list[DeviceId]:
    """All devices of a member, of their nodes too, in a fixed order."""
    grants = community.realm.judge.authority.devices.values()
    return sorted(grant.keys.id for grant in grants if grant.member == member)


async def endings(
    community: Community, devices: Iterable[DeviceId], before_ms: int | None = None
) -> tuple[Ending, ...]:
    """The endings of these devices, ascending; see the module."""
    found = []
    for device in sorted(devices):
        authority = await _position(community, device, 0, before_ms)
        found.append(Ending(device, authority, await _position(community, device, 1, before_ms)))
    return tuple(found)


async def _position(
    community: Community, device: DeviceId, log: int, before_ms: int | None
) -> Position:
    """The last operation of a chain that is here, claims such a time, and is not void already."""
    end = community.realm.judge.end(device, log)
    rows = await community.query(
        "SELECT o.seq, o.id FROM operations o JOIN chains c ON c.n = o.chain"
        " WHERE c.device = ? AND c.log = ? AND o.seq <= ? AND o.time_ms <= ?"
        " AND (o.seq < ? OR o.id = ?) ORDER BY o.seq DESC LIMIT 1",
        (
            device,
            log,
            _ANY if end.seq is None else end.seq,
            _ANY if before_ms is None else before_ms,
            _ANY if end.id is None or end.seq is None else end.seq,
            end.id,
        ),
    )
    return Position(*rows[0]) if rows else NOTHING


_ANY = 2**62


def past_of(endings_: Sequence[Ending]) -> list[OperationId]:
    """What the act must have in its past, or these logs would be cut at nothing."""
    named = [OperationId(one.authority.id) for one in endings_ if one.authority != NOTHING]
    return named[:_MOST_REFS]
