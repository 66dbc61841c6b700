"""The keys of `jobs` that a host meets: an agent at a node that holds the year of the street.

The node is founded and filled by its own API; then its daemon goes on in this process. `warm_*` are
whole runs in a warm worker: one question for 40 loans, ten notices, each answered by the node's
broker with all its checks, from its own registry; `warm_cpu_ms` is what both processes took of the
processor for each. `asked_*` are the same runs through the node's scheduler, from the moment that
somebody asks for one until its end and its ten notices are durable (two commits), of which
`asked_floor_ms` is two plain durable commits on the same disk. `query_ms` is the one question
alone, in the broker.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.floor import two_commits
from bench.latency import percentile
from bench.node import Node
from bench.town import say
from commons_node.agents.house import Installed
from commons_node.agents.package import read
from commons_node.api.events import Listener
from commons_node.config import load
from commons_node.daemon import Daemon
from commons_node.home import Home
from commons_node.jobs import frames
from commons_node.jobs.lease import LEASE_S, Lease
from commons_node.jobs.queue import Queue
from commons_node.jobs.workers import SANDBOX, Attempt, Workers
from commons_node.keystore.node_key import NodeKey
from commons_node.sandbox import cache
from commons_node.sandbox.kind import kind
from commons_node.sandbox.runner import SHA256

_RUNS: Final = 400
_FLOOR: Final = 100
_CALLS: Final = 11
_TOML: Final = """
[agent]
name = "overdue"
version = "1.0.0"
entry = "agent.py:main"
summary = "Say what is late"
[capabilities]
"docs.query" = { collections = ["loan"], fields = ["due", "borrower_name", "name", "state"] }
"notify.send" = {}
"""
_AGENT: Final = """
from datetime import datetime, timezone
def main(event, host):
    now = datetime.fromtimestamp(event['scheduled_ms'] / 1000, timezone.utc)
    loans = host.query('loan', fields=['due', 'borrower_name', 'name'], limit=40)['rows']
    late = [one for one in loans if datetime.fromisoformat(one['due']) < now]
    for one in late[:10]:
        host.notify.send(text=f"{one['borrower_name']}: {one['name']} was due {one['due']}")
    return {'loans': len(loans), 'late': len(late)}
