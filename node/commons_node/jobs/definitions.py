"""What jobs there are, in the file of jobs: defined, forgotten, paused; and read, if they can be.

One that the disk has damaged is as if it were not: nothing of it begins, and no other job waits for
it. Whoever defines it again, as a node does at its start, has mended it.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from commons_node.jobs.job import Job
from commons_node.jobs.refusals import NoJob

if TYPE_CHECKING:
    from commons_node.jobs.queue import Queue

_GONE: Final = "gone"
"""The handler of a job of which no more than its name is known."""

log = structlog.get_logger(component="jobs")


def define(queue: Queue, job: Job) -> None:
    """A new job, or one that is other than it was; whether it is paused stays."""
    encoded = msgspec.json.encode(job)
    found = queue.rows("SELECT definition FROM jobs WHERE job = ?", job.name)
    if found and found[0][0] == encoded:
        return
    with queue.transaction() as file:
        file.execute(
            "INSERT INTO jobs (job, principal, priority, concurrency, definition)"
            " VALUES (?1,?2,?3,?4,?5) ON CONFLICT (job) DO UPDATE SET principal = ?2,"
            " priority = ?3, concurrency = ?4, definition = ?5",
            (job.name, job.principal, job.priority, job.concurrency, encoded),
        )
        # who comes later has no credit for the time before
        file.execute(
            "INSERT OR IGNORE INTO principals SELECT ?, coalesce(min(used), 0) FROM principals",
            (job.principal,),
        )


def readable(name: str, encoded: bytes) -> Job | None:
    """A definition; None if it is damaged, and the log says so."""
    try:
        return msgspec.json.decode(encoded, type=Job)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        log.warning("job_unreadable", job=name)
        return None


def defined(queue: Queue) -> dict[str, Job]:
    """All that can be read."""
    rows = queue.rows("SELECT job, definition FROM jobs ORDER BY job")
    found = {name: readable(name, encoded) for name, encoded in rows}
    return {name: job for name, job in found.items() if job is not None}


def definition(queue: Queue, name: str) -> Job:
    """Of a run that has to go on; one that says nothing where there is none that can be read."""
    found = queue.rows("SELECT definition FROM jobs WHERE job = ?", name)
    job = readable(name, found[0][0]) if found else None
    return Job(name, _GONE) if job is None else job


def forget(queue: Queue, name: str) -> None:
    """The job is no more: what waits is cancelled, its triggers go, its history stays."""
    with queue.transaction() as file:
        queue.cancel_where(file, "job = ?", name)
        for table in ("triggers", "jobs", "kept"):
            file.execute(f"DELETE FROM {table} WHERE job = ?", (name,))  # noqa: S608 - our own names


def pause(queue: Queue, name: str, *, paused: bool) -> None:
    """Claim no run of a job, or claim again. Raises ``NoJob``."""
    with queue.transaction() as file:
        done: sqlite3.Cursor = file.execute(
            "UPDATE jobs SET paused_ms = ? WHERE job = ?",
            (queue.now() if paused else None, name),
        )
        if not done.rowcount:
            raise NoJob(job=name)


__all__ = ["define", "defined", "definition", "forget", "pause", "readable"]
