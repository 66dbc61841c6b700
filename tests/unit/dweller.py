"""A process that lives in one room until it is killed, and notes what was acknowledged to it."""

from __future__ import annotations

import asyncio
import os
import random
from functools import cache
from pathlib import Path

from tests.unit.rooms import HOUR_MS, Room, bytes_of, causal, open_room
from tests.unit.tales import forked
from tests.unit.town import NOTE, Number, Person, Replica, erasure

from commons_crdt.author import Draft
from commons_crdt.ids import OperationId
from commons_crdt.roles import Role
from commons_node.verifier.pool import VerifierPool


@cache
def tale() -> tuple[Replica, Person]:
    """What the dweller hears of, and who writes at its node."""
    home = forked()[0].island("dweller")
    return home, home.welcome("fay", Role.MEMBER)


def live(path: Path, acknowledged: Path, seed: int) -> None:
    """Hear, write and erase for ever; each acknowledged id goes to ``acknowledged``."""
    asyncio.run(_live(path, acknowledged, random.Random(seed)))


async def _live(path: Path, acknowledged: Path, rng: random.Random) -> None:
    home, fay = tale()
    pool = VerifierPool(1)
    out = os.open(acknowledged, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    room = await open_room(path, home.realm, pool, home.now_ms + HOUR_MS)
    os.write(out, b"ready\n")
    left = causal(bytes_of(home), rng.randrange)
    while True:
        if left and rng.random() < 0.7:
            size = rng.randrange(1, 5)
            result = await room.take(*left[:size])
            left = left[size:]
            _say(out, result.new_ids)
        else:
            _say(out, await _write(room, fay, rng))


async def _write(room: Room, fay: Person, rng: random.Random) -> list[OperationId]:
    grant = room.realm.judge.authority.devices.get(fay.device.keys.id)
    if grant is None:
        return []
    text = [("text", b"what fay says")]
    drafts = [Draft.fact(NOTE, Number(n), parts=text) for n in range(rng.randrange(1, 4))]
    written = await room.realm.write(drafts, fay.device, grant.id)
    if rng.random() < 0.3:
        standing = await room.realm.standing(written[0].id)
        assert standing is not None
        written += await room.realm.write([erasure(standing)], fay.device, grant.id)
    return [one.id for one in written]


def _say(out: int, ids: object) -> None:
    assert isinstance(ids, list | tuple)
    if ids:
        os.write(out, b"".join(one.hex().encode() + b"\n" for one in ids))


def heard(acknowledged: Path) -> list[bytes]:
    """The ids that were acknowledged; a line that was cut off by the kill does not count."""
    lines = acknowledged.read_bytes().split(b"\n")[:-1] if acknowledged.exists() else []
    return [bytes.fromhex(line.decode()) for line in lines if line != b"ready"]
