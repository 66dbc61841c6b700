"""Forked devices: where their story splits, what hangs on each branch, and how to end it.

A fork is two signed operations at one place of a chain: a copied home, a restored backup, a lying
disk, or a lie. Nobody has to know which: somebody says which branch is told, and the owner writes
what was lost again from another device.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import ClassVar

from commons_crdt.authority.endings import NOTHING, Ending, Position
from commons_crdt.errors import CommonsError
from commons_crdt.ids import DeviceId, MemberId, OperationId
from commons_crdt.operation import decode_header
from commons_crdt.texts import _
from commons_node.community import Community, Unknown, find
from commons_node.explaining import catalogue

_LIST = "commons-node fork list"
_CHAIN = (
    "SELECT o.id, o.seq, o.kind, o.verdict, o.reason, o.header FROM operations o"
    " JOIN chains c ON c.n = o.chain WHERE c.device = ? AND c.log = ? AND o.seq >= ?"
    " ORDER BY o.seq, o.id"
)
_SHORT = 12


class OfCoordinator(CommonsError):
    """It is a device of {name}, a coordinator: only the council says which story is told."""

    code: ClassVar[str] = "not_permitted"
    hint: ClassVar[str] = (
        "commons-node community propose branch --device {device} --branch {branch}"
    )
    status = "locked"


async def rows(community: Community) -> list[dict[str, object]]:
    """A row for each forked chain."""
    judge = community.realm.judge
    names = await community.names()
    found: list[dict[str, object]] = []
    for (device, log), seq in sorted(judge.forks.items()):
        granted = judge.authority.devices.get(device)
        tips = await branches(community, device, log, seq)
        frozen = judge.end(device, log).why == "fork" and judge.branches.last(device, log) is None
        found.append(
            {
                "device": device.hex(),
                "member": granted.member.hex() if granted else None,
                "name": names.get(granted.member, "?") if granted else "?",
                "log": log,
                "seq": seq,
                "branches": ", ".join(
                    _("{operation} (to {seq})").format(operation=tip.id.hex()[:_SHORT], seq=tip.seq)
                    for tip in tips
                ),
                "tips": [{"operation": tip.id.hex(), "seq": tip.seq} for tip in tips],
                "state": "frozen" if frozen else "told",
                "touches": await touched(community, device),
            }
        )
    return found


async def branches(community: Community, device: DeviceId, log: int, seq: int) -> list[Position]:
    """The last operation of each branch from a doubled place on, ascending by id."""
    known = await community.query(_CHAIN, (device, log, seq))
    continued = {_prev(row[5]) for row in known}
    return sorted(
        (Position(row[1], row[0]) for row in known if row[0] not in continued),
        key=lambda one: one.id,
    )


async def ending_of(
    community: Community, selector: str, operation: OperationId
) -> tuple[MemberId, Ending]:
    """The ending that lets the branch of ``operation`` be told, up to its last operation here."""
    judge = community.realm.judge
    forked = sorted({device for device, _place in judge.forks})
    device = DeviceId(find(_("forked device"), selector, [(d, ()) for d in forked], _LIST))
    positions: list[Position] = []
    named = False
    for log in (0, 1):
        seq = judge.forks.get((device, log))
        if seq is None:
            top = community.realm.memory.top(device, log)
            positions.append(Position(top.seq, top.id) if top else NOTHING)
            continue
        on = await _branch_of(community, device, log, seq, operation)
        named = named or on is not None
        positions.append(on or await _below(community, device, log, seq))
    if not named:
        raise Unknown(what=_("operation of that fork"), name=operation.hex()[:_SHORT], list=_LIST)
    granted = judge.authority.devices[device]
    return granted.member, Ending(device, *positions)


async def touched(community: Community, device: DeviceId) -> list[dict[str, object]]:
    """What the fork does to each member, as a sentence: the owner first, then whoever's acts rest
    on what does not count. Every node tells its own members by itself (``notice list``).
    """
    names = await community.names()
    lost = await community.query(
        "SELECT o.id FROM operations o JOIN chains c ON c.n = o.chain"
        " WHERE c.device = ? AND o.verdict = 3",
        (device,),
    )
    ids = {row[0] for row in lost}
    granted = community.realm.judge.authority.devices.get(device)
    owner = granted.member if granted is not None else None
    found: list[dict[str, object]] = []
    if owner is not None and ids:
        found.append(_sentence(owner, names, len(ids), catalogue.FORK_OWNER))
    counts: Counter[MemberId] = Counter()
    if ids:
        rows_ = await community.query(
            "SELECT o.header, c.device FROM operations o JOIN chains c ON c.n = o.chain"
            " WHERE c.device != ? AND o.n > (SELECT min(o.n) FROM operations o"
            " JOIN chains c ON c.n = o.chain WHERE c.device = ? AND o.verdict = 3)",
            (device, device),
        )
        for header, other in rows_:
            by = community.realm.judge.authority.devices.get(DeviceId(other))
            if by is not None and not by.unattended and not ids.isdisjoint(_refs(header)):
                counts[by.member] += 1
    for member, count in sorted(counts.items()):
        found.append(_sentence(member, names, count, catalogue.FORK_TOUCHED))
    return found


def _sentence(
    member: MemberId, names: Mapping[MemberId, str], count: int, template: str
) -> dict[str, object]:
    name = names.get(member, member.hex()[:8])
    return {
        "member": member.hex(),
        "name": name,
        "count": count,
        "sentence": catalogue.sentence(template, name=name, count=str(count)),
    }


async def _branch_of(
    community: Community, device: DeviceId, log: int, seq: int, operation: OperationId
) -> Position | None:
    """The last operation of the branch that holds ``operation``; None if it is on none."""
    known = {row[0]: row for row in await community.query(_CHAIN, (device, log, seq))}
    if operation not in known:
        return None
    after: dict[bytes, bytes] = {}
    for ident, row in known.items():
        after.setdefault(_prev(row[5]), ident)
    tip = bytes(operation)
    while tip in after:
        tip = after[tip]
    return Position(known[tip][1], tip)


async def _below(community: Community, device: DeviceId, log: int, seq: int) -> Position:
    """The operation before a doubled place."""
    if seq <= 1:
        return NOTHING
    rows_ = await community.query(_CHAIN, (device, log, seq - 1))
    return Position(seq - 1, rows_[0][0])


def _prev(header: bytes) -> bytes:
    return decode_header(header).prev


def _refs(header: bytes) -> tuple[bytes, ...]:
    return decode_header(header).refs
