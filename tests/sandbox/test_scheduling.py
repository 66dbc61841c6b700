"""An agent's job through the scheduler: it waits for what it runs on, runs, and is accounted."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

from tests.sandbox.prepared import SECRET, code, lend

from commons_crdt.errors import CommonsError
from commons_node.jobs.budget import Allowance
from commons_node.jobs.dealing import Dealing, OwnDuty
from commons_node.jobs.job import Job, Limits, Retry
from commons_node.jobs.lease import Lease
from commons_node.jobs.scheduler import Around, Scheduler
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
        assert engine.ended == {"waiting": 1, "done": 1}
    finally:
        await engine.stop()
    assert engine.workers.pids() == []
