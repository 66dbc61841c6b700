"""One agent in WebAssembly: a fresh store each run, and a short list of what it can reach.

Nothing of WASI is there but what this file defines: a clock to the millisecond, random bytes made
from the run's seed, an empty environment and no folders. Any other import stops the run. So the
same component with the same seed and event takes the same steps, and the same fuel, as long as it
does not look at the clock.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from wasmtime import Engine, Store, WasmtimeError
from wasmtime.component import Component, Linker, Record, Variant

HOST: Final = "commons:agent/host@0.1.0"
_MIB: Final = 1 << 20
_MEMORIES: Final = 1
"""The limit of memory is one of each memory: with eight of them it would be none."""
_TABLES: Final = 4
_INSTANCES: Final = 64
"""The runner for Python has 1 memory, 2 tables and 9 instances."""
_ELEMENTS: Final = 100_000
"""Of a table."""
_BLOCK: Final = 64
FUEL_A_SECOND: Final = 10_000_000_000
"""Of the machine on which it was measured; what a run that was interrupted is said to have used."""

Call = Callable[[str, str], tuple[bool, str]]
"""Method and parameters to (good, JSON)."""


class Trapped(Exception):
    """The run was stopped: ``code`` is a short word; ``again`` whether a later attempt may help."""

    def __init__(self, code: str, text: str, *, again: bool) -> None:
        """``text`` is a sentence for the host."""
        super().__init__(text)
        self.code = code
        self.again = again


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one run may take. ``memory`` and ``output`` in bytes."""

    fuel: int
    memory: int
    output: int
    seconds: float


class Ticker:
    """A thread that interrupts what runs too long; made before the process locks itself."""

    def __init__(self, *engines: Engine) -> None:
        """Start it."""
        self._engines = engines
        self._changed = threading.Condition()
        self._at: float | None = None
        self._until: float | None = None
        """Until when it sleeps; None: for ever."""
        self.rang = False
        self._thread = threading.Thread(target=self._run, name="ticker", daemon=True)
        self._thread.start()

    def set(self, seconds: float | None) -> None:
        """Ring after so long; None: not at all."""
        with self._changed:
            self._at = None if seconds is None else time.monotonic() + seconds
            self.rang = False
            # it looks again when it wakes; to wake it each time costs a change of threads a run
            if self._at is not None and (self._until is None or self._at < self._until):
                self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                if self._at is not None and self._at <= now:
                    self.rang, self._at = True, None
                    for engine in self._engines:
                        engine.increment_epoch()
                self._until = self._at
                self._changed.wait(None if self._at is None else self._at - now)


