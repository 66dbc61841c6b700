"""One reading of time for all of peering: UTC milliseconds that never jump while we talk."""

from __future__ import annotations

import time

_JUMP_MS = 30_000


class Clock:
    """The wall clock as it was at the start, moved on by the monotonic one."""

    def __init__(self) -> None:
        """Look at both clocks."""
        self._set()

    def _set(self) -> None:
        self._wall = time.time_ns() // 1_000_000
        self._steady = time.monotonic_ns() // 1_000_000

    def now(self) -> int:
        """UTC milliseconds."""
        return self._wall + time.monotonic_ns() // 1_000_000 - self._steady

    def jumped(self) -> bool:
        """True once after the machine slept or its clock was set: both clocks part then."""
        if abs(time.time_ns() // 1_000_000 - self.now()) < _JUMP_MS:
            return False
        self._set()
        return True
