"""What an agent may try: each try ends as it must, and the pool is healthy after it."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.sandbox.attacks import BOMBS, LARGE, PATCHES, REACHES, Try, main
from tests.sandbox.held import (
    NOBODY,
    Held,
    addresses,
    faults_of,
    gone,
    limits_of,
    status_of,
    uid_of,
)
from tests.sandbox.prepared import OTHER, Runs, agents, unprivileged

from commons_node.jobs import frames, workers
from commons_node.jobs.job import BESIDE_MIB, Limits
from commons_node.jobs.workers import Ended


def resident() -> int:
    """Bytes that this process has now."""
    return int(status_of(os.getpid())["VmRSS"].split()[0]) << 10


async def echo(_method: str, params: dict[str, Any]) -> object:
    return params


async def tried(run: Runs, name: str, one: Try) -> frames.Done | frames.Failed:
    assert one.code or one.result is not None, f"{name}: what comes of it is said"
    given: dict[str, Any] = dict(one.given)
    limits = Limits(wall_s=20, cpu_s=20, memory_mib=one.memory)
    source = main(one.body)
    try:
        ended = (
            await run(source, limits=limits, **given)
            if one.code == "not_offered"
            else await run(source, echo, limits, **given)
        )
    except Ended as error:
        ended = frames.Failed(error.code, str(error), error.again, 0, 0)
    if isinstance(ended, frames.Done):
        assert not one.code, f"{name}: {ended}"
        assert ended.result == one.result, f"{name}: {ended}"
    else:
        assert one.result is None, f"{name}: {ended}"
        assert ended.code == one.code, f"{name}: {ended}"
        assert one.text in ended.error, f"{name}: {ended}"
    assert run.attempt.wall_ms < 20_000, name
    return ended


class Watch:
    """What the parent sees of each worker just before it ends it, and of those that live."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        """From now on."""
        self._seen: dict[int, tuple[int, int]] = {}
        kill = workers.Worker.kill

        async def look(worker: workers.Worker) -> None:
            if worker.alive:
                self._seen[worker.pid] = self._look(worker.pid)
            await kill(worker)

        patch.setattr(workers.Worker, "kill", look)

    def _look(self, pid: int) -> tuple[int, int]:
        return int(status_of(pid)["VmHWM"].split()[0]) << 10, addresses(pid)

    def of(self, pid: int) -> tuple[int, int]:
        """Bytes: the most that was resident in its last run, and the most addresses it may have."""
        return self._look(pid) if pid not in self._seen else self._seen[pid]


async def bounded(run: Runs, watch: Watch, name: str, one: Try) -> None:
    """It is tried, and takes no more memory than its process may have."""
    ended = await tried(run, name, one)
    pid = run.attempt.pid
    resident, most = watch.of(pid)
    share = (one.memory + BESIDE_MIB) << 20
    assert 0 < ended.memory <= resident, f"{name}: the worker tells what its parent sees"
    assert resident < most < (2 * one.memory + 512) << 20, f"{name}: the bound of decision 29"
    assert one.huge == (resident > share), f"{name}: {resident >> 20} MiB"
    fit = isinstance(ended, frames.Done) or ended.fit
    assert (pid in run.workers.pids()) == (fit and not one.huge), f"{name}: it is replaced"


async def test_an_agent_reaches_nothing_but_its_node() -> None:
    async with agents() as run:
        for name, one in REACHES.items():
            await tried(run, name, one)
            await run.healthy()


UNLOCKED = """
from pathlib import Path
from tests.sandbox import alone

NATIVE = {
    "file": lambda: Path("/etc/passwd").read_bytes(),
    "write": lambda: alone.write(Path(f"/dev/shm/commons-{os.getpid()}")),
    "fork": alone.fork, "thread": alone.start_thread, "10 GB": alone.take_memory,
}

def through(start, *_limits):
    start()
    for attack in NATIVE.values():
        attack()
    os.unlink(f"/dev/shm/commons-{os.getpid()}")
    return tuple(NATIVE)

