"""The keys of `jobs` that concern agents: what the sandbox costs beside plain Python.

`compile_seconds` is once a node (`compile_cpu_s`: all its threads, at low priority). `load_ms` is
once a worker process: to check the seal, load, lock and run once; `start_ms` is all from nothing to
the end of a first run, of which `python_ms` starts an interpreter that does nothing. `stand_in_*`
are whole warm runs of an agent with eleven calls, one after the other, that a function of one line
answers: the sandbox and its pipe alone, the floor of `warm_*` (`broker`), and `stand_in_cpu_ms`
what both processes took of the processor for each; `jobs_per_second` are runs that do nothing, in
one worker. `overhead` is the processor time of a calculation in there for each second
of the same calculation in this interpreter, in the same seconds (`native_ms`, its least; an
interpreter that was built with profiles is faster, and the ratio higher). `wall_overrun_s` is how
long a run that had one second was there beyond it: one that loops, one that asks what nobody
answers. `fuel_spread` is between the least and the most fuel of one seed and event, in several
processes.
"""

from __future__ import annotations

import asyncio
import base64
import json
import resource
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.town import say
from commons_node.jobs import frames
from commons_node.jobs.job import Limits
from commons_node.jobs.workers import SANDBOX, Attempt, Ended, Workers
from commons_node.sandbox.preparing import Preparing

_RUNS: Final = 400
_PROCESSES: Final = 5
_PAIRS: Final = 9
_LIMITS: Final = Limits(wall_s=60, cpu_s=60, memory_mib=128, calls=10_000)
_NOTHING: Final = "def main(event, host): return event['run']"
_OVERDUE: Final = """
from datetime import datetime, timezone
def main(event, host):
    now = datetime.fromtimestamp(event['scheduled_ms'] / 1000, timezone.utc)
    loans = host.query('loan', fields=['due', 'borrower', 'item'])
    late = [one for one in loans if datetime.fromisoformat(one['due']) < now]
    for one in late[:10]:
        host.call('notify.send', to=one['borrower'], text=f"{one['item']} was due {one['due']}")
    return {'loans': len(loans), 'late': len(late)}
"""
_WORK: Final = """
import json
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
def work():
    found = {}
    for n in range(300_000): found[n % 5_000] = found.get(n % 5_000, 0) + n
    text = json.dumps([{'n': n, 'name': f'thing {n}'} for n in range(20_000)])
    return [fib(22), len(found), len(json.loads(text))]
"""
_WORKS: Final = f"{_WORK}\ndef main(event, host): return work()\n"
_LOANS: Final = [
    {"due": f"2026-0{1 + n % 9}-11T12:00:00+00:00", "borrower": f"m{n}", "item": f"thing {n}"}
    for n in range(40)
]

Answers = Callable[[str, dict[str, Any]], Awaitable[object]]


async def _answer(method: str, _params: dict[str, Any]) -> object:
    return _LOANS if method == "docs.query" else None


async def _never(_method: str, _params: dict[str, Any]) -> object:
    await asyncio.sleep(3600)
    return None


class _Runs:
    """Runs of one source in one pool."""

    def __init__(self, workers: Workers, source: str) -> None:
        self._workers = workers
        self._data = json.dumps({"agent.py": source}).encode()
        self._package = source[:100]

    async def run(self, broker: Answers = _answer, limits: Limits = _LIMITS) -> frames.Done:
        """One; asserts that it went well."""

        async def answer(method: str, params: dict[str, Any], /) -> object:
            if method != "agent.code":
                return await broker(method, params)
            return {
                "data": base64.b64encode(self._data[params["offset"] :]).decode(),
                "size": len(self._data), "runtime": "python", "entry": "agent.py:main",
            }  # fmt: skip

        start = frames.Start(
            SANDBOX, "bench", 1, 1, 1_780_000_000_000, 1, False, limits,
            {"package": self._package, "seed": "00" * 32, "fuel": 10**13}, {},
        )  # fmt: skip
        ended = await self._workers.run(start, Attempt(), answer)
        assert isinstance(ended, frames.Done), ended
        return ended


def measure_sandbox(folder: Path) -> dict[str, object]:
    """All keys; see above."""
    return asyncio.run(_measure(folder))


