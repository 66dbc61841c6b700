"""A connection of aiosqlite that goes to its thread less often.

A way to the thread and back costs more than most statements: two event loops' wakes, and the
interpreter handed over twice. In a transaction what returns nothing therefore waits for the next
call that does, and goes with it, in order. The last of them is the commit.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

Result = TypeVar("Result")
_MOST = 64
"""Statements that wait at most: with them waits what they store."""
_CHUNK = 64
"""Rows that an iteration over a cursor would fetch at once; nothing here iterates."""


class Connection(aiosqlite.Connection):
    """As aiosqlite's, but nobody sees a cursor: whoever wants rows uses ``fetch``.

    Between ``begin`` and ``commit`` a fault of a statement is raised by it or by a later call, the
    commit at the latest; what came after it was done or not, and ``rollback`` undoes it.
    """

    def __init__(self, path: Path, **settings: Any) -> None:
        """``settings``: of ``sqlite3.connect``. To be awaited, which opens the file."""
        super().__init__(partial(sqlite3.connect, path, **settings), _CHUNK)
        self._later: list[Callable[[], object]] | None = None

    async def begin(self) -> None:
        """Begin a transaction that may write; all that follows is in it, until it has ended."""
        if self._later is not None:
            raise RuntimeError("a transaction is within another one")
        self._later = [lambda: self._conn.execute("BEGIN IMMEDIATE")]

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:  # type: ignore[override]  # no cursor
        """One statement that returns nothing."""
        await self._do(partial(self._conn.execute, sql, parameters))

    async def executemany(self, sql: str, parameters: Iterable[Sequence[Any]]) -> None:  # type: ignore[override]  # no cursor
        """One statement for each of the rows."""
        await self._do(partial(self._conn.executemany, sql, list(parameters)))

    async def commit(self) -> None:
        """Do what waits, and commit all."""
        await super().commit()
        self._later = None

    async def rollback(self) -> None:
        """As if nothing since ``begin`` had been."""
        self._later = None
        await super().rollback()

    async def _do(self, work: Callable[[], object]) -> None:
        if self._later is None:
            await self._execute(work)
            return
        self._later.append(work)
        if len(self._later) >= _MOST:
            await self._execute(_nothing)

    async def _execute(self, fn: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
        """Every call of aiosqlite goes through here: what waits goes before it."""
        work = partial(fn, *args, **kwargs)
        if self._later:
            work = partial(_in_order, self._later, work)
            self._later = []
        return await super()._execute(work)  # type: ignore[no-any-return,no-untyped-call]  # so there


def _in_order(before: Iterable[Callable[[], object]], last: Callable[[], Result]) -> Result:
    for one in before:
        one()
    return last()


def _nothing() -> None:
    pass
