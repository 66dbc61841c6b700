"""The last room on the disk is for those who live here; when there is room again, it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.disks import Disk, disk
from tests.unit.rooms import Rooms, bytes_of, note, village
from tests.unit.town import NOTE, Number

from commons_crdt.author import Draft
from commons_crdt.roles import Role
from commons_node.disk import MIB, SMALL, DiskShort, Room, watch_room
from commons_node.verifier.pool import VerifierPool


async def test_below_the_reserve_others_wait_and_own_small_acts_go_on(rooms: Rooms) -> None:
    home, people = village()
    room = await rooms.open("a", home, *bytes_of(home))
    left = [10 * MIB]
    room.realm._room = reserve = Room(rooms.folder, 8 * MIB, lambda: left[0])
    bobs = [home.operations[note(home, people.bob, n).id] for n in range(4)]
    assert (await room.take(bobs[0])).new == 1, "there is room enough"
    left[0] = 7 * MIB
    assert reserve.short()
    result = await room.take(*bobs)
    assert (result.new, dict(result.held)) == (0, {"disk": 4}), "nothing of others is taken in"
    given = home.operations[home.give_role(people.alice, people.eve, Role.STEWARD).id]
    assert (await room.take(given)).new == 1, "but who may do what is"
    grant = room.realm.judge.authority.devices[people.cia.device.keys.id].id
    (written,) = await room.realm.write([Draft.fact(NOTE, Number(1))], people.cia.device, grant)
    assert written.judgement.verdict.name == "ACCEPTED", "a return can be signed"
    large = Draft.fact(NOTE, Number(2), parts=[("text", b"x" * SMALL)])
    with pytest.raises(DiskShort, match="7 MiB left, less than the 8 MiB"):
        await room.realm.write([large], people.cia.device, grant)
    left[0] = 3 * MIB
    role = home.operations[home.give_role(people.alice, people.bob, Role.STEWARD).id]
    assert dict((await room.take(role)).held) == {"disk": 1}, "half of the reserve is gone"
    assert reserve.withheld == 5
    left[0] = 100 * MIB
    result = await room.take(role, *bobs)
    assert (result.new, dict(result.held)) == (4, {}), "and all of it comes when there is room"


async def test_who_joins_gets_what_it_asked_for(rooms: Rooms) -> None:
    home, _ = village()
    room = await rooms.open("a", home)
    room.realm._room = Room(rooms.folder, 8 * MIB, lambda: 0)
    result = await room.realm.ingest(bytes_of(home), "join")
    assert result.new == len(home.operations)


async def test_without_a_reserve_nothing_is_looked_at(rooms: Rooms) -> None:
    reserve = Room(rooms.folder / "nowhere", 0)
    assert not reserve.short()
    reserve.check([Draft.fact(NOTE, Number(2), parts=[("text", b"x" * SMALL)])])


async def test_whoever_watches_is_told_of_each_change(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commons_node.disk._LOOK_S", 0)
    left = iter([9, 9, 1, 1, 9, 9])
    told: list[bool] = []

    def hear(*, short: bool) -> None:
        told.append(short)

    with pytest.raises(RuntimeError):  # there is nothing more to look at
        await watch_room(Room(rooms.folder, 4, lambda: next(left)), hear)
    assert told == [True, False]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Disk]:
    with disk(tmp_path / "small", "24m") as made:
        yield made


async def test_a_real_disk_runs_full_and_is_emptied_again(
    small_disk: Disk, pool: VerifierPool
) -> None:
    rooms = Rooms(small_disk.path, pool)
    try:
        home, people = village()
        room = await rooms.open("a", home, *bytes_of(home))
        room.realm._room = left = Room(small_disk.path, 8 * MIB)
        assert not left.short()
        bobs = [home.operations[note(home, people.bob, n).id] for n in range(4)]
        small_disk.fill(leave=4 * MIB)
        assert left.short(), "somebody else has filled it"
        assert dict((await room.take(*bobs)).held) == {"disk": 4}
        grant = room.realm.judge.authority.devices[people.cia.device.keys.id].id
        small_disk.fill(leave=MIB // 2)
        assert left.free <= MIB // 2
        for n in range(5):
            await room.realm.write([Draft.fact(NOTE, Number(n))], people.cia.device, grant)
        small_disk.empty()
        assert (await room.take(*bobs)).new == 4, "by itself, without a restart"
        facts = await room.facts()
        assert len(facts.verdicts) == len(home.operations) + 5
    finally:
        await rooms.close()
