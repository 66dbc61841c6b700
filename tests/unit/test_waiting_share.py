"""Nobody crowds others out of the table of what waits: whoever has most of it gives way."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from tests.unit.rooms import Room, Rooms, bytes_of, note, village
from tests.unit.town import Person

from commons_crdt.operation import decode_header
from commons_node.store import waiting
from commons_node.store.database import fetch
from commons_node.store.waiting import Aside, Waiting


async def held_by(room: Room, who: Person) -> int:
    query = "SELECT count(*) FROM waiting WHERE author = ?"
    rows = await fetch(room.realm.store.database.write, query, (who.member,))
    return int(rows[0][0])


async def test_who_fills_the_table_gives_way_to_others(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MAX_COUNT", 6)
    home, people = village()
    known = len(home.operations)
    bobs = [home.operations[note(home, people.bob, n).id] for n in range(10)]
    cias = [home.operations[note(home, people.cia, n).id] for n in range(5)]
    room = await rooms.open("a", home, *bytes_of(home)[:known])
    result = await room.take(*bobs[1:])
    assert await held_by(room, people.bob) == 6, "nobody else needs the room"
    assert dict(result.refused) == {"limit": 3}
    result = await room.take(*cias[1:3])
    assert dict(result.refused) == {"limit": 2}, "two of bob's are given up"
    assert await held_by(room, people.cia) == 2, "cia finds room beside him"
    assert await held_by(room, people.bob) == 4
    await room.take(*cias[3:])
    assert await held_by(room, people.cia) == await held_by(room, people.bob) == 3, "and no more"
    result = await room.take(bobs[9])
    assert dict(result.refused) in ({"limit": 1}, {}), "he takes nothing back"
    assert await held_by(room, people.cia) == 3
    await room.take(*bobs, *cias)
    facts = await room.facts()
    assert len(facts.verdicts) == len(home.operations), "all of it comes in the end"


async def test_large_ones_count_by_their_bytes(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MAX_BYTES", 20_000)
    home, people = village()
    known = len(home.operations)
    bobs = [home.operations[note(home, people.bob, n, "x" * 3000).id] for n in range(10)]
    cias = [home.operations[note(home, people.cia, n).id] for n in range(5)]
    room = await rooms.open("a", home, *bytes_of(home)[:known])
    await room.take(*bobs[1:])
    before = await held_by(room, people.bob)
    assert before < 9, "his are too large for all to wait"
    await room.take(*cias[1:])
    assert await held_by(room, people.cia) == 4
    assert await held_by(room, people.bob) >= before - 1


@pytest.mark.parametrize("seed", range(12))
async def test_everybody_has_an_equal_share_in_whatever_order(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    rng = random.Random(seed)
    monkeypatch.setattr(waiting, "MAX_COUNT", 12)
    home, people = village()
    offered = {who: rng.choice([1, 3, 5, 20]) for who in (people.bob, people.cia, people.eve)}
    asides = []
    for who, count in offered.items():
        for n in range(count):
            standing = note(home, who, n)
            asides.append(Aside(standing.id, home.operations[standing.id], "clock"))
    rng.shuffle(asides)
    owner = {bytes(who.device.keys.id): bytes(who.member) for who in offered}
    room = await rooms.open("a", home)
    table: Waiting = room.realm.store.waiting
    lost = 0
    while asides:
        part = [asides.pop() for _ in range(min(len(asides), rng.randint(1, 9)))]
        async with room.realm.store.database.transaction():
            lost += await table.keep(part, owner.__getitem__)
    rows = await fetch(room.realm.store.database.write, "SELECT operation FROM waiting")
    kept = Counter(
        owner[decode_header(waiting._unpack(packed).header).device] for (packed,) in rows
    )
    total, fair = sum(offered.values()), 12 // len(offered)
    assert kept.total() == min(12, total), "all the room is used"
    assert lost == total - kept.total(), "and all that found none is counted"
    for who, count in offered.items():
        assert kept[bytes(who.member)] >= min(count, fair), f"{who.name} is not crowded out"
