"""Files that this program cannot or must not use: refused with a reason, left as they are."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sqlite3
from pathlib import Path

import pytest
from tests.unit.rooms import Rooms, bytes_of, note, village
from tests.unit.tales import plain
from tests.unit.town import town

from commons_crdt.ids import RealmId
from commons_node.realm.memory import Foreign
from commons_node.store.database import Closed, Database, fetch, open_database
from commons_node.store.upgrading import TooNew, TooOld, Unusable

SCHEMA = ("CREATE TABLE things (n INTEGER PRIMARY KEY) ",)


async def test_a_newer_file_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    file = sqlite3.connect(path)
    file.execute("PRAGMA user_version = 7")
    file.execute("CREATE TABLE theirs (n)")
    file.close()
    before = path.read_bytes()
    with pytest.raises(TooNew) as refused:
        await open_database(path, SCHEMA)
    assert "newer version" in str(refused.value)
    assert refused.value.way_out, "it says what to do"
    assert path.read_bytes() == before


async def test_a_file_from_before_rules_that_hold_no_more_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    await (await open_database(path, SCHEMA)).close()
    with pytest.raises(TooOld, match="early version") as refused:
        await open_database(path, ("", *SCHEMA))
    assert refused.value.way_out, "it says what to do"
    new = await open_database(tmp_path / "b.db", ("", *SCHEMA))
    assert await fetch(new.read, "SELECT * FROM things") == [], "a new file starts behind it"
    assert await fetch(new.read, "PRAGMA user_version") == [(2,)]
    await new.close()
    await (await open_database(tmp_path / "b.db", ("", *SCHEMA))).close()


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"dear diary " * 1000)
    with pytest.raises(Unusable):
        await open_database(path, SCHEMA)
    assert path.read_bytes() == b"dear diary " * 1000
    with pytest.raises(Unusable):
        await open_database(tmp_path, SCHEMA)
    with pytest.raises(Unusable):
        await open_database(tmp_path / "nowhere" / "a.db", SCHEMA)


async def test_a_schema_is_made_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    await (await open_database(path, SCHEMA)).close()
    broken = (*SCHEMA, "CREATE TABLE more (n); CREATE TABLE things (n)")
    with pytest.raises(Unusable):
        await open_database(path, broken)
    better = (*SCHEMA, "CREATE TABLE more (n)")
    database = await open_database(path, better)
    assert await fetch(database.read, "PRAGMA user_version") == [(2,)]
    assert await fetch(database.read, "SELECT * FROM more") == []
    await database.close()


def _read_only(path: Path, answers: object) -> None:
    asyncio.run(asyncio.to_thread(int))  # what is loaded late must be loaded while it may be
    if os.getuid() == 0:
        os.setgid(65534)
        os.setuid(65534)

    async def attempt() -> str:
        try:
            database = await open_database(path, SCHEMA)
        except Unusable as error:
            return str(error)
        await database.close()
        return "opened"

    answers.put(asyncio.run(attempt()))  # type: ignore[attr-defined]  # a queue between processes


async def test_a_file_that_may_only_be_read_says_so(tmp_path: Path) -> None:
    folder = Path("/tmp") / f"commons-read-only-{os.getpid()}"  # noqa: S108 - others must reach it
    folder.mkdir(mode=0o755)
    path = folder / "a.db"
    try:
        await (await open_database(path, SCHEMA)).close()
        path.chmod(0o444)
        context = multiprocessing.get_context("spawn")
        answers = context.Queue()
        child = context.Process(target=_read_only, args=(path, answers))
        child.start()
        said = await asyncio.to_thread(answers.get, timeout=120)
        child.join()
        assert "a.db cannot be used" in said, f"refused with a reason: {said}"
    finally:
        path.unlink()
        folder.rmdir()


async def test_a_transaction_ends_however_it_ends(tmp_path: Path) -> None:
    database = await open_database(tmp_path / "a.db", SCHEMA)

    async def fail(error: BaseException) -> None:
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO things VALUES (1)")
            raise error

    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error):
            await fail(error())
    async with database.transaction() as connection:
        await connection.execute("INSERT INTO things VALUES (2)")
        assert await fetch(database.read, "SELECT n FROM things") == [], "not yet for readers"
    assert await fetch(database.read, "SELECT n FROM things") == [(2,)]
    with pytest.raises(sqlite3.OperationalError):
        await database.read.execute("INSERT INTO things VALUES (3)")
    await database.close()


async def test_the_file_of_another_community_is_refused(rooms: Rooms) -> None:
    home, _ = plain()
    room = await rooms.open("a", home, *bytes_of(home))
    await room.close()
    rooms.opened.remove(room)
    stranger = town(salt=lambda: bytes([1] * 32))
    assert stranger.realm != home.realm
    with pytest.raises(Foreign):
        await rooms.open("a", stranger)
    assert RealmId(home.realm)


async def test_views_that_changed_are_folded_anew(rooms: Rooms) -> None:
    """A newer program has other columns, or a view that was not there."""
    home, people = village()
    note(home, people.bob, 4)
    room = await rooms.open("a", home, *bytes_of(home))
    facts = await room.facts()
    await room.close()
    rooms.opened.remove(room)
    file = sqlite3.connect(room.path)
    file.executescript(
        "DROP TABLE v_notes; CREATE TABLE v_notes (key BLOB PRIMARY KEY, old TEXT) WITHOUT ROWID;"
        "INSERT INTO v_notes VALUES (x'00', 'as it was'); DROP TABLE v_loans;"
    )
    file.close()
    room = await rooms.open("a", home)
    assert await room.facts() == facts


async def test_whoever_reads_while_a_file_is_closed_is_told_so(tmp_path: Path) -> None:
    """Whatever of the two comes first: the answer, or one of SQLite's or of the library's noes."""
    told: list[str] = []

    async def steps(count: int) -> None:
        for _ in range(count):
            await asyncio.sleep(0)

    async def closes(database: Database) -> None:
        await steps(5)
        await database.close()

    async def reads(database: Database, turn: int) -> None:
        await steps(turn)
        try:
            await fetch(database.read, "SELECT 1")
        except Closed as error:
            told.append(error.code)
        else:
            told.append("read")

    for _ in range(30):
        database = await open_database(tmp_path / "a.db", SCHEMA)
        async with asyncio.TaskGroup() as group:
            group.create_task(closes(database))
            for turn in range(40):
                group.create_task(reads(database, turn))
    assert len(told) == 30 * 40
    assert set(told) == {"read", "database"}
