"""How long to wait after a failure: full jitter, so that what fails together does not return so.

https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
"""

from __future__ import annotations

from random import Random

from commons_node.jobs.job import Retry


def most_s(retry: Retry, attempts: int) -> float:
    """The longest wait after so many attempts, in seconds."""
    return min(retry.cap_s, retry.base_s * 2.0 ** min(attempts - 1, 60))


def delay_ms(retry: Retry, attempts: int, rng: Random) -> int:
    """Milliseconds until the next attempt: any time up to ``most_s``."""
    return round(1000 * rng.uniform(0, most_s(retry, attempts)))
