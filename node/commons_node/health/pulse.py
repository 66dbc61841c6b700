"""``health``: whether the node does its work now, for a container or a watchdog; cheap to ask.

Nothing personal is in it: it is answered to whoever reaches a socket, without any token.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar

import msgspec

from commons_crdt.errors import CommonsError
from commons_node.health.probing import FRESH_S
from commons_node.registry import Column, Reading, Registry, Request, Table, View
from commons_node.repairing import Mending

if TYPE_CHECKING:
    from commons_node.daemon import Daemon


class Unhealthy(CommonsError):
    """The node does not do its work: {why}."""

    code: ClassVar[str] = "unhealthy"
    hint: ClassVar[str] = "commons-node doctor"
    status = "unavailable"


class Nothing(msgspec.Struct):
    """No arguments."""


async def pulse(daemon: Daemon, fresh_s: float = FRESH_S) -> dict[str, str]:
    """Each part with its word: ``ok``, ``short`` (of room: it works, and will not for long),
    ``mending`` (a damaged file is being made anew: wait), or ``down``.

    What was found to write is looked at again after ``fresh_s``.
    """
    failing = await daemon.probing.failing(fresh_s)
    return {
        "node": "ok" if daemon.ready else "down",
        "network": "ok" if daemon.peering.network.state == "up" else "down",
        "store": "down" if "store" in failing else "ok",
        "disk": "down" if "disk" in failing else "short" if daemon.room.short() else "ok",
        "communities": _communities(daemon),
        "jobs": "down" if "jobs" in failing else "ok",
    }


def _communities(daemon: Daemon) -> str:
    """Whether all are shown: one whose file is damaged stands aside until it is made anew."""
    away = daemon.repairs.away.values()
    if any(not isinstance(why, Mending) for why in away):
        return "down"
    return "mending" if away else "ok"


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
