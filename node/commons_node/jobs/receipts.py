"""What runs have cost and what they were refused, as answers have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from commons_node.jobs.finding import find_job
from commons_node.jobs.job import Job
from commons_node.jobs.metering import CREDIT, in_credits
from commons_node.jobs.queue import Queue
from commons_node.jobs.scheduler import Scheduler
from commons_node.jobs.windows import DAY_MS, look
from commons_node.moments import moment
from commons_node.registry import Column, Complete, Reading, Request, Table, View, argument, option

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_SHOWN: Final = 50
MOST: Final = 1_000
_COLUMNS: Final = (
    "run, attempt, job, agent, principal, began_ms, ended_ms, reserved, fuel, memory_mib_ms, calls,"
    " call_cost, runner, engine, tariff, how, cost"
)


class Which(msgspec.Struct):
    """Arguments of ``job receipts``."""

    job: Annotated[
        str | None, argument("only this job", complete=Complete("job.list", "jobs", "job"))
    ] = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST), option("how many, the newest")] = _SHOWN


async def list_receipts(request: Request[Daemon], args: Which) -> Reading:
    """One for each attempt at a run of an agent."""
    scheduler = request.node.jobs.scheduler
    where, given = "", list[str]()
    if args.job:
        where, given = "WHERE job = ?", [find_job(scheduler, args.job).name]
    query = f"SELECT {_COLUMNS} FROM receipts {where} ORDER BY began_ms DESC, run DESC LIMIT ?"  # noqa: S608 - our own words
    rows = await scheduler.desk.call(lambda queue: queue.rows(query, *given, args.limit))
    return Reading({"receipts": [_receipt(row) for row in rows]})


def _receipt(row: tuple[Any, ...]) -> dict[str, object]:
    (run, attempt, job, agent, principal, began, ended, reserved, fuel, memory, calls, call_cost,
     runner, engine, tariff, how, cost) = row  # fmt: skip
    return {
        "run": run, "attempt": attempt, "job": job, "agent": agent, "principal": principal,
        "began": moment(began), "ended": moment(ended), "state": how or "running",
        "reserved": in_credits(reserved), "fuel": fuel,
        "memory_mib_s": None if memory is None else round(memory / 1000, 3), "calls": calls,
        "call_credits": in_credits(call_cost), "runner": runner, "engine": engine,
        "tariff": tariff, "credits": in_credits(cost),
    }  # fmt: skip


def refusals_of(queue: Queue, job: str) -> list[dict[str, object]]:
    """What the last run of a job that began was refused."""
    rows = queue.rows(
        "SELECT method, code, text, count FROM refusals WHERE run ="
        " (SELECT max(run) FROM runs WHERE job = ? AND began_ms IS NOT NULL)"
        " ORDER BY method, code",
        job,
    )
    return [
        {"method": method, "code": code, "text": text, "count": count}
        for method, code, text, count in rows
    ]


def today(queue: Queue, job: Job) -> dict[str, object] | None:
    """What an agent and its community have used of their day's credits; None for duties."""
    if job.agent is None:
        return None
    allowed = queue.meter.allowed
    agent = look(queue, f"credits/agent/{job.agent}", DAY_MS).used
    principal = look(queue, f"credits/principal/{job.principal}", DAY_MS).used
    return {
        "run": job.credits or allowed.run,
        "agent": {"used": agent / CREDIT, "of": allowed.agent_day},
        "principal": {"used": principal / CREDIT, "of": allowed.principal_day},
    }


async def short_of(scheduler: Scheduler, job: Job) -> dict[str, object] | None:
    """The fields of why a budget keeps a job from beginning; None if none does."""
    short = await scheduler.desk.call(lambda queue: queue.meter.short(queue, job))
    if short is None:
        return None
    minutes = -(-short.left_ms // 60_000)
    return {
        "whose": short.whose, "used": f"{short.used:g}", "allowed": short.most,
        "wanted": f"{short.wanted:g}", "minutes": minutes,
    }  # fmt: skip


VIEW: Final = View(
    "job.receipts", "What runs of agents have cost.", Which, list_receipts,
    table=Table("receipts", (Column("run", "Run", "number"), Column("job", "Job"),
                             Column("began", "Began", "time"), Column("state", "Ended"),
                             Column("calls", "Calls", "number"), Column("fuel", "Fuel", "number"),
                             Column("credits", "Credits", "number")), "No agent has run yet."),
)  # fmt: skip
