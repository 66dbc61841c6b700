"""How answers say when something was or will be."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo


def moment(ms: int | None) -> str | None:
    """``2026-11-21T20:00:00Z``, or None."""
    if ms is None:
        return None
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def on_the_clock(ms: int, zone: ZoneInfo) -> str:
    """``2026-11-21 21:00``, as clocks show it there: for sentences."""
    return datetime.fromtimestamp(ms / 1000, zone).strftime("%Y-%m-%d %H:%M")
