"""Why a job does not run now: the first thing that stands in its way, as the scheduler sees it."""

from __future__ import annotations

from commons_node.jobs import firing
from commons_node.jobs.catalogue import reason
from commons_node.jobs.job import Job, On
from commons_node.jobs.queue import Queue
from commons_node.jobs.receipts import short_of
from commons_node.jobs.scheduler import Scheduler
from commons_node.jobs.shares import held_mib
from commons_node.moments import on_the_clock


async def why(scheduler: Scheduler, job: Job) -> dict[str, str]:
    """``code``, ``sentence``, ``next_action``."""
    zone = scheduler.around.zone()
    job_rows = "SELECT run, state, attempts, not_before_ms, code, error FROM runs WHERE job = ?"
    rows = await scheduler.desk.call(
        lambda queue: queue.rows(f"{job_rows} ORDER BY run DESC LIMIT 1000", job.name)
    )
    by: dict[str, list[tuple[int, int, int | None, str | None, str | None]]] = {}
    for run, state, *more in reversed(rows):
        by.setdefault(state, []).append((run, *more))
    going = [run for run, *_ in by.get("leased", []) if run in scheduler.attempts.running]
    if going and len(going) < job.concurrency and by.get("ready"):
        going = []
    preparing = scheduler.around.preparer
    if job.handler == "agent" and (going or by.get("ready")) and preparing is not None:
        percent = preparing.progress()
        if percent is not None:
            return reason("preparing", percent=percent)
    if going and not by.get("ready"):
        attempt = scheduler.attempts.running[going[0]]
        tried = next(row[1] for row in by["leased"] if row[0] == going[0])
        seconds = attempt.wall_ms // 1000
        return reason("running", job=job.name, run=going[0], attempt=tried, seconds=seconds)
    stopped = _stopped(scheduler, job)
    if stopped is not None:
        return stopped
    if by.get("ready"):
        return await _ready(scheduler, job, going)
    if by.get("waiting"):
        _run, attempts, at, code, _error = by["waiting"][0]
        return reason(
            "backoff", job=job.name, fault=code, next=on_the_clock(at or 0, zone),
            attempt=attempts + 1, most=job.retry.attempts,
        )  # fmt: skip
    last = rows[0] if rows else None
    if last is not None and last[1] == "dead":
        return reason("dead", job=job.name, attempts=last[2], error=last[5])
    due = await scheduler.desk.call(lambda queue: firing.next_due(queue, job, zone))
    if due is not None:
        return reason("due", job=job.name, next=on_the_clock(due, zone))
    events = [one.event for one in job.triggers if isinstance(one, On)]
    if events:
        return reason("event", job=job.name, event=events[0])
    return reason("by_hand", job=job.name)


def _stopped(scheduler: Scheduler, job: Job) -> dict[str, str] | None:
    """What would stop any run of it."""
    allowance = scheduler.budget.allowance
    if job.handler not in scheduler.handlers:
        return reason("no_handler", handler=job.handler)
    if not allowance.places:
        return reason("off")
    if job.name in scheduler.paused:
        return reason("paused", job=job.name)
    if scheduler.broken is not None:
        return reason("broken", error=scheduler.broken)
    if scheduler.budget.never(job):
        memory, allowed = job.limits.memory_mib, allowance.memory_mib
        return reason("never", memory=memory, allowed=allowed)
    return None


async def _ready(scheduler: Scheduler, job: Job, going: list[int]) -> dict[str, str]:
    """A run is in the queue."""
    budget = scheduler.budget
    budget.fill(scheduler.around.mono())
    held = held_mib(scheduler.path)
    over = scheduler.shares.over(job, scheduler.jobs)
    hold = budget.hold(job, short=scheduler.around.short(), held_mib=held, over=over and over[0])
    if len(going) >= job.concurrency:
        return reason("concurrency", count=len(going))
    if over is not None and hold == over[0]:
        return reason(hold, job=job.name, mib=over[1], allowed=over[2])
    if hold is not None:
        return reason(
            hold, count=len(budget.running), memory=job.limits.memory_mib, mib=round(held),
            seconds=round(budget.until_s()),
        )  # fmt: skip
    short = await short_of(scheduler, job)
    if short is not None:
        return {**reason(f"budget_{short['whose']}", **short), "code": "budget"}
    before = await scheduler.desk.call(lambda queue: _before(queue, job))
    return reason("queued", count=before)


def _before(queue: Queue, job: Job) -> int:
    query = "SELECT count(*) FROM runs WHERE state = 'ready' AND job <> ?"
    return int(queue.rows(query, job.name)[0][0])
