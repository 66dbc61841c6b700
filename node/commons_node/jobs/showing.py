"""Jobs and runs as answers have them: times as text, states as words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from commons_crdt.texts import _
from commons_node.jobs import firing
from commons_node.jobs.job import Job
from commons_node.jobs.metering import in_credits
from commons_node.jobs.queue import Queue
from commons_node.jobs.scheduler import Scheduler
from commons_node.moments import moment

RUNS: Final = 20
"""Runs that `job show` lists."""
_RUN: Final = (
    "run, job, state, trigger, scheduled_ms, covers, dry, attempts, not_before_ms, began_ms,"
    " ended_ms, wall_ms, cpu_ms, memory, code, error, result,"
    " (SELECT sum(cost) FROM receipts p WHERE p.run = runs.run)"
)


def run_rows(queue: Queue, where: str, *arguments: object) -> list[dict[str, Any]]:
    """Runs as answers have them, the newest first."""
    query = f"SELECT {_RUN} FROM runs WHERE {where} ORDER BY run DESC LIMIT {RUNS}"  # noqa: S608 - our own words
    return [_run(row) for row in queue.rows(query, *arguments)]


def _run(row: tuple[Any, ...]) -> dict[str, Any]:
    (run, job, state, trigger, scheduled, covers, dry, attempts, not_before, began, ended,
     wall, cpu, memory, code, error, result, cost) = row  # fmt: skip
    told = msgspec.json.decode(result) if result else {}
    return {
        "run": run, "job": job, "state": state, "trigger": trigger, "dry": bool(dry),
        "scheduled": moment(scheduled), "covers": covers, "attempts": attempts,
        "again": moment(not_before) if state == "waiting" else None,
        "began": moment(began), "ended": moment(ended), "wall_ms": wall, "cpu_ms": cpu,
        "memory": memory or None, "code": code, "error": error,
        "result": told.get("result"), "would": told.get("would"),
        "credits": in_credits(cost),
    }  # fmt: skip


async def job_row(scheduler: Scheduler, job: Job) -> dict[str, Any]:
    """One line of `job list`. ``credits``: what all its receipts add up to; null for duties.

    ``unsent``: letters that did not arrive when they were sent.
    """
    zone = scheduler.around.zone()

    def work(queue: Queue) -> tuple[list[Any], int | None, list[dict[str, Any]], int | None, int]:
        counts = queue.rows("SELECT state, count(*) FROM runs WHERE job = ? GROUP BY 1", job.name)
        due = None if job.name in scheduler.paused else firing.next_due(queue, job, zone)
        ((cost,),) = queue.rows("SELECT sum(cost) FROM receipts WHERE job = ?", job.name)
        ((unsent,),) = queue.rows(
            "SELECT count(*) FROM outbox WHERE job = ? AND state <> 'sent' AND attempts > 0",
            job.name,
        )
        runs = run_rows(queue, "job = ? AND began_ms IS NOT NULL", job.name)
        return counts, due, runs, cost, unsent

    counts, due, runs, cost, unsent = await scheduler.desk.call(work)
    states: Mapping[str, int] = dict(counts)
    last = runs[0] if runs else None
    return {
        "job": job.name,
        "agent": job.agent,
        "summary": _(job.summary),
        "state": _state(scheduler, job, states),
        "next": moment(due),
        "last": last["began"] if last else None,
        "last_state": last["state"] if last else None,
        "duration_ms": last["wall_ms"] if last else None,
        "memory": last["memory"] if last else None,
        "waiting": states.get("ready", 0) + states.get("waiting", 0),
        "dead": states.get("dead", 0),
        "unsent": unsent,
        "credits": in_credits(cost),
    }


def _state(scheduler: Scheduler, job: Job, states: Mapping[str, int]) -> str:
    """paused, running, queued, retrying, dead or idle: the first that holds."""
    if job.name in scheduler.paused:
        return "paused"
    for word, state in (("running", "leased"), ("queued", "ready"), ("retrying", "waiting")):
        if states.get(state):
            return word
    return "dead" if states.get("dead") else "idle"


def schedule(job: Job) -> list[str]:
    """Its triggers in words of cron."""
    return [firing.key_of(trigger) for trigger in job.triggers]
