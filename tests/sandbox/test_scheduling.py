"""An agent's job through the scheduler: it waits for what it runs on, runs, and is accounted."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.sandbox.prepared import SECRET, Shared, code, lend
from tests.unit.bureau import AGENT, ELM, bureau

from commons_crdt.errors import CommonsError
from commons_node.agents.manifest import Grant
from commons_node.capabilities.broker import AgentDealing
from commons_node.jobs.budget import Allowance
from commons_node.jobs.dealing import Dealing, OwnDuty
from commons_node.jobs.handler import HANDLERS, Handler
from commons_node.jobs.job import Job, Limits, Retry
from commons_node.jobs.lease import Lease
from commons_node.jobs.metering import CREDIT, Allowed, Meter
from commons_node.jobs.queue import Queue
from commons_node.jobs.scheduler import Around, Scheduler
from commons_node.jobs.shares import held_mib
from commons_node.jobs.why import why
from commons_node.jobs.workers import Attempt
from commons_node.sandbox.preparing import Preparing

SOURCE = """
def main(event, host):
    print(f"for the {event['attempt']}. time")
    if event['attempt'] == 1:
        raise ValueError("the first time it fails")
    return {"said": host.call("greet", name=event["settings"]["name"])["text"]}
"""


class Slow(Preparing):
    """As a node's, made when a test lets it, of what the checkout has compiled."""

    def __init__(self, home: Path) -> None:
        super().__init__(home, lambda: SECRET)
        self.began = asyncio.Event()
        self.may = asyncio.Event()

    async def _make(self) -> None:
        self.percent = 40
        self.began.set()
        await self.may.wait()
        self.made += 1
        await lend(self.folder.parent, SECRET)


def dealing(_lease: Lease, _attempt: Attempt) -> Dealing:
    fetch = code(SOURCE)

    async def answer(method: str, params: dict[str, Any], /) -> object:
        if method == "agent.code":
            return await fetch(method, params)
        if method != "greet":
            raise CommonsError
        return {"text": f"hello {params['name']}"}

    return OwnDuty(answer)


async def test_a_job_waits_for_the_runner_then_fails_once_and_is_done(tmp_path: Path) -> None:
    preparing = Slow(tmp_path)
    engine = Scheduler(
        tmp_path / "jobs.db", Around(dealing=dealing, preparer=preparing),
        Allowance(places=1, cpu_s=1_000, memory_mib=1_024), rng=random.Random(1),
    )  # fmt: skip
    job = Job(
        "greeter", "agent", agent="0011223344556677/greeter",
        given={"package": "1", "settings": {"name": "bob"}},
        limits=Limits(wall_s=20, memory_mib=64), retry=Retry(3, 0.01, 0.01),
    )  # fmt: skip
    await engine.start()
    try:
        await engine.define(job)
        run = await engine.desk.call(lambda queue: queue.enqueue("greeter"))
        engine.wake()
        await preparing.began.wait()
        told = await why(engine, job)
        assert told["code"] == "preparing"
        assert "40 %" in told["sentence"]
        preparing.may.set()
        query = "SELECT state, attempts, result FROM runs WHERE run = ?"
        while True:
            ((state, attempts, result),) = await engine.desk.call(lambda q: q.rows(query, run))
            if state in {"done", "dead", "cancelled"}:
                break
            await asyncio.sleep(0.02)
        lines = await engine.desk.call(lambda q: q.rows("SELECT text FROM logs ORDER BY line"))
        assert state == "done", lines
        assert attempts == 2
        assert "hello bob" in str(result)
        assert ("for the 1. time",) in lines
        assert ("agent.py:5 in main",) in lines, "the agent's own line is named"
        assert not [text for (text,) in lines if "loading.py" in text or "app.py" in text]
        assert preparing.made == 1
        assert engine.attempts.ended == {"waiting": 1, "done": 1}
    finally:
        await engine.stop()
    assert engine.workers.pids() == []


LOOPS = b"def main(event, host):\n    while True: pass\n"
SPENDS = b"""
def main(event, host):
    for n in range(200):
        host.notify.send(text="x", key=str(n))
    while True: pass
"""