worker.lock = through
"""
"""No layer but WebAssembly: native code of the same process gets through, and says so."""


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="layers of Linux")
async def test_webassembly_alone_holds_an_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: Held
) -> None:
    """Also where nothing else does: all other layers are off, and are seen to be."""
    held.wanted.clear()
    async with unprivileged(tmp_path, monkeypatch, UNLOCKED) as run:
        for name, one in {**REACHES, **BOMBS}.items():
            await tried(run, name, one)
            await run.healthy()
            assert held.said == ("file", "write", "fork", "thread", "10 GB")
            for pid in run.workers.pids():
                status, limits = status_of(pid), limits_of(pid)
                assert (status["Seccomp"], status["NoNewPrivs"]) == ("0", "0")
                assert all(limits[name][1] != "0" for name in ("Max open files", "Max processes"))
                assert uid_of(pid) == (OTHER if os.geteuid() == 0 else os.geteuid())
    assert held.seen > 5, "those that trapped were replaced"


async def test_an_agent_blows_up_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(monkeypatch)
    async with agents() as run:
        for name, one in BOMBS.items():
            await bounded(run, watch, name, one)
            await run.healthy()


@pytest.mark.long
async def test_an_agent_that_takes_much_memory_takes_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watch = Watch(monkeypatch)
    async with agents() as run:
        for name, one in LARGE.items():
            await bounded(run, watch, name, one)
            await run.healthy()


async def test_a_worker_is_nobody_and_has_nothing(held: Held) -> None:
    """As every other of these tests asserts of each of its workers; here that it does."""
    async with agents() as run:
        await run.healthy()
        (pid,) = run.workers.pids()
        assert held.seen == 1
        assert not held.faults
        assert faults_of(pid) == [], "and after a run"
        assert (uid_of(pid) in NOBODY) == (os.geteuid() == 0)
    assert faults_of(os.getpid()), "this process is not held, and it is noticed"


async def test_a_worker_takes_runs_of_its_own_size_only() -> None:
    """Its limits are hard, so another agent's run, with more or with less, needs another one."""
    ask = main("return 1")

    async with agents() as run:

        async def after(**limits: int) -> int:
            ended = await run(ask, limits=Limits(wall_s=20, **limits))
            assert isinstance(ended, frames.Done), ended
            return run.attempt.pid

        first = await after(memory_mib=64, cpu_s=20)
        assert await after(memory_mib=64, cpu_s=20) == first
        assert await after(memory_mib=64, cpu_s=30) == first, "there is time enough for it"
        assert await after(memory_mib=64, cpu_s=50) != first, "there is not"
        larger = await after(memory_mib=128, cpu_s=20)
        found = {addresses(pid) for pid in run.workers.pids()}
        more = max(found) - min(found)
        assert abs(more - 2 * (64 << 20)) < 4 << 20, "twice what one may have more"
        assert larger in run.workers.pids()


async def test_nothing_of_a_run_is_left_for_the_next() -> None:
    async with agents() as run:
        asks = main(
            "import json, math, random, uuid\nprint('here')\n"
            "return [json.dumps({'a': [1]}), math.floor(2.5), random.random(), uuid.uuid4()]"
        )
        first = await run(asks)
        pids = run.workers.pids()
        await run(main(PATCHES))
        second = await run(asks)
        assert isinstance(first, frames.Done)
        assert isinstance(second, frames.Done)
        assert run.workers.pids() == pids, "it is the same process"
        assert second.result == first.result, "the same seed, the same everything"
        assert second.fuel == first.fuel, "to the last step"
        assert list(run.attempt.lines) == ["here"]
        third = await run(asks, seed="33" * 32)
        assert isinstance(third, frames.Done)
        (_, _, *numbers), (_, _, *others) = map(_listed, (first.result, third.result))
        assert numbers != others, "another seed, other numbers"


def _listed(value: object) -> list[object]:
    assert isinstance(value, list)
    return value


