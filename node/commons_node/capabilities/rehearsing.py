"""A rehearsal: an agent that nobody has installed, run once, in the sandbox and before the broker.

It is granted what its agent.toml asks for, and meets neighbours, devices, models and servers that
are ``made_up``. The queue is a file of its own that is gone afterwards: nothing of it is kept.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from commons_crdt.errors import CommonsError
from commons_node.agents.grants import agreeing
from commons_node.agents.jobs import job_of
from commons_node.agents.manifest import Manifest
from commons_node.agents.package import Package
from commons_node.agents.store import Row
from commons_node.capabilities.broker import AgentDealing
from commons_node.capabilities.inside import Inside
from commons_node.capabilities.made_up import (
    STREET,
    MadeUpDrivers,
    MadeUpModels,
    MadeUpWeb,
    registry_of,
)
from commons_node.capabilities.permit import Permit
from commons_node.capabilities.proposing import proposable
from commons_node.capabilities.rates import Rates
from commons_node.jobs import definitions, frames
from commons_node.jobs.desk import Desk
from commons_node.jobs.job import On
from commons_node.jobs.lease import Lease
from commons_node.jobs.metering import TARIFF, in_credits
from commons_node.jobs.queue import Queue
from commons_node.jobs.workers import SANDBOX, Attempt, Ended, Workers
from commons_node.registry import Request

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

NOWHERE: Final = bytes(32)
"""The community that it works for."""
LONGEST_S: Final = 20.0
_LINES: Final = 50


class NotPrepared(CommonsError):
    """What agents run on is not prepared on this node, so that nothing can be run."""

    code = "not_prepared"
    hint = "commons-node agent prepare"
    status = "failed"


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What became of it. ``code``: "" where it ended well, else as of a run that fails.

    ``calls``: how often each method was called; ``refused``: {method, code, text}; ``would``: the
    effects that a run would have; ``lines``: its log.
    """

    code: str
    error: str
    result: object
    calls: Mapping[str, int]
    refused: tuple[Mapping[str, object], ...]
    would: tuple[Mapping[str, object], ...]
    lines: tuple[str, ...]
    fuel: int
    memory: int
    wall_ms: int
    credits: float


async def rehearse(daemon: Daemon, package: Package) -> Rehearsed:
    """Run it. Raises ``NotPrepared`` where what it needs is not compiled yet, and ``BadConfig``."""
    jobs = daemon.jobs
    if jobs.preparing.state != "ready":
        raise NotPrepared
    manifest, now = package.manifest, daemon.now_ms()
    approval = agreeing(manifest)
    row = Row(manifest.agent, NOWHERE, package.hash, manifest, approval, {}, False, now)
    job = msgspec.structs.replace(job_of(row, jobs.scheduler.around.zone().key), triggers=())
    limits = msgspec.structs.replace(job.limits, wall_s=min(job.limits.wall_s, LONGEST_S))
    around = jobs.scheduler.around
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as folder:
        desk = Desk(
            lambda: Queue(
                Path(folder) / "jobs.db", "rehearsal", around.now, around.mono, boot=around.boot,
                meter=around.meter,
            )
        )  # fmt: skip
        await desk.open()
        workers = Workers(jobs.preparing)
        try:
            lease = await desk.call(lambda queue: _leased(queue, job, manifest))
            verbs = registry_of(jobs.registry, now)
            inside = Inside(
                registry=verbs, acts=proposable(jobs.registry),
                request=lambda community: Request(daemon, community=community), desk=desk,
                drivers=MadeUpDrivers(daemon.config.drivers), models=MadeUpModels(),
                web=MadeUpWeb(), code=lambda _package: package, now_ms=daemon.now_ms,
                zone=around.zone, name_of=_nowhere,
            )  # fmt: skip
            permit = Permit(
                manifest.capabilities, package.hash, manifest.version, manifest.publisher,
                manifest.limits,
            )  # fmt: skip
            attempt = Attempt()
            dealing = AgentDealing(inside, Rates(desk, around.boot), lambda: permit, lease, attempt)
            start = frames.Start(
                SANDBOX, job.name, lease.run, lease.attempt, lease.scheduled_ms, lease.covers,
                False, limits, job.given, lease.event,
            )  # fmt: skip
            return await _run(workers, start, attempt, dealing)
        finally:
            await workers.stop()
            await desk.close()


def _leased(queue: Queue, job: Any, manifest: Manifest) -> Lease:
    definitions.define(queue, job)
    told = next(
        ({"event": one.event, **one.where} for one in manifest.triggers if isinstance(one, On)),
        None,
    )
    queue.enqueue(job.name, event=told)
    found = queue.claim(LONGEST_S * 2)
    assert found is not None, "nothing else is in this queue"
    return found


async def _nowhere(_principal: str) -> str:
    return STREET


async def _run(
    workers: Workers, start: frames.Start, attempt: Attempt, dealing: AgentDealing
) -> Rehearsed:
    calls: Counter[str] = Counter()

    async def answer(method: str, params: dict[str, Any], /) -> object:
        if method != "agent.code":
            calls[method] += 1
        return await dealing.answer(method, params)

    ended: frames.Done | frames.Failed
    try:
        ended = await workers.run(start, attempt, answer)
        spent = dealing.spent(ended)
    except Ended as error:
        ended = frames.Failed(error.code, str(error), False, 0, 0, attempt.fuel)
        spent = dealing.spent(None)
    failed = isinstance(ended, frames.Failed)
    return Rehearsed(
        code=ended.code if isinstance(ended, frames.Failed) else "",
        error=ended.error if isinstance(ended, frames.Failed) else "",
        result=ended.result if isinstance(ended, frames.Done) else None,
        calls=dict(sorted(calls.items())),
        refused=tuple(
            {"method": method, "code": code, "text": one.text}
            for (method, code), one in dealing.refused.items()
        ),
        would=() if failed else tuple(msgspec.to_builtins(one) for one in dealing.effects),
        lines=tuple(attempt.lines)[-_LINES:],
        fuel=ended.fuel,
        memory=ended.memory,
        wall_ms=attempt.wall_ms,
        credits=in_credits(TARIFF.cost(spent)) or 0.0,
    )
