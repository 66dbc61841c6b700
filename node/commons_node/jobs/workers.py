"""The scheduler's side of worker processes: start, talk, and end them by their own id.

A worker that did anything but finish, or fail and be fit, is killed, and so is one after so many
runs: what a run leaves behind in a process ends with it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec

from commons_crdt.errors import CommonsError
from commons_node.jobs import frames
from commons_node.jobs.effects import Effect
from commons_node.jobs.job import BESIDE_MIB, RUNS_OF_TIME, USERS, Limits

RUNS: Final = 200
"""Runs of one process."""
LINES: Final = 200
"""Lines that are kept of one attempt: the last ones."""
_BYTES: Final = 8 * 1024 * 1024
"""Of all effects of one attempt."""
_START_S: Final = 30.0
_SPARE: Final = 1
"""Workers of other handlers that may wait while a new one starts."""
_GRACE_S: Final = 0.2
_LATE_S: Final = 0.5
"""How long after its time a run of the sandbox may say by itself that it took too long."""
SANDBOX: Final = "commons_node.sandbox.worker"
"""The entry of agents: a kind of process of its own, which has to be prepared."""
_PLAIN: Final = "commons_node.jobs.worker"


class Broker(Protocol):
    """Answers what a run asks of the node. Raises ``CommonsError`` to refuse."""

    def __call__(self, method: str, params: dict[str, Any], /) -> Awaitable[object]: ...


class Preparer(Protocol):
    """Has what a worker of the sandbox needs."""

    async def prepare(self) -> frames.Prepare:
        """Made first if need be. Raises ``CommonsError``."""

    def spoilt(self) -> None:
        """A worker has refused it."""

    def progress(self) -> int | None:
        """How far it is, of 100, while it is made; None if it is not."""


@dataclass(slots=True)
class Attempt:
    """What is known of an attempt while it runs, and when it has ended."""

    started: float = field(default_factory=time.monotonic)
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=LINES))
    effects: list[Effect] = field(default_factory=list)
    calls: int = 0
    pid: int = 0
    fuel: int = 0
    """What an agent had used when it last asked for something."""
    most_fuel: int | None = None
    """What it may use in all, as far as its credits go now; None: what it was told at first."""

    @property
    def wall_ms(self) -> int:
        """Milliseconds since a worker took it."""
        return round((time.monotonic() - self.started) * 1000)


class Ended(Exception):
    """The process did not answer in good order: ``code`` and a sentence; it is gone now."""

    def __init__(self, code: str, text: str, *, again: bool) -> None:
        """``again``: whether another attempt may help."""
        super().__init__(text)
        self.code = code
        self.again = again


class Worker:
    """One process; one run at a time."""

    def __init__(self, process: asyncio.subprocess.Process, entry: str) -> None:
        """Use ``Workers``. ``entry``: the handler that it runs, and no other."""
        self.entry = entry
        self._process = process
        self._errors: deque[str] = deque(maxlen=20)
        self._draining = asyncio.create_task(self._drain())
        self._attempt: Attempt | None = None
        self.runs = 0
        self.cpu_ms = 0
        """What its runs have taken, as it says."""
        self.limits: Limits | None = None
        """Within which it has locked itself, if it is one of the sandbox."""
        self.user: int | None = None
        """Which of ``USERS`` it lives as, if it is one of the sandbox."""
        self.layers: tuple[str, ...] = ()
        """What holds it, if it is one of the sandbox."""
        self.load_ms = 0

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Nothing has been heard of its end."""
        return self._process.returncode is None

    async def _drain(self) -> None:
        """What it prints goes into the log of the run."""
        stream = self._process.stderr
        assert stream is not None
        rest = b""
        while data := await stream.read(4096):
            *lines, rest = (rest + data).split(b"\n")
            rest = rest[-frames.LINE :]
            for line in lines:
                text = line.decode("utf-8", "replace")[: frames.LINE]
                self._errors.append(text)
                if self._attempt is not None:
                    self._attempt.lines.append(text)

    def takes(self, entry: str, limits: Limits) -> bool:
        """Whether it may have a run: its limits cannot be changed any more, so they must fit."""
        if not self.alive or self.entry != entry:
            return False
        held = self.limits
        return held is None or (
            held.memory_mib == limits.memory_mib
            and self.cpu_ms + limits.cpu_s * 1000 <= RUNS_OF_TIME * held.cpu_s * 1000
        )

    def swollen(self, memory: int) -> bool:
        """Whether a run of an agent took more than its memory and the process's own, in bytes."""
        most = None if self.limits is None else self.limits.memory_mib + BESIDE_MIB
        return most is not None and memory > most << 20

    async def ready(self, told: frames.Prepare) -> None:
        """Wait until a worker of the sandbox is loaded and locked. Raises ``Ended``; it is gone."""
        try:
            async with asyncio.timeout(_START_S):
                await self._send(told)
                frame = await self._receive()
            if not isinstance(frame, frames.Ready):
                code, text = getattr(frame, "code", "bad_frame"), getattr(frame, "error", "")
                raise Ended(code, text, again=False)
            self.layers, self.load_ms, self.limits = frame.layers, frame.load_ms, told.limits
            self.user = told.user
        except (asyncio.IncompleteReadError, ConnectionError):
            await self.leave()  # it has closed its pipe: how it ends is for it to say
            raise Ended("died", self._how(), again=True) from None
        except BaseException as error:
            await self.kill()
            if isinstance(error, TimeoutError | frames.BadFrame):
                raise Ended("no_process", f"it did not become ready: {error}", again=True) from None
            raise

    async def run(
        self, start: frames.Start, attempt: Attempt, broker: Broker
    ) -> frames.Done | frames.Failed:
        """One run. Raises ``Ended``; the process is gone then. Cancelled, it is killed, too."""
        self.runs += 1
        attempt.pid, attempt.started = self.pid, time.monotonic()
        self._attempt = attempt
        late = _LATE_S if self.entry == SANDBOX else 0.0
        try:
            async with asyncio.timeout(start.limits.wall_s + late):
                return await self._talk(start, attempt, broker)
        except TimeoutError:
            await self.kill()
            told = f"it took longer than {start.limits.wall_s:g} s"
            raise Ended("timeout", told, again=True) from None
        except frames.BadFrame as error:
            await self.kill()
            raise Ended("bad_frame", str(error), again=False) from None
        except (asyncio.IncompleteReadError, ConnectionError):
            await self.leave()  # it has closed its pipe: how it ends is for it to say
            raise Ended("died", self._how(), again=True) from None
        except BaseException:
            await self.kill()
            raise
        finally:
            self._attempt = None

    def _how(self) -> str:
        code = self._process.returncode or 0
        if code < 0:
            with suppress(ValueError):
                return f"its process was ended by {signal.Signals(-code).name}"
        last = self._errors[-1] if self._errors else ""
        return f"its process ended with {code}{': ' if last else ''}{last}"

    async def _talk(
        self, start: frames.Start, attempt: Attempt, broker: Broker
    ) -> frames.Done | frames.Failed:
        await self._send(start)
        size = 0
        while True:
            frame = await self._receive()
            match frame:
                case frames.Log():
                    attempt.lines.append(frame.text)
                case frames.Wants():
                    attempt.effects.append(frame.effect)
                    size += len(frames.encode(frame))
                    if len(attempt.effects) > start.limits.effects or size > _BYTES:
                        most = start.limits.effects
                        raise frames.BadFrame(why=f"more than {most} effects, or than 8 MiB")
                case frames.Call():
                    attempt.calls += 1
                    attempt.fuel = frame.fuel
                    if attempt.calls > start.limits.calls:
                        told = f"it made more than {start.limits.calls} calls"
                        raise Ended("calls", told, again=False)
                    await self._write(await _answer(broker, frame, attempt))
                case frames.Ready():
                    raise frames.BadFrame(why="it is ready twice")
                case _:
                    attempt.fuel = frame.fuel
                    return frame

    async def _send(self, frame: frames.Told) -> None:
        await self._write(frames.encode(frame))

    async def _write(self, data: bytes) -> None:
        sink = self._process.stdin
        assert sink is not None
        sink.write(data)
        await sink.drain()

    async def _receive(self) -> frames.Said:
        source = self._process.stdout
        assert source is not None
        size = frames.length(await source.readexactly(4))
        return frames.said(await source.readexactly(size))

    async def kill(self) -> None:
        """End it with all that it started, and wait until it is gone."""
        if self.alive:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        await self._gone()

    async def leave(self) -> None:
        """Let it end by itself: its standard input closes."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(_GRACE_S):
                await self._gone()
        except TimeoutError:
            await self.kill()

    async def _gone(self) -> None:
        await self._process.wait()
        self._draining.cancel()
        await asyncio.gather(self._draining, return_exceptions=True)


async def _answer(broker: Broker, call: frames.Call, attempt: Attempt) -> bytes:
    """The frame that answers; what the run may take from now on is known when it is answered."""
    try:
        value = await broker(call.method, dict(call.params))
        return frames.encode(frames.Answer(value, fuel=attempt.most_fuel))
    except CommonsError as error:
        told = frames.Answer(code=error.code, error=str(error), fuel=attempt.most_fuel)
        return frames.encode(told)


class Workers:
    """Processes that wait for a run; as many as run at once, and none for long when idle."""

    def __init__(self, preparer: Preparer | None = None) -> None:
        """``preparer``: for those that run agents."""
        self._preparer = preparer
        self._idle: list[Worker] = []
        self._busy: set[Worker] = set()
        self._user = 0
        self.started = 0
        self.replaced = 0
        self.loaded_ms = 0
        """How long the last worker of the sandbox took to load and lock."""

    def pids(self) -> list[int]:
        """All that live."""
        return [one.pid for one in (*self._idle, *self._busy) if one.alive]

    async def run(
        self, start: frames.Start, attempt: Attempt, broker: Broker
    ) -> frames.Done | frames.Failed:
        """One run in a process that waits, or in a new one. Raises ``Ended``."""
        worker = await self._take(start.entry, start.limits)
        self._busy.add(worker)
        keep = False
        try:
            ended = await worker.run(start, attempt, broker)
            worker.cpu_ms += ended.cpu_ms
            fit = ended.fit if isinstance(ended, frames.Failed) else True
            keep = worker.runs < RUNS and fit and not worker.swollen(ended.memory)
            return ended
        finally:
            self._busy.discard(worker)
            if keep and worker.alive:
                self._idle.append(worker)
            else:
                self.replaced += 1
                await worker.kill()

    async def _take(self, entry: str, limits: Limits) -> Worker:
        """One that runs this handler already: what another one loaded would count against it."""
        gone = [one for one in self._idle if not one.alive]
        fit = [one for one in self._idle if one.takes(entry, limits)]
        other = [one for one in self._idle if one.alive and not one.takes(entry, limits)]
        spare = other[: -_SPARE or None]
        worker = fit[-1] if fit else None
        for one in (*gone, *spare):
            self._idle.remove(one)
            await one.kill()
        if worker is not None:
            self._idle.remove(worker)
            return worker
        if entry != SANDBOX:
            return await self._fresh(entry)
        try:
            return await self._locked(limits)
        except Ended as error:
            if error.code != "bad_cache" or self._preparer is None:
                raise
        self._preparer.spoilt()  # somebody has changed the file: it is made anew, once
        return await self._locked(limits)

    async def _fresh(self, entry: str) -> Worker:
        try:
            async with asyncio.timeout(_START_S):
                process = await start_worker(SANDBOX if entry == SANDBOX else _PLAIN)
        except (OSError, TimeoutError) as error:
            raise Ended("no_process", f"no process could be started: {error}", again=True) from None
        self.started += 1
        return Worker(process, entry)

    async def _locked(self, limits: Limits) -> Worker:
        if self._preparer is None:
            raise Ended("no_layer", "this node has no sandbox", again=False)
        try:
            told = await self._preparer.prepare()
        except CommonsError as error:
            raise Ended(error.code, str(error), again=error.code != "no_layer") from None
        told = msgspec.structs.replace(told, limits=limits, user=self._next_user())
        worker = await self._fresh(SANDBOX)
        await worker.ready(told)
        self.loaded_ms = worker.load_ms
        return worker

    def _next_user(self) -> int:
        """One that no living worker has; the next each time, so those that start have others."""
        taken = {one.user for one in (*self._idle, *self._busy) if one.alive}
        for _ in range(USERS):
            self._user = (self._user + 1) % USERS
            if self._user not in taken:
                break
        return self._user

    async def rest(self) -> None:
        """Nobody needs a worker for a while."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(one.leave() for one in idle))

    async def stop(self) -> None:
        """End all; runs that go on are over."""
        await asyncio.gather(*(one.kill() for one in list(self._busy)))
        await self.rest()


async def start_worker(module: str) -> asyncio.subprocess.Process:
    """A fresh interpreter with pipes and nothing of this process's environment but its paths."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", module,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, start_new_session=True, env=environment(),
    )  # fmt: skip


def environment() -> dict[str, str]:
    """What a process of this program needs of the daemon's environment."""
    return {name: os.environ[name] for name in _KEPT if name in os.environ}


_KEPT: Final = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TMPDIR", "TZ", "VIRTUAL_ENV")


async def nothing(method: str, _params: dict[str, Any]) -> object:
    """A broker that has nothing to offer."""
    raise NotOffered(method=method)


class NotOffered(CommonsError):
    """This job may not ask the node for {method}."""

    code = "not_offered"


__all__ = ["Attempt", "Broker", "Ended", "NotOffered", "Worker", "Workers", "nothing"]
