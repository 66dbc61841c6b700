"""Epoch keys made anew: after every cut, and by time, by a coordinator who is unlocked.

An epoch is *due* if somebody's chains were cut and no epoch has all these cuts in its past, or if
the newest one is older than the constitution allows. Who is away finds the new key in log 0, sealed
to their devices; nodes take part under old epochs until they have read it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from commons_crdt.author import Draft
from commons_crdt.authority.facts import Epoch, EpochShare
from commons_crdt.authority.kinds import EPOCH
from commons_crdt.device import DeviceKeys, seal
from commons_crdt.ids import digest
from commons_crdt.roles import Role
from commons_node.community import Actor, Community
from commons_node.realm.authoring import Written

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

log = structlog.get_logger(component="membership")

_DAY_MS = 86_400_000
MAX_SHARES = 384
"""Devices that one epoch operation has room for; more get theirs from a second operation."""


async def due(community: Community, now_ms: int) -> bool:
    """Whether the epoch keys are to be made anew; see the module."""
    authority = community.realm.judge.authority
    cuts = 0
    for cut in authority.cuts:
        cuts |= authority.bit(cut.id)
    newest = 0
    for epoch in authority.epochs:
        standing = await community.realm.standing(epoch)
        if standing is not None and standing.view & cuts == cuts:
            newest = max(newest, standing.time_ms)
    return now_ms - newest >= authority.constitution.epoch_days * _DAY_MS


async def rotate(daemon: Daemon, community: Community, actor: Actor) -> Sequence[Written]:
    """A fresh key for every standing device, durable and in use when it returns."""
    standing = community.realm.judge.authority.standing_devices()
    devices = [standing[device].keys for device in sorted(standing)]
    key = os.urandom(32)  # one for all, or some would not find each other
    drafts = [
        Draft.fact(EPOCH, _body(key, devices[first : first + MAX_SHARES]), log=0)
        for first in range(0, len(devices), MAX_SHARES)
    ]
    results = await community.write(actor, *drafts)
    await daemon.refresh(community.realm)
    log.info("epoch", devices=len(devices), reason=[r.judgement.reason for r in results])
    return results


async def rotate_if_due(daemon: Daemon, community: Community, actor: Actor) -> None:
    """What a coordinator does on the way, when unlocked; not with a device that has just ended."""
    authority = community.realm.judge.authority
    granted = authority.devices.get(actor.device)
    stands = granted is not None and authority.stands(actor.device, granted)
    if actor.role is Role.COORDINATOR and stands and await due(community, daemon.now_ms()):
        await rotate(daemon, community, actor)


def _body(key: bytes, devices: Sequence[DeviceKeys]) -> Epoch:
    shares = tuple(EpochShare(keys.id, seal(key, keys.sealing)) for keys in devices)
    return Epoch(digest("epoch", key), shares)
