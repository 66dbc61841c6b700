"""`join`: what an empty node spends on a whole community, and what a seal could spare of it.

The operations of alice's file go into empty realms, in pages as a session brings them, without a
network: as today; without checking signatures, which hash links from a seal's tips could stand in
for; and without documents, which must be folded either way. Read with decisions/0014.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from bench import floor
from bench.ledger import written_after
from bench.processes import cpu
from bench.town import Town, say
from commons_crdt.errors import Refused
from commons_crdt.ids import RealmId
from commons_crdt.operation import Operation, check_contents
from commons_node.domains import RULES, VIEWS
from commons_node.realm.realm import Realm
from commons_node.store.database import open_database
from commons_node.store.realm_schema import REALM_SCHEMA
from commons_node.store.realm_store import RealmStore
from commons_node.verifier.pool import VerifierPool
from commons_node.verifier.work import Check, Checked, check, form

_PAGE = 1000
_CORES = 2
_RUNS = 3
_LATER = 1 << 60

Item = TypeVar("Item")
Result = TypeVar("Result")


class Spent(NamedTuple):
    """Seconds by the clock; CPU seconds of the main process (threads too) and of the workers."""

    seconds: float
    main: float
    workers: float


def measure(town: Town) -> dict[str, object]:
    """``operations``, then for each way ``[seconds, CPU main, CPU workers]``, medians of 3 runs.

    Runs of the ways take turns, so that a busy moment of the machine meets all of them.
    """
    town.filled()
    rows = written_after(town.alice.home, 0)
    plain = floor.verify_and_store(rows, town.folder)
    found = asyncio.run(_measure(town.folder, town.alice.home))
    plain = (plain + floor.verify_and_store(rows, town.folder)) / 2
    return {"operations": len(rows), "floor_seconds": round(plain, 2), **found}


async def _measure(folder: Path, home: Path) -> dict[str, object]:
    (file,) = (home / "realms").glob("*.db")
    realm, operations = _read(file)
    ways: dict[str, Callable[[], VerifierPool]] = {
        "as_today": lambda: VerifierPool(_CORES),
        "unsigned": lambda: Unsigned(_CORES),
    }
    spent: dict[str, list[Spent]] = {}
    states: set[tuple[bytes, bytes]] = set()
    for run in range(_RUNS):
        for way, made in ways.items():
            say(f"run {run + 1}: {way}")
            path = folder / f"{way}-{run}.db"
            pool = made()
            try:
                await pool.warm()
                stored, whole, hashes = await _join(path, realm, operations, pool)
            finally:
                await pool.stop()
            states.add(hashes)
            spent.setdefault(f"{way}, stored and judged", []).append(stored)
            spent.setdefault(f"{way}, whole", []).append(whole)
    if len(states) != 1:
        raise RuntimeError(f"the ways end in {len(states)} states")
    return {way: [round(n, 2) for n in _median(runs)] for way, runs in spent.items()}


def _median(runs: Sequence[Spent]) -> Spent:
    return sorted(runs)[len(runs) // 2]


class Unsigned(VerifierPool):
    """Workers that believe signatures, as who trusts a seal's tips might."""

    async def map(
        self, work: Callable[[Sequence[Any]], list[Any]], items: Sequence[Any], slice_size: int
    ) -> list[Any]:
        """See ``VerifierPool``."""
        return await super().map(believe if work is check else work, items, slice_size)


def believe(items: Sequence[Check]) -> list[Checked]:
    """``check`` without the signatures: contents, and the form of edits."""
    return [_believe(item) for item in items]


def _believe(item: Check) -> Checked:
    try:
        check_contents(item.contents, Operation(item.header, item.signature, item.body, item.parts))
    except Refused as error:
        return Checked(error.why)
    return form(item.body) if item.edit and item.body is not None else Checked()


async def _join(
    path: Path, realm_id: RealmId, operations: Sequence[Operation], pool: VerifierPool
) -> tuple[Spent, Spent, tuple[bytes, bytes]]:
    realm = Realm(
        realm_id, RealmStore(await open_database(path, REALM_SCHEMA)), RULES, VIEWS, pool,
        lambda: _LATER,
    )  # fmt: skip
    try:
        await realm.open()
        clock = _Clock(pool)
        for at in range(0, len(operations), _PAGE):
            await realm.ingest(operations[at : at + _PAGE], "bench")
        stored = clock.spent()
        await realm.settled()
        hashes = await realm.hashes()
        return stored, clock.spent(), hashes
    finally:
        await realm.close()
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)


class _Clock:
    def __init__(self, pool: VerifierPool) -> None:
        self._pool = pool
        self._began = time.monotonic()
        self._main, self._workers = time.process_time(), self._of_workers()

    def _of_workers(self) -> float:
        return sum(sum(cpu(pid).values()) for pid in self._pool.pids())

    def spent(self) -> Spent:
        return Spent(
            time.monotonic() - self._began,
            time.process_time() - self._main,
            self._of_workers() - self._workers,
        )


def _read(file: Path) -> tuple[RealmId, list[Operation]]:
    with closing(sqlite3.connect(file)) as database:
        parts: dict[int, list[bytes | None]] = {}
        for n, part in database.execute("SELECT operation, bytes FROM parts ORDER BY 1, position"):
            parts.setdefault(n, []).append(part)
        query = (
            "SELECT o.n, header, signature, body FROM operations o JOIN chains c ON c.n = o.chain"
            " ORDER BY c.log, o.n"
        )
        found = [
            Operation(header, signature, body, tuple(parts.get(n, ())))
            for n, header, signature, body in database.execute(query)
        ]
    return RealmId(bytes.fromhex(file.stem)), found
