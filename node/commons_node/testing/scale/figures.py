"""Numbers out of many: percentiles, means, and the shape in which they are reported."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence


def rank(values: Sequence[float], percent: int) -> float:
    """A percentile: the nearest rank, of at least one value."""
    ranked = sorted(values)
    return ranked[max(1, -(-len(ranked) * percent // 100)) - 1]


def mean(values: Iterable[float]) -> float:
    """Of at least one value."""
    found = list(values)
    return sum(found) / len(found)


def shares(parts: Mapping[str, float], whole: float) -> dict[str, float]:
    """Each part of a whole that is not nothing, and ``all`` of them together."""
    found = {name: part / whole for name, part in parts.items()}
    return {**found, "all": sum(found.values())}


def rounded(value: object, digits: int = 3) -> object:
    """For JSON: at most so many digits behind the point, none for large numbers; never is null."""
    if isinstance(value, float) and math.isinf(value):
        return None
    if isinstance(value, float):
        return round(value, digits) if abs(value) < 1000 else round(value)
    if isinstance(value, Mapping):
        return {str(key): rounded(one, digits) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one, digits) for one in value]
    return value
