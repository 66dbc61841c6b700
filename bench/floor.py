"""The floors: what the same work costs at least, in the plainest Python that does it at all."""

from __future__ import annotations

import sqlite3
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from nacl.bindings import crypto_sign_open

_COMMIT = 1_000
_TAG = b"commons/operation/1\x00"


class Signed(NamedTuple):
    """One operation: what is verified, under which signing key; ``size`` of all of it in bytes."""

    header: bytes
    signature: bytes
    key: bytes
    size: int


class Spent(NamedTuple):
    """Seconds by the clock, and of the processor: on a busy machine they are not the same."""

    seconds: float
    cpu: float


def verify_and_store(rows: Sequence[Signed], folder: Path) -> float:
    """Seconds of ``spent``."""
    return spent(rows, folder).seconds


def spent(rows: Sequence[Signed], folder: Path) -> Spent:
    """To verify all headers on one core, then to store them 1,000 a commit, durably."""
    file = folder / "floor.db"
    began, busy = time.perf_counter(), time.process_time()
    for row in rows:
        crypto_sign_open(row.signature + _TAG + row.header, row.key)
    with _open(file) as database:
        database.execute("CREATE TABLE operations (n INTEGER PRIMARY KEY, header, signature)")
        for at in range(0, len(rows), _COMMIT):
            database.execute("BEGIN")
            database.executemany(
                "INSERT INTO operations VALUES (?,?,?)",
                [
                    (at + n, row.header, row.signature)
                    for n, row in enumerate(rows[at : at + _COMMIT])
                ],
            )
            database.execute("COMMIT")
    found = Spent(time.perf_counter() - began, time.process_time() - busy)
    _remove(database, file)
    return found


def two_commits(folder: Path, runs: int) -> float:
    """Milliseconds (median) of two durable commits of one row, one after the other."""
    file = folder / "floor.db"
    times = []
    with _open(file) as database:
        database.execute("CREATE TABLE operations (n INTEGER PRIMARY KEY, header)")
        for n in range(runs):
            began = time.perf_counter()
            for at in (2 * n, 2 * n + 1):
                database.execute("INSERT INTO operations VALUES (?,?)", (at, bytes(600)))
            times.append(time.perf_counter() - began)
    _remove(database, file)
    return statistics.median(times) * 1000


def _open(file: Path) -> sqlite3.Connection:
    database = sqlite3.connect(file, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    return database


def _remove(database: sqlite3.Connection, file: Path) -> None:
    database.close()
    for suffix in ("", "-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
