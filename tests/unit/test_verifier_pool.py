"""Workers die, hang and swell: batches are retried, and only what does it is held back."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest
from tests.unit.breaking import (
    POISON,
    at_work,
    die_of_poison,
    double,
    hang_on_poison,
    panic_on_poison,
    swell_on_poison,
    together,
    until_there,
)

from commons_node.verifier.pool import VerifierPool

Work = Callable[[Sequence[int]], list[int]]


@pytest.fixture
async def pool() -> AsyncIterator[VerifierPool]:
    made = VerifierPool(2, batch_seconds=30)
    yield made
    await made.stop()


async def test_results_come_in_the_order_of_the_items(pool: VerifierPool) -> None:
    items = list(range(100))
    assert await pool.map(double, items, 7) == double(items)
    assert await pool.map(double, [], 7) == []
    assert pool.deaths == 0


async def test_both_workers_verify_one_batch_at_the_same_time(
    pool: VerifierPool, tmp_path: Path
) -> None:
    room = tmp_path / "room"
    room.mkdir()
    who = await pool.map(together, [room / "one", room / "other"], 1)
    assert 0 not in who, "each has seen the other at work"
    assert len(set(who)) == 2


async def test_a_worker_killed_under_a_batch_costs_a_retry(
    pool: VerifierPool, tmp_path: Path
) -> None:
    await pool.warm()
    go, one = tmp_path / "go", pool.pids()[0]
    running = asyncio.create_task(pool.map(at_work, [go] * 4, 1))
    async with asyncio.timeout(20):
        while not (tmp_path / str(one)).exists():  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.01)
    os.kill(one, signal.SIGKILL)
    go.touch()
    assert await running == [1] * 4, "nothing is lost, and no answer changes"
    assert pool.deaths > 0, "it has really died"


async def test_workers_that_died_idle_are_no_death_of_the_next_batch(pool: VerifierPool) -> None:
    assert await pool.map(die_of_poison, [POISON], 1) == [None]
    assert await pool.call(double, [1]) == [2]
    assert await pool._quarantined(double, [1]) == [2]
    for _ in range(2):
        before, idle = pool.deaths, pool.pids()
        assert len(idle) > 1, "shared ones wait for work, and the one for suspects"
        for pid in idle:
            os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(10):
            while not all(_ended(pid) for pid in idle):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert await pool._quarantined(double, [3]) == [6]
        assert await pool.call(double, [4]) == [8]
        assert pool.deaths == before, "nobody waited for them"


def _ended(pid: int) -> bool:
    """Whether it can be reaped, or has been; its memory and files go a moment earlier."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize("work", [die_of_poison, panic_on_poison, swell_on_poison])
async def test_only_the_item_that_kills_is_held(pool: VerifierPool, work: Work) -> None:
    items = list(range(24))
    found = await pool.map(work, items, 8)
    expected = [None if item == POISON else 2 * item for item in items]
    assert found == expected, "its neighbours in the batch and in other batches are answered"
    if work is die_of_poison:
        assert pool.deaths > 0
    assert await pool.map(double, [1], 1) == [2], "the pool goes on"


async def test_what_takes_too_long_is_held() -> None:
    pool = VerifierPool(2, batch_seconds=5)  # with the start of a process
    await pool.warm()
    found = await pool.map(hang_on_poison, [1, POISON, 2, 3], 2)
    assert found == [2, None, 4, 6]
    assert pool.deaths > 0
    await pool.stop()


async def test_a_single_call_is_tried_twice_and_raises_what_the_work_raises(
    pool: VerifierPool,
) -> None:
    with pytest.raises(BrokenProcessPool):
        await pool.call(die_of_poison, [POISON])
    assert pool.deaths == 2
    with pytest.raises(TypeError):
        await pool.call(double, [None])
    assert await pool.call(double, [4]) == [8]


async def test_nobody_is_left_behind(pool: VerifierPool) -> None:
    await pool.warm()
    pids = pool.pids()
    await pool.stop()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_long_work_goes_aside_and_nothing_waits_behind_it(tmp_path: Path) -> None:
    one = VerifierPool(1, batch_seconds=30)
    try:
        await one.warm()
        shared = set(one.pids())
        long = asyncio.create_task(one.aside(until_there, [tmp_path / "never"], seconds=60))
        for _ in range(5):
            await asyncio.sleep(0)  # the task begins, and with it a process
        assert await one.map(double, [1, 2], 2) == [2, 4], "the only shared worker is free"
        assert not long.done(), "and it was done before the long work"
        (aside,) = set(one.pids()) - shared
        os.kill(aside, signal.SIGKILL)
        with pytest.raises(BrokenProcessPool):
            await long
        assert await one.aside(double, [3], seconds=60) == [6], "the next one has another process"
    finally:
        await one.stop()
    assert one.pids() == []
