"""The scheduler with real worker processes: what a handler may do to a node, and what not."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.disks import Disk, disk
from tests.unit.engine import ALLOWANCE, HANDLERS

from commons_node.config import BadConfig, Config
from commons_node.jobs import attempts, frames, scheduler
from commons_node.jobs.budget import Allowance, Budget
from commons_node.jobs.definitions import define
from commons_node.jobs.desk import Closed, Desk
from commons_node.jobs.duties.figures import sums
from commons_node.jobs.job import Every, Job, Limits, On, Retry
from commons_node.jobs.lease import Used
from commons_node.jobs.node import DUTIES, duties
from commons_node.jobs.queue import Queue
from commons_node.jobs.refusals import StaleFence
from commons_node.jobs.scheduler import Around, NoHandler, Scheduler
from commons_node.jobs.why import why

QUICK = Limits(wall_s=20, cpu_s=1, memory_mib=256)  # the start of a cold process counts


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Scheduler]:
    made = Scheduler(tmp_path / "jobs.db", Around(), ALLOWANCE, HANDLERS, random.Random(1))
    await made.start()
    yield made
    await made.stop()
    assert made.workers.pids() == [], "nothing is left running"


def bad(what: str, **given: Any) -> Job:
    once = Retry(1, 0.01, 0.01)
    return Job(
        what.replace(" ", "-"), "misbehave", given={"what": what, **given}, limits=QUICK, retry=once
    )


async def until(true: Any, what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not await true():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.02)


async def put(engine: Scheduler, job: Job, **more: Any) -> int:
    await engine.define(job)
    run = await engine.desk.call(lambda queue: queue.enqueue(job.name, **more))
    engine.wake()
    assert run is not None
    return run


async def row(engine: Scheduler, run: int, *names: str) -> tuple[Any, ...]:
    ((*found,),) = await engine.desk.call(
        lambda queue: queue.rows(f"SELECT {', '.join(names)} FROM runs WHERE run = ?", run)  # noqa: S608 - names of columns
    )
    return tuple(found)


async def ended(engine: Scheduler, run: int) -> tuple[Any, ...]:
    async def over() -> bool:
        (state,) = await row(engine, run, "state")
        return state in {"done", "dead", "cancelled"}

    await until(over, f"run {run} ends")
    return await row(engine, run, "state", "code", "error")


FATES = {
    "raise": ("dead", "fault", "broken on purpose"),
    "give up": ("dead", "hopeless", "nothing can be done"),
    "eat": ("dead", "memory", "256 MiB"),
    "sleep": ("dead", "timeout", "longer than 0.5 s"),
    "die": ("dead", "died", "ended with 3"),
    "shout": ("done", None, None),
    "garbage": ("dead", "bad_frame", "cannot be read"),
    "huge": ("dead", "output", "at most"),
    "want": ("dead", "bad_frame", "1000 effects"),
    "ask": ("dead", "not_offered", "may not ask"),
    "burn": ("dead", None, None),
}


async def test_a_handler_hurts_itself_and_nobody_else(engine: Scheduler) -> None:
    short = msgspec.structs.replace(QUICK, wall_s=0.5)
    runs = {
        what: await put(
            engine,
            msgspec.structs.replace(bad(what), limits=short if what == "sleep" else QUICK),
        )
        for what in FATES
    }
    for what, (state, code, text) in FATES.items():
        found = await ended(engine, runs[what])
        assert found[0] == state, f"{what}: {found}"
        assert code is None or found[1] == code, f"{what}: {found}"
        assert text is None or text in found[2], f"{what}: {found}"
    (_, code, _) = await ended(engine, runs["burn"])
    assert code in {"died", "timeout"}, "its processor time or its time is over"
    good = await put(engine, Job("good", "mark", limits=QUICK))
    assert (await ended(engine, good))[0] == "done", "the node is healthy"
    kept = await engine.desk.call(lambda queue: queue.rows("SELECT count(*) FROM kept"))
    assert kept == [(0,)], "of those that failed nothing is kept"
    assert len(engine.workers.pids()) <= 2


async def test_a_log_is_kept_to_its_last_lines(engine: Scheduler) -> None:
    run = await put(engine, bad("talk"))
    assert (await ended(engine, run))[0] == "done"
    lines = await engine.desk.call(lambda queue: queue.rows("SELECT text FROM logs"))
    assert len(lines) == 200
    assert lines[-1] == ("line 9999",)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is the most of the process")
async def test_the_memory_of_a_run_is_its_own_and_of_no_run_before_it(engine: Scheduler) -> None:
    found = []
    for mib in (60, 0):
        run = await put(engine, bad("fill", mib=mib))
        assert (await ended(engine, run))[0] == "done"
        found.append((await row(engine, run, "memory"))[0])
    assert engine.workers.started == 1, "one process did both"
    much, little = found
    assert much - little > 59 << 20, "what the first one took is not said of the second"


async def test_a_handler_writes_no_file_beyond_its_limit(engine: Scheduler, tmp_path: Path) -> None:
    file = tmp_path / "written"
    run = await put(engine, bad("write", file=str(file)))
    assert (await ended(engine, run))[0] == "dead"
    assert not file.exists() or file.stat().st_size == 0


async def test_a_cancelled_run_is_ended_at_once_and_keeps_nothing(engine: Scheduler) -> None:
    slow = Job("slow", "mark", given={"seconds": 60}, limits=Limits(wall_s=90))
    run = await put(engine, slow)

    async def works() -> bool:
        return bool(engine.workers.pids()) and bool(engine.attempts.running.get(run))

    await until(works, "it runs")
    found = await why(engine, slow)
    assert found["code"] == "running"
    await engine.desk.call(lambda queue: queue.cancel(run))
    await engine.drop_stale()

    async def gone() -> bool:
        return not engine.workers.pids()

    await until(gone, "its process has ended", 10)
    assert (await row(engine, run, "state")) == ("cancelled",)
    assert await engine.desk.call(lambda queue: queue.rows("SELECT * FROM samples")) == []


async def test_a_stop_gives_the_run_back_and_the_next_start_does_it(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    slow = Job("slow", "mark", given={"seconds": 60}, limits=Limits(wall_s=90))
    first = Scheduler(path, Around(), ALLOWANCE, HANDLERS)
    await first.start()
    run = await put(first, slow)

    async def works() -> bool:
        return bool(first.attempts.running.get(run)) and bool(first.workers.pids())

    await until(works, "it runs")
    await first.stop()
    with pytest.raises(Closed):
        await first.desk.call(lambda queue: queue.recover())
    second = Scheduler(path, Around(), ALLOWANCE, HANDLERS)
    await second.start((msgspec.structs.replace(slow, given={}),))
    assert (await ended(second, run))[0] == "done"
    assert (await row(second, run, "attempts")) == (1,), "the stop cost it no attempt"
    await second.stop()


async def test_events_start_jobs_by_what_they_say(engine: Scheduler) -> None:
    trigger = On("operations", {"own": True}, debounce_s=0.05)
    await engine.define(Job("after", "mark", (trigger,), limits=QUICK))
    engine.hear({"event": "operations", "own": False})
    for _ in range(5):
        engine.hear({"event": "operations", "own": True})

    async def done() -> bool:
        return await engine.desk.call(
            lambda queue: queue.rows("SELECT state, covers FROM runs") == [("done", 5)]
        )

    await until(done, "five events, one run")
    engine.missed()

    async def again() -> bool:
        return await engine.desk.call(
            lambda queue: queue.rows("SELECT count(*) FROM runs WHERE state = 'done'") == [(2,)]
        )

    await until(again, "events that were lost start it, too")


async def test_a_job_without_its_handler_waits_and_says_why(engine: Scheduler) -> None:
    with pytest.raises(NoHandler):
        await engine.define(Job("alien", "from-elsewhere"))
    await engine.desk.call(lambda queue: define(queue, Job("alien", "from-elsewhere")))
    await engine._learn()
    await engine.desk.call(lambda queue: queue.enqueue("alien"))
    engine.wake()
    assert (await why(engine, engine.jobs["alien"]))["code"] == "no_handler"


async def test_why_says_the_first_thing_that_stands_in_the_way(tmp_path: Path) -> None:
    short = [False]
    made = Scheduler(
        tmp_path / "jobs.db", Around(short=lambda: short[0]), Allowance(1, 100, 512), HANDLERS
    )
    await made.start()
    job = Job("mark", "mark", (Every(3600),), limits=QUICK)
    try:
        await made.define(job)
        assert (await why(made, job))["code"] == "due"
        made.budget.left_s = -50
        await put(made, job)
        found = await why(made, job)
        assert found["code"] == "cpu"
        seconds = int(found["sentence"].split()[-2])
        assert 1_000 < seconds <= 1_800, "and when there is more"
        made.budget.left_s, short[0] = 100, True
        assert (await why(made, job))["code"] == "disk"
        await made.pause("mark", paused=True)
        short[0] = False
        assert (await why(made, job))["code"] == "paused"
        await made.define(msgspec.structs.replace(job, limits=Limits(memory_mib=4096)))
        await made.pause("mark", paused=False)
        assert (await why(made, made.jobs["mark"]))["code"] == "never"
    finally:
        await made.stop()


def test_the_budget_fills_by_the_monotonic_clock_and_owes_what_was_too_much() -> None:
    budget = Budget(Allowance(2, 600, 512), 600, 0)
    job = Job("a", "mark", limits=Limits(memory_mib=300))
    assert budget.hold(job, short=False, held_mib=0) is None
    budget.spend(900)
    assert budget.hold(job, short=False, held_mib=0) == "cpu"
    budget.fill(1_800_000)
    assert budget.left_s == pytest.approx(0)
    budget.fill(1_860_000)
    assert budget.hold(job, short=False, held_mib=0) is None
    budget.fill(0)
    assert budget.left_s == pytest.approx(10), "no clock that goes back takes any"
    budget.running[1] = job
    assert budget.hold(job, short=False, held_mib=0) == "memory"
    small = Job("b", "mark", limits=Limits(memory_mib=64))
    assert budget.hold(small, short=True, held_mib=0) == "disk"
    theirs = Job("c", "mark", agent="0123abcd/c", limits=Limits(memory_mib=64))
    assert budget.hold(theirs, short=False, held_mib=300) == "disk_share"
    assert budget.hold(theirs, short=False, held_mib=0, over="share_agent") == "share_agent"
    assert budget.hold(small, short=False, held_mib=300) is None, "a duty goes on beside agents"
    budget.running[2] = small
    assert budget.hold(small, short=False, held_mib=0) == "places"


# --- the disk -------------------------------------------------------------------------------------


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Disk]:
    with disk(tmp_path / "small", "2m") as made:
        yield made


async def test_a_full_disk_loses_no_run_and_doubles_none(
    full_disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "_FULL_S", 0.1)
    monkeypatch.setattr(attempts, "_AGAIN_S", 0.02)
    made = Scheduler(full_disk.path / "jobs.db", Around(), ALLOWANCE, HANDLERS)
    await made.start()
    try:
        jobs = [Job(f"mark-{n}", "mark", given={"seconds": 0.3}, limits=QUICK) for n in range(4)]
        runs = [await put(made, job) for job in jobs]
        full_disk.fill()

        async def broken() -> bool:
            return made.broken is not None

        await until(broken, "it is noticed")
        assert (await why(made, jobs[0]))["code"] in {"running", "broken"}
        full_disk.empty()
        for run in runs:
            assert (await ended(made, run))[0] == "done"
        found = await made.desk.call(lambda queue: queue.rows("SELECT name FROM samples"))
        assert sorted(name for (name,) in found) == sorted(f"run-{run}" for run in runs)

        async def mended() -> bool:
            return made.broken is None

        made.wake()
        await until(mended, "it goes on by itself")
    finally:
        await made.stop()


async def test_what_comes_together_is_committed_together_and_fails_alone(tmp_path: Path) -> None:
    clock = iter(range(10**9)).__next__
    desk = Desk(lambda: Queue(tmp_path / "jobs.db", "t", clock, clock))
    await desk.open()
    await desk.call(lambda queue: define(queue, Job("a", "mark", concurrency=64)))

    def wrong(queue: Queue) -> None:
        queue.enqueue("a", dedup="never")
        queue.finish(10**6, 1)

    calls: list[Any] = [desk.call(partial(_put, str(n))) for n in range(200)]
    calls.insert(100, desk.call(wrong))
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(answers[100], StaleFence)
    assert sum(isinstance(one, int) for one in answers) == 200
    keys = {key for (key,) in await desk.call(lambda q: q.rows("SELECT dedup FROM runs"))}
    assert keys == {str(n) for n in range(200)}, "of the one that failed nothing is there"
    assert 0 < desk.commits < 50, "many calls, few commits"
    await desk.close()


def _put(key: str, queue: Queue) -> int | None:
    return queue.enqueue("a", dedup=key)


# --- small things ---------------------------------------------------------------------------------


def test_a_frame_is_bounded_and_means_one_thing() -> None:
    for frame in (frames.Log("x"), frames.Done({"a": 1}, 3, 4), frames.Call("view", {"n": 1})):
        data = frames.encode(frame)
        assert frames.length(data[:4]) == len(data) - 4
        assert frames.said(data[4:]) == frame
    for head in (b"", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\1"):
        with pytest.raises(frames.BadFrame):
            frames.length(head)
    for body in (b"", b"{}", b"[" * 100_000, b'{"type":"log","text":3}', b"\xff", b'"x"'):
        with pytest.raises(frames.BadFrame):
            frames.said(body)
        with pytest.raises(frames.BadFrame):
            frames.told(body)
    with pytest.raises(frames.BadFrame):
        frames.encode(frames.Done("x" * (2 << 20), 0, 0))


def test_the_host_chooses_when_duties_run() -> None:
    assert duties(Config(jobs_zone="UTC")) == DUTIES
    chosen = {job.name: job for job in duties(Config(jobs_at=("overdue=0 9 * * MON", "tidy=off")))}
    assert chosen["overdue"].triggers[0].expression == "0 9 * * MON"  # type: ignore[union-attr]  # a Cron, as built
    assert chosen["tidy"].triggers == ()
    for wrong in (("nobody=off",), ("tidy",), ("tidy=every day",)):
        with pytest.raises(BadConfig):
            duties(Config(jobs_at=wrong))
    with pytest.raises(BadConfig):
        duties(Config(jobs_zone="Mars/Olympus"))


def test_figures_add_up_what_has_labels() -> None:
    text = '# HELP x\ncommons_operations{a="1"} 2.0\ncommons_operations{a="2"} 3\nother 5\n'
    assert sums(text) == {"commons_operations": 5.0}
    assert Used().cpu_ms == 0
