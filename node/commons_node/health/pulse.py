"""``health``: whether the node does its work now, for a container or a watchdog; cheap to ask.

Nothing personal is in it: it is answered to whoever reaches a socket, without any token.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, ClassVar, Final

import msgspec

from commons_crdt.errors import CommonsError
from commons_node.registry import Column, Reading, Registry, Request, Table, View

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_PATIENCE_S: Final = 5.0


class Unhealthy(CommonsError):
    """The node does not do its work: {why}."""

    code: ClassVar[str] = "unhealthy"
    hint: ClassVar[str] = "commons-node doctor"
    status = "unavailable"


class Nothing(msgspec.Struct):
    """No arguments."""


async def pulse(daemon: Daemon) -> dict[str, str]:
    """Each part with its word: ``ok``, ``short`` (of room: it works, and will not for long), or
    ``down``."""
    return {
        "node": "ok" if daemon.ready else "down",
        "network": "ok" if daemon.peering.network.state == "up" else "down",
        "store": "ok" if await _writes_down(daemon) else "down",
        "disk": "short" if daemon.room.short() else "ok",
    }


async def _writes_down(daemon: Daemon) -> bool:
    """Whether the node's own database answers."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await daemon.store.setting("port")
    except Exception:
        return False
    return True


async def health(request: Request[Daemon], _args: Nothing) -> Reading:
    """Whether it does its work. Raises Unhealthy."""
    daemon = request.node
    parts = await pulse(daemon)
    down = sorted(name for name, word in parts.items() if word == "down")
    rows = [{"part": name, "state": word} for name, word in parts.items()]
    found = {"healthy": not down, "parts": rows}
    if down:
        raise Unhealthy(why=", ".join(down), report=found)
    return Reading({**found, "uptime_s": round(time.monotonic() - daemon.started, 1)})


REGISTRY = Registry(
    views=(
        View("health", "Whether the node does its work; the exit code says so too.", Nothing,
             health, says="It works, for {uptime_s} s now.", timeout_s=10.0,
             table=Table("parts", (Column("part", "Part"), Column("state", "State")))),
    ),
)  # fmt: skip
