"""An event loop without a clock, sockets or threads: time passes when nothing is left to do.

Nothing here waits. Timers of one instant run in the order in which they were set.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, ContextVar
from heapq import heappop, heappush
from typing import Any, Protocol, TypeVar, TypeVarTuple

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

_MOST_AT_ONCE = 200_000
"""Turns of the loop without any passing of time: more is a node that never comes to rest."""


class Owner(Protocol):
    """Whoever a task belongs to: it is told of each one, and may end them all."""

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """A task began in this owner's context."""


WHO: ContextVar[Owner | None] = ContextVar("WHO", default=None)
"""Whose code is running: one life of a node, or nobody (the simulation itself)."""


class Stalled(RuntimeError):
    """Everybody waits for something that can never come, or nobody ever comes to rest."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Seconds since the simulation began, as a float that only this loop moves.

    It has timers and a turn of its own: half of what a simulated node does is to wait for a time.
    """

    _ready: deque[asyncio.Handle]
    _stopping: bool

    def __init__(self) -> None:
        """At second 0."""
        super().__init__()
        self._now = 0.0
        self._turns = 0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._set = 0
        self.set_task_factory(_make_task)

    def time(self) -> float:
        """Seconds since the beginning."""
        return self._now

    def call_at(
        self,
        when: float,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Set a timer."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._set += 1
        heappush(self._timers, (when, self._set, timer))
        return timer

    def _run_once(self) -> None:
        """Run what is due; let time pass until the next timer if nothing is."""
        ready, timers = self._ready, self._timers
        while timers and timers[0][2].cancelled():
            heappop(timers)
        if not ready and not self._stopping:
            if not timers:
                raise Stalled("everybody waits, and no timer is set")
            if timers[0][0] > self._now:
                self._now = timers[0][0]
                self._turns = 0
        self._turns += 1
        if self._turns > _MOST_AT_ONCE:
            raise Stalled("time stands still: somebody never comes to rest")
        while timers and timers[0][0] <= self._now:
            ready.append(heappop(timers)[2])
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle.cancelled():
                handle._run()

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is dropped when its time comes."""

    def _write_to_self(self) -> None:
        """There is no other thread to wake this one."""

    def play(self, story: Coroutine[Any, Any, Result]) -> Result:
        """Run one coroutine to its end, then close the loop."""
        asyncio.set_event_loop(self)
        try:
            return self.run_until_complete(story)
        finally:
            asyncio.set_event_loop(None)
            self.close()


def _make_task(
    loop: asyncio.AbstractEventLoop,
    work: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
    context: Context | None = None,
    **more: Any,
) -> asyncio.Task[Any]:
    task = asyncio.Task(work, loop=loop, context=context, **more)
    owner = context[WHO] if context is not None and WHO in context else WHO.get()
    if owner is not None:
        owner.adopt(task)
    return task
