"""How long nobody has touched a key: after that whoever is unlocked is locked again.

The node keeps the same time for itself and locks even if this program is gone. The clock is given.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

WARN_S: Final = 60.0
ASK_S: Final = 30.0


class Idle:
    """Counts down from the last touch."""

    def __init__(self, limit_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """``limit_s``: how long nobody need touch anything."""
        self.limit_s = limit_s
        self.warned = False
        self._clock = clock
        self._touched = self._asked = clock()

    @property
    def warn_s(self) -> float:
        """From how many seconds before the end it is said."""
        return min(WARN_S, self.limit_s / 2)

    def touch(self) -> None:
        """Somebody is there."""
        self._touched = self._clock()

    def left(self) -> float:
        """Seconds until it locks."""
        return self.limit_s - (self._clock() - self._touched)

    def to_stay(self, node_left_s: float) -> bool:
        """Whether the node should be told that somebody is there; at most every half minute."""
        now = self._clock()
        due = now - self._asked > ASK_S and self._touched > self._asked
        if due and node_left_s < self.limit_s * 0.9:
            self._asked = now
            return True
        return False
