"""What needs no grant: the time, chance, and a line in the log."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from commons_node.agents.manifest import Grant
from commons_node.capabilities.capability import Calling, Capability, NoParams
from commons_node.jobs.frames import LINE


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``text``: of several lines each is one of the log."""

    text: Annotated[str, Meta(max_length=64_000)]


class Chance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``bytes``: how many."""

    bytes: Annotated[int, Meta(ge=1, le=4096)] = 32


async def log(calling: Calling, _grant: Grant, params: Line) -> object:
    """A line that the host reads."""
    for line in params.text.splitlines():
        calling.attempt.lines.append(line[:LINE])
    return None


async def now(calling: Calling, _grant: Grant, _params: NoParams) -> object:
    """The node's clock."""
    ms, zone = calling.inside.now_ms(), calling.inside.zone()
    local = datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone)
    return {"ms": ms, "iso": local.isoformat(timespec="seconds"), "timezone": zone.key}


async def chance(_calling: Calling, _grant: Grant, params: Chance) -> object:
    """Bytes that nobody can guess."""
    return {"hex": secrets.token_hex(params.bytes)}


CAPABILITIES: Final = (
    Capability(
        "log", "Write a line for `job logs`.", Line, "null", log, cost=0, free=True
    ),
    Capability(
        "now", "What the node's clock says.", NoParams,
        "`{ms, iso, timezone}`: UTC in milliseconds, and local time", now, cost=0, free=True,
    ),
    Capability(
        "random", "Bytes by chance, from the host's generator.", Chance, "`{hex}`", chance,
        cost=0, free=True,
    ),
)  # fmt: skip
