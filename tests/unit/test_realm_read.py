"""What a peer is given: the same sequence at any page size, causal, log 0 first, with parts."""

from __future__ import annotations

import random

import pytest
from tests.unit.rooms import Room, Rooms, bytes_of, ident, note, village
from tests.unit.tales import forked
from tests.unit.town import Replica

from commons_crdt.ids import OperationId
from commons_crdt.operation import Operation, decode_header
from commons_protocol.replica import Range


def whole(home: Replica) -> list[Range]:
    """Every chain from its first to its last position."""
    ends: dict[tuple[bytes, int], int] = {}
    for standing in home.standings.values():
        chain = (standing.device, standing.log)
        ends[chain] = max(ends.get(chain, 0), standing.seq)
    return [Range(device, log, 1, seq) for (device, log), seq in ends.items()]  # type: ignore[arg-type]  # keys of DeviceId


async def paged(room: Room, ranges: list[Range], limit: int) -> list[Operation]:
    """All pages of at most ``limit`` bytes, or one operation."""
    found: list[Operation] = []
    after: int | None = None
    while True:
        page, after = await room.realm.read(ranges, after, limit)
        size = sum(len(op.header) + len(op.body or b"") for op in page)
        assert len(page) <= 1 or size <= limit, "a page keeps its size"
        found.extend(page)
        if after is None:
            return found
        assert page, "every page brings something"


async def test_any_page_size_gives_the_same_sequence(rooms: Rooms) -> None:
    home, _ = forked()
    room = await rooms.open("a", home, *bytes_of(home))
    ranges = whole(home)
    expected = await paged(room, ranges, 1 << 20)
    here = {i for i in home.operations if (await room.said(i))[0] is not None}
    assert {ident(op) for op in expected} == here, "siblings included"
    assert len(here) > len(home.operations) - 3
    for limit in (1, 300, 700, 2000, 9000):
        assert await paged(room, ranges, limit) == expected
    logs = [decode_header(op.header).log for op in expected]
    assert logs == sorted(logs), "log 0 comes first, whole"
    seen: set[OperationId] = set()
    for op in expected:
        past = {OperationId(i) for i in decode_header(op.header).antecedents if any(i)}
        assert past <= seen, "nothing comes before what it builds on"
        seen.add(ident(op))
    assert any(part for op in expected for part in op.parts), "parts are attached"


async def test_only_what_was_asked_for(rooms: Rooms) -> None:
    """Few positions of a long log are searched, many are scanned: the answers are the same."""
    home, people = village()
    for n in range(150):
        note(home, people.bob, n)
        note(home, people.eve, n)
    room = await rooms.open("a", home, *bytes_of(home))
    rng = random.Random(5)
    bob, eve = people.bob.device.keys.id, people.eve.device.keys.id
    for _ in range(12):
        first, last = sorted((rng.randrange(1, 151), rng.randrange(1, 151)))
        ranges = [Range(bob, 1, first, last), Range(eve, 1, 7, 9), Range(eve, 1, 12, 12)]
        ranges.append(Range(eve, 0, 1, 5))  # she has written nothing there
        got = [decode_header(op.header) for op in await paged(room, ranges, 3000)]
        assert [h.seq for h in got if h.device == bob] == list(range(first, last + 1))
        assert {h.seq for h in got if h.device == eve} >= {7, 8, 9, 12}
    assert await paged(room, [], 1000) == []


@pytest.mark.parametrize("asked", [40, 2])
async def test_what_comes_between_two_pages_is_not_lost(rooms: Rooms, asked: int) -> None:
    home, people = village()
    for n in range(asked):
        note(home, people.bob, n)
    written = list(home.operations)
    for n in range(200 - asked):
        note(home, people.eve, n)
    known = len(home.operations)
    island = home.island("island")
    for n in range(30):
        note(island, people.bob, n)
    room = await rooms.open("a", home, *bytes_of(home))
    later = bytes_of(island)[known:]
    ranges = [Range(people.bob.device.keys.id, 1, 1, asked + 30)]
    found: list[OperationId] = []
    after: int | None = None
    while True:
        page, after = await room.realm.read(ranges, after, 400)
        found += [ident(op) for op in page]
        if later:
            await room.take(later.pop(0))
        if after is None:
            break
    mine = [i for i in written if home.standings[i].device == people.bob.device.keys.id]
    assert found[:asked] == mine
    assert len(found) == len(set(found)), "nothing twice"
    told = [decode_header(island.operations[i].header).seq for i in found]
    assert told == list(range(1, len(found) + 1)), "and no gap in what was told"
