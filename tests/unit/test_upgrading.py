"""Homes of earlier versions: each schema number has one, and opens to what it held; with a copy."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tests.disks import Disk, disk
from tests.homes import make

from commons_node.doctor.data import opened
from commons_node.jobs.definitions import defined
from commons_node.jobs.queue import Queue
from commons_node.jobs.schema import JOBS_SCHEMA
from commons_node.store.database import fetch, open_database
from commons_node.store.node_store import NODE_SCHEMA, NodeStore
from commons_node.store.realm_schema import REALM_SCHEMA
from commons_node.store.upgrading import NoRoom, TooNew, Unusable, migrate, see_that_all_can
from commons_node.verifier.pool import VerifierPool

FIRST = 4
SLOW = (
    "CREATE TABLE slow (n INTEGER PRIMARY KEY, text BLOB);"
    " INSERT INTO slow SELECT value, zeroblob(2000) FROM"
    " (WITH RECURSIVE c(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM c WHERE value < {rows})"
    " SELECT value FROM c)"
)
context = multiprocessing.get_context("spawn")


def later(rows: int) -> tuple[str, ...]:
    """Today's schema with steps that a later version may have; one of them takes its time."""
    return (*REALM_SCHEMA, "CREATE TABLE later (n INTEGER)", SLOW.format(rows=rows))


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as file:
        ((version,),) = file.execute("PRAGMA user_version").fetchall()
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return int(version)


def copies(folder: Path) -> list[Path]:
    return list(folder.glob("*before*"))


def test_every_schema_number_has_a_home() -> None:
    assert make.lacking() == [], "a migration was added: run make homes, and commit what it writes"


@pytest.mark.parametrize("number", [n for kind, n in make.wanted() if kind == "realm"])
async def test_a_realm_of_an_earlier_schema_opens_to_what_it_held(
    number: int, tmp_path: Path
) -> None:
    _, known = make.of("realm", number)
    path = make.unpacked("realm", number, tmp_path / f"{known['realm']}.db")
    assert version_of(path) == number
    pool = VerifierPool(1)
    try:
        async with opened(path, pool, 1 << 50) as realm:
            of_set, of_state = await realm.hashes()
            assert (of_set.hex(), of_state.hex()) == (known["set"], known["state"])
            await realm.fold_again()
            assert await realm.hashes() == (of_set, of_state), "folded again, too"
    finally:
        await pool.stop()
    assert version_of(path) == len(REALM_SCHEMA)
    assert copies(tmp_path) == [], "the copy goes when the new one was read"


@pytest.mark.parametrize("number", [n for kind, n in make.wanted() if kind == "node"])
async def test_a_node_file_of_an_earlier_schema_opens(number: int, tmp_path: Path) -> None:
    _, known = make.of("node", number)
    path = make.unpacked("node", number, tmp_path / "node.db")
    database = await open_database(path, NODE_SCHEMA)
    store = NodeStore(database)
    try:
        assert [one.hex() for one in await store.realms()] == [known["realm"]]
        assert known["peer"] in [one.node for one in await store.load()]
        assert len(await store.members()) == 1
    finally:
        await database.close()


@pytest.mark.parametrize("number", [n for kind, n in make.wanted() if kind == "jobs"])
def test_a_file_of_jobs_of_an_earlier_schema_opens(number: int, tmp_path: Path) -> None:
    path = make.unpacked("jobs", number, tmp_path / "jobs.db")
    queue = Queue(path, "term", lambda: 0, lambda: 0)
    try:
        assert {"figures", "integrity", "overdue", "tidy"} <= set(defined(queue))
        assert queue.rows("SELECT job, state FROM runs") == [("figures", "done")]
        assert queue.rows("SELECT 1 FROM samples LIMIT 1") == [(1,)]
    finally:
        queue.close()
    assert version_of(path) == len(JOBS_SCHEMA)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A realm's file of an earlier version."""
    return make.unpacked("realm", FIRST, tmp_path / "realm.db")


def test_a_disk_without_room_is_said_before_anything_is_touched(home: Path) -> None:
    before = home.read_bytes()
    with pytest.raises(NoRoom) as told:
        migrate(home, REALM_SCHEMA, free=lambda _path: 1 << 20)
    assert "make room" in told.value.way_out
    assert home.read_bytes() == before
    assert list(home.parent.iterdir()) == [home]


