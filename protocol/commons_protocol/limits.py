"""How much a peer may ask for: a token bucket over the time that it is given. Reads no clock."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

NEVER_MS = 1 << 62
"""Until there are tokens in a bucket into which none flow."""
MOST_KEPT = 1024
"""Buckets of one kind that are remembered."""


@dataclass(slots=True)
class Bucket:
    """``burst`` tokens, refilled at ``per_second``; times are milliseconds."""

    burst: float
    per_second: float
    _left: float = field(init=False)
    _at: int | None = None

    def __post_init__(self) -> None:
        """Start full."""
        self._left = self.burst

    def due(self, now: int, tokens: float = 1.0) -> int:
        """Milliseconds until there are so many tokens; 0: there are. Takes none.

        A clock that was set back gives nothing, and takes nothing away: it goes on from there.
        """
        if self._at is not None and now > self._at:
            gained = (now - self._at) / 1000 * self.per_second
            self._left = min(self.burst, self._left + gained)
        self._at = now
        if self._left >= tokens:
            return 0
        if not self.per_second:
            return NEVER_MS
        return math.ceil((tokens - self._left) / self.per_second * 1000)

    def wait(self, now: int, tokens: float = 1.0) -> int:
        """Take tokens even if there are too few; milliseconds until they will have flowed in."""
        due = self.due(now, tokens)
        self._left -= tokens
        return due

    def take(self, now: int, tokens: float = 1.0) -> bool:
        """Take tokens; False, and nothing taken, if there are too few."""
        if self.due(now, tokens):
            return False
        self._left -= tokens
        return True


class Buckets(Generic[Key]):
    """A bucket for each of those who ask, kept when they go: who comes again has what is left.

    Of more than ``most`` the one goes that was not asked for longest.
    """

    def __init__(self, burst: float, per_second: float, most: int = MOST_KEPT) -> None:
        """Everybody's is full."""
        self._burst = burst
        self._per_second = per_second
        self._most = most
        self._kept: OrderedDict[Key, Bucket] = OrderedDict()

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def of(self, key: Key) -> Bucket:
        """The one of ``key``."""
        bucket = self._kept.pop(key, None) or Bucket(self._burst, self._per_second)
        self._kept[key] = bucket
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return bucket
