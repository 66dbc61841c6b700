"""A disk in memory that keeps what was committed, and loses the rest when the power goes.

The store of the daemon runs on it unchanged: SQLite does the SQL, this does the waiting and the
failing. Source of what is promised: https://sqlite.org/atomiccommit.html, `synchronous = FULL`.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, cast

from commons_node.store.connection import Connection
from commons_node.store.database import Database
from commons_node.store.realm_schema import REALM_SCHEMA

_SLOW_S = 0.15
"""From when on a commit is slow."""


class PowerLost(Exception):
    """The power went while this was being done."""


class Power:
    """The power of one life of a node; ``fuse`` statements of a transaction until it goes."""

    def __init__(self, goes: Callable[[], None]) -> None:
        """``goes`` is called once, when the fuse burns through."""
        self.on = True
        self.fuse: int | None = None
        self._goes = goes

    def need(self) -> None:
        """Raise ``PowerLost`` without power."""
        if not self.on:
            raise PowerLost

    def spend(self) -> None:
        """One statement of a transaction."""
        self.need()
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse <= 0:
                self._goes()
                raise PowerLost


class Disk:
    """The platter: it outlives every life of its node."""

    def __init__(self) -> None:
        """Empty, with the schema of a realm."""
        self._platter = sqlite3.connect(":memory:", isolation_level=None, cached_statements=256)
        for script in REALM_SCHEMA:
            self._platter.executescript(script)
        self.torn = 0
        """Transactions that were cut off in the middle."""
        self.slow = 0
        """Commits that took so long that a person would notice."""

    def copy_from(self, other: Disk) -> None:
        """Hold what another disk holds, as a clone of it."""
        other._platter.backup(self._platter)

    def rows(self, query: str, arguments: Sequence[object] = ()) -> list[Any]:
        """What is on the platter now; for whoever checks the simulation, at no cost of time."""
        return self._platter.execute(query, arguments).fetchall()

    def database(self, power: Power, write_s: Callable[[], float]) -> Database:
        """The disk as the store opens it; ``write_s``: how long the next commit takes."""
        shared = _Shared(self, self._platter, power, write_s)
        write = cast("Connection", _Connection(shared, waits=False))
        read = cast("Connection", _Connection(shared, waits=True))
        return Database(Path("simulated"), write, read)

    def lose_power(self) -> None:
        """What was not committed is gone."""
        if self._platter.in_transaction:
            self._platter.rollback()
            self.torn += 1


class _Shared:
    """One open disk: its two connections see each other's transaction."""

    def __init__(
        self, disk: Disk, platter: sqlite3.Connection, power: Power, write_s: Callable[[], float]
    ) -> None:
        self.disk = disk
        self.platter = platter
        self.power = power
        self.write_s = write_s
        self.writer: asyncio.Task[Any] | None = None
        self.free = asyncio.Event()
        self.free.set()


class _Connection:
    """As much of ``Connection`` as the store uses."""

    def __init__(self, shared: _Shared, *, waits: bool) -> None:
        """``waits``: reads stand behind a transaction that is being written."""
        self._shared = shared
        self._waits = waits

    async def _ready(self) -> None:
        shared = self._shared
        shared.power.need()
        while self._waits and not shared.free.is_set() and shared.writer is not _task():
            await shared.free.wait()
            shared.power.need()

    async def _statement(self, run: Callable[[], sqlite3.Cursor]) -> sqlite3.Cursor:
        await self._ready()
        if self._shared.platter.in_transaction and self._shared.writer is _task():
            self._shared.power.spend()
        return run()

    async def begin(self) -> None:
        await self._ready()
        self._shared.platter.execute("BEGIN IMMEDIATE")
        self._shared.writer = _task()
        self._shared.free.clear()

    async def execute(self, sql: str, arguments: Sequence[object] = ()) -> None:
        await self._statement(lambda: self._shared.platter.execute(sql, arguments))

    async def execute_fetchall(self, sql: str, arguments: Sequence[object] = ()) -> list[Any]:
        cursor = await self._statement(lambda: self._shared.platter.execute(sql, arguments))
        return cursor.fetchall()

    async def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        await self._statement(lambda: self._shared.platter.executemany(sql, rows))

    async def commit(self) -> None:
        shared = self._shared
        shared.power.spend()
        clock = asyncio.get_running_loop().time
        began, seconds = clock(), shared.write_s()
        if seconds:
            await asyncio.sleep(seconds)
        shared.power.need()
        shared.platter.commit()
        shared.disk.slow += clock() - began >= _SLOW_S
        self._end()

    async def rollback(self) -> None:
        if self._shared.power.on and self._shared.platter.in_transaction:
            self._shared.platter.rollback()
        self._end()

    def _end(self) -> None:
        self._shared.writer = None
        self._shared.free.set()

    async def close(self) -> None:
        """The platter stays."""


def _task() -> asyncio.Task[Any] | None:
    return asyncio.current_task()
