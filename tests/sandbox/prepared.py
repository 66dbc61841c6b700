"""The compiled runner for tests: made once for a checkout, sealed anew for whoever borrows it.

To run an agent in a test: ``async with agents() as run: ended = await run(SOURCE, broker=…)``.
For a daemon of a test: ``lend(home)`` before its first agent runs, or it compiles for 20 seconds.
"""

from __future__ import annotations

import asyncio
import base64
import fcntl
import hashlib
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from commons_node.jobs import frames
from commons_node.jobs.job import Limits
from commons_node.jobs.workers import SANDBOX, Attempt, NotOffered, Workers, environment
from commons_node.keystore.node_key import NodeKey
from commons_node.sandbox import cache
from commons_node.sandbox.kind import kind
from commons_node.sandbox.preparing import Preparing
from commons_node.sandbox.runner import SHA256

FOLDER = Path(__file__).resolve().parents[2] / ".pytest_cache"
SECRET = b"a node of tests, and no other...."
LIMITS = Limits(wall_s=10, cpu_s=20, memory_mib=64)

Ended = frames.Done | frames.Failed
Answers = Callable[[str, dict[str, Any]], Awaitable[object]]


def preparing() -> Preparing:
    """The shared one of this checkout."""
    return Preparing(FOLDER, lambda: SECRET)


class Shared:
    """As ``Preparing``, for tests in several processes: one of them compiles."""

    def __init__(self) -> None:
        """Compiles nothing yet."""
        self.preparing = preparing()

    async def prepare(self) -> frames.Prepare:
        """See ``Preparing``."""
        FOLDER.mkdir(exist_ok=True)
        with (FOLDER / "sandbox.lock").open("w") as file:
            await asyncio.to_thread(fcntl.flock, file, fcntl.LOCK_EX)  # others of this loop go on
            return await self.preparing.prepare()

    def spoilt(self) -> None:
        """Nobody spoils this one."""
        raise AssertionError("the shared runner is good")

    def progress(self) -> int | None:
        """It is there."""
        return None


def never_by_itself(folder: Path) -> None:
    """An agent's schedule of a leap day: no run of its own comes between those of a test."""
    file = folder / "agent.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(re.sub(r'cron = "[^"]*"', 'cron = "0 0 29 2 *"', text), encoding="utf-8")


async def lend(home: Path, secret: bytes | None = None) -> Path:
    """Put the compiled runner into a home; without ``secret`` the home's own is read."""
    told = await Shared().prepare()
    secret = NodeKey(home / "node.key").load()["network"] if secret is None else secret
    body = await asyncio.to_thread(Path(told.cache).read_bytes)
    return cache.keep(home / cache.FOLDER, kind(), SHA256, cache.key_of(secret), body)


def code(source: str | bytes | Mapping[str, str], entry: str = "agent.py:main") -> Answers:
    """Answers ``agent.code`` in pieces, as the broker does."""
    runtime = "wasm" if isinstance(source, bytes) else "python"
    files = {"agent.py": source} if isinstance(source, str) else source
    data = source if isinstance(source, bytes) else json.dumps(files).encode()

    async def answer(_method: str, params: dict[str, Any]) -> object:
        piece = data[params["offset"] : params["offset"] + 500_000]
        return {
            "data": base64.b64encode(piece).decode(), "size": len(data), "runtime": runtime,
            "entry": entry,
        }  # fmt: skip

    return answer


async def nothing(method: str, _params: dict[str, Any]) -> object:
    """A broker that offers nothing."""
    raise NotOffered(method=method)


class Runs:
    """Runs agents in the workers of one pool."""

    def __init__(self, workers: Workers) -> None:
        """See ``agents``."""
        self.workers = workers
        self.attempt = Attempt()
        """Of the last run."""

    async def __call__(
        self,
        source: str | bytes | Mapping[str, str],
        broker: Answers = nothing,
        limits: Limits = LIMITS,
        trigger: Mapping[str, object] | None = None,
        **given: object,
    ) -> Ended:
        """One run. Raises ``workers.Ended``."""
        fetch = code(source)

        async def answer(method: str, params: dict[str, Any], /) -> object:
            return await (fetch if method == "agent.code" else broker)(method, params)

        content = source if isinstance(source, bytes) else json.dumps(source).encode()
        package = hashlib.sha256(content).hexdigest()
        start = frames.Start(
            SANDBOX, "agent-test", 7, 1, 1_780_000_000_000, 1, False, limits,
            {"package": package, "seed": "11" * 32, **given}, trigger or {},
        )  # fmt: skip
        self.attempt = Attempt()
        return await self.workers.run(start, self.attempt, answer)

    async def healthy(self) -> None:
        """An ordinary run goes well, and nothing is left of what was before."""
        ended = await self("def main(event, host):\n    return event['run'] * 6")
        assert isinstance(ended, frames.Done), f"the pool is healthy: {ended}"
        assert ended.result == 42


async def started(program: str, *words: str) -> asyncio.subprocess.Process:
    """A worker process that runs this, instead of what ``start_worker`` would."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, *words, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        start_new_session=True, env=environment(),
    )  # fmt: skip


OTHER = 60_598
"""A node's own user, where a test is root: nobody has this number."""
_DROP = f"""
if os.geteuid() == 0:
    os.setgroups([]); os.setresgid(*[{OTHER}] * 3); os.setresuid(*[{OTHER}] * 3)
assert os.geteuid() != 0
sys.exit(worker.main())
"""


@asynccontextmanager
async def unprivileged(
    folder: Path, patch: pytest.MonkeyPatch, before: str = ""
) -> AsyncIterator[Runs]:
    """As ``agents``, of a node that is not root; ``before``: what each worker does first, while it
    can still import whatever this test can."""
    path = await lend(folder, SECRET)
    for above in folder.parents:
        if str(above).startswith("/tmp/"):  # noqa: S108 - pytest's
            await asyncio.to_thread(above.chmod, 0o755)
    if os.geteuid() == 0:
        for one in (folder, path.parent, path):
            os.chown(one, OTHER, OTHER)

    begins = "import os, sys\nfrom commons_node.sandbox import worker\nworker.kind()\n"
    program = begins + before + _DROP
    patch.setattr("commons_node.jobs.workers.start_worker", lambda _module: started(program))
    workers = Workers(Preparing(folder, lambda: SECRET))
    try:
        yield Runs(workers)
    finally:
        await workers.stop()
        assert workers.pids() == [], "nothing is left running"


@asynccontextmanager
async def agents() -> AsyncIterator[Runs]:
    """Workers of the sandbox, none of which is left afterwards."""
    shared = Shared()
    await shared.prepare()
    workers = Workers(shared)
    try:
        yield Runs(workers)
    finally:
        await workers.stop()
        assert workers.pids() == [], "nothing is left running"
