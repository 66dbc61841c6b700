"""Opening SQLite as this project wants it: WAL, durable commits, a schema version that is checked.

Knows nothing of operations or realms.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from commons_crdt.errors import CommonsError
from commons_node.store.connection import Connection
from commons_node.store.upgrading import PATIENCE_S, Unusable, migrate

_ON_DAMAGE: WeakKeyDictionary[Connection, Callable[[], None]] = WeakKeyDictionary()
_DAMAGE = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
"""How the names of SQLite's results begin that say so."""
_CLOSED = frozenset(
    {"Connection closed", "no active connection", "Cannot operate on a closed database."}
)
"""What aiosqlite, and SQLite behind it, say of a connection that was closed."""


class Damaged(CommonsError):
    """A file of this node is damaged: {why}."""

    code: ClassVar[str] = "database"
    hint: ClassVar[str] = (
        "it is made anew of what reads and of what other nodes have; commons-node status says how"
        " far that is"
    )
    status = "failed"


class Closed(CommonsError):
    """A file of this node is closed: it is being made anew, or the node stops."""

    code: ClassVar[str] = "database"
    hint: ClassVar[str] = "try again in a moment; commons-node status says what came of it"
    status = "failed"


class Database:
    """One SQLite file with a writing and a reading connection.

    Every read is one call, so that no statement stays open: an open one would pin an old snapshot,
    and a later reader of the same connection would not see what was committed in between.
    """

    def __init__(self, path: Path, write: Connection, read: Connection) -> None:
        """Use ``open_database``."""
        self.path = path
        self.write = write
        self.read = read

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Everything or nothing; durable when the block ends.

        What returns nothing is done with the next that does: see ``Connection``.

        Cancelled or failed at any step, a commit included, it leaves no transaction open.
        Raises ``Unusable``, for instance when the disk is full.
        """
        write = self.write  # to its end, whatever is swapped in meanwhile
        await write.begin()
        try:
            yield write
            await write.commit()
        except BaseException as error:
            if _is_closed(error):
                raise Closed from error
            with suppress(sqlite3.DatabaseError):
                await write.rollback()
            if not isinstance(error, sqlite3.DatabaseError):
                raise
            if (damage := _damage(write, error)) is not None:
                raise damage from error
            if not isinstance(error, sqlite3.OperationalError):
                raise
            raise Unusable(file=self.path.name, why=error) from error

    def on_damage(self, tell: Callable[[], None]) -> None:
        """Call ``tell`` each time that SQLite finds the file damaged while it is used."""
        _ON_DAMAGE[self.write] = _ON_DAMAGE[self.read] = tell

    def swap(self, other: Database) -> None:
        """Use another one's connections from now on; the caller has closed these."""
        self.write, self.read = other.write, other.read

    async def forget_erased(self) -> bool:
        """Fold the WAL into the file and cut it off: what was erased is in neither afterwards.

        False while somebody reads an older state or writes: the WAL stays until the next call.
        """
        try:
            ((busy, _frames, _folded),) = await fetch(self.write, "PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.OperationalError:  # this connection is in the middle of a transaction
            return False
        return not busy

    async def close(self) -> None:
        """Close both connections; the WAL is folded into the file."""
        await self.read.close()
        await self.write.close()


async def fetch(connection: Connection, query: str, arguments: Sequence[object] = ()) -> list[Any]:
    """All rows of one query, in one call to the connection's thread.

    Raises ``Damaged``, and ``Closed`` while the file is being made anew.
    """
    try:
        return list(await connection.execute_fetchall(query, arguments))
    except (ValueError, sqlite3.DatabaseError) as error:
        if _is_closed(error):
            raise Closed from error
        if (damage := _damage(connection, error)) is not None:
            raise damage from error
        raise


def _is_closed(error: BaseException) -> bool:
    return isinstance(error, (ValueError, sqlite3.ProgrammingError)) and str(error) in _CLOSED


def is_damage(error: BaseException) -> bool:
    """Whether SQLite says that a file is damaged."""
    return getattr(error, "sqlite_errorname", "").startswith(_DAMAGE)


def _damage(connection: Connection, error: Exception) -> Damaged | None:
    """What to raise where SQLite says that the file is damaged; whoever mends it is told."""
    if not is_damage(error):
        return None
    if (tell := _ON_DAMAGE.get(connection)) is not None:
        tell()
    return Damaged(why=error)


async def open_database(path: Path, schema: Sequence[str]) -> Database:
    """Open or create ``path``; ``schema`` is the list of migration scripts, oldest first.

    An empty script stands for a schema that nothing leads on from; a new file starts behind it.
    Raises ``TooNew``, ``TooOld``, ``NoRoom`` or ``Unusable``; the file is then as it was.
    """
    try:
        await asyncio.to_thread(migrate, path, schema)
        write = await _connect(path)
        try:
            read = await _connect(path, "query_only = ON")
        except BaseException:
            await write.close()
            raise
    except sqlite3.Error as error:
        raise Unusable(file=path.name, why=str(error)) from error
    return Database(path, write, read)


async def _connect(path: Path, *more: str) -> Connection:
    connection = Connection(path, isolation_level=None, cached_statements=256, timeout=PATIENCE_S)
    await connection
    for pragma in (
        "synchronous = FULL",
        "foreign_keys = ON",
        "secure_delete = ON",  # what is erased is overwritten, in free pages too
        "temp_store = MEMORY",
        "cache_size = -16000",
        *more,
    ):
        try:
            await connection.execute(f"PRAGMA {pragma}")
        except BaseException:
            await connection.close()
            raise
    return connection


async def snapshot(database: Database) -> Connection:
    """Another reading connection, which sees what is committed now and nothing later.

    As long as it is open the WAL only grows: close it soon. Raises ``Damaged``.
    """
    try:
        connection = await _connect(database.path, "query_only = ON")
    except sqlite3.DatabaseError as error:
        if (damage := _damage(database.read, error)) is not None:
            raise damage from error
        raise
    if (tell := _ON_DAMAGE.get(database.read)) is not None:
        _ON_DAMAGE[connection] = tell
    try:
        await connection.execute("BEGIN")
        await fetch(connection, "SELECT 1 FROM sqlite_master LIMIT 1")  # it begins to see here
    except BaseException:
        await connection.close()
        raise
    return connection


def placeholders(count: int) -> str:
    """``?,?,?`` for an IN list."""
    return ",".join("?" * count)
