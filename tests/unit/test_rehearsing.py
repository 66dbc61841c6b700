"""A dry run says what the import would do, also where the disk is nearly full."""

from __future__ import annotations

import pytest
from tests.unit.rooms import Rooms, bytes_of, note, village
from tests.unit.town import DAY_MS, START_MS

from commons_node.bundles.rehearsing import NoRoomToRehearse, rehearsal
from commons_node.disk import MIB, Room

VERIFIERS = 1
NOW_MS = START_MS + DAY_MS


async def test_what_the_import_would_hold_for_the_disk_the_dry_run_holds(rooms: Rooms) -> None:
    home, people = village()
    realm = (await rooms.open("a", home, *bytes_of(home))).realm
    bobs = [home.operations[note(home, people.bob, n).id] for n in range(4)]
    left = [100 * MIB]
    realm._room = real = Room(rooms.folder, 8 * MIB, lambda: left[0])
    file = realm.store.database.path
    async with rehearsal(realm, (), NOW_MS, real) as copy:
        # With the copy on the disk, and what comes, less is left: the import has no copy beside it.
        left[0] = 8 * MIB - file.stat().st_size
        assert (await copy.ingest(bobs[:1], "stick")).new == 1
        left[0] = MIB
        dry = await copy.ingest(bobs, "stick")
        assert list(file.parent.glob("*.rehearsal/*.db")), "the copy is there"
    assert (dry.new, dry.known, dict(dry.held)) == (0, 0, {"disk": 4})
    assert real.withheld == 0, "a dry run is not counted"
    left[0] = MIB
    found = await realm.ingest(bobs, "stick")
    assert (found.new, dict(found.held)) == (0, {"disk": 4}), "and the import says the same"


async def test_there_is_no_dry_run_whose_copy_would_take_the_reserve(rooms: Rooms) -> None:
    home, _ = village()
    realm = (await rooms.open("a", home, *bytes_of(home))).realm
    real = Room(rooms.folder, 8 * MIB, lambda: 8 * MIB + 1000)
    with pytest.raises(NoRoomToRehearse, match="keeps 8 MiB free; the disk has 8 MiB left"):
        async with rehearsal(realm, (), NOW_MS, real):
            raise AssertionError("nothing is rehearsed")
    assert not list(rooms.folder.rglob("*rehearsal*")), "and nothing was copied"
