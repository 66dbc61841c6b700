"""What each agent's job holds of the file of jobs: measured, made smaller, or a reason to wait.

An agent that stores without end would fill what all jobs have. So each has a share, and so have all
of one principal together. Beyond it, what has ended is forgotten, the oldest first; where that does
not help, as of letters that nobody takes, no run of it begins, and everybody else goes on. Notes of
an agent (``kv``) have a quota of their own, which the host has agreed to.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from commons_node.jobs.effects import Effect
from commons_node.jobs.history import forget_ended, forget_said
from commons_node.jobs.job import Job

if TYPE_CHECKING:
    from commons_node.jobs.queue import Queue

Over = Literal["share_agent", "share_principal"]
_MIB: Final = 1 << 20
_OF_AGENT, _OF_PRINCIPAL = 16, 4
"""The share of each: one part in so many of all that jobs may store."""
_LEAST_MIB: Final = 8
"""Of an agent: more than the largest two runs leave behind."""
_ROW: Final = 256
"""What a row takes beside its words, about."""
_STEPS: Final = (50, 10, 1)
"""How many runs that have ended stay, and as many dead ones, until it fits."""

_HELD: Final = (
    "SELECT sum(256 + length(ifnull(event, '') || ifnull(result, ''))) FROM runs WHERE job = ?",
    "SELECT sum(64 + length(CAST(text AS BLOB))) FROM logs JOIN runs USING (run) WHERE job = ?",
    "SELECT sum(128 + length(operation)) FROM effects WHERE job = ?",
    "SELECT sum(256 + length(operation) + length(body)) FROM outbox WHERE job = ?",
    "SELECT sum(256 + length(arguments) + length(why)) FROM proposals WHERE job = ?",
    "SELECT sum(64 + length(text) + ifnull(length(about), 0)) FROM notices WHERE job = ?",
    "SELECT 128 * count(*) FROM samples WHERE job = ?",
    "SELECT 256 * count(*) FROM receipts WHERE job = ?",
)


def held_mib(path: Path) -> float:
    """The size of the file of jobs and its log, in MiB."""
    files = (path, path.with_name(f"{path.name}-wal"))
    return sum(file.stat().st_size for file in files if file.exists()) / _MIB


def held(queue: Queue, job: str) -> int:
    """Bytes, about."""
    return sum(queue.rows(query, job)[0][0] or 0 for query in _HELD)


def shrink(queue: Queue, job: str, most: int) -> int:
    """Forget what has ended until it holds half of ``most`` at the most; what it holds then."""
    steps = [partial(forget_ended, job=job, kept=kept) for kept in _STEPS]
    steps.insert(2, partial(forget_said, job=job, now=queue.now()))
    found = held(queue, job)
    for step in steps:
        if found <= most // 2:
            break
        with queue.transaction() as file:
            step(file)
        found = held(queue, job)
    return found


class Shares:
    """Of one node. In the thread of the file, but for ``over``, which only looks."""

    def __init__(self, disk_mib: int) -> None:
        """``disk_mib``: what all jobs may store."""
        self.agent_mib = max(disk_mib // _OF_AGENT, _LEAST_MIB)
        self.principal_mib = max(disk_mib // _OF_PRINCIPAL, self.agent_mib)
        self._held: dict[str, int] = {}

    def measure(self, queue: Queue, job: Job) -> None:
        """What it holds now; less, if that was too much."""
        if job.agent is not None:
            most = self.agent_mib * _MIB
            found = held(queue, job.name)
            self._held[job.name] = shrink(queue, job.name, most) if found > most else found

    def add(self, queue: Queue, job: Job, run: int, written: list[Effect]) -> None:
        """A run has ended, and has written this; measured where it might be too much."""
        if job.agent is None:
            return
        ((size,),) = queue.rows(
            "SELECT ifnull(length(result), 0) + ifnull(length(event), 0) + (SELECT"
            " ifnull(sum(64 + length(CAST(text AS BLOB))), 0) FROM logs l WHERE l.run = r.run)"
            " FROM runs r WHERE run = ?",
            run,
        ) or ((0,),)
        size += 2 * _ROW + sum(_ROW + len(msgspec.json.encode(one)) for one in written)
        self._held[job.name] = self._held.get(job.name, 0) + size
        if self._held[job.name] > self.agent_mib * _MIB:
            self.measure(queue, job)

    def over(self, job: Job, jobs: Mapping[str, Job]) -> tuple[Over, int, int] | None:
        """Whose share is used up, with the MiB that it holds and may hold; None if none is."""
        if job.agent is None:
            return None
        mine = self._held.get(job.name, 0)
        if mine > self.agent_mib * _MIB:
            return "share_agent", -(-mine // _MIB), self.agent_mib
        names = [one.name for one in jobs.values() if one.principal == job.principal]
        ours = sum(self._held.get(name, 0) for name in names)
        if ours > self.principal_mib * _MIB:
            return "share_principal", -(-ours // _MIB), self.principal_mib
        return None


__all__ = ["Shares", "held", "held_mib", "shrink"]