async def test_a_million_calls_and_lines_are_bounded() -> None:
    async with agents() as run:
        calls = main("for n in range(10**6): host.call('echo', n=n)")
        with pytest.raises(Ended, match="it made more than 300 calls") as stopped:
            await run(calls, echo, Limits(wall_s=20, memory_mib=64, calls=300))
        assert (stopped.value.code, stopped.value.again) == ("calls", False)
        assert run.attempt.calls == 301
        assert run.attempt.fuel > 10**6, "what it has used so far is known"
        await run.healthy()
        ended = await run(main("for n in range(1_000): print(n)\nprint('x' * 10**6)"))
        assert isinstance(ended, frames.Done)
        assert len(run.attempt.lines) == 200
        assert max(map(len, run.attempt.lines)) <= frames.LINE
        await run.healthy()


@pytest.mark.long
async def test_many_calls_leave_nothing_behind_in_either_process() -> None:
    """Of the million that may be allowed some: all of them take minutes of a processor."""
    asks = "for n in range({0}): host.call('echo', text='x' * 1000)\nreturn {0}"
    limits = Limits(wall_s=300, cpu_s=300, memory_mib=64, calls=10**6)
    async with agents() as run:
        first = await run(main(asks.format(500)), echo, limits, fuel=10**13)
        mine = resident()
        many = await run(main(asks.format(10_000)), echo, limits, fuel=10**13)
        assert isinstance(first, frames.Done)
        assert isinstance(many, frames.Done)
        assert (many.result, run.attempt.calls) == (10_000, 10_001)
        assert many.memory - first.memory < 8 << 20, "the worker keeps nothing of a call"
        assert resident() - mine < 8 << 20, "nor does the node: 10 MB have gone by each way"
        await run.healthy()


@pytest.mark.long
async def test_a_node_that_does_not_answer_holds_a_run_no_longer_than_its_time() -> None:
    """A call cannot be interrupted from within: only the end of its process ends it."""

    async def never(_method: str, _params: dict[str, Any]) -> object:
        await asyncio.sleep(10**9)
        return None

    async with agents() as run:
        await run.healthy()
        (pid,) = run.workers.pids()
        with pytest.raises(Ended) as stopped:
            await run(main("host.call('wait')"), never, Limits(wall_s=1, cpu_s=20, memory_mib=64))
        took = run.attempt.wall_ms / 1000
        assert stopped.value.code == "timeout"
        assert took < 1 + 0.6 + _slack(), f"{took:.2f} s"
        assert gone(pid), "its process is gone"
        await run.healthy()
        assert run.workers.pids() != [pid]


@pytest.mark.long
async def test_a_run_that_does_not_end_is_interrupted_in_time() -> None:
    async with agents() as run:
        await run.healthy()
        for body in ("while True: pass", "import re\nre.match('(a+)+$', 'a' * 60 + 'b')"):
            limits = Limits(wall_s=1, cpu_s=60, memory_mib=64)
            ended = await run(main(body), limits=limits, fuel=10**15)
            took = run.attempt.wall_ms / 1000  # from when a process has it
            assert isinstance(ended, frames.Failed)
            assert ended.code == "timeout", ended
            assert took < 1 + 0.6 + _slack(), f"{body}: {took:.2f} s"
            assert ended.fuel > 10**6, "a run that was interrupted has used fuel"
            await run.healthy()


def _slack() -> float:
    """A machine on which everybody works: the figure itself is in `make bench NAME=jobs`."""
    return 1.5


async def test_a_worker_is_replaced_after_its_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert workers.RUNS == 200
    monkeypatch.setattr(workers, "RUNS", 5)
    async with agents() as run:
        await run.healthy()
        (first,) = run.workers.pids()
        for _ in range(4):
            await run.healthy()
        assert run.workers.pids() == [], "after so many runs it is over"
        await run.healthy()
        assert run.workers.pids() != [first]
        assert gone(first)
