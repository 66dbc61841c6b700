"""A worker process: takes one run after the other from its standard input, until that closes.

Started as a fresh interpreter, in a session of its own, with nothing inherited but three pipes. It
locks itself down before it loads a handler; how much of that this system can do is said in
docs/jobs.md. What a handler prints goes to its log.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import resource
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, BinaryIO

from commons_node.jobs import frames
from commons_node.jobs.effects import Effect
from commons_node.jobs.handler import HandlerFailed
from commons_node.jobs.job import Limits
from commons_node.jobs.resident import Peak

_MIB = 1 << 20
_PR_SET_PDEATHSIG = 1


class Channel:
    """Frames over two pipes, one at a time."""

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        """Both are unbuffered or flushed here."""
        self._source = source
        self._sink = sink

    def say(self, frame: frames.Said) -> None:
        """Send."""
        self._sink.write(frames.encode(frame))
        self._sink.flush()

    def hear(self) -> frames.Told | None:
        """The next frame; None when the scheduler has gone."""
        head = self._source.read(4)
        if len(head) < 4:
            return None
        size = frames.length(head)
        body = self._source.read(size)
        return frames.told(body) if len(body) == size else None


class Hosted:
    """The ``Host`` of one run."""

    def __init__(self, start: frames.Start, channel: Channel) -> None:
        """One for each run."""
        self.job, self.run, self.attempt = start.job, start.run, start.attempt
        self.scheduled_ms, self.covers, self.dry = start.scheduled_ms, start.covers, start.dry
        self.given: Mapping[str, Any] = start.given
        self.event: Mapping[str, Any] = start.event
        self._channel = channel

    def log(self, text: str) -> None:
        """See ``Host``."""
        for line in str(text).splitlines():
            self._channel.say(frames.Log(line[: frames.LINE]))

    def call(self, method: str, **params: object) -> Any:
        """See ``Host``."""
        self._channel.say(frames.Call(method, params))
        answer = self._channel.hear()
        if not isinstance(answer, frames.Answer):
            raise SystemExit(0)  # nobody waits for this run any more
        if answer.code:
            raise HandlerFailed(answer.code, answer.error)
        return answer.value

    def effect(self, kind: str, operation: str, **body: object) -> None:
        """See ``Host``."""
        self._channel.say(frames.Wants(Effect(kind, operation, body)))


def lock_down() -> None:
    """Die with the daemon, ignore its Ctrl-C, leave no core."""
    parent = os.getppid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent or parent == 1:
        os._exit(0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit(limits: Limits) -> None:
    """The limits of one run: address space, size of a file, processor time from now on."""
    soft(resource.RLIMIT_FSIZE, limits.disk_mib * _MIB)
    soft(resource.RLIMIT_CPU, cpu_ms() // 1000 + 1 + limits.cpu_s)
    if sys.platform == "linux":  # elsewhere it limits nothing, or too much
        soft(resource.RLIMIT_AS, limits.memory_mib * _MIB)


def soft(which: int, wanted: int) -> None:
    """A limit of one run, as far as the process may set it."""
    _, hard = resource.getrlimit(which)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(which, (most, hard))


def attend(start: frames.Start, channel: Channel, peak: Peak) -> frames.Done | frames.Failed:
    """One run, to its end or its failure."""
    before = cpu_ms()
    peak.reset()
    try:
        limit(start.limits)
        module, _, name = start.entry.partition(":")
        result = getattr(importlib.import_module(module), name)(Hosted(start, channel))
        done = frames.Done(result, cpu_ms() - before, peak.bytes())
        frames.encode(done)
        return done
    except HandlerFailed as error:
        told, code, again = str(error), error.code, error.again
    except frames.BadFrame as error:
        told, code, again = str(error), "output", False
    except MemoryError:
        told, code, again = f"it wanted more than {start.limits.memory_mib} MiB", "memory", False
    except Exception as error:  # a fault of the handler, told to the host
        told, code, again = f"{type(error).__name__}: {error}", "fault", True
    return frames.Failed(code[:64], told[: frames.LINE], again, cpu_ms() - before, peak.bytes())


def cpu_ms() -> int:
    """Milliseconds of processor time that this process has taken."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return round((used.ru_utime + used.ru_stime) * 1000)


def main() -> int:
    """Until the scheduler closes the pipe."""
    lock_down()
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a handler prints is no frame
    channel, peak = Channel(sys.stdin.buffer, sink), Peak()
    with suppress(BrokenPipeError):
        while isinstance(start := channel.hear(), frames.Start):
            channel.say(attend(start, channel, peak))
    return 0


if __name__ == "__main__":
    sys.exit(main())
