"""``kv.*``: what an agent keeps between its runs, within its quota; and ``metrics.put``.

A run sees what it has put itself; others see it when the run is done. The store belongs to the
agent: all its jobs share it, and it goes when the agent is removed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from commons_node.agents.manifest import Grant
from commons_node.capabilities.capability import Calling, Capability, bounded
from commons_node.capabilities.refusals import TooMuch
from commons_node.jobs.queue import Queue

Name = Annotated[str, Meta(min_length=1, max_length=200)]
_MOST_VALUE: Final = 256 << 10
_MOST_NAMES: Final = 10_000


class OneName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``name``: what it was put under."""

    name: Name


class Put(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``value``: anything that JSON has, 256 KiB at most."""

    name: Name
    value: Any


class Prefix(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``prefix``: how the names begin."""

    prefix: Annotated[str, Meta(max_length=200)] = ""


class Measures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``values``: numbers by name. ``key``: what they are about, so that they are kept once."""

    values: Annotated[
        Mapping[Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}\Z")], float],
        Meta(min_length=1, max_length=100),
    ]
    key: str = ""


async def get(calling: Calling, _grant: Grant, params: OneName) -> object:
    """What was put."""
    if params.name in calling.kept:
        found = calling.kept[params.name]
    else:
        found = await calling.inside.desk.call(
            lambda queue: _value(queue, calling.agent, params.name)
        )
    return None if found is None else msgspec.json.decode(found)


def _value(queue: Queue, agent: str, name: str) -> bytes | None:
    rows = queue.rows("SELECT value FROM kv WHERE agent = ? AND name = ?", agent, name)
    return bytes(rows[0][0]) if rows else None


async def put(calling: Calling, _grant: Grant, params: Put) -> object:
    """Keep it."""
    value = bounded("kv.put", params.value, _MOST_VALUE)
    await _fits(calling, params.name, value)
    quota = calling.permit.limits.kv_bytes
    body = {"agent": calling.agent, "name": params.name, "value": params.value, "quota": quota}
    calling.want("kv.put", "kv", "", body)
    calling.kept[params.name] = value
    return None


async def _fits(calling: Calling, name: str, value: bytes) -> None:
    """Raises ``TooMuch`` where the store would be larger than its quota."""
    held = await calling.inside.desk.call(lambda queue: _sizes(queue, calling.agent))
    for one, kept in {**calling.kept, name: value}.items():
        held.pop(one, None)
        if kept is not None:
            held[one] = len(one.encode()) + len(kept)
    quota = calling.permit.limits.kv_bytes
    if sum(held.values()) > quota or len(held) > _MOST_NAMES:
        why = f"{sum(held.values())} bytes, of {quota} at most"
        raise TooMuch(method="kv.put", why=why)


def _sizes(queue: Queue, agent: str) -> dict[str, int]:
    query = "SELECT name, length(CAST(name AS BLOB)) + length(value) FROM kv WHERE agent = ?"
    return dict(queue.rows(query, agent))


async def delete(calling: Calling, _grant: Grant, params: OneName) -> object:
    """Forget it."""
    body = {"agent": calling.agent, "name": params.name, "gone": True, "quota": 0}
    calling.want("kv.delete", "kv", "", body)
    calling.kept[params.name] = None
    return None


async def names(calling: Calling, _grant: Grant, params: Prefix) -> object:
    """What there is."""
    held = await calling.inside.desk.call(lambda queue: set(_sizes(queue, calling.agent)))
    held |= {name for name, value in calling.kept.items() if value is not None}
    held -= {name for name, value in calling.kept.items() if value is None}
    return sorted(name for name in held if name.startswith(params.prefix))


async def measure(calling: Calling, _grant: Grant, params: Measures) -> object:
    """Numbers of this run."""
    body = {"values": dict(params.values), **calling.whose}
    return {"key": calling.want("metrics.put", "sample", params.key, body)}


CAPABILITIES: Final = (
    Capability("kv.get", "Read what the agent has kept.", OneName, "the value, or null", get),
    Capability(
        "kv.put", "Keep a value, within the quota `kv` of the agent's limits.", Put, "null", put,
        effect=True,
    ),
    Capability("kv.delete", "Keep it no more.", OneName, "null", delete, effect=True),
    Capability("kv.list", "The names of what is kept.", Prefix, "a list of names", names),
    Capability(
        "metrics.put", "Note figures; they stay for 30 days.", Measures, "`{key}`", measure,
        effect=True,
    ),
)  # fmt: skip
