"""A node is killed while it hears, writes, erases, judges again: nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import sqlite3
import time
from pathlib import Path

from tests.unit.dweller import heard, live, tale
from tests.unit.rooms import HOUR_MS, bytes_of, open_room

from commons_node.verifier.pool import VerifierPool

KILLS = 21
FILES = 6


async def test_killed_at_any_moment(tmp_path: Path, pool: VerifierPool) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.unit.dweller"])
    home, _ = tale()
    rng = random.Random(7)
    killed = stored = 0
    for n in range(KILLS):
        path = tmp_path / f"{n % FILES}.db"
        acknowledged = tmp_path / f"{n % FILES}.log"
        before = len(heard(acknowledged))
        size = acknowledged.stat().st_size if acknowledged.exists() else 0
        child = context.Process(target=live, args=(path, acknowledged, n))
        child.start()
        deadline = time.monotonic() + 30
        while not acknowledged.exists() or acknowledged.stat().st_size == size:
            assert child.is_alive(), "the node starts from what the kill before has left"
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        await asyncio.sleep(rng.uniform(0, 0.6))
        assert child.is_alive(), "the node runs until it is killed"
        child.kill()
        child.join()
        killed += 1
        said = heard(acknowledged)
        stored += len(said) - before
        file = sqlite3.connect(path)
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        file.close()
        room = await open_room(path, home.realm, pool, home.now_ms + HOUR_MS)
        facts = await room.facts()
        assert None not in await room.said(*said), "everything acknowledged is there"
        await room.realm.fold_again()
        assert await room.facts() == facts, "the rows are those of the operations"
        if n >= KILLS - FILES:
            await room.take(*bytes_of(home))
            told = await room.facts()
            again = await open_room(tmp_path / f"{n}-new.db", home.realm, pool, room.now)
            await again.take(*await room.everything())
            assert await again.facts() == told, "and what it goes on to is what others come to"
            await again.close()
        await room.close()
    assert killed >= 20, "kills have really happened"
    assert stored >= KILLS, "between them the node has worked"
