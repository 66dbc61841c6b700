"""Statements that return nothing go to the connection's thread with the next that does."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commons_node.store.connection import _MOST
from commons_node.store.database import Closed, Database, fetch, open_database
from commons_node.store.upgrading import Unusable

SCHEMA = ("CREATE TABLE things (n INTEGER PRIMARY KEY, name TEXT NOT NULL) ",)
PUT = "INSERT INTO things VALUES (?,?)"
ALL = "SELECT n, name FROM things ORDER BY n"


class _Back(Exception):
    """Somebody thought better of it."""


class Trips:
    """Counts the ways to the threads of all connections."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        plain = aiosqlite.Connection._execute

        async def counted(at: aiosqlite.Connection, fn: Callable[..., Any], *given: Any) -> Any:
            self.count += 1
            return await plain(at, fn, *given)  # type: ignore[no-untyped-call]

        monkeypatch.setattr(aiosqlite.Connection, "_execute", counted)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await open_database(tmp_path / "a.db", SCHEMA)
    yield opened
    await opened.close()


async def test_a_transaction_is_two_trips(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    trips = Trips(monkeypatch)
    async with database.transaction() as connection:
        await connection.execute(PUT, (1, "drill"))
        await connection.executemany(PUT, ((n, "chair") for n in (2, 3)))
        assert trips.count == 0, "nothing was asked for yet"
        seen = await fetch(database.write, ALL)
        assert seen == [(1, "drill"), (2, "chair"), (3, "chair")], "who reads there sees all"
        assert trips.count == 1
        assert await fetch(database.read, ALL) == [], "and nobody else does"
        trips.count = 1
        await connection.execute("UPDATE things SET name = 'ladder' WHERE n = 2")
    assert trips.count == 2
    assert await fetch(database.read, ALL) == [(1, "drill"), (2, "ladder"), (3, "chair")]
    await database.write.execute("DELETE FROM things")
    assert await fetch(database.read, ALL) == [], "outside of one nothing waits"


async def test_what_waits_is_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    trips = Trips(monkeypatch)
    async with database.transaction() as connection:
        for n in range(3 * _MOST):
            await connection.execute(PUT, (n, "chair"))
            assert len(connection._later or ()) < _MOST
        assert trips.count == 3
    assert await fetch(database.read, "SELECT count(*) FROM things") == [(3 * _MOST,)]


@pytest.mark.parametrize("reads", [False, True])
async def test_a_fault_is_raised_before_the_commit_and_nothing_stays(
    database: Database, reads: bool
) -> None:
    behind = []

    async def fails() -> None:
        async with database.transaction() as connection:
            await connection.execute(PUT, (1, "drill"))
            await connection.execute(PUT, (1, "the same number"))
            await connection.execute(PUT, (2, "chair"))
            if reads:
                await fetch(connection, ALL)
                behind.append("never")

    with pytest.raises(sqlite3.IntegrityError):
        await fails()
    assert behind == []
    assert await fetch(database.write, ALL) == []
    async with database.transaction() as connection:
        await connection.execute(PUT, (3, "ladder"))
    assert await fetch(database.read, ALL) == [(3, "ladder")], "nothing of before came with it"


async def test_who_gives_up_in_the_middle_leaves_nothing_that_waits(database: Database) -> None:
    with suppress(_Back):
        async with database.transaction() as connection:
            await connection.execute(PUT, (1, "drill"))
            raise _Back
    assert await fetch(database.write, ALL) == []
    assert database.write._later is None


async def test_one_transaction_is_not_begun_within_another(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(PUT, (1, "drill"))
        with pytest.raises(RuntimeError):
            await database.write.begin()
    assert await fetch(database.read, ALL) == [(1, "drill")], "it took nothing from the outer one"


async def test_a_file_that_is_made_anew_meanwhile_is_not_taken_for_written(
    tmp_path: Path,
) -> None:
    database = await open_database(tmp_path / "a.db", SCHEMA)

    async def writes() -> None:
        async with database.transaction() as connection:
            await connection.execute(PUT, (1, "drill"))
            await database.close()
            database.swap(await open_database(tmp_path / "a.db", SCHEMA))

    with pytest.raises(Closed):
        await writes()
    assert await fetch(database.read, ALL) == []
    await database.close()


async def test_a_file_that_somebody_else_writes_is_waited_for_and_then_refused(
    tmp_path: Path,
) -> None:
    database = await open_database(tmp_path / "a.db", SCHEMA)
    await database.write.execute("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unusable):
        async with database.transaction() as connection:
            await connection.execute(PUT, (1, "drill"))
    other.execute("ROLLBACK")
    other.close()
    async with database.transaction() as connection:
        await connection.execute(PUT, (2, "chair"))
    assert await fetch(database.read, ALL) == [(2, "chair")]
    await database.close()


Step = tuple[str, int]
STEPS = st.tuples(st.sampled_from(("put", "drop", "read", "commit", "back")), st.integers(0, 3))


def at_once(path: Path, steps: list[Step]) -> list[object]:
    """What is seen by whom where nothing waits."""
    file = sqlite3.connect(path, isolation_level=None)
    other = sqlite3.connect(path)
    file.execute("PRAGMA journal_mode = WAL")
    file.execute(SCHEMA[0])
    seen: list[object] = []
    file.execute("BEGIN IMMEDIATE")
    for what, n in [*steps, ("commit", 0)]:
        match what:
            case "put":
                file.execute("INSERT OR REPLACE INTO things VALUES (?,?)", (n, f"{len(seen)}"))
            case "drop":
                file.execute("DELETE FROM things WHERE n = ?", (n,))
            case "read":
                seen.append(file.execute(ALL).fetchall())
            case _:
                file.execute("COMMIT" if what == "commit" else "ROLLBACK")
                seen.append(other.execute(ALL).fetchall())
                file.execute("BEGIN IMMEDIATE")
    file.close()
    other.close()
    return seen


async def in_two_trips(path: Path, steps: list[Step]) -> list[object]:
    """The same by this store's own connections."""
    database = await open_database(path, SCHEMA)
    seen: list[object] = []
    left = [*steps, ("commit", 0)]
    while left:
        with suppress(_Back):
            async with database.transaction() as connection:
                while (step := left.pop(0))[0] not in ("commit", "back"):
                    what, n = step
                    if what == "put":
                        row = (n, f"{len(seen)}")
                        await connection.execute("INSERT OR REPLACE INTO things VALUES (?,?)", row)
                    elif what == "drop":
                        await connection.executemany("DELETE FROM things WHERE n = ?", [(n,)])
                    else:
                        seen.append(await fetch(connection, ALL))
                if step[0] == "back":
                    raise _Back
        seen.append(await fetch(database.read, ALL))
    await database.close()
    return seen


@settings(max_examples=60)
@given(st.lists(STEPS, max_size=30))
def test_everybody_sees_what_they_would_if_nothing_waited(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        expected = at_once(Path(folder) / "plain.db", steps)
        assert asyncio.run(in_two_trips(Path(folder) / "a.db", steps)) == expected
