"""One transaction of the file of jobs, or a part of one; and what SQLite's faults are called."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from commons_crdt.errors import CommonsError
from commons_node.store.database import Damaged, is_damage
from commons_node.store.upgrading import Unusable

_OUTER = ("BEGIN IMMEDIATE", "COMMIT", ("ROLLBACK",))
_NESTED = ("SAVEPOINT part", "RELEASE part", ("ROLLBACK TO part", "RELEASE part"))


@contextmanager
def committing(file: sqlite3.Connection, name: str) -> Iterator[sqlite3.Connection]:
    """Everything or nothing; durable when the outermost one ends.

    Within another one it is a part of it that may fail alone. Raises ``Unusable``, as of a full
    disk, and ``Damaged``; then the outermost one has failed, too. ``name``: of the file.
    """
    begin, end, undo = _NESTED if file.in_transaction else _OUTER
    try:
        file.execute(begin)
        yield file
        file.execute(end)
    except BaseException as error:
        with suppress(sqlite3.Error):
            if file.in_transaction:  # SQLite undoes some faults, as of a full disk, by itself
                for step in undo:
                    file.execute(step)
        if isinstance(error, sqlite3.Error):
            raise _fault(error, name) from error
        raise


def fetched(
    file: sqlite3.Connection, name: str, query: str, arguments: tuple[object, ...]
) -> list[Any]:
    """All rows of a query. Raises ``Damaged``, and ``Unusable`` where the disk gives nothing."""
    try:
        return file.execute(query, arguments).fetchall()
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorname", "SQLITE_ERROR") == "SQLITE_ERROR":
            raise  # a fault of ours
        raise _fault(error, name) from error


def _fault(error: sqlite3.Error, name: str) -> CommonsError:
    return Damaged(why=error) if is_damage(error) else Unusable(file=name, why=error)
