"""The narrow bridge between asyncio and one trio run in a thread of its own.

asyncio → trio: `call` (an answer), `post` (none). trio → asyncio: `tell`. When the trio run ends,
however it ends, every pending call fails with `NetworkDown` and `ended` is done: nothing waits
for a thread that is gone. It knows nothing of libp2p.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol, TypeVar, TypeVarTuple, runtime_checkable

import trio

from commons_crdt.texts import N_
from commons_protocol.network import NetworkDown

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

ANSWER_S = 10.0
"""Seconds past its own deadline after which a call no longer believes in the trio thread."""

Main = Callable[[trio.Nursery], Awaitable[T]]


class Bridge:
    """One life of the trio side. Made and used on the asyncio side; never started twice."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._pending: set[asyncio.Future[Any]] = set()
        self._token: trio.lowlevel.TrioToken | None = None
        self._nursery: trio.Nursery | None = None
        self._thread: threading.Thread | None = None
        self.ended: asyncio.Future[BaseException | None] = self._loop.create_future()
        """Done when the trio run is over, with what ended it, or None after `stop`."""

    async def start(self, main: Main[T], seconds: float) -> T:
        """Run `main(nursery)` in a new thread; its result means "up", and the run goes on.

        Raises what `main` raises, and `NetworkDown` after `seconds`.
        """
        up: asyncio.Future[T] = self._loop.create_future()
        self._pending.add(up)
        up.add_done_callback(self._pending.discard)

        async def run() -> None:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                self._token = trio.lowlevel.current_trio_token()
                try:
                    with trio.fail_after(seconds):
                        result = await main(nursery)
                except Exception as error:
                    self.tell(_fail, up, error)
                    raise
                self.tell(_finish, up, result)
                await trio.sleep_forever()

        def thread() -> None:
            error: BaseException | None = None
            try:
                trio.run(run)
            except BaseException as raised:
                error = raised
            self.tell(self._end, error)

        self._thread = threading.Thread(target=thread, name="libp2p", daemon=True)
        self._thread.start()
        return await self._answer(up, seconds)

    async def call(self, fn: Callable[[*Ts], Awaitable[T]], *args: *Ts, seconds: float) -> T:
        """The result of `fn(*args)` in the trio run; `trio.TooSlowError` after `seconds`.

        Cancelled here, it is cancelled there; a result that comes too late is asked to `abandon()`
        itself, where it can.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        scope = trio.CancelScope()

        async def go() -> None:
            try:
                with scope, trio.fail_after(seconds):
                    self.tell(_finish, future, await fn(*args))
            except Exception as error:
                self.tell(_fail, future, error)
            finally:
                # Cancelled in trio, or the run is ending; nobody waits if asyncio cancelled it.
                self.tell(_fail, future, NetworkDown(N_("the call was cut off")))

        def schedule() -> None:
            nursery = self._nursery
            try:
                if nursery is None:
                    raise RuntimeError
                nursery.start_soon(go)
            except RuntimeError:
                # Closed to new tasks: the run is ending.
                self.tell(_fail, future, NetworkDown(N_("it is stopping")))

        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        self.post(schedule)
        try:
            return await self._answer(future, seconds)
        except asyncio.CancelledError:
            self.post(scope.cancel)
            raise

    async def _answer(self, future: asyncio.Future[T], seconds: float) -> T:
        if self.ended.done():
            raise NetworkDown(N_("it has ended"))
        try:
            async with asyncio.timeout(seconds + ANSWER_S):
                return await future
        except TimeoutError:
            raise NetworkDown(N_("it does not answer")) from None

    def post(self, fn: Callable[[*Ts], object], *args: *Ts) -> None:
        """Run `fn(*args)` in the trio run soon, in the order of the posts, or not at all when it
        has ended. Errors are lost.
        """

        def run() -> None:
            # Trio takes an error here for one of its own and ends the run.
            with suppress(Exception):
                fn(*args)

        if self._token is not None:
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(run)

    def spawn(self, fn: Callable[[*Ts], Awaitable[object]], *args: *Ts) -> None:
        """Start `fn(*args)` in the trio run, in no order, or not at all. Errors are lost."""

        async def go() -> None:
            with suppress(Exception):
                await fn(*args)

        def schedule() -> None:
            if self._nursery is not None:
                self._nursery.start_soon(go)

        self.post(schedule)

    def tell(self, fn: Callable[[*Ts], object], *args: *Ts) -> None:
        """From trio: run `fn(*args)` in the asyncio loop soon, or not at all when it is closed."""
        try:
            self._loop.call_soon_threadsafe(fn, *args)
        except RuntimeError:
            return

    async def stop(self, seconds: float) -> bool:
        """End the trio run; true when its thread is gone within `seconds`."""
        thread = self._thread
        if thread is None:
            return True

        def cancel() -> None:
            if self._nursery is not None:
                self._nursery.cancel_scope.cancel()

        self.post(cancel)
        await asyncio.wait([self.ended], timeout=seconds)
        # `ended` is told by the thread's last statement, so this waits for no work.
        thread.join(0.5 if self.ended.done() else 0)
        return not thread.is_alive()

    def _end(self, error: BaseException | None) -> None:
        for future in tuple(self._pending):
            _fail(future, NetworkDown(N_("it has ended")))
        if not self.ended.done():
            self.ended.set_result(error)


@runtime_checkable
class _Abandonable(Protocol):
    def abandon(self) -> None: ...


def shielded(seconds: float) -> trio.CancelScope:
    """A scope for tidying up while being cancelled, bounded all the same. For the trio side."""
    return trio.CancelScope(deadline=trio.current_time() + seconds, shield=True)


def _finish(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)
    elif isinstance(result, _Abandonable):
        result.abandon()


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
