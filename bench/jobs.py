"""`jobs`: what the scheduler costs: claims and ends a second, catching up, and doing nothing.

`queue_per_second` are runs that are claimed and finished with an effect, each end durable before it
is answered, by so many callers at once as a busy node has; `one_by_one` the same by one caller, who
waits for the disk twice a run. `floor_per_second` are the plainest durable commits on the same disk
in the same run: nothing that answers each call alone can be faster than half of it.
The keys of the sandbox: `sandbox`; those of an agent at a whole node: `broker`.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

from bench.broker import measure_broker
from bench.sandbox import measure_sandbox
from bench.town import Town, say
from commons_node.jobs import firing
from commons_node.jobs.budget import Allowance
from commons_node.jobs.definitions import define
from commons_node.jobs.desk import Desk
from commons_node.jobs.effects import Effect
from commons_node.jobs.handler import Handler
from commons_node.jobs.job import Cron, Every, Job
from commons_node.jobs.queue import Queue
from commons_node.jobs.scheduler import Around, Scheduler

RUNS = 3_000
CALLERS = 64
_ALONE = 300
_JOBS = 5
_TRIGGERS = 20
_DUE = 10_000


def measure(town: Town) -> dict[str, object]:
    """All keys; see above."""
    folder = town.folder / "jobs"
    folder.mkdir()
    floor = _floor(folder)
    say("queue")
    together, cpu = asyncio.run(_queue(folder / "together.db", RUNS, CALLERS))
    alone, _ = asyncio.run(_queue(folder / "alone.db", _ALONE, 1))
    say("catching up")
    found = _coalesced(folder / "late.db")
    say(f"idle, {town.size.idle:.0f} s")
    idle = asyncio.run(_idle(folder / "idle.db", town.size.idle))
    return {
        "queue_per_second": round(together), "one_by_one": round(alone),
        "floor_per_second": round(floor), "cpu_ms_each": round(cpu * 1000, 3),
        "coalesced": found, "idle_cpu": round(idle, 5), **measure_sandbox(folder),
        **measure_broker(folder, folder),
    }  # fmt: skip


def _floor(folder: Path) -> float:
    """Durable commits of one row a second."""
    with sqlite3.connect(folder / "floor.db", isolation_level=None) as file:
        file.execute("PRAGMA journal_mode = WAL")
        file.execute("PRAGMA synchronous = FULL")
        file.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, text)")
        began = time.perf_counter()
        for n in range(_ALONE):
            file.execute("INSERT INTO t VALUES (?, ?)", (n, "x" * 100))
        return _ALONE / (time.perf_counter() - began)


def _open(path: Path) -> Queue:
    queue = Queue(path, "bench", lambda: time.time_ns() // 1_000_000,
                  lambda: time.monotonic_ns() // 1_000_000, Random(1))  # fmt: skip
    queue.recover()
    return queue


async def _queue(path: Path, runs: int, callers: int) -> tuple[float, float]:
    """Claims and ends a second, and processor seconds of each."""
    desk = Desk(lambda: _open(path))
    await desk.open()

    def fill(queue: Queue) -> None:
        for n in range(_JOBS):
            define(queue, Job(f"job-{n}", "bench", principal=f"p{n}", concurrency=64))
            for number in range(runs // _JOBS):
                queue.enqueue(f"job-{n}", trigger="bench", dedup=f"{n}/{number}")

    await desk.call(fill)
    done = 0

    async def work() -> None:
        nonlocal done
        while (lease := await desk.call(lambda queue: queue.claim(60))) is not None:
            effect = Effect("keep", str(lease.run), {"name": "last", "value": lease.run})
            run, fence = lease.run, lease.fence
            new = await desk.call(lambda q, r=run, f=fence, e=effect: q.finish(r, f, [e]))  # type: ignore[misc]  # defaults bind the loop's values
            assert new == 1
            done += 1

    began, busy = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(callers)))
    took, cpu = time.perf_counter() - began, time.process_time() - busy
    assert done == runs
    await desk.close()
    return runs / took, cpu / runs


def _coalesced(path: Path) -> dict[str, object]:
    """Due times after a downtime, and the runs that come of them."""
    queue = _open(path)
    jobs = [
        Job(f"late-{n}", "bench", (Cron("* * * * *") if n % 2 else Every(60),))
        for n in range(_TRIGGERS)
    ]
    for job in jobs:
        define(queue, job)
        firing.arm(queue, job)
    with queue.transaction() as file:
        file.execute("UPDATE triggers SET anchor_ms = anchor_ms - ?", (_DUE * 60_000,))
    began = time.process_time()
    made = sum(firing.fire(queue, job, ZoneInfo("Europe/Stockholm")) for job in jobs)
    took = time.process_time() - began
    ((covers,),) = queue.rows("SELECT sum(covers) FROM runs")
    queue.close()
    return {"due": covers, "triggers": _TRIGGERS, "runs": made, "cpu_s": round(took, 2)}


async def _idle(path: Path, seconds: float) -> float:
    """The part of a core that a scheduler takes whose jobs are due in hours."""
    scheduler = Scheduler(path, Around(), Allowance(), {"bench": Handler("nothing:run")})
    jobs = [Job(f"idle-{n}", "bench", (Cron(f"{n} 3 1 1 *"), Every(86_400))) for n in range(20)]
    await scheduler.start(tuple(jobs))
    await asyncio.sleep(1)
    busy = time.process_time()
    await asyncio.sleep(seconds)
    taken = time.process_time() - busy
    await scheduler.stop()
    return taken / seconds
