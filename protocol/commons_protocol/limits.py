"""How much a peer may ask for: a token bucket over the time that it is given. Reads no clock."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


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

    def wait(self, now: int, tokens: float = 1.0) -> int:
        """Take tokens even if there are too few; milliseconds until they will have flowed in."""
        if self.take(now, tokens):
            return 0
        self._left -= tokens
        return math.ceil(-self._left / self.per_second * 1000)

    def take(self, now: int, tokens: float = 1.0) -> bool:
        """Take tokens; False, and nothing taken, if there are too few.

        A clock that was set back gives nothing, and takes nothing away: it goes on from there.
        """
        if self._at is not None and now > self._at:
            gained = (now - self._at) / 1000 * self.per_second
            self._left = min(self.burst, self._left + gained)
        self._at = now
        if self._left < tokens:
            return False
        self._left -= tokens
        return True
