"""The one thread that touches the file of jobs, and one commit for all that wait at the same time.

A commit costs what the disk takes to be sure (milliseconds, often), whatever is in it: what comes
while one is under way goes into the next together. Who failed fails alone; nobody is answered
before it is durable.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from commons_crdt.errors import CommonsError
from commons_node.jobs.queue import Queue
from commons_node.store.database import Damaged

Result = TypeVar("Result")
_MOST = 64
"""What goes into one commit: nobody waits for longer than these take."""
_Item = tuple[Callable[[Queue], Any], "asyncio.Future[Any]"]


class Closed(CommonsError):
    """The queue of jobs is closed: its file is being made anew, or the node stops."""

    code = "stopped"
    hint = "try again in a moment; commons-node status says what came of it"


class Desk:
    """Asynchronous calls to a queue; ``open`` before, ``close`` after, and so again."""

    def __init__(self, make: Callable[[], Queue]) -> None:
        """``make`` opens the file, in the thread."""
        self._make = make
        self._waiting: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop
        self.on_damage: Callable[[], None] = lambda: None
        """Told in the event loop each time that SQLite finds the file damaged."""
        self.commits = 0
        """Commits so far; calls are more."""

    async def open(self) -> None:
        """Open the file. Raises what ``make`` does."""
        self._loop = asyncio.get_running_loop()
        opened: asyncio.Future[Any] = self._loop.create_future()
        self._thread = threading.Thread(target=self._work, args=(opened,), name="jobs", daemon=True)
        self._thread.start()
        try:
            await opened
        except BaseException:
            self._thread = None
            raise

    async def close(self) -> None:
        """Do what waits, and close the file."""
        if self._thread is None:
            return
        thread, self._thread = self._thread, None
        self._waiting.put(None)
        await asyncio.to_thread(thread.join)

    async def call(self, work: Callable[[Queue], Result]) -> Result:
        """``work`` in the thread; durable when it returns. Raises what ``work`` raises."""
        if self._thread is None:
            raise Closed
        done: asyncio.Future[Result] = self._loop.create_future()
        self._waiting.put((work, done))
        return await done

    def _work(self, opened: asyncio.Future[Any]) -> None:
        try:
            file = self._make()
        except BaseException as error:  # whoever opens it is told
            self._answer(opened, None, error)
            return
        self._answer(opened, None, None)
        going = True
        while going:
            items = self._next()
            going = None not in items
            calls = [item for item in items if item is not None]
            for done, value, fault in self._together(file, calls):
                self._answer(done, value, fault)
        file.close()

    def _next(self) -> list[_Item | None]:
        """All that waits, one at least; nothing behind the end."""
        items = [self._waiting.get()]
        while items[-1] is not None and len(items) < _MOST:
            try:
                items.append(self._waiting.get_nowait())
            except queue.Empty:
                break
        return items

    def _together(
        self, file: Queue, calls: list[_Item]
    ) -> list[tuple[asyncio.Future[Any], Any, BaseException | None]]:
        if len(calls) < 2:
            return [_one(file, *call) for call in calls]
        try:
            with file.transaction():
                answers = [_one(file, *call) for call in calls]
                if not file.file.in_transaction:
                    raise _Undone
            self.commits += 1
            return answers
        except Exception:  # the disk is full, perhaps: each alone, so that each has its own answer
            return [_one(file, *call) for call in calls]

    def _answer(
        self, done: asyncio.Future[Any], value: object, error: BaseException | None
    ) -> None:
        def tell() -> None:
            if isinstance(error, Damaged):
                self.on_damage()
            if done.done():
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(value)

        try:
            self._loop.call_soon_threadsafe(tell)
        except RuntimeError:  # the loop has ended: nobody listens
            return


class _Undone(Exception):
    """SQLite has given up the whole transaction."""


def _one(
    file: Queue, work: Callable[[Queue], Any], done: asyncio.Future[Any]
) -> tuple[asyncio.Future[Any], Any, BaseException | None]:
    """Any call is a transaction, or a part of one: it changes all that it wants, or nothing."""
    try:
        with file.transaction():
            return done, work(file), None
    except BaseException as error:
        return done, None, error