def test_a_home_without_room_for_all_of_it_is_as_it_was(tmp_path: Path) -> None:
    """The node's small file has room, the large one of a community has none: neither is new."""
    files = [
        (make.unpacked("node", 1, tmp_path / "node.db"), NODE_SCHEMA),
        (make.unpacked("realm", FIRST, tmp_path / "realm.db"), REALM_SCHEMA),
        (make.unpacked("jobs", len(JOBS_SCHEMA), tmp_path / "jobs.db"), JOBS_SCHEMA),
    ]
    small, large = (path.stat().st_size for path, _ in files[:2])
    assert small < large
    enough = (16 << 20) + small + 2 * large
    before = [path.read_bytes() for path, _ in files]
    migrate(files[2][0], JOBS_SCHEMA, free=lambda _path: enough - 1)  # alone it would have
    with pytest.raises(NoRoom) as told:
        see_that_all_can(files, free=lambda _path: enough - 1)
    assert "(node.db, realm.db)" in str(told.value)
    assert "jobs.db" not in str(told.value), "it is of this version"
    see_that_all_can(files, free=lambda _path: enough)
    migrate(files[1][0], later(1))
    with pytest.raises(TooNew):
        see_that_all_can(files, free=lambda _path: enough)
    assert files[0][0].read_bytes() == before[0]


def test_a_newer_file_is_refused_and_left_alone(home: Path) -> None:
    migrate(home, later(1))
    before = home.read_bytes()
    with pytest.raises(TooNew) as told:
        migrate(home, REALM_SCHEMA)
    assert told.value.code == "downgrade"
    assert home.read_bytes() == before


def test_a_damaged_copy_of_a_file_keeps_the_one_of_before(home: Path) -> None:
    """What cannot be read through after the steps is said, and the copy stays."""
    migrate(home, REALM_SCHEMA)
    copy = home.with_name("realm.db.before-4")
    make.unpacked("realm", FIRST, copy)
    size = home.stat().st_size
    with home.open("r+b") as out:  # the pages behind the first, which hold the schema
        out.seek(size // 2 // 4096 * 4096)
        out.write(b"\xa5" * 4096 * 3)
    with pytest.raises((Unusable, sqlite3.DatabaseError)):
        migrate(home, REALM_SCHEMA)
    assert version_of(copy) == FIRST


def _upgrade(path: Path, rows: int) -> None:
    try:
        migrate(path, later(rows))
    except (sqlite3.Error, Unusable):
        os._exit(3)


def _started(path: Path, rows: int) -> multiprocessing.process.BaseProcess:
    child = context.Process(target=_upgrade, args=(path, rows))
    child.start()
    return child


@pytest.mark.long
def test_kill_9_in_an_upgrade_leaves_a_file_that_the_next_start_goes_on_from(home: Path) -> None:
    killed = 0
    for _ in range(3):
        child = _started(home, 400_000)
        until = time.monotonic() + 60
        wal = home.with_name("realm.db-wal")
        while not (wal.exists() and wal.stat().st_size > 1 << 20):
            assert child.is_alive(), "the step takes its time"
            assert time.monotonic() < until
            time.sleep(0.005)
        child.kill()
        child.join()
        killed += child.exitcode == -signal.SIGKILL
        assert version_of(home) == len(REALM_SCHEMA) + 1, "at the step before, and whole"
        assert version_of(home.with_name(f"realm.db.before-{FIRST}")) == FIRST, "and the copy"
    assert killed == 3
    migrate(home, later(10))
    assert version_of(home) == len(REALM_SCHEMA) + 2
    assert [one.name for one in home.parent.iterdir()] == ["realm.db"]


def test_a_disk_that_fills_up_in_an_upgrade(tmp_path: Path) -> None:
    with disk(tmp_path / "disk", "24m") as small:
        home = make.unpacked("realm", FIRST, small.path / "realm.db")
        child = _started(home, 20_000)
        child.join(60)
        assert child.exitcode == 3, "it met the end of the disk"
        assert version_of(home) == len(REALM_SCHEMA) + 1, "at the step before, and whole"
        assert version_of(home.with_name(f"realm.db.before-{FIRST}")) == FIRST
        small.remount("size=128m")
        migrate(home, later(20_000))
        assert version_of(home) == len(REALM_SCHEMA) + 2
        assert [one.name for one in small.path.iterdir()] == ["realm.db"]


@pytest.fixture
def sealed_disk(tmp_path: Path) -> Iterator[Disk]:
    """A file system that can be mounted read-only."""
    with disk(tmp_path / "disk", "64m") as made:
        yield made


async def test_a_read_only_disk_is_said_and_nothing_is_lost(sealed_disk: Disk) -> None:
    path = make.unpacked("realm", FIRST, sealed_disk.path / "realm.db")
    before = path.read_bytes()
    sealed_disk.remount("ro")
    with pytest.raises(Unusable):
        await open_database(path, REALM_SCHEMA)
    assert path.read_bytes() == before
    sealed_disk.remount("rw")
    database = await open_database(path, REALM_SCHEMA)
    with suppress(Unusable):
        assert await fetch(database.read, "PRAGMA user_version") == [(len(REALM_SCHEMA),)]
    await database.close()
