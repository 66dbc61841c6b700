"""`members`: what a community costs each of its nodes as members join, without any network.

At several sizes: bytes on disk, memory and seconds to open the realm, and the main process's CPU
for one more admission (which every node pays), one more fact, the digest after it, and the first
look at where two nodes differ. Each member is an admission and a node's grant in log 0, and a name
in log 1. Read with docs/scale.md.

`python -m bench.members FILE` opens a realm in a fresh process and says what that took.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, closing, suppress
from itertools import count
from pathlib import Path

from bench.processes import pss
from bench.town import Town, say
from bench.village import Village
from commons_crdt.ids import RealmId
from commons_node.domains import RULES, VIEWS
from commons_node.membership.settling import new_device
from commons_node.realm.realm import Realm
from commons_node.store.database import open_database
from commons_node.store.realm_schema import REALM_SCHEMA
from commons_node.store.realm_store import RealmStore
from commons_node.verifier.pool import VerifierPool
from commons_protocol import wire
from commons_protocol.ends import EndSet, Vector
from commons_protocol.ranges import Comparison

SIZES = (100, 500, 1000, 2500, 5000)
_TIMES = 5
_OPEN_S = 300.0


def measure(town: Town) -> dict[str, object]:
    """By number of members."""
    folder = town.folder / "village"
    folder.mkdir()
    return asyncio.run(_grow(folder, town.size.members))


async def _grow(folder: Path, most: int) -> dict[str, object]:
    found: dict[str, object] = {}
    async with AsyncExitStack() as stack:
        pool = VerifierPool(2)
        stack.push_async_callback(pool.stop)
        village = await stack.enter_async_context(Village.founded(folder, pool))
        for members in (size for size in SIZES if size <= most):
            say(f"{members} members")
            began = time.process_time()
            await village.grow(members)
            grown = time.process_time() - began
            found[f"{members} members"] = {"growing_s": round(grown, 1), **await _look(village)}
    return found


async def _look(village: Village) -> dict[str, object]:
    realm = village.realm
    await realm.store.database.write.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
    stored = _stored(village.file)
    opening = _opened(village.file)

    async def admit() -> None:
        await village.take(await village.admissions([new_device()]))

    ends = await realm.vector()
    moving = EndSet()
    for end in ends:
        moving.put(end)
    written = count(ends.ends[-1].seq + 1)

    async def digest() -> None:
        moving.put(ends.ends[-1]._replace(seq=next(written)))
        moving.digest()

    async def fingerprints() -> None:
        Comparison(moving.vector(), 1, bytes(32), 0).opening()

    await digest()
    return {
        **stored,
        **opening,
        "chains": len(ends),
        "compared_bytes": compared(ends, moving.vector(), 1),
        "admission_ms": await _ms(admit),
        "refresh_ms": await _ms(lambda: village.standing.refresh(realm)),
        "fact_ms": await _ms(village.say_something),
        "digest_ms": await _ms(digest),
        "compare_ms": await _ms(fingerprints),
    }


def compared(mine: Vector, theirs: Vector, log: int) -> int:
    """Bytes of all frames in which two nodes find where this log differs."""
    one, other = Comparison(mine, log, bytes(32), 0), Comparison(theirs, log, bytes(32), 0)
    frames, size = one.opening(), 0
    while frames:
        size += sum(map(len, frames))
        answers: list[bytes] = []
        for frame in frames:
            message = wire.unpack_sync(frame)
            assert isinstance(message, wire.Ranges)
            answers += other.on_frame(message)
        frames, one, other = answers, other, one
    return size


async def _ms(work: Callable[[], Awaitable[object]]) -> float:
    """CPU milliseconds of this process, mean."""
    began = time.process_time()
    for _ in range(_TIMES):
        await work()
    return round((time.process_time() - began) / _TIMES * 1000, 2)


def _stored(file: Path) -> dict[str, object]:
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        ((operations,),) = database.execute("SELECT count(*) FROM operations")
        ((zero,),) = database.execute(
            "SELECT count(*) FROM operations o JOIN chains c ON c.n = o.chain WHERE c.log = 0"
        )
        ((masks,),) = database.execute("SELECT sum(length(mask)) FROM masks")
    return {
        "operations": operations,
        "log_zero": zero,
        "file_bytes": file.stat().st_size,
        "mask_bytes": masks,
    }


def _opened(file: Path) -> dict[str, object]:
    """In a process of its own."""
    command = [sys.executable, "-m", "bench.members", str(file)]
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(command, check=True, cwd=root, capture_output=True, timeout=_OPEN_S)
    found: dict[str, object] = json.loads(done.stdout)
    return found


async def _open(file: Path) -> dict[str, object]:
    with closing(sqlite3.connect(file)) as known:
        ((ident,),) = known.execute("SELECT id FROM operations WHERE n = 1")
    before, began = _pss(), time.process_time()
    database = await open_database(file, REALM_SCHEMA)
    pool = VerifierPool(1)
    realm = Realm(RealmId(ident), RealmStore(database), RULES, VIEWS, pool, lambda: 0)
    await realm.open()
    found: dict[str, object] = {
        "open_s": round(time.process_time() - began, 3),
        "open_mb": round((_pss() - before) / 1e6, 1),
    }
    await database.close()
    await pool.stop()
    return found


def _pss() -> int:
    """Bytes of this process in memory now; Linux only, elsewhere 0."""
    with suppress(OSError):
        return pss(Path("/proc/self/smaps_rollup").read_text())
    return 0


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_open(Path(sys.argv[1])))))
