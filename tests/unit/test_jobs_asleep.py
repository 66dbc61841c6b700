"""A machine that sleeps: its clocks jump apart, and what was due, held or promised holds."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.chores import NOON
from tests.unit.engine import ALLOWANCE, HANDLERS
from tests.unit.test_jobs_scheduler import QUICK, bad, ended, put, row, until

from commons_node.jobs.dealing import OwnDuty
from commons_node.jobs.job import Every, Job, Limits, On, Retry
from commons_node.jobs.scheduler import Around, Scheduler

HOUR_MS = 3_600_000


class Clocks:
    """Those that a scheduler looks at, set by hand."""

    def __init__(self) -> None:
        self.wall, self.mono, self.boot = NOON, 0, 0

    def sleep(self, hours: float, *, counted: bool) -> None:
        """The machine sleeps; ``counted``: its monotonic clock goes on, as some systems' does."""
        passed = round(hours * HOUR_MS)
        self.wall += passed
        self.boot += passed
        self.mono += passed if counted else 0


@pytest.mark.parametrize("counted", [False, True])
async def test_a_machine_that_sleeps_in_the_middle_of_a_run_wakes_to_what_was_due(
    tmp_path: Path, counted: bool
) -> None:
    """Three hours and a half: leases, what is due by each policy, a debounce and a retry."""
    clocks, asked, may = Clocks(), asyncio.Queue[int](), asyncio.Event()

    async def broker(_method: str, _params: dict[str, Any]) -> object:
        asked.put_nowait(1)
        await may.wait()
        return "good morning"

    made = Scheduler(
        tmp_path / "jobs.db",
        Around(
            dealing=lambda _lease, _attempt: OwnDuty(broker), now=lambda: clocks.wall,
            mono=lambda: clocks.mono, boot=lambda: clocks.boot,
        ),
        ALLOWANCE, HANDLERS, random.Random(1),
    )  # fmt: skip
    slow = Job("slow", "misbehave", given={"what": "ask"}, limits=Limits(wall_s=600))
    told = On("operations", debounce_s=3600)
    jobs = [
        Job("once", "mark", (Every(3600),), limits=QUICK),
        Job("skip", "mark", (Every(3600, misfire="skip"),), limits=QUICK),
        Job("each", "mark", (Every(3600, misfire="each"),), limits=QUICK),
        Job("told", "mark", (told,), limits=QUICK),
    ]

    async def stand() -> list[tuple[str, str, int, int]]:
        query = (
            "SELECT job, state, count(*), sum(covers) FROM runs WHERE job NOT IN ('slow', 'fails')"
            " GROUP BY 1, 2 ORDER BY 1"
        )
        return await made.desk.call(lambda queue: queue.rows(query))

    await made.start(tuple(jobs))
    try:
        run = await put(made, slow)
        await asked.get()
        fails = await put(
            made, msgspec.structs.replace(bad("raise"), name="fails", retry=Retry(2, 9_000, 9_000))
        )

        async def failed() -> bool:
            return await row(made, fails, "state") == ("waiting",)

        await until(failed, "it has failed once, and waits for hours")
        made.hear({"event": "operations"})

        async def heard() -> bool:
            rows = "SELECT pending_ms FROM triggers WHERE job = 'told'"
            return await made.desk.call(lambda queue: queue.rows(rows)) != [(None,)]

        await until(heard, "an event is noted, and rests for an hour")
        assert await stand() == [], "nothing is due when it falls asleep"
        (fence,) = await row(made, run, "fence")

        clocks.sleep(3.5, counted=counted)
        made.wake()  # by itself it looks within half a minute
        due = [("each", "done", 3, 3), ("once", "done", 1, 3), ("told", "done", 1, 1)]

        async def done() -> bool:
            return await stand() == due

        await until(done, "what was due ran once, each time, or not at all")
        assert (await ended(made, fails))[0] == "dead", "its second try was due, and was its last"
        if counted:  # the lease is over: the run begins again under another fence
            await asked.get()
            assert await row(made, run, "state", "attempts", "fence") == ("leased", 2, fence + 1)
        else:
            assert await row(made, run, "state", "attempts", "fence") == ("leased", 1, fence)

        async def alone() -> bool:
            return list(made.attempts.running) == [run]

        await until(alone, "one attempt has it, and all others have left their places")
        may.set()
        assert (await ended(made, run))[0] == "done"

        async def over() -> bool:
            return not made.attempts.running

        await until(over, "and nothing runs any more")
        ends = {"done": 6, "waiting": 1, "dead": 1}
        assert made.attempts.ended == ends, "five that were due, and the slow one, once"
        assert await stand() == due
    finally:
        may.set()
        await made.stop()
    assert made.workers.pids() == []
