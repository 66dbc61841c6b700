"""One run of an agent, in the worker: fetch its code, run it, pass on what it asks and says."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections import OrderedDict
from typing import Annotated, Any, Final, Protocol

import msgspec
from msgspec import Meta
from wasmtime import Engine, WasmtimeError
from wasmtime.component import Component

from commons_node.jobs import frames
from commons_node.jobs.handler import HandlerFailed
from commons_node.sandbox.guest import Bounds, Guest, Ticker, Trapped

FUEL: Final = 20_000_000_000
"""Of a run that was given none: two seconds of a fast core, ten of a slow one."""
OUTPUT: Final = 512 * 1024
"""Bytes that a run may return, unless it is given fewer: a frame must hold it."""
CODE: Final = 8 << 20
"""Bytes of an agent's code."""
_PARAMS: Final = frames.MOST - 4_096
"""Letters of a call's parameters."""
_TRACEBACK: Final = 60
"""Lines of a traceback that go to the log."""
_HELD: Final = 4
"""Agents whose code stays in the worker."""
_MIB: Final = 1 << 20


class Given(msgspec.Struct):
    """What a job tells the sandbox; the rest of ``given`` concerns others."""

    package: Annotated[str, Meta(min_length=1, max_length=128)]
    fuel: Annotated[int, Meta(ge=1)] = FUEL
    output_bytes: Annotated[int, Meta(ge=0)] = OUTPUT
    seed: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")] = ""
    """Hex of 32 bytes; without one each run has another."""
    settings: dict[str, Any] = {}
    timezone: str = "UTC"


class _Piece(msgspec.Struct):
    data: str
    size: Annotated[int, Meta(ge=1, le=CODE)]
    runtime: str
    entry: str


class _Told(msgspec.Struct):
    code: Annotated[str, Meta(max_length=64)] = "fault"
    error: str = ""
    traceback: str = ""
    again: bool = True


class Channel(Protocol):
    """What a run says to the daemon."""

    def log(self, text: str) -> None:
        """A line."""

    def ask(self, method: str, params: dict[str, Any], fuel: int) -> frames.Answer:
        """A call and its answer."""


class Metered(Protocol):
    """Who asks."""

    def used(self) -> int:
        """Its fuel so far."""

    def leave(self, most: int) -> None:
        """It may take so much in all."""


class Failure(HandlerFailed):
    """The agent failed by itself, and said how: nothing outside of it has suffered."""


class _Code(msgspec.Struct, frozen=True):
    guest: Guest
    source: str
    entry: str
    runner: str
    """The sha256 of what runs: of the runner, or of the component."""


class Agents:
    """Runs agents in this process. Made before the process locks itself."""

    def __init__(self, engine: Engine, ticker: Ticker, python: Guest, runner: str) -> None:
        """``engine`` compiles components; ``python`` is the runner, ``runner`` its sha256."""
        self._engine = engine
        self._ticker = ticker
        self._python = python
        self._runner = runner
        self._codes: OrderedDict[str, _Code] = OrderedDict()
        self.fuel = 0
        self.ran = ""
        """Fuel of the last run, and what it ran on."""

    def run(self, start: frames.Start, channel: Channel) -> Any:
        """Its result. Raises ``HandlerFailed``; the process should not be used again then."""
        self.fuel, self.ran = 0, ""
        try:
            given = msgspec.convert(start.given, Given)
        except msgspec.ValidationError as error:
            raise HandlerFailed(
                "given", f"the job is not made well: {error}", again=False
            ) from None
        try:
            code = self._code(given.package, channel)
            self.ran = code.runner
            return self._result(code, start, given, channel)
        except Trapped as error:
            raise HandlerFailed(error.code, str(error), again=error.again) from None

    def _result(self, code: _Code, start: frames.Start, given: Given, channel: Channel) -> Any:
        guest = code.guest

        def asked(method: str, params: str) -> tuple[bool, str]:
            return ask(channel, method, params, guest)

        limits = start.limits
        bounds = Bounds(
            given.fuel, limits.memory_mib * _MIB, min(given.output_bytes, OUTPUT), limits.wall_s
        )
        seed = bytes.fromhex(given.seed) if given.seed else secrets.token_bytes(32)
        event = msgspec.json.encode(event_of(start, given, seed)).decode()
        try:
            found = guest.run(bounds, seed, asked, (code.source, code.entry, event))
        finally:
            self.fuel = guest.fuel
        return result_of(*found, channel)

    # -- code ----------------------------------------------------------------------------------

    def _code(self, package: str, channel: Channel) -> _Code:
        held = self._codes.get(package)
        if held is None:
            held = self._codes[package] = self._load(channel)
            while len(self._codes) > _HELD:
                self._codes.popitem(last=False)
        self._codes.move_to_end(package)
        return held

    def _load(self, channel: Channel) -> _Code:
        data, runtime, entry = _fetch(channel)
        if runtime == "python":
            try:
                return _Code(self._python, data.decode(), entry, self._runner)
            except UnicodeDecodeError:
                raise HandlerFailed("code", "its source is no text", again=False) from None
        if runtime != "wasm":
            raise HandlerFailed("code", f"there is no runtime {runtime[:40]}", again=False)
        if not data.startswith(b"\0asm"):  # never anything compiled before, and no text
            raise HandlerFailed("code", "it is no WebAssembly component", again=False)
        try:
            component = Component(self._engine, data)
        except WasmtimeError as error:
            told = f"its component cannot be compiled: {str(error)[:500]}"
            raise HandlerFailed("code", told, again=False) from None
        guest = Guest(self._engine, component, self._ticker)
        return _Code(guest, "", entry, hashlib.sha256(data).hexdigest())


