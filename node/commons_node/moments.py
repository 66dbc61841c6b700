"""How answers say when something was or will be."""

from __future__ import annotations

from datetime import UTC, datetime


def moment(ms: int | None) -> str | None:
    """``2026-11-21T20:00:00Z``, or None."""
    if ms is None:
        return None
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
