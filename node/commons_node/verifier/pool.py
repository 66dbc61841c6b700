"""A pool of verifier processes that survives the death of any of them.

A batch whose worker died is tried again alone, in a process of its own; if it kills again, it is
halved until the item that kills stands alone. That item is *held*: a local state, never a verdict.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import structlog

from commons_node.verifier.packing import packed
from commons_node.verifier.work import Attempt, Failed, ready

Item = TypeVar("Item")
Result = TypeVar("Result")

_MEMORY_BYTES = 2 * 1024**3
_BATCH_SECONDS = 120.0
_LONG_S = 5.0
_PR_SET_PDEATHSIG = 1
_YOUNG = 50_000
"""New objects before Python looks for cycles among them: a slice makes thousands, and none."""

log = structlog.get_logger(component="verifier")


def _lock_down(parent: int, memory_bytes: int) -> None:
    """Die with the daemon, stay small, ignore its Ctrl-C, keep stdout clean of Rust's panics."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    if os.getppid() != parent:
        os._exit(0)
    os.environ["RUST_BACKTRACE"] = "0"
    gc.set_threshold(_YOUNG)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)


class VerifierPool:
    """``workers`` processes; ``map`` runs a list function over items, in slices."""

    def __init__(
        self,
        workers: int = 2,
        *,
        batch_seconds: float = _BATCH_SECONDS,
        memory_bytes: int = _MEMORY_BYTES,
    ) -> None:
        """Nothing is started before the first call or ``warm``.

        ``batch_seconds``: a slice that takes longer counts as a death; ``memory_bytes``: the
        address space of one process (Linux).
        """
        self._workers = workers
        self._batch_seconds = batch_seconds
        self._memory_bytes = memory_bytes
        self._executor: ProcessPoolExecutor | None = None
        self._alone: ProcessPoolExecutor | None = None
        self._one_at_a_time = asyncio.Lock()
        self._aside: ProcessPoolExecutor | None = None
        self._aside_lock = asyncio.Lock()
        self.deaths = 0
        """How often a worker died under a batch since the start."""

    @property
    def workers(self) -> int:
        """How many processes share the work."""
        return self._workers

    def pids(self) -> list[int]:
        """The processes that are running now."""
        return [
            pid
            for executor in (self._executor, self._alone, self._aside)
            if executor is not None
            for pid in list(executor._processes or {})
        ]

    async def warm(self) -> None:
        """Start the processes before they are needed."""
        await asyncio.gather(*(self.call(ready) for _ in range(self._workers)))

    async def call(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """Run ``work`` in a worker; a death is retried once, then ``BrokenProcessPool``.

        What ``work`` raises is raised here.
        """
        try:
            return await self._shared(work, *arguments)
        except BrokenProcessPool:
            return await self._quarantined(work, *arguments)

    async def aside(self, work: Callable[..., Result], *arguments: Any, seconds: float) -> Result:
        """Run one long ``work`` in a process of its own, so that no batch waits behind it.

        One at a time. Raises what it raises, and ``BrokenProcessPool`` if it dies or takes longer
        than ``seconds``; that is not tried again.
        """
        async with self._aside_lock:
            if self._aside is None or _died(self._aside):
                self._aside = self._start(1)
            executor, began = self._aside, time.monotonic()
            try:
                return await self._run(executor, work, *arguments, seconds=seconds)
            except BrokenProcessPool:
                self._aside = None
                self._kill(executor)
                raise
            finally:
                if self._aside is not None and time.monotonic() - began > _LONG_S:
                    self._aside = None  # what took long leaves much memory behind
                    executor.shutdown(wait=False)

    async def map(
        self, work: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item], slice_size: int
    ) -> list[Result | None]:
        """``work`` over slices of ``items``, in order; None for an item that can't be worked on.

        That is one that kills its worker, runs out of its time or memory, or makes ``work`` raise.
        """
        slices = [items[i : i + slice_size] for i in range(0, len(items), slice_size)]
        done = await asyncio.gather(*(self._slice(work, part) for part in slices))
        return [result for part in done for result in part]

    async def _slice(
        self, work: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item]
    ) -> list[Result | None]:
        try:
            found: Any = await self._shared(Attempt(work), packed(items))
        except BrokenProcessPool:
            return await self._suspects(work, items)
        if isinstance(found, Failed):
            log.warning("work_failed", work=_name(work), error=found.error)
            return await self._suspects(work, items)
        return list(found)

    async def _suspects(
        self, work: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item]
    ) -> list[Result | None]:
        """Items one of which may kill: alone, so that no death is blamed on others."""
        error = "died"
        for _ in range(2 if len(items) == 1 else 1):  # an innocent one may die by accident, once
            try:
                found: Any = await self._quarantined(Attempt(work), packed(items))
            except BrokenProcessPool:
                continue
            if not isinstance(found, Failed):
                return list(found)
            error = found.error
        if len(items) == 1:
            log.warning("item_held", work=_name(work), error=error)
            return [None]
        half = len(items) // 2
        first = await self._suspects(work, items[:half])
        return first + await self._suspects(work, items[half:])

    async def _shared(self, work: Callable[..., Result], *arguments: Any) -> Result:
        if self._executor is None or _died(self._executor):
            self._executor = self._start(self._workers)
        executor = self._executor
        try:
            return await self._run(executor, work, *arguments)
        except BrokenProcessPool:
            if executor is self._executor:  # otherwise another call saw the same death
                self._executor = None
                self._kill(executor)
            raise

    async def _quarantined(self, work: Callable[..., Result], *arguments: Any) -> Result:
        async with self._one_at_a_time:
            if self._alone is None or _died(self._alone):
                self._alone = self._start(1)
            executor = self._alone
            try:
                return await self._run(executor, work, *arguments)
            except BrokenProcessPool:
                self._alone = None
                self._kill(executor)
                raise

    async def _run(
        self,
        executor: ProcessPoolExecutor,
        work: Callable[..., Result],
        *arguments: Any,
        seconds: float | None = None,
    ) -> Result:
        try:
            future = asyncio.wrap_future(executor.submit(work, *arguments))
            return await asyncio.wait_for(future, seconds or self._batch_seconds)
        except TimeoutError as error:
            log.warning("worker_slow", work=_name(work))
            raise BrokenProcessPool from error
        except BrokenProcessPool:
            log.warning("worker_lost", work=_name(work))
            raise

    def _start(self, workers: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_lock_down,
            initargs=(os.getpid(), self._memory_bytes),
        )

    def _kill(self, executor: ProcessPoolExecutor) -> None:
        self.deaths += 1
        for process in list((executor._processes or {}).values()):
            process.kill()
        executor.shutdown(wait=False)  # others of its calls learn of the death, none is cancelled

    async def stop(self) -> None:
        """End the processes; running batches are abandoned."""
        known = (self._executor, self._alone, self._aside)
        running = [one for one in known if one is not None]
        self._executor = self._alone = self._aside = None
        for executor in running:
            for process in list((executor._processes or {}).values()):
                process.kill()
            await asyncio.to_thread(executor.shutdown, wait=True, cancel_futures=True)


def _died(executor: ProcessPoolExecutor) -> bool:
    """Whether a process ended while nobody waited for it: no fault of the next batch."""
    running = list((executor._processes or {}).values())
    ended = any(not process.is_alive() for process in running)
    return ended or bool(executor._broken)  # in this order: what another thread reaps looks alive


def _name(work: Callable[..., object]) -> str:
    inner = getattr(work, "work", work)
    return str(getattr(inner, "__name__", type(inner).__name__))
