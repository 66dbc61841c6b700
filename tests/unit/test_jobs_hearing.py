"""What happens at a node comes to the jobs that wait for it, also where it came too fast."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.engine import ALLOWANCE, HANDLERS
from tests.unit.test_jobs_scheduler import QUICK, until

from commons_node.api.events import MAX_LISTENERS, QUEUE, Events
from commons_node.jobs import node
from commons_node.jobs.job import Job, On
from commons_node.jobs.node import Jobs
from commons_node.jobs.scheduler import Around, Scheduler


def hearing(scheduler: Scheduler, events: Events) -> Jobs:
    """The part of ``Jobs`` that listens, with a real bus and a real scheduler, and no daemon."""
    made: Any = Jobs.__new__(Jobs)
    made._daemon, made.scheduler = SimpleNamespace(events=events), scheduler
    made._listening = None
    found: Jobs = made
    return found


async def heard(scheduler: Scheduler, count: int) -> None:
    """So many runs have been made of events, and are done."""

    async def there() -> bool:
        return await scheduler.desk.call(
            lambda queue: queue.rows("SELECT count(*) FROM runs WHERE state = 'done'") == [(count,)]
        )

    await until(there, f"{count} runs")


async def test_events_that_were_dropped_start_whoever_waits_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "_AGAIN_S", 0.01)
    scheduler = Scheduler(tmp_path / "jobs.db", Around(), ALLOWANCE, HANDLERS, random.Random(1))
    await scheduler.start()
    events = Events()
    jobs = hearing(scheduler, events)
    try:
        jobs._listen()
        assert jobs._listening is None, "where nobody waits for an event nobody listens"
        await scheduler.define(
            Job("after", "mark", (On("operations", {"own": True}),), limits=QUICK)
        )
        crowd = [events.listen() for _ in range(MAX_LISTENERS)]
        jobs._listen()
        await asyncio.sleep(0.05)
        assert crowd[0] is not None
        events.leave(crowd[0])
        await heard(scheduler, 1)
        for one in crowd[1:]:
            assert one is not None
            events.leave(one)
        assert len(events) == 1, "it has found a place, and whatever it missed"

        events.publish("operations", {"own": False})
        events.publish("job", {"event": "operations", "own": True})
        events.publish("operations", {"own": True})
        await heard(scheduler, 2)

        for _ in range(QUEUE):
            events.publish("operations", {"own": False})
        events.publish("operations", {"own": True})
        assert (events.dropped, len(events)) == (1, 0), "that one came too fast, and is lost"
        await heard(scheduler, 3)
        assert len(events) == 1, "and it listens again"
        rows = await scheduler.desk.call(
            lambda queue: queue.rows("SELECT event FROM runs ORDER BY run DESC LIMIT 1")
        )
        assert b'"missed":true' in rows[0][0], "the run is told why"
        events.publish("operations", {"own": True})
        await heard(scheduler, 4)
    finally:
        if jobs._listening is not None:
            jobs._listening.cancel()
            await asyncio.gather(jobs._listening, return_exceptions=True)
        await scheduler.stop()
