"""What an agent may try: each try ends as it must, and the pool is healthy after it."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.sandbox.prepared import LIMITS, Runs, agents

from commons_node.jobs import frames, workers
from commons_node.jobs.job import Limits
from commons_node.jobs.workers import Ended
from commons_node.sandbox.lock import FIRST_USER, USERS

BIG = 50 << 20


@dataclass(frozen=True)
class Try:
    """``body`` of ``main``; what comes of it: a code, a part of the text, or a result."""

    body: str
    code: str = ""
    text: str = ""
    result: object = None
    given: tuple[tuple[str, object], ...] = ()


def main(body: str) -> str:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return f"def main(event, host):\n{lines}\n"


REACHES = {
    "a file": Try("open('/etc/passwd')", "fault", "FileNotFoundError"),
    "the node's key": Try("open('../node.key', 'rb')", "fault", "FileNotFoundError"),
    "a folder": Try("import os\nreturn os.listdir('/')", "fault", "Error"),
    "a file of its own": Try("open('mine', 'w').write('x')", "fault", "Error"),
    "its environment": Try("import os\nreturn dict(os.environ)", result={}),
    "its parent's": Try("open('/proc/1/environ').read()", "fault", "FileNotFoundError"),
    "a socket": Try("import socket", "fault", "ModuleNotFoundError"),
    "a socket below": Try("import _socket\n_socket.socket().connect(('127.0.0.1', 1))", "reach"),
    "the loop": Try("import asyncio", "fault", "ModuleNotFoundError"),
    "native code": Try("import ctypes", "fault", "ModuleNotFoundError"),
    "a program": Try("import subprocess", "fault", "ModuleNotFoundError"),
    "a system": Try("import os\nreturn os.system('id')", "fault", "AttributeError"),
    "a fork": Try("import os\nreturn os.fork()", "fault", "AttributeError"),
    "a kill": Try("import os\nreturn os.kill(1, 9)", "fault", "AttributeError"),
    "a thread": Try(
        "import threading\nthreading.Thread(target=print).start()", "fault", "can't start"
    ),
    "standard output": Try("import os\nos.write(1, b'x')", "reach", "agents do not have"),
    "the end of its process": Try("import os\nos._exit(0)", "reach", "agents do not have"),
    "the end of a program": Try("raise SystemExit(0)", "fault", "SystemExit"),
    "sleep": Try("import time\ntime.sleep(1e9)", "fault", "cannot sleep"),
    "a wait": Try("import threading\nthreading.Event().wait(1e9)\nreturn {}", result={}),
    "what was not granted": Try("host.call('docs.query')", "not_offered", "may not ask"),
}


BOMBS = {
    "10 GB": Try("return len(bytearray(10**10))", "fault", "OverflowError"),
    "2 GB": Try("return len(bytearray(2**31 - 1))", "memory", "MemoryError"),
    "no end": Try("while True: pass", "fuel", "used up", given=(("fuel", 10**8),)),
    "a pattern": Try(
        "import re\nre.match('(a+)+$', 'a' * 40 + 'b')", "fuel", given=(("fuel", 10**8),)
    ),
    "itself": Try("def f(): f()\nf()", "fault", "RecursionError"),
    "a deep pattern": Try("import re\nre.compile('(' * 10**5 + ')' * 10**5)", "fault"),
    "an argument that fits no frame": Try(
        "host.call('echo', text='x' * (1 << 20))", "too_large", "at most"
    ),
    "a deep result": Try(
        "found = []\nfor _ in range(10**5): found = [found]\nreturn found", "recursion"
    ),
    "a deep argument": Try(
        "from wit_world.imports import host as below\n"
        "try: below.call('echo', '[' * 10**5)\n"
        "except Exception as error: return error.value[:20]",
        result='{"code":"bad_params"',
    ),
    "JSON of a hundred levels": Try(
        "found = []\nfor _ in range(100): found = [found]\nreturn len(repr(found))", result=202
    ),
    "deep JSON to read": Try("import json\njson.loads('[' * 10**6)", "recursion"),
    "no number": Try("return float('nan')", "output", "no JSON"),
    "no value": Try("return object()", "output", "no form in JSON"),
    "a name": Try("host.call('m' * 100)", "too_large"),
    "a silent error": Try(
        "class E(Exception):\n    def __str__(self): raise MemoryError\nraise E", "fault", "E"
    ),
    "garbage": Try(
        "import commons_agent\nfrom componentize_py_types import Err\nraise Err('{]')", "fault"
    ),
}  # fmt: skip


LARGE = {
    "a list without end": Try("found = []\nwhile True: found.append(' ' * 1000)", "memory"),
    "a large result": Try(f"return 'x' * {BIG}", given=(("memory", 256),)),
    "a large argument": Try(
        "host.call('echo', text='x' * (60 << 20))", given=(("memory", 256),)
    ),
    "itself without a limit": Try(
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(n): return [f(n + 1)]\nf(0)",
        given=(("fuel", 2 * 10**9),),
    ),
}  # fmt: skip


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines)


def limits_of(pid: int) -> str:
    return Path(f"/proc/{pid}/limits").read_text()


def owner_of(pid: int) -> int:
    return Path(f"/proc/{pid}/environ").stat().st_uid


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


async def echo(_method: str, params: dict[str, Any]) -> object:
    return params


async def tried(run: Runs, name: str, one: Try) -> None:
    given: dict[str, Any] = dict(one.given)
    memory = given.pop("memory", LIMITS.memory_mib)
    limits = Limits(wall_s=20, cpu_s=20, memory_mib=memory)
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
        assert not one.code or ended.code == one.code, f"{name}: {ended}"
        assert one.text in ended.error, f"{name}: {ended}"
    assert run.attempt.wall_ms < 20_000, name


async def test_an_agent_reaches_nothing_but_its_node() -> None:
    async with agents() as run:
        for name, one in REACHES.items():
            await tried(run, name, one)
            await run.healthy()


async def test_an_agent_blows_up_alone() -> None:
    async with agents() as run:
        for name, one in BOMBS.items():
            await tried(run, name, one)
            await run.healthy()


@pytest.mark.long
async def test_an_agent_that_takes_much_memory_takes_its_own() -> None:
    async with agents() as run:
        for name, one in LARGE.items():
            await tried(run, name, one)
            await run.healthy()


async def test_a_worker_is_nobody_and_has_nothing(tmp_path: Path) -> None:
    async with agents() as run:
        await run.healthy()
        (pid,) = run.workers.pids()
        status = status_of(pid)
        users = {int(word) for word in status["Uid"].split()}
        if os.geteuid() == 0:
            assert len(users) == 1
            assert users <= set(range(FIRST_USER, FIRST_USER + USERS)), "an unprivileged user"
            assert status["Groups"].strip() == ""
        else:
            assert users == {os.getuid()}, "who is unprivileged already"
        assert int(status["CapEff"], 16) == 0, "no capability"
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2", "a filter"
        limits = limits_of(pid)
        for name in ("Max open files", "Max processes", "Max file size", "Max core file size"):
            (line,) = [line for line in limits.splitlines() if line.startswith(name)]
            assert line.removeprefix(name).split()[:2] == ["0", "0"], line
        if os.geteuid() == 0:
            assert owner_of(pid) == 0, "nobody looks into it"


async def test_nothing_of_a_run_is_left_for_the_next() -> None:
    async with agents() as run:
        evil = main(
            "import builtins, json, random, sys, commons_agent\n"
            "json.dumps = json.loads = lambda *a, **k: '{}'\n"
            "commons_agent.dump = lambda value: '666'\n"
            "builtins.print = len\n"
            "sys.modules['math'] = None\n"
            "sys.meta_path.clear()\n"
            "return 1"
        )
        asks = main(
            "import json, math, random, uuid\nprint('here')\n"
            "return [json.dumps({'a': [1]}), math.floor(2.5), random.random(), uuid.uuid4()]"
        )
        first = await run(asks)
        pids = run.workers.pids()
        await run(evil)
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
        with pytest.raises(Ended, match="300 calls"):
            await run(calls, echo, Limits(wall_s=20, memory_mib=64, calls=300))
        assert run.attempt.calls == 301
        assert run.attempt.fuel > 10**6, "what it has used so far is known"
        await run.healthy()
        ended = await run(main("for n in range(1_000): print(n)\nprint('x' * 10**6)"))
        assert isinstance(ended, frames.Done)
        assert len(run.attempt.lines) == 200
        assert max(map(len, run.attempt.lines)) <= frames.LINE
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
        began = time.monotonic()
        with pytest.raises(Ended) as stopped:
            await run(main("host.call('wait')"), never, Limits(wall_s=1, memory_mib=64))
        took = time.monotonic() - began
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
            began = time.monotonic()
            ended = await run(main(body), limits=limits, fuel=10**15)
            took = time.monotonic() - began
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
