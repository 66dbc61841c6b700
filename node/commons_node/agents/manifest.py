"""``agent.toml``: what an agent is, when it wants to run, and what it asks for.

Pure and bounded. Nothing in here is believed: what is asked for is what a host is shown, and what
is granted is said by ``grants``.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from commons_crdt.texts import _
from commons_node.agents import quantities
from commons_node.agents.refusals import BadPackage
from commons_node.jobs import times
from commons_node.jobs.job import Cron, Every, Misfire, On, Retry, Trigger

API: Final = "commons:agent@0.1"
"""The world that agents of this version are written for (docs/agents.md)."""
MAX_BYTES: Final = 64 << 10
KEY: Final = "ed25519:"
_DEEPEST: Final = 32
"""Brackets in brackets."""

Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,39}\Z")]
Version = Annotated[str, Meta(pattern=r"^(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\Z")]
Method = Annotated[str, Meta(pattern=r"^[a-z]{1,24}(\.[a-z]{1,24})?\Z")]
Publisher = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Word = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:*/-]{1,80}\Z")]
Words = Annotated[tuple[Word, ...], Meta(max_length=64)]
Value = Annotated[str, Meta(max_length=200)] | int | bool
Key = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,39}\Z")]
Runtime = Literal["python", "wasm"]
Setting = Annotated[str, Meta(max_length=500)] | int | float | bool


class Grant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How far one capability goes. What is None is not narrowed here; the broker has its own ends.

    ``kinds`` are commands that may be proposed, ``hosts`` names for ``http.fetch``; ``where`` has
    the values that fields of a row must have.
    """

    collections: Words | None = None
    fields: Words | None = None
    where: Annotated[Mapping[Key, Value], Meta(max_length=16)] | None = None
    kinds: Words | None = None
    hosts: Words | None = None
    drivers: Words | None = None
    max_rows: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    max_bytes: Annotated[int, Meta(ge=1, le=64 << 20)] | None = None
    rate: Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,5}/(minute|hour|day)\Z")] | None = None


class AgentLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one run may take. ``credits``: compute credits a run, None for the node's default."""

    fuel: Annotated[int, Meta(ge=1_000_000, le=10**13)] = 20_000_000_000
    memory_mib: Annotated[int, Meta(ge=64, le=1024)] = 128
    wall_s: Annotated[float, Meta(ge=0.1, le=3600)] = 20.0
    calls: Annotated[int, Meta(ge=0, le=1_000_000)] = 2_000
    output_bytes: Annotated[int, Meta(ge=0, le=8 << 20)] = 1 << 20
    kv_bytes: Annotated[int, Meta(ge=0, le=64 << 20)] = 1 << 20
    concurrency: Annotated[int, Meta(ge=1, le=8)] = 1
    credits: Annotated[int, Meta(ge=1, le=1_000_000_000)] | None = None


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An agent as its author declares it. ``publisher``: hex of an Ed25519 public key."""

    name: Name
    version: Version
    api: str
    runtime: Runtime
    entry: str
    publisher: Publisher
    summary: str = ""
    triggers: tuple[Trigger, ...] = ()
    capabilities: Mapping[str, Grant] = {}
    limits: AgentLimits = AgentLimits()
    retry: Retry = Retry()
    settings: Mapping[str, Setting] = {}
    """What a host may set, with the values it has until then."""

    @property
    def agent(self) -> str:
        """As jobs and people call it: the beginning of the publisher's key, and the name."""
        return f"{self.publisher[:8]}/{self.name}"

    @property
    def order(self) -> tuple[int, ...]:
        """The version as what it is compared by."""
        return tuple(int(part) for part in self.version.split("."))


class _Head(msgspec.Struct, forbid_unknown_fields=True):
    name: Name
    version: Version
    runtime: Runtime = "python"
    entry: Annotated[str, Meta(max_length=120)] = "agent.py:main"
    api: Annotated[str, Meta(max_length=64)] = API
    publisher: Annotated[str, Meta(pattern=r"^(ed25519:[0-9a-f]{64})?\Z")] = ""
    summary: Annotated[str, Meta(max_length=200)] = ""


class _When(msgspec.Struct, forbid_unknown_fields=True):
    cron: Annotated[str, Meta(max_length=100)] | None = None
    timezone: Annotated[str, Meta(max_length=64)] = "local"
    every: str | None = None
    event: Annotated[str, Meta(pattern=r"^[a-z][a-z_.]{0,63}\Z")] | None = None
    where: Annotated[Mapping[Key, Value | None], Meta(max_length=16)] = {}
    debounce: str = "0s"
    misfire: Misfire = "run_once"
    grace: str = "1min"


class _Limits(msgspec.Struct, forbid_unknown_fields=True):
    fuel: int = AgentLimits().fuel
    memory: str = "128MiB"
    wall: str = "20s"
    calls: int = AgentLimits().calls
    output: str = "1MiB"
    kv: str = "1MiB"
    concurrency: int = 1
    credits: int | None = None


class _Retry(msgspec.Struct, forbid_unknown_fields=True):
    max_attempts: int = 5
    base: str = "10s"
    cap: str = "1h"


class _File(msgspec.Struct, forbid_unknown_fields=True):
    agent: _Head
    trigger: Annotated[list[_When], Meta(max_length=16)] = []
    capabilities: Annotated[dict[Method, Grant], Meta(max_length=32)] = {}
    limits: _Limits = msgspec.field(default_factory=_Limits)
    retry: _Retry = msgspec.field(default_factory=_Retry)
    settings: Annotated[dict[Key, Setting], Meta(max_length=32)] = {}


