"""The budget of a chain: an integer token bucket over claimed time, the same on every node.

Beyond it all nodes refuse alike. The bucket is a function of the chain alone: what the previous
operation left, the time that the author claims to have passed, and the author's role.
"""

from __future__ import annotations

from dataclasses import dataclass

MILLI = 1000
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Rate:
    """Tokens that fit the bucket, and tokens that flow in per hour."""

    capacity: int
    per_hour: int

    def cost(self, length: int) -> int:
        """What an operation of ``length`` bytes (body and parts) costs, in tokens."""
        return 1 + -(-length // 1024)

    def after(self, left: int | None, elapsed_ms: int, length: int) -> int | None:
        """Milli-tokens left after an operation; None if there are too few.

        ``left`` is what the previous operation left (None: a chain's first, a full bucket);
        ``elapsed_ms`` is the claimed time since then.
        """
        full = self.capacity * MILLI
        if left is None:
            have = full
        else:
            have = min(full, left + elapsed_ms * self.per_hour * MILLI // HOUR_MS)
        rest = have - self.cost(length) * MILLI
        return rest if rest >= 0 else None

    def wait_ms(self, left: int, length: int) -> int:
        """How long an author must wait before an operation of ``length`` bytes fits."""
        short = self.cost(length) * MILLI - left
        if short <= 0:
            return 0
        return -(-short * HOUR_MS // (self.per_hour * MILLI))