async def test_a_loop_ends_with_the_credits_of_its_run(tmp_path: Path) -> None:
    """Whatever fuel it asks for, and also when its calls have taken most of them."""
    meter = Meter(Allowed(run=1, agent_day=100, principal_day=100))
    async with bureau(tmp_path, granted={"notify.send": Grant()}) as house:

        def dealing(lease: Lease, attempt: Attempt) -> Dealing:
            return AgentDealing(house.inside, house.rates, house.permit, lease, attempt)

        engine = Scheduler(
            tmp_path / "other.db", Around(dealing=dealing, preparer=Shared(), meter=meter),
            Allowance(places=1, cpu_s=1_000, memory_mib=1_024),
        )  # fmt: skip
        await engine.start()

        async def run(source: bytes, name: str, **more: Any) -> Mapping[str, Any]:
            house.files = {"agent.py": source}
            job = Job(
                name, "agent", principal=ELM, agent=f"0123abcd/{name}",
                given={"package": name, "fuel": 10**13}, limits=Limits(wall_s=20, memory_mib=64),
                retry=Retry(3, 0.01, 0.01), **more,
            )  # fmt: skip
            await engine.define(job)
            number = await engine.desk.call(lambda queue: queue.enqueue(name))
            engine.wake()
            query = (
                "SELECT s.code, s.error, s.state, r.fuel, r.call_cost, r.cost, r.reserved"
                " FROM runs s JOIN receipts r USING (run) WHERE run = ? AND r.cost IS NOT NULL"
            )
            while True:
                rows = await engine.desk.call(lambda q: q.rows(query, number))
                if rows:
                    break
                await asyncio.sleep(0.02)
            (row,) = rows
            names = ("code", "error", "state", "fuel", "calls", "cost", "reserved")
            return dict(zip(names, row, strict=True))

        try:
            plain = await run(LOOPS, "loops")
            assert (plain["code"], plain["state"]) == ("budget", "dead"), "no attempt would help"
            assert "may cost 1" in plain["error"]
            assert plain["reserved"] == CREDIT
            assert 10**6 < plain["fuel"] <= CREDIT * 10**6, "10¹³ were asked for"
            assert plain["cost"] <= CREDIT
            spent = await run(SPENDS, "spends", credits=4)
            assert spent["code"] == "budget", spent
            assert spent["calls"] == 200 * 5
            assert spent["fuel"] <= (4 * CREDIT - spent["calls"]) * 10**6
            assert spent["cost"] <= 4 * CREDIT
        finally:
            await engine.stop()


FILLS = """
def main(event, host):
    for n in range(200):
        print(chr(0x1F33F) * 2000)
    return "x" * 500_000
"""


@pytest.mark.long
async def test_an_agent_that_fills_stops_nobody_but_itself(tmp_path: Path) -> None:
    async def answer(method: str, params: dict[str, Any], /) -> object:
        return await code(FILLS)(method, params)

    def dealing(lease: Lease, _attempt: Attempt) -> Dealing:
        return OwnDuty(answer if lease.job.agent == "0123abcd/filler" else fetch)

    fetch = code("def main(event, host): return event['run']")
    disk = 32
    engine = Scheduler(
        tmp_path / "jobs.db",
        Around(
            dealing=dealing,
            preparer=Shared(),
            meter=Meter(Allowed(1, 10**6, 10**6)),
            told=lambda _job, _run, _state: tell(),
        ),
        Allowance(places=2, cpu_s=1_000, memory_mib=1_024, disk_mib=disk),
        {"agent": HANDLERS["agent"], "mark": Handler("tests.unit.handlers_of_jobs:mark")},
    )
    limits = Limits(wall_s=20, memory_mib=64)
    agents = [
        Job(name, "agent", principal=ELM, agent=f"0123abcd/{name}", given={"package": name},
            limits=limits) for name in ("filler", "quiet")
    ]  # fmt: skip
    await engine.start((*agents, Job("duty", "mark", limits=limits)))
    over = asyncio.Event()

    def tell() -> None:
        if engine.attempts.ended.total() == 3 * rounds:
            over.set()

    count = "SELECT job, count(*) FROM runs WHERE state = 'done' GROUP BY job"
    wrote = 200 * 2000 * 4 + 500_000
    rounds = 2 * disk * (1 << 20) // wrote
    try:
        for _ in range(rounds):
            for name in ("filler", "quiet", "duty"):
                await engine.desk.call(partial(Queue.enqueue, job=name))
            engine.wake()
        await over.wait()
        assert engine.attempts.ended == {"done": 3 * rounds}, "nobody was held, nobody failed"
        assert held_mib(tmp_path / "jobs.db") < disk, "twice as much was written"
        done = dict(await engine.desk.call(lambda queue: queue.rows(count)))
        assert done["quiet"] == done["duty"] == rounds, "their history is whole"
        assert 0 < done["filler"] < rounds
    finally:
        await engine.stop()


