"""Whether what this node writes comes to its disk: by writing, now and then, and not by reading.

A disk that turned read-only, or has no room at all, still answers every question. Who asks for the
node's health may be anybody, so what they make it write is bounded: a row in each of two files and
a small file of its own, at most once in some seconds however many ask, and no second try while one
still hangs.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from commons_crdt.errors import CommonsError
from commons_crdt.texts import _
from commons_node.jobs.queue import Queue

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

PATIENCE_S: Final = 5.0
"""A disk that takes longer for a row is none to rely on."""
FRESH_S: Final = 5.0
"""For so long an answer holds; what was well, for ``STATUS_S`` where only `status` asks."""
STATUS_S: Final = 60.0
ROOM: Final = 64 * 1024
"""Bytes of the small file: more than lies about in the files that are there."""
FILE: Final = "probe"


class Part:
    """One thing that is tried; what came of it last."""

    def __init__(self, attempt: Callable[[], Awaitable[None]]) -> None:
        """``attempt`` raises what is wrong."""
        self.why = ""
        """What was wrong the last time, in words; "" for nothing."""
        self._attempt = attempt
        self._task: asyncio.Task[None] | None = None
        self._began = 0.0

    async def well(self, fresh_s: float = FRESH_S) -> bool:
        """Whether it works; tried anew if the last answer is older.

        A try is waited for ``PATIENCE_S``, by all together.
        """
        now = time.monotonic()
        held = FRESH_S if self.why else fresh_s
        if self._task is None or (self._task.done() and now - self._began >= held):
            self._began = now
            self._task = asyncio.create_task(self._try(), name="probe")
        try:
            async with asyncio.timeout(max(0.0, self._began + PATIENCE_S - now)):
                await asyncio.shield(self._task)
        except TimeoutError:
            self.why = _("no answer within {seconds} s").format(seconds=round(PATIENCE_S))
        return not self.why

    async def _try(self) -> None:
        try:
            await self._attempt()
        except CommonsError as error:
            self.why = str(error)
        except Exception as error:  # whatever it is, nothing was written
            self.why = str(error) or type(error).__name__
        else:
            self.why = ""


class Probing:
    """Of one daemon."""

    def __init__(self, daemon: Daemon) -> None:
        """Nothing is tried yet."""
        self._daemon = daemon
        self._parts = {
            "store": Part(self._row),
            "disk": Part(self._file),
            "jobs": Part(self._job),
        }

    async def failing(self, fresh_s: float = FRESH_S) -> dict[str, str]:
        """What does not work, and why: of ``store``, ``disk``, ``jobs``; within ``PATIENCE_S``."""
        parts = self._parts
        well = await asyncio.gather(*(one.well(fresh_s) for one in parts.values()))
        return {
            name: part.why for (name, part), good in zip(parts.items(), well, strict=True)
            if not good
        }  # fmt: skip

    async def _row(self) -> None:
        """One row in the node's own file, durably."""
        await self._daemon.store.set("probe", str(self._daemon.now_ms()))

    async def _file(self) -> None:
        """Room for a little more than what there is."""
        await asyncio.to_thread(_written, self._daemon.home.path / FILE)

    async def _job(self) -> None:
        """The scheduler goes round, and its file takes a row."""
        scheduler = self._daemon.jobs.scheduler
        await scheduler.desk.call(_noted)
        if why := scheduler.failing():
            raise RuntimeError(why)


def _written(path: Path) -> None:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            left = memoryview(bytes(ROOM))
            while left:
                left = left[os.write(file, left) :]
            os.fsync(file)
        finally:
            os.close(file)
    finally:
        path.unlink(missing_ok=True)


def _noted(queue: Queue) -> None:
    with queue.transaction() as file:
        file.execute("INSERT OR REPLACE INTO counts VALUES ('probe', ?)", (queue.now(),))
