"""A scheduler in a process of its own, which lives until it is killed: what it does is on the disk.

python -m tests.unit.engine FOLDER JOBS SECONDS
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from commons_node.jobs.budget import Allowance
from commons_node.jobs.handler import Handler
from commons_node.jobs.job import Job, Limits, Retry
from commons_node.jobs.outbox import Letter
from commons_node.jobs.queue import Queue
from commons_node.jobs.scheduler import Around, Scheduler

HANDLERS = {
    "mark": Handler("tests.unit.handlers_of_jobs:mark"),
    "misbehave": Handler("tests.unit.handlers_of_jobs:misbehave"),
}
ALLOWANCE = Allowance(places=2, cpu_s=50_000, memory_mib=4096, disk_mib=1024)


def file_of(folder: Path) -> Path:
    """Where the jobs are."""
    return folder / "jobs.db"


async def live(folder: Path, jobs: int, seconds: float) -> None:
    """Put so many runs in, once, and work on them for ever."""

    async def post(letter: Letter) -> None:
        with (folder / "letters").open("a", encoding="utf-8") as file:
            file.write(f"{letter.key}\n")
            file.flush()
            os.fsync(file.fileno())

    scheduler = Scheduler(file_of(folder), Around(ways={"file": post}), ALLOWANCE, HANDLERS)
    given = {"attempts": str(folder / "attempts"), "seconds": seconds, "letter": True}
    limits = Limits(wall_s=30, disk_mib=64)
    # accidents are not its fault: it is tried as often as it takes
    often = Retry(1000, 0.01, 1)
    names = [f"mark-{n}" for n in range(4)]
    await scheduler.start(
        tuple(Job(one, "mark", given=given, limits=limits, retry=often) for one in names)
    )

    def fill(queue: Queue) -> None:
        with queue.transaction() as file:
            for n in range(jobs):
                queue.put(file, names[n % 4], trigger="test", dedup=f"mark/{n}")

    await scheduler.desk.call(fill)
    scheduler.wake()
    (folder / "pids").write_text("")
    while True:
        (folder / "pids.new").write_text(" ".join(map(str, scheduler.workers.pids())))
        (folder / "pids.new").replace(folder / "pids")
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    asyncio.run(live(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