FIRST = b"""
def main(event, host):
    host.kv.put(name="by", value="the first")
    while True:
        host.now()
"""
SECOND = b"""
def main(event, host):
    host.kv.put(name="by", value="the second")
    return event["attempt"]
"""


async def test_an_upgrade_while_a_run_is_leased_ends_it_and_tries_it_with_the_new(
    tmp_path: Path,
) -> None:
    meter = Meter(Allowed(run=10_000, agent_day=10**6, principal_day=10**6))
    granted = {"kv.put": Grant()}
    async with bureau(tmp_path, granted=granted, files={"agent.py": FIRST}) as house:
        over = asyncio.Event()

        def dealing(lease: Lease, attempt: Attempt) -> Dealing:
            return AgentDealing(house.inside, house.rates, house.permit, lease, attempt)

        def told(_job: str, _run: int, state: str) -> None:
            if state in {"done", "dead"}:
                over.set()

        engine = Scheduler(
            tmp_path / "other.db",
            Around(dealing=dealing, preparer=Shared(), meter=meter, told=told),
            Allowance(places=1, cpu_s=1_000, memory_mib=1_024),
        )
        job = Job(
            "helper", "agent", principal=ELM, agent=AGENT, given={"package": "first"},
            limits=Limits(wall_s=120, memory_mib=64, calls=10**6), retry=Retry(3, 0.01, 0.01),
        )  # fmt: skip
        await engine.start((job,))
        try:
            run = await engine.desk.call(lambda queue: queue.enqueue("helper")) or 0
            engine.wake()
            while run not in engine.attempts.running or engine.attempts.running[run].calls < 10:  # noqa: ASYNC110 - nobody tells of a call
                await asyncio.sleep(0.02)
            house.package, house.files = b"q" * 32, {"agent.py": SECOND}
            await engine.define(msgspec.structs.replace(job, given={"package": "second"}))
            await over.wait()
            query = (
                "SELECT s.state, s.result, r.attempt, r.how FROM runs s JOIN receipts r USING (run)"
            )
            rows = await engine.desk.call(lambda queue: queue.rows(f"{query} ORDER BY r.attempt"))
            assert [row[2:] for row in rows] == [(1, "not_granted"), (2, "done")]
            assert {row[:2] for row in rows} == {("done", b'{"result":2}')}
            kept = await engine.desk.call(lambda queue: queue.rows("SELECT value FROM kv"))
            assert kept == [(b'"the second"',)], "nothing of the first is kept"
            assert engine.attempts.ended == {"waiting": 1, "done": 1}
        finally:
            await engine.stop()


async def test_a_run_that_computes_is_cancelled_and_its_process_ends(tmp_path: Path) -> None:
    def dealing(lease: Lease, _attempt: Attempt) -> Dealing:
        loops = LOOPS.decode() if lease.job.name == "loops" else "def main(event, host): return 1"
        return OwnDuty(code(loops))

    engine = Scheduler(
        tmp_path / "jobs.db", Around(dealing=dealing, preparer=Shared()),
        Allowance(places=1, cpu_s=1_000, memory_mib=1_024),
    )  # fmt: skip
    limits = Limits(wall_s=600, cpu_s=600, memory_mib=64)
    jobs = [
        Job(name, "agent", agent=f"0123abcd/{name}", given={"package": name, "fuel": 10**13},
            limits=limits) for name in ("loops", "after")
    ]  # fmt: skip
    await engine.start(tuple(jobs))
    try:
        run = await engine.desk.call(lambda queue: queue.enqueue("loops")) or 0
        engine.wake()
        while run not in engine.attempts.running or not engine.attempts.running[run].pid:  # noqa: ASYNC110 - nobody tells of a process
            await asyncio.sleep(0.02)
        pid = engine.attempts.running[run].pid
        assert await engine.desk.call(lambda queue: queue.cancel(run)) == "leased"
        await engine.drop_stale()
        after = await engine.desk.call(lambda queue: queue.enqueue("after")) or 0
        engine.wake()
        query = "SELECT state FROM runs WHERE run IN (?, ?) ORDER BY run"
        while True:
            rows = await engine.desk.call(lambda queue: queue.rows(query, run, after))
            if rows[1] == ("done",):
                break
            await asyncio.sleep(0.02)
        assert rows[0] == ("cancelled",), "and nothing brings it back"
        assert pid not in engine.workers.pids(), "its process was ended, with ten minutes left"
        assert engine.attempts.ended == {"done": 1}
    finally:
        await engine.stop()
