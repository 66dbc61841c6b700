"""A worker for agents: loads the compiled runner, locks itself, and takes one run after the other.

A fresh interpreter with three pipes. Everything that it needs is imported, loaded and started
before the lock; from then on it opens nothing, starts nothing, and speaks through its pipe only.
Its limits are set once, with the lock, for runs of one size: nothing in it may change them again.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from wasmtime import WasmtimeError
from wasmtime.component import Component

from commons_node.jobs import frames
from commons_node.jobs.handler import HandlerFailed
from commons_node.jobs.job import RUNS_OF_TIME
from commons_node.jobs.resident import Peak
from commons_node.jobs.worker import Channel, cpu_ms, lock_down
from commons_node.sandbox import cache
from commons_node.sandbox.agent import Agents, Failure
from commons_node.sandbox.engine import engine
from commons_node.sandbox.guest import Bounds, Guest, Ticker, Trapped
from commons_node.sandbox.kind import kind, wasmtime_version
from commons_node.sandbox.lock import NoLayer, lock
from commons_node.sandbox.memory import most_addresses
from commons_node.sandbox.runner import SHA256

_MIB = 1 << 20
_READY_S = 5
"""Seconds of processor time to become ready."""
_WARM = Bounds(10**9, 256 * _MIB, 1024, 30.0)


class _Said:
    """The channel of one run, as the sandbox wants it."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def log(self, text: str) -> None:
        for line in text.splitlines() or [""]:
            self._channel.say(frames.Log(line[: frames.LINE]))

    def ask(self, method: str, params: dict[str, Any], fuel: int) -> frames.Answer:
        self._channel.say(frames.Call(method, params, fuel))
        answer = self._channel.hear()
        if not isinstance(answer, frames.Answer):
            raise SystemExit(0)  # nobody waits for this run any more
        return answer


def prepare(told: frames.Prepare, peak: Peak) -> tuple[Agents, tuple[str, ...]]:
    """Load, lock, warm up. Raises CommonsError, ``Trapped``, WasmtimeError, OSError."""
    made = engine()
    with cache.opened(Path(told.cache), kind(), SHA256, bytes.fromhex(told.key)) as path:
        component = Component.deserialize_file(made, path)
    alone = engine(alone=True)
    started: list[Ticker] = []
    layers = lock(
        lambda: started.append(Ticker(made, alone)),
        most_addresses(peak.addresses(), told.limits.memory_mib),
        cpu_ms() // 1000 + _READY_S + RUNS_OF_TIME * told.limits.cpu_s,
        told.user,
    )
    python = Guest(made, component, started[0])
    # the first run touches what others find warm, and shows that the lock leaves it all it needs
    python.run(_WARM, bytes(32), lambda _m, _p: (True, "null"), ('{"a.py": "def main(e, h): pass"}',
               "a.py:main", '{"seed": "00"}'))  # fmt: skip
    return Agents(alone, started[0], python, SHA256), layers


def attend(
    agents: Agents, start: frames.Start, channel: Channel, peak: Peak
) -> frames.Done | frames.Failed:
    """One run, to its end or its failure."""
    before = cpu_ms()
    peak.reset()
    again = fit = False
    try:
        result = agents.run(start, _Said(channel))
        done = frames.Done(
            result, cpu_ms() - before, peak.bytes(), agents.fuel, agents.ran, wasmtime_version()
        )
        frames.encode(done)
        return done
    except HandlerFailed as error:
        told, code, again = str(error), error.code, error.again
        fit = isinstance(error, Failure) and code != "memory"
    except frames.BadFrame as error:
        told, code = str(error), "output"
    except MemoryError:
        told, code, again = f"it wanted more than {start.limits.memory_mib} MiB", "memory", True
    except (WasmtimeError, OSError, ValueError, RecursionError) as error:
        told, code, again = f"{type(error).__name__}: {error}", "fault", True
    return frames.Failed(
        code[:64], told[: frames.LINE], again, cpu_ms() - before, peak.bytes(),
        agents.fuel, agents.ran, wasmtime_version(), fit,
    )  # fmt: skip


def main() -> int:
    """Until the scheduler closes the pipe."""
    lock_down()
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    channel = Channel(sys.stdin.buffer, sink)
    with suppress(BrokenPipeError):
        told = channel.hear()
        if not isinstance(told, frames.Prepare):
            return 0
        began, peak = time.perf_counter(), Peak()
        try:
            agents, layers = prepare(told, peak)
        except (cache.BadCache, NoLayer, Trapped, WasmtimeError, OSError) as error:
            code = getattr(error, "code", "fault")
            channel.say(frames.Failed(code, str(error)[: frames.LINE], False, cpu_ms(), 0))
            return 0
        channel.say(frames.Ready(layers, round((time.perf_counter() - began) * 1000)))
        while isinstance(start := channel.hear(), frames.Start):
            channel.say(attend(agents, start, channel, peak))
    return 0


if __name__ == "__main__":
    sys.exit(main())