class _Random:
    """Bytes without end from a seed."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._next = 0
        self._rest = b""

    def take(self, size: int) -> bytes:
        if size > _MIB:
            raise Trapped("fault", "it wanted more than 1 MiB of random bytes", again=False)
        parts = [self._rest]
        held = len(self._rest)
        while held < size:
            head = self._next.to_bytes(8)
            parts.append(hashlib.blake2b(head, key=self._seed, digest_size=_BLOCK).digest())
            self._next += 1
            held += _BLOCK
        found = b"".join(parts)
        self._rest = found[size:]
        return found[:size]


class Guest:
    """A component that can be run again and again; one at a time."""

    def __init__(self, engine: Engine, component: Component, ticker: Ticker) -> None:
        """Raises ``Trapped`` for a component of another world."""
        self._engine = engine
        self._component = component
        self._ticker = ticker
        self._call: Call = _nobody
        self._store: Store | None = None
        self._random = _Random(b"")
        self._began = 0.0
        self._stopped: BaseException | None = None
        self.fuel = 0
        """What the last run took."""
        self._given = 0
        self._linker = self._link()

    # -- what it can reach ---------------------------------------------------------------------

    def _link(self) -> Linker:
        linker = Linker(self._engine)
        linker.allow_shadowing = True
        offered: dict[str, dict[str, Callable[..., Any]]] = {
            "wasi:random/random": {
                "get-random-bytes": lambda _store, size: self._random.take(size),
                "get-random-u64": lambda _store: int.from_bytes(self._random.take(8)),
            },
            "wasi:clocks/wall-clock": {"now": _now, "resolution": _resolution},
            "wasi:clocks/monotonic-clock": {
                "now": lambda _store: int((time.monotonic() - self._began) * 1000) * 1_000_000,
                "resolution": lambda _store: 1_000_000,
            },
            "wasi:cli/environment": {
                "get-environment": lambda _store: [],
                "get-arguments": lambda _store: [],
            },
            "wasi:filesystem/preopens": {"get-directories": lambda _store: []},
        }
        try:
            linker.define_unknown_imports_as_traps(self._component)
            with linker.root() as root:
                for name in self._component.type.imports(self._engine):
                    functions = offered.get(name.partition("@")[0], {})
                    if name == HOST:
                        functions = {"call": self._asked}
                    if functions:
                        with root.add_instance(name) as instance:
                            for one, function in functions.items():
                                instance.add_func(one, function)
        except WasmtimeError as error:
            raise Trapped("world", f"it is no agent: {_short(error)}", again=False) from None
        return linker

    def _asked(self, _store: object, method: str, params: str) -> Variant:
        try:
            good, text = self._call(method, params)
        except BaseException as error:
            self._stopped = error
            raise
        return Variant("ok" if good else "err", text)

    # -- a run ---------------------------------------------------------------------------------

    def leave(self, most: int) -> None:
        """The run may take so much fuel in all from now on, and never more than before."""
        if self._store is not None:
            left = self._store.get_fuel()
            over = min(left, self._given - most)
            if over > 0:
                self._store.set_fuel(left - over)
                self._given -= over

    def used(self) -> int:
        """The fuel that the run has taken so far."""
        return self._given - self._store.get_fuel() if self._store is not None else self.fuel

    def run(
        self, bounds: Bounds, seed: bytes, call: Call, given: tuple[str, str, str]
    ) -> tuple[bool, str]:
        """Source, entry and event to (good, JSON). Raises ``Trapped``.

        Whatever ``call`` raises ends the run and is raised again.
        """
        store = Store(self._engine)
        store.set_limits(
            memory_size=bounds.memory, table_elements=_ELEMENTS, instances=_INSTANCES,
            tables=_TABLES, memories=_MEMORIES,
        )  # fmt: skip
        store.set_fuel(bounds.fuel)
        store.set_epoch_deadline(1)
        self._store, self._given, self._stopped = store, bounds.fuel, None
        self._call, self._random, self._began = call, _Random(seed), time.monotonic()
        self._ticker.set(bounds.seconds)
        busy = time.thread_time()
        try:
            instance = self._linker.instantiate(store, self._component)
            function = instance.get_func(store, "run")
            if function is None:
                raise Trapped("world", "it is no agent: it exports no run", again=False)
            result = function(store, *given)
        except WasmtimeError as error:
            raise self._why(error, store, bounds) from None
        except MemoryError:
            raise Trapped("memory", "what it gave or asked was too large", again=True) from None
        finally:
            rang = self._ticker.rang
            self._ticker.set(None)
            self.fuel = self._given - store.get_fuel()
            if rang:  # what a loop used stood in a register, and is lost by the interruption
                spent = int((time.thread_time() - busy) * FUEL_A_SECOND)
                self.fuel = min(self._given, max(self.fuel, spent))
            self._store, self._call = None, _nobody
        if rang:
            raise _late(bounds)
        if not isinstance(result, Variant) or not isinstance(result.payload, str):
            raise Trapped("world", "it is no agent: run gives something else", again=False)
        if len(result.payload) > bounds.output:
            told = f"what it returned is longer than {bounds.output} bytes"
            raise Trapped("output", told, again=False)
        return result.tag == "ok", result.payload

    def _why(self, error: WasmtimeError, store: Store, bounds: Bounds) -> BaseException:
        if self._stopped is not None:
            return self._stopped
        if self._ticker.rang:
            return _late(bounds)
        if store.get_fuel() == 0:
            return Trapped("fuel", f"it used up its fuel of {self._given}", again=False)
        text = _short(error)
        for mark, code, told in _TRAPS:
            if mark in text:
                return Trapped(code, told, again=code == "memory")
        return Trapped("trap", text, again=False)


_TRAPS: Final = (
    ("call stack exhausted", "recursion", "it called itself too deep"),
    ("memory minimum size", "memory", "it needs more memory than it may have"),
    ("memory count", "memories", "it has more than one memory"),
    ("unknown import", "reach", "it reached for something that agents do not have"),
)


def _late(bounds: Bounds) -> Trapped:
    return Trapped("timeout", f"it took longer than {bounds.seconds:g} s", again=True)


def _short(error: BaseException) -> str:
    """The cause, without the list of wasm functions."""
    return " ".join(str(error).rpartition("Caused by:")[2].split())[:500]


def _nobody(_method: str, _params: str) -> tuple[bool, str]:
    return False, '{"code": "closed", "error": "nobody answers"}'


def _moment(nanoseconds: int) -> Record:
    found = Record()
    setattr(found, "seconds", nanoseconds // 1_000_000_000)  # noqa: B010 - a record has any fields
    setattr(found, "nanoseconds", nanoseconds % 1_000_000_000)  # noqa: B010 - likewise
    return found


def _now(_store: object) -> Record:
    return _moment(time.time_ns() // 1_000_000 * 1_000_000)


def _resolution(_store: object) -> Record:
    return _moment(1_000_000)