"""


@dataclass
class _Taken:
    """Seconds by the clock of each run, and of the processor of all."""

    clock: list[float] = field(default_factory=list)
    cpu: float = 0.0

    def figures(self, name: str) -> dict[str, float]:
        return {
            f"{name}_p50_ms": percentile(self.clock, 50),
            f"{name}_p99_ms": percentile(self.clock, 99),
            f"{name}_cpu_ms": round(self.cpu * 1000 / len(self.clock), 1),
        }


def measure_broker(folder: Path, compiled: Path) -> dict[str, object]:
    """All keys; see above. ``compiled``: a home whose runner is ready."""
    alice = Node("alice", folder / "alice")
    say("a year of the example street")
    alice.start()
    try:
        alice.do("example.load", 600)
        package = _package(alice, folder / "overdue")
    finally:
        alice.stop()
    runner = next(compiled.glob(f"{cache.FOLDER}/*.cwasm")).read_bytes()
    secret = NodeKey(alice.home / "node.key").load()["network"]
    cache.keep(alice.home / cache.FOLDER, kind(), SHA256, cache.key_of(secret), runner)
    return asyncio.run(_measure(alice.home, package))


def _package(alice: Node, folder: Path) -> bytes:
    """Written, packed and signed as by whoever makes one."""
    alice.do("agent.new", folder=str(folder))
    (folder / "agent.toml").write_text(_TOML)
    shutil.rmtree(folder / "code")
    (folder / "code").mkdir()
    (folder / "code" / "agent.py").write_text(_AGENT)
    packed = alice.do("agent.pack", folder=str(folder))
    return Path(alice.do("agent.sign", file=packed["file"])["file"]).read_bytes()


async def _measure(path: Path, package: bytes) -> dict[str, object]:
    async with _daemon(path) as daemon:
        (community,) = daemon.communities
        agent = await daemon.agents.install(read(package), package, community, daemon.now_ms())
        say("warm runs, answered by the broker")
        warm, query = await _warm(daemon, agent)
        say("warm runs, through the scheduler")
        asked = await _asked(daemon, agent)
    return {
        **warm.figures("warm"), **asked.figures("asked"),
        "asked_floor_ms": round(two_commits(path, _FLOOR), 2),
        "query_ms": round(statistics.median(query) * 1000, 2),
    }  # fmt: skip


@asynccontextmanager
async def _daemon(path: Path) -> AsyncIterator[Daemon]:
    flags: dict[str, object] = {"listen": ["/ip4/127.0.0.1/tcp/0"], "lan": False}
    with Home(path) as home:
        daemon = Daemon(home, load(home.path, {}, flags), {})
        await daemon.start()
        try:
            yield daemon
        finally:
            await daemon.stop()


async def _warm(daemon: Daemon, agent: Installed) -> tuple[_Taken, list[float]]:
    """Runs that are leased as the scheduler would, and the question in each."""
    taken, query = _Taken(), []
    desk = daemon.jobs.scheduler.desk
    workers = Workers(daemon.jobs.preparing)

    def leased(queue: Queue) -> Lease:
        queue.enqueue(agent.job)
        lease = queue.claim(LEASE_S, lambda job: job.name == agent.job)
        assert lease is not None, "a run may go"
        return lease

    async def run() -> tuple[float, float]:
        """Seconds by the clock, and of the processor."""
        lease, attempt = await desk.call(leased), Attempt()
        dealing = daemon.jobs.capabilities.dealing(lease, attempt)

        async def answer(method: str, params: dict[str, Any], /) -> object:
            began = time.perf_counter()
            found = await dealing.answer(method, params)
            if method == "docs.query":
                query.append(time.perf_counter() - began)
            return found

        start = frames.Start(
            SANDBOX, lease.job.name, lease.run, lease.attempt, lease.scheduled_ms, lease.covers,
            lease.dry, lease.job.limits, lease.job.given, lease.event,
        )  # fmt: skip
        began, busy = time.perf_counter(), time.process_time()
        ended = await workers.run(dealing.within(start), attempt, answer)
        took, cpu = time.perf_counter() - began, time.process_time() - busy
        assert isinstance(ended, frames.Done), ended
        assert ended.result == {"loans": 40, "late": 40}, ended
        assert not dealing.refused, dealing.refused
        assert len(dealing.effects) == _CALLS - 1
        spent = dealing.spent(ended)
        await desk.call(
            lambda queue: queue.finish(lease.run, lease.fence, dealing.effects, spent=spent)
        )
        return took, cpu + ended.cpu_ms / 1000

    try:
        await run()
        for _ in range(_RUNS):
            took, cpu = await run()
            taken.clock.append(took)
            taken.cpu += cpu
    finally:
        await workers.stop()
    return taken, query


async def _asked(daemon: Daemon, agent: Installed) -> _Taken:
    """The same through the scheduler; its own loop, in which nobody else waits."""
    taken, scheduler = _Taken(), daemon.jobs.scheduler
    for n in range(_RUNS + 1):
        listener = daemon.events.listen()
        assert listener is not None, "there is room for one who listens"
        began, busy = time.perf_counter(), time.process_time()
        run = await scheduler.desk.call(lambda queue: queue.enqueue(agent.job))
        scheduler.wake()
        state = await _end_of(run, listener)
        took, cpu = time.perf_counter() - began, time.process_time() - busy
        daemon.events.leave(listener)
        assert state == "done", state
        rows = await scheduler.desk.call(partial(_cost_of, run))
        if n:  # the first one has started the worker
            taken.clock.append(took)
            taken.cpu += cpu + rows / 1000
    return taken


async def _end_of(run: int | None, listener: Listener) -> str:
    """The state of a run when an attempt at it is over."""
    async for encoded in listener:
        event = msgspec.json.decode(encoded, type=dict[str, Any])
        if event.get("run") == run and event["state"] != "leased":
            return str(event["state"])
    raise RuntimeError("the daemon has ended")


def _cost_of(run: int | None, queue: Queue) -> int:
    """What its worker took of the processor, in milliseconds; its ten notices are there."""
    ((cpu, calls, notices),) = queue.rows(
        "SELECT cpu_ms, (SELECT calls FROM receipts WHERE run = r.run), (SELECT count(*)"
        " FROM notices WHERE run = r.run) FROM runs r WHERE run = ?",
        run,
    )
    assert (calls - _CALLS, notices) in {(0, _CALLS - 1), (1, _CALLS - 1)}, (calls, notices)
    return int(cpu)