async def _measure(folder: Path) -> dict[str, object]:
    secret = bytes(32)
    say("compiling the runner")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    before = used.ru_utime + used.ru_stime
    preparing = Preparing(folder, lambda: secret)
    began = time.perf_counter()
    await preparing.prepare()
    compile_s = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    compile_cpu = used.ru_utime + used.ru_stime - before
    again = Preparing(folder, lambda: secret)
    began = time.perf_counter()
    await again.prepare()
    restart_s = time.perf_counter() - began
    say("starting workers")
    starts, loads, fuels, base = await _starts(again)
    workers = Workers(again)
    try:
        say("warm runs")
        warm, cpu_ms, peak = await _warm(workers)
        each = await _each(workers)
        say("a calculation, here and in there")
        overhead, native = await _overhead(workers)
        say("runs that do not end")
        overrun = await _overrun(workers)
    finally:
        await workers.stop()
    return {
        "compile_seconds": round(compile_s, 1), "compile_cpu_s": round(compile_cpu, 1),
        "restart_compiles": again.made,
        "restart_s": round(restart_s, 4),
        "load_ms": round(min(loads)), "load_p50_ms": round(statistics.median(loads)),
        "python_ms": round(await _python()), "start_ms": round(min(starts)),
        "start_p50_ms": round(statistics.median(starts)),
        "stand_in_p50_ms": round(statistics.median(warm), 1),
        "stand_in_p99_ms": round(statistics.quantiles(warm, n=100)[98], 1),
        "stand_in_cpu_ms": round(cpu_ms, 1),
        "jobs_per_second": round(1 / each.seconds), "jobs_per_cpu_second": round(1 / each.cpu),
        "overhead": round(overhead, 2), "native_ms": round(native * 1000),
        "wall_overrun_s": round(max(overrun.values()), 2), "overruns_s": overrun,
        "fuel_spread": max(fuels) - min(fuels), "fuel": fuels[0],
        "idle_worker_mib": base >> 20, "warm_worker_mib": peak >> 20,
    }  # fmt: skip


async def _python() -> float:
    """Milliseconds of an interpreter that does nothing."""
    took = []
    for _ in range(_PROCESSES):
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
        await process.wait()
        took.append((time.perf_counter() - began) * 1000)
    return min(took)


async def _starts(preparing: Preparing) -> tuple[list[float], list[int], list[int], int]:
    """Milliseconds to a worker that is ready, and of that what its own code took; fuel of each."""
    starts, loads, fuels, base = [], [], [], 0
    for _ in range(_PROCESSES):
        workers = Workers(preparing)
        try:
            began = time.perf_counter()
            done = await _Runs(workers, _NOTHING).run()
            starts.append((time.perf_counter() - began) * 1000)
            loads.append(workers.loaded_ms)
            fuels.append(done.fuel)
            base = done.memory
            overdue = [await _Runs(workers, _OVERDUE).run() for _ in range(4)]
            assert len({one.fuel for one in overdue}) == 1, "one seed, one event, one fuel"
            fuels.append((await _Runs(workers, _NOTHING).run()).fuel)
        finally:
            await workers.stop()
    return starts, loads, fuels, base


async def _warm(workers: Workers) -> tuple[list[float], float, int]:
    runs = _Runs(workers, _OVERDUE)
    done = await runs.run()
    assert done.result == {"loans": 40, "late": 24}, done
    took, busy, inside = [], time.process_time(), 0
    for _ in range(_RUNS):
        began = time.perf_counter()
        done = await runs.run()
        took.append((time.perf_counter() - began) * 1000)
        inside += done.cpu_ms
    return took, ((time.process_time() - busy) * 1000 + inside) / _RUNS, done.memory


@dataclass
class _Each:
    seconds: float
    cpu: float


async def _each(workers: Workers) -> _Each:
    runs = _Runs(workers, _NOTHING)
    await runs.run()
    began, busy, cpu = time.perf_counter(), time.process_time(), 0
    for _ in range(_RUNS):
        cpu += (await runs.run()).cpu_ms
    seconds = time.perf_counter() - began
    return _Each(seconds / _RUNS, (time.process_time() - busy + cpu / 1000) / _RUNS)


async def _overhead(workers: Workers) -> tuple[float, float]:
    """A calculation in the sandbox for each second of it here (median), and its seconds here.

    Processor time. Each run in there is compared with those just before and just after it here:
    the processor's speed changes within seconds, and of the least of each, the shorter one finds
    the faster moment.
    """
    place: dict[str, Any] = {}
    exec(_WORK, place)  # noqa: S102 - the text above
    runs = _Runs(workers, _WORKS)

    def here() -> float:
        busy = time.process_time()
        place["work"]()
        return time.process_time() - busy

    here()
    expected, native, ratios = place["work"](), [here()], []
    for n in range(_PAIRS + 1):
        done = await runs.run()
        assert done.result == expected
        native.append(here())
        if n:  # the first one has warmed it
            ratios.append(done.cpu_ms / 1000 / statistics.mean(native[-2:]))
    return statistics.median(ratios), min(native)


async def _overrun(workers: Workers) -> dict[str, float]:
    limits = Limits(wall_s=1, cpu_s=60, memory_mib=128)
    found = {}
    for name, body, broker in (
        ("loop", "while True: pass", _answer),
        ("wait", "host.call('x')", _never),
    ):
        runs = _Runs(workers, f"def main(event, host):\n    {body}\n")
        await _Runs(workers, _NOTHING).run()
        began = time.perf_counter()
        try:
            await runs.run(broker, limits)
            raise RuntimeError("it ended")
        except (Ended, AssertionError):
            found[name] = round(time.perf_counter() - began - limits.wall_s, 3)
    return found
