"""A small file of this node's own, made anew of what still reads of a damaged one.

What nobody else has is kept as far as it reads: rows up to the first broken page of each table.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

from commons_node.store.salvage import Salvage, put_in_place
from commons_node.store.upgrading import migrate

_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"


async def made_anew(path: Path, schema: Sequence[str]) -> Path:
    """A file of the newest schema takes the damaged one's place; where that is kept now.

    Raises sqlite3.Error, OSError; the damaged one is then where it was.
    """
    return await asyncio.to_thread(_made_anew, path, schema)


def _made_anew(path: Path, schema: Sequence[str]) -> Path:
    salvage = Salvage(path)
    fresh = path.with_name(f"{path.stem}.new")
    for tail in ("", "-wal", "-shm"):
        fresh.with_name(fresh.name + tail).unlink(missing_ok=True)
    migrate(fresh, schema)
    with closing(sqlite3.connect(fresh, isolation_level=None)) as file:
        for (table,) in file.execute(_TABLES).fetchall():
            columns = len(file.execute(f"PRAGMA table_info({table})").fetchall())
            marks = ",".join("?" * columns)
            file.execute("BEGIN")
            for row in salvage.rows(table):
                if len(row) == columns:
                    with suppress(sqlite3.IntegrityError):  # a row that cannot have been written
                        file.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)  # noqa: S608 - our own names
            file.execute("COMMIT")
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return put_in_place(fresh, path)