_FOLDERS: Final = r"^([A-Za-z0-9_][A-Za-z0-9_-]{0,60}/){0,4}"
_ENTRIES: Final[Mapping[Runtime, re.Pattern[str]]] = {
    "python": re.compile(_FOLDERS + r"[A-Za-z0-9_]{1,60}\.py:[A-Za-z_][A-Za-z0-9_]{0,60}\Z"),
    "wasm": re.compile(_FOLDERS + r"[A-Za-z0-9_-]{1,60}\.wasm\Z"),
}


def parse(data: bytes, *, publisher: str | None = None) -> Manifest:
    """The manifest in these bytes of TOML. Raises ``BadPackage``.

    ``publisher``: the key (hex) of one that names none, as a folder on the author's disk may.
    """
    if len(data) > MAX_BYTES:
        raise BadPackage(why=_("agent.toml is longer than 64 KiB"))
    if _depth(data) > _DEEPEST:
        raise BadPackage(why=_("agent.toml is nested too deeply"))
    try:
        file = msgspec.convert(tomllib.loads(data.decode()), _File, strict=True)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, ValueError, RecursionError) as error:
        raise BadPackage(why=f"agent.toml: {_short(error)}") from None
    head = file.agent
    if head.api != API:
        why = _("agent.toml: it is written for {theirs!r}; this version has {ours!r}")
        raise BadPackage(why=why.format(theirs=head.api, ours=API))
    key = head.publisher.removeprefix(KEY) or publisher
    if key is None:
        raise BadPackage(why=_("agent.toml names no publisher"))
    _plain(file)
    limits, retry = file.limits, file.retry
    memory = _quantity("limits.memory", quantities.size, limits.memory)
    made = {
        "name": head.name,
        "version": head.version,
        "api": head.api,
        "runtime": head.runtime,
        "entry": _entry(head.runtime, head.entry),
        "publisher": key,
        "summary": head.summary,
        "triggers": tuple(_trigger(when) for when in file.trigger),
        "capabilities": file.capabilities,
        "limits": AgentLimits(
            limits.fuel,
            memory >> 20,
            _quantity("limits.wall", quantities.seconds, limits.wall),
            limits.calls,
            _quantity("limits.output", quantities.size, limits.output),
            _quantity("limits.kv", quantities.size, limits.kv),
            limits.concurrency,
            limits.credits,
        ),
        "retry": Retry(
            retry.max_attempts,
            _quantity("retry.base", quantities.seconds, retry.base),
            _quantity("retry.cap", quantities.seconds, retry.cap),
        ),
        "settings": file.settings,
    }
    return from_builtins(made)


def _depth(data: bytes) -> int:
    """How deeply brackets stand in each other: the parser goes down into each."""
    depth = deepest = 0
    for sign in data:
        if sign in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif sign in b"]}":
            depth -= 1
    return deepest


def from_builtins(made: Mapping[str, Any]) -> Manifest:
    """A manifest from its fields, all within their bounds. Raises ``BadPackage``."""
    try:
        # by way of plain values, so that each bound of each part is looked at
        return msgspec.convert(msgspec.to_builtins(made), Manifest)
    except (msgspec.ValidationError, RecursionError) as error:
        raise BadPackage(why=f"agent.toml: {_short(error)}") from None


def _plain(file: _File) -> None:
    """Whoever reads the permissions reads what stands there, and nothing that moves a cursor.

    TOML has numbers that JSON, in which it is kept, has not.
    """
    wheres = (grant.where or {} for grant in file.capabilities.values())
    shown = (
        file.agent.summary,
        *file.settings.values(),
        *(
            value
            for where in (*wheres, *(one.where for one in file.trigger))
            for value in where.values()
        ),
    )
    for one in shown:
        if isinstance(one, str) and not one.isprintable():
            why = _("agent.toml: {text!r} has signs that cannot be shown").format(text=one[:40])
            raise BadPackage(why=why)
        if isinstance(one, float) and not math.isfinite(one):
            raise BadPackage(why=_("agent.toml: {number} is no finite number").format(number=one))


def _quantity(where: str, read: Any, text: str) -> Any:
    try:
        return read(text)
    except ValueError:
        why = _("agent.toml: {where} is no quantity: {text!r}")
        raise BadPackage(why=why.format(where=where, text=text[:40])) from None


def _entry(runtime: Runtime, entry: str) -> str:
    if not _ENTRIES[runtime].match(entry):
        example = "agent.py:main" if runtime == "python" else "agent.wasm"
        why = _("agent.toml: the entry {entry!r} is not written as {example!r}")
        raise BadPackage(why=why.format(entry=entry, example=example))
    return entry


def _trigger(when: _When) -> Trigger:
    if sum(one is not None for one in (when.cron, when.every, when.event)) != 1:
        raise BadPackage(why=_("a trigger in agent.toml has not exactly one of cron, every, event"))
    grace = _quantity("trigger.grace", quantities.seconds, when.grace)
    if when.every is not None:
        return Every(
            _quantity("trigger.every", quantities.seconds, when.every), when.misfire, grace
        )
    if when.event is not None:
        debounce = _quantity("trigger.debounce", quantities.seconds, when.debounce)
        return On(when.event, when.where, debounce)
    assert when.cron is not None
    zone = "" if when.timezone == "local" else when.timezone
    cron = Cron(when.cron, zone, when.misfire, grace)
    try:
        times.check(cron, ZoneInfo(zone or "UTC"))
    except (KeyError, OSError, ValueError):
        why = _("agent.toml: there is no zone {zone!r}").format(zone=zone)
        raise BadPackage(why=why) from None
    except times.BadSchedule as error:
        raise BadPackage(why=f"agent.toml: {error}") from None
    return cron


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
