"""One attempt as the queue knows it: what a worker is given, and what it took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from commons_node.jobs.job import Job

LEASE_S: Final = 30.0
"""How long an attempt is held of which nothing is heard, by the monotonic clock."""


@dataclass(frozen=True, slots=True)
class Lease:
    """One attempt at a run: what a worker needs, and the fence that it must show.

    ``reserved``: what it may cost, in thousandths of a credit; 0 where nothing is charged.
    """

    run: int
    job: Job
    fence: int
    attempt: int
    scheduled_ms: int
    covers: int
    dry: bool
    event: Mapping[str, object]
    trigger: str
    reserved: int = 0


@dataclass(frozen=True, slots=True)
class Used:
    """What an attempt took: milliseconds, and bytes at most."""

    wall_ms: int = 0
    cpu_ms: int = 0
    memory: int = 0

    @property
    def columns(self) -> dict[str, object]:
        """As the table of runs has it."""
        return {"wall_ms": self.wall_ms, "cpu_ms": self.cpu_ms, "memory": self.memory}


NOTHING: Final = Used()
