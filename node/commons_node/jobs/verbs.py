"""`job …`: what this node does by itself, seen and steered by its host."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from commons_crdt.errors import CommonsError
from commons_crdt.texts import _
from commons_node.jobs import besides, receipts, showing
from commons_node.jobs.catalogue import notice_in_words
from commons_node.jobs.finding import find_job
from commons_node.jobs.job import Job
from commons_node.jobs.queue import Queue
from commons_node.jobs.refusals import NoRun
from commons_node.jobs.scheduler import Scheduler
from commons_node.jobs.states import ENDED, State
from commons_node.jobs.why import why
from commons_node.moments import moment, on_the_clock
from commons_node.registry import (
    Column,
    Command,
    Complete,
    Count,
    Reading,
    Registry,
    Request,
    Seconds,
    Table,
    View,
    argument,
    option,
)

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_JOBS: Final = Complete("job.list", "jobs", "job")
_TAIL: Final = 50
_TOLD: Final = 5
"""Notices that `job show` tells people, the newest ones."""
MOST_TAIL: Final = 500
MOST_WAIT_S: Final = 3600
_LOOK_S: Final = 0.1


class NothingToCancel(CommonsError):
    """The job {job} has no run that could be cancelled."""

    code = "state"
    hint = "commons-node job show {job}"


class NothingToRetry(CommonsError):
    """The job {job} has no run that could be tried again, and no letter that has not arrived."""

    code = "state"
    hint = "commons-node job show {job}"


class Nothing(msgspec.Struct):
    """No arguments."""


class OneJob(msgspec.Struct):
    """Arguments of most verbs."""

    job: Annotated[str, argument("the job's name", complete=_JOBS)]


class OneRun(msgspec.Struct):
    """Arguments of ``job cancel``, ``job retry``."""

    job: Annotated[str, argument("the job's name", complete=_JOBS)]
    run: Annotated[Count | None, option("only this run; otherwise all that fit")] = None


class Run(msgspec.Struct):
    """Arguments of ``job run``."""

    job: Annotated[str, argument("the job's name", complete=_JOBS)]
    dry: Annotated[bool, option("do all but keep nothing of it: show what would be")] = False
    wait: Annotated[Seconds, option("wait so long for its end")] = 0


class Logs(msgspec.Struct):
    """Arguments of ``job logs``."""

    job: Annotated[str, argument("the job's name", complete=_JOBS)]
    run: Annotated[Count | None, option("only this run; otherwise the last ones")] = None
    lines: Annotated[int, msgspec.Meta(ge=1, le=MOST_TAIL), option("how many, the last ones")] = (
        _TAIL
    )


def _of(request: Request[Daemon], name: str) -> tuple[Scheduler, Job]:
    scheduler = request.node.jobs.scheduler
    return scheduler, find_job(scheduler, name)


async def list_jobs(request: Request[Daemon], _args: Nothing) -> Reading:
    """All jobs of this node."""
    scheduler = request.node.jobs.scheduler
    rows = [await showing.job_row(scheduler, job) for job in scheduler.jobs.values()]
    return Reading({"jobs": rows, "zone": scheduler.around.zone().key})


async def show(request: Request[Daemon], args: OneJob) -> Reading:
    """One job, with its last runs and what it has to say."""
    scheduler, job = _of(request, args.job)

    def work(queue: Queue) -> tuple[list[Any], list[Any], list[Any], dict[str, object]]:
        notices = queue.rows(
            "SELECT run, at_ms, text, about FROM notices WHERE job = ?"
            " ORDER BY notice DESC LIMIT 20",
            job.name,
        )
        letters = queue.rows(
            "SELECT state, count(*) FROM outbox WHERE job = ? GROUP BY state", job.name
        )
        metered: dict[str, object] = {
            "refused": receipts.refusals_of(queue, job.name),
            "budget": receipts.today(queue, job),
            "undelivered": besides.undelivered(queue, job.name),
        }
        return showing.run_rows(queue, "job = ?", job.name), notices, letters, metered

    runs, notices, letters, metered = await scheduler.desk.call(work)
    stands = await why(scheduler, job)
    waits = await _besides(request, job)
    zone = scheduler.around.zone()
    told = [
        (run, at, notice_in_words(text, msgspec.json.decode(about)))
        for run, at, text, about in notices
    ]
    newest = [
        _("{time}, run {run}:\n{text}").format(time=on_the_clock(at, zone), run=run, text=text)
        for run, at, text in reversed(told[:_TOLD])
    ]
    return Reading(
        {
            **await showing.job_row(scheduler, job),
            "schedule": showing.schedule(job),
            "zone": scheduler.around.zone().key,
            "principal": job.principal,
            "limits": msgspec.to_builtins(job.limits),
            "why": stands["sentence"],
            "next_action": stands["next_action"],
            "runs": runs,
            "besides": waits,
            "notices": [{"run": run, "time": moment(at), "text": text} for run, at, text in told],
            "also": "\n\n".join(filter(None, [besides.in_words(waits), *newest])) or None,
            "outbox": {"ready": 0, "sent": 0, "dead": 0, **dict(letters)},
            **metered,
        }
    )


async def explain(request: Request[Daemon], args: OneJob) -> Reading:
    """Why it does not run now."""
    scheduler, job = _of(request, args.job)
    refused = await scheduler.desk.call(lambda queue: receipts.refusals_of(queue, job.name))
    waits = await _besides(request, job)
    return Reading(
        {
            "job": job.name,
            **await why(scheduler, job),
            "besides": waits,
            "also": besides.in_words(waits),
            "refused": refused,
            "trust": await _trusted(request, job),
        }
    )


async def _besides(request: Request[Daemon], job: Job) -> list[dict[str, str]]:
    """What else of it waits for somebody, each with a sentence and what to do."""
    scheduler = request.node.jobs.scheduler
    found = await scheduler.desk.call(lambda queue: besides.undelivered(queue, job.name))
    letters = besides.of_letters(found, job.name, scheduler.around.zone())
    return [*letters, *await request.node.jobs.trusting.besides(job)]


async def _trusted(request: Request[Daemon], job: Job) -> list[dict[str, object]]:
    """Who has what signed that this agent proposes, and why not now; nothing of duties."""
    return await request.node.jobs.trusting.rows(job.agent) if job.agent is not None else []


async def logs(request: Request[Daemon], args: Logs) -> Reading:
    """The last lines of a job, with those of an attempt that runs now."""
    scheduler, job = _of(request, args.job)
    await _each(scheduler, job, args.run)
    where, given = ("AND l.run = ?", [args.run]) if args.run else ("", [])
    rows = await scheduler.desk.call(
        lambda queue: queue.rows(
            "SELECT l.run, l.at_ms, l.text FROM logs l JOIN runs r USING (run)"  # noqa: S608 - our own words
            f" WHERE r.job = ? {where} ORDER BY l.line DESC LIMIT ?",
            job.name, *given, args.lines,
        )
    )  # fmt: skip
    lines = [{"run": r, "time": moment(at), "text": text} for r, at, text in reversed(rows)]
    for run, attempt in list(scheduler.attempts.running.items()):
        of_this = scheduler.budget.running.get(run)
        if of_this is not None and of_this.name == job.name and args.run in {None, run}:
            now = moment(request.node.now_ms())
            lines += [{"run": run, "time": now, "text": text} for text in list(attempt.lines)]
    return Reading({"job": job.name, "lines": lines[-args.lines :]})


async def run(request: Request[Daemon], args: Run) -> Mapping[str, object]:
    """Put a run of it at the head of its queue."""
    scheduler, job = _of(request, args.job)
    made = await scheduler.desk.call(lambda queue: queue.enqueue(job.name, dry=args.dry))
    scheduler.wake()
    state = await _ended(scheduler, made, args.wait) if made is not None and args.wait else None
    if state is not None:
        return {"job": job.name, "run": made, "dry": args.dry or None, "state": state}
    stands = await why(scheduler, job)
    held = None if stands["code"] in {"running", "queued"} else stands["sentence"]
    return {"job": job.name, "run": made, "dry": args.dry or None, "waits": held}


async def _ended(scheduler: Scheduler, run_number: int, seconds: int) -> str | None:
    """How a run has ended; None if it has not within so many seconds."""
    until = time.monotonic() + min(seconds, MOST_WAIT_S)
    while time.monotonic() < until:
        rows = await scheduler.desk.call(
            lambda queue: queue.rows("SELECT state FROM runs WHERE run = ?", run_number)
        )
        if rows and State(rows[0][0]) in ENDED:
            return str(rows[0][0])
        await asyncio.sleep(_LOOK_S)
    return None


async def _each(scheduler: Scheduler, job: Job, run_number: int | None, *states: str) -> list[int]:
    """The runs of a job that a verb is about; none if none fits. Raises ``NoRun``."""

    def work(queue: Queue) -> list[int]:
        rows = queue.rows("SELECT run, state FROM runs WHERE job = ? ORDER BY run", job.name)
        if run_number is not None:
            if run_number not in {run for run, _ in rows}:
                raise NoRun(run=run_number, job=job.name)
            return [run_number]
        return [run for run, state in rows if state in states]

    return await scheduler.desk.call(work)


async def cancel(request: Request[Daemon], args: OneRun) -> Mapping[str, object]:
    """End what waits or runs, and a dead letter that is named."""
    scheduler, job = _of(request, args.job)
    runs = await _each(scheduler, job, args.run, "ready", "waiting", "leased")
    if not runs:
        raise NothingToCancel(job=job.name)
    await scheduler.desk.call(lambda queue: [queue.cancel(one) for one in runs])
    await scheduler.drop_stale()
    scheduler.around.told(job.name, runs[0], "cancelled")
    return {"job": job.name, "runs": runs, "count": len(runs)}


async def retry(request: Request[Daemon], args: OneRun) -> Mapping[str, object]:
    """Try again what has failed for good, and send what has not arrived."""
    scheduler, job = _of(request, args.job)
    runs = await _each(scheduler, job, args.run, "dead")

    def work(queue: Queue) -> int:
        for one in runs:
            queue.retry(one)
        return besides.resend(queue, job.name) if args.run is None else 0

    letters = await scheduler.desk.call(work)
    if not runs and not letters:
        raise NothingToRetry(job=job.name)
    scheduler.wake()
    scheduler.outbox.wake()
    return {"job": job.name, "runs": runs, "count": len(runs), "letters": letters or None}


async def pause(request: Request[Daemon], args: OneJob) -> Mapping[str, object]:
    """Begin no run of it."""
    scheduler, job = _of(request, args.job)
    await scheduler.pause(job.name, paused=True)
    return {"job": job.name, "state": "paused"}


async def resume(request: Request[Daemon], args: OneJob) -> Mapping[str, object]:
    """Begin runs of it again; what was due meanwhile runs as one."""
    scheduler, job = _of(request, args.job)
    await scheduler.pause(job.name, paused=False)
    return {"job": job.name, "state": "resumed"}


_RUNS: Final = Table("runs", (Column("run", "Run", "number"), Column("state", "State"),
                              Column("scheduled", "For", "time"), Column("attempts", "Attempt",
                                                                         "number"),
                              Column("wall_ms", "ms", "number"), Column("error", "Why")),
                     "It has not run yet.")  # fmt: skip

_STANDS: Final = "{job}: {summary}\nstate {state}, next {next:time}\n{why}\nnext: {next_action}"
_REFUSED: Final = Table("refused", (Column("method", "Refused"), Column("code", "Code"),
                                    Column("count", "Times", "number"),
                                    Column("text", "Why")))  # fmt: skip

REGISTRY = Registry(
    commands=(
        Command("job.run", "Run a job now.", Run, run,
                timeout_s=3700.0, progress="runner",
                says=("Run {run} of {job} has ended: {state}.",
                      "Run {run} of {job} waits: {waits}", "Run {run} of {job} begins.")),
        Command("job.cancel", "End runs of a job that wait or go on; a dead letter by its number.",
                OneRun, cancel,
                says="Cancelled runs of {job}: {count}."),
        Command("job.retry", "Try again what has failed for good, and letters that did not arrive.",
                OneRun, retry,
                says=("Runs of {job} that are tried again: {count}; letters: {letters}.",
                      "Runs of {job} that are tried again: {count}.")),
        Command("job.pause", "Begin no run of a job any more.", OneJob, pause,
                says="{job} is paused; what runs goes on."),
        Command("job.resume", "Begin runs of a job again.", OneJob, resume,
                says="{job} runs again when it is due."),
    ),
    views=(
        View("job.list", "What this node does by itself.", Nothing, list_jobs,
             table=Table("jobs", (Column("job", "Job"), Column("state", "State"),
                                  Column("next", "Next", "time"), Column("last", "Last", "time"),
                                  Column("last_state", "Ended"), Column("dead", "Dead", "number"),
                                  Column("summary", "What it does")), "No jobs."), watch=True),
        View("job.show", "One job: its runs, limits and notices.", OneJob, show,
             says=(_STANDS + "\n\n{also:lines}", _STANDS), table=_RUNS),
        View("job.why", "Why a job does not run now.", OneJob, explain,
             says=("{sentence}\nnext: {next_action}\n\n{also:lines}",
                   "{sentence}\nnext: {next_action}"), table=_REFUSED),
        receipts.VIEW,
        View("job.logs", "The last lines that a job has written.", Logs, logs,
             table=Table("lines", (Column("run", "Run", "number"), Column("time", "Time", "time"),
                                   Column("text", "Line")), "It has written nothing.")),
    ),
    nouns={"job": "what this node does by itself"},
)  # fmt: skip
