"""Sizes, spans of time and rates, as people write them in ``agent.toml``."""

from __future__ import annotations

import re
from typing import Final

_SPANS: Final = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_SIZES: Final = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_PERIODS: Final = {"minute": 60, "hour": 3600, "day": 86_400}
_NUMBER: Final = re.compile(r"(0|[1-9][0-9]{0,8})(?:\.([0-9]{1,3}))?([A-Za-z]{1,3})\Z")
_RATE: Final = re.compile(r"([1-9][0-9]{0,5})/(minute|hour|day)\Z")


def seconds(text: str) -> float:
    """``"30s"``, ``"1.5h"`` in seconds. Raises ``ValueError``."""
    return _scaled(text, _SPANS)


def size(text: str) -> int:
    """``"128MiB"`` in bytes. Raises ``ValueError``."""
    return int(_scaled(text, _SIZES))


def rate(text: str) -> tuple[int, int]:
    """``"50/day"``: how often in how many seconds. Raises ``ValueError``."""
    found = _RATE.match(text)
    if found is None:
        raise ValueError(text)
    return int(found[1]), _PERIODS[found[2]]


def _scaled(text: str, units: dict[str, float] | dict[str, int]) -> float:
    found = _NUMBER.match(text)
    if found is None or found[3] not in units:
        raise ValueError(text)
    return float(f"{found[1]}.{found[2] or 0}") * units[found[3]]