def event_of(start: frames.Start, given: Given, seed: bytes) -> dict[str, Any]:
    """What an agent is told; docs/agents.md has it."""
    return {
        "job": start.job, "run": start.run, "attempt": start.attempt,
        "scheduled_ms": start.scheduled_ms, "covers": start.covers, "dry": start.dry,
        "trigger": start.event, "settings": given.settings, "timezone": given.timezone,
        "seed": seed.hex(),
    }  # fmt: skip


def _fetch(channel: Channel) -> tuple[bytes, str, str]:
    """The code by ``agent.code``, piece by piece, with its runtime and entry."""
    data = b""
    while True:
        answer = channel.ask("agent.code", {"offset": len(data)}, 0)
        if answer.code:
            raise HandlerFailed(answer.code, answer.error)
        try:
            piece = msgspec.convert(answer.value, _Piece)
            more = base64.b64decode(piece.data, validate=True)
        except (msgspec.ValidationError, ValueError) as error:
            raise HandlerFailed("code", f"the node gave no code: {error}") from None
        data += more
        if not more or len(data) > piece.size:
            raise HandlerFailed("code", "the node gave its code in part only")
        if len(data) == piece.size:
            return data, piece.runtime, piece.entry


def ask(channel: Channel, method: str, params: str, guest: Metered) -> tuple[bool, str]:
    """One call of the guest: what is out of bounds is answered here."""
    if len(params) > _PARAMS or not 0 < len(method) <= 64:
        return False, _error("too_large", f"a call has at most {_PARAMS} letters")
    try:
        given = msgspec.json.decode(params, type=dict[str, Any])
        if method == "log":
            channel.log(str(given.get("text", "")))
            return True, "null"
        answer = channel.ask(method, given, guest.used())
    except frames.BadFrame as error:
        return False, _error("too_large", str(error))
    except (msgspec.MsgspecError, RecursionError) as error:
        return False, _error("bad_params", f"parameters are an object in JSON: {error}")
    if answer.fuel is not None:
        guest.leave(answer.fuel)
    if answer.code:
        return False, _error(answer.code, answer.error)
    return True, msgspec.json.encode(answer.value).decode()


def result_of(good: bool, text: str, channel: Channel) -> Any:
    """What a run gave back; its traceback goes to the log. Raises ``HandlerFailed``."""
    if good:
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError) as error:
            told = f"what it returned is no JSON: {error}"
            raise HandlerFailed("output", told, again=False) from None
    try:
        failed = msgspec.json.decode(text, type=_Told)
    except (msgspec.MsgspecError, RecursionError):
        failed = _Told()
    for line in failed.traceback.splitlines()[-_TRACEBACK:]:
        channel.log(line)
    raise Failure(failed.code, failed.error, again=failed.again)


def _error(code: str, text: str) -> str:
    return msgspec.json.encode({"code": code, "error": text}).decode()
