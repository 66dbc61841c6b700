"""What all jobs together may take of this node: pure; the same answer starts a run and explains it.

Processor time is a bucket that fills by a monotonic clock: no change of the wall clock gives or
takes any. Memory is what the limits of running attempts add up to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from commons_node.jobs.job import Job

Hold = Literal["places", "memory", "cpu", "disk", "disk_share", "share_agent", "share_principal"]
_HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class Allowance:
    """``cpu_s`` in an hour; ``memory_mib`` at once; ``disk_mib`` of the file of jobs."""

    places: int = 2
    cpu_s: float = 600.0
    memory_mib: int = 768
    disk_mib: int = 256


@dataclass(slots=True)
class Budget:
    """What is left now."""

    allowance: Allowance
    left_s: float
    mono_ms: int
    running: dict[int, Job] = field(default_factory=dict)
    """Attempts that run, by run."""

    def fill(self, mono_ms: int) -> None:
        """Time has passed."""
        passed = max(mono_ms - self.mono_ms, 0)
        self.mono_ms = mono_ms
        more = passed * self.allowance.cpu_s / _HOUR_MS
        self.left_s = min(self.left_s + more, self.allowance.cpu_s)

    def spend(self, cpu_s: float) -> None:
        """An attempt has taken this; what it took beyond the rest is owed."""
        self.left_s = max(self.left_s - cpu_s, -self.allowance.cpu_s)

    def hold(
        self, job: Job, *, short: bool, held_mib: float, over: Hold | None = None
    ) -> Hold | None:
        """Why this job may not begin now; None if it may.

        ``short``: the disk is; ``held_mib``: the size of the file of jobs; ``over``: whose share of
        it is used up. Of the file and of shares no duty of the node is held: it stores little, and
        agents would stop it.
        """
        if len(self.running) >= self.allowance.places:
            return "places"
        if job.limits.memory_mib + memory_of(self.running) > self.allowance.memory_mib:
            return "memory"
        if self.left_s <= 0:
            return "cpu"
        if not job.frees_disk and short:
            return "disk"
        if job.agent is None or job.frees_disk:
            return None
        return "disk_share" if held_mib > self.allowance.disk_mib else over

    def never(self, job: Job) -> bool:
        """It asks for more memory than there will ever be."""
        return job.limits.memory_mib > self.allowance.memory_mib

    def until_s(self) -> float:
        """Seconds until there is processor time again."""
        if self.left_s > 0 or self.allowance.cpu_s <= 0:
            return 0.0
        return -self.left_s * 3600 / self.allowance.cpu_s


def memory_of(running: Mapping[int, Job]) -> int:
    """MiB that those who run may take together."""
    return sum(job.limits.memory_mib for job in running.values())
