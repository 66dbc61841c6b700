"""The scheduler: what is due comes into the queue, and what may go begins.

Sleeps until something is due, or somebody says that there is something to do. The wall clock says
when a schedule is due and nothing else; leases, limits and the budget go by the monotonic one.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

import structlog

from commons_crdt.texts import _
from commons_node.jobs import definitions, firing
from commons_node.jobs.around import Around
from commons_node.jobs.attempts import Attempts
from commons_node.jobs.budget import Allowance, Budget
from commons_node.jobs.desk import Closed, Desk
from commons_node.jobs.handler import HANDLERS, Handler
from commons_node.jobs.history import tidy
from commons_node.jobs.job import Job, On
from commons_node.jobs.lease import LEASE_S
from commons_node.jobs.outbox import Outbox
from commons_node.jobs.queue import Queue
from commons_node.jobs.refusals import NoHandler
from commons_node.jobs.shares import Shares, held_mib
from commons_node.jobs.term import new_term
from commons_node.jobs.workers import Workers
from commons_node.store.database import Damaged
from commons_node.store.upgrading import Unusable

_LOOK_S: Final = 30.0
"""The longest sleep: a wall clock that is set forward is noticed within it."""
_FULL_S: Final = 5.0
_REST_S: Final = 20.0
"""Workers that have nothing to do for so long end."""
_TIDY_S: Final = 3600.0

log = structlog.get_logger(component="jobs")


class Scheduler:
    """One for a node. ``start`` before anything else; ``stop`` leaves nothing running."""

    def __init__(
        self,
        path: Path,
        around: Around,
        allowance: Allowance,
        handlers: Mapping[str, Handler] = HANDLERS,
        rng: Random | None = None,
    ) -> None:
        """``path`` is the file of jobs."""
        self.around = around
        self.handlers = handlers
        self.jobs: dict[str, Job] = {}
        self.paused: set[str] = set()
        self.budget = Budget(allowance, allowance.cpu_s, around.mono())
        self.shares = Shares(allowance.disk_mib)
        self.workers = Workers(around.preparer)
        self.path = path
        self._rng = rng or Random()  # noqa: S311 - no secret
        self.desk = Desk(
            lambda: Queue(
                path, new_term(), around.now, around.mono, self._rng, around.boot, around.meter
            )
        )
        self.outbox = Outbox(self.desk, around.ways, self._rng, around.refuse, around.held)
        self.attempts = Attempts(
            self.desk, self.workers, self.budget, self.shares, around, handlers,
            self.wake, self._stuck,
        )  # fmt: skip
        self._wake = asyncio.Event()
        self._events: Counter[tuple[str, int]] = Counter()
        self._last: dict[tuple[str, int], Mapping[str, object]] = {}
        self._loop: asyncio.Task[None] | None = None
        self._worked = self._tidied = time.monotonic()
        self.broken: str | None = None
        """Why it can't go on just now, in words; None while it can."""

    # -- life ----------------------------------------------------------------------------------

    async def start(self, jobs: tuple[Job, ...] = ()) -> None:
        """Open the file, take back what earlier lives held, define ``jobs``, begin."""
        await self.desk.open()
        await self.desk.call(_begin(self.budget))
        for job in jobs:
            await self.define(job)
        await self._learn()
        self._loop = asyncio.create_task(self._run(), name="jobs")
        self.outbox.start()

    async def stop(self) -> None:
        """End workers and the file; what ran goes on at the next start."""
        self.attempts.stop()
        await self._rest()
        await self.workers.stop()
        await self.desk.close()

    async def _rest(self) -> None:
        """Nothing is begun, and nothing is under way."""
        loop = [] if self._loop is None else [self._loop]
        for task in loop:
            task.cancel()
        await asyncio.gather(*loop, *self.attempts.end(), return_exceptions=True)
        await self.outbox.stop()

    async def mended(self, mend: Callable[[], Awaitable[None]]) -> None:
        """Let go of the file while somebody mends it, and go on with the one that is there then.

        What was under way begins again. What is defined and paused is as it was, whatever of it
        the file has kept.
        """
        jobs = tuple(job for job in self.jobs.values() if job.handler in self.handlers)
        paused = set(self.paused)
        self.broken = str(Closed())
        await self._rest()
        await self.desk.close()
        try:
            await mend()
        finally:
            await self.start(jobs)
            for name in paused & self.jobs.keys() - self.paused:
                await self.pause(name, paused=True)
            self.wake()

    async def define(self, job: Job) -> None:
        """A job, new or changed: the seam for agents, backups and whatever else has a schedule."""
        if job.handler not in self.handlers:
            raise NoHandler(job=job.name, handler=job.handler)
        firing.check(job, self.around.zone())

        def work(queue: Queue) -> None:
            definitions.define(queue, job)
            firing.arm(queue, job)
            self.shares.measure(queue, job)

        await self.desk.call(work)
        self.jobs[job.name] = job
        self.wake()

    async def forget(self, name: str) -> None:
        """A job is no more."""
        await self.desk.call(lambda queue: definitions.forget(queue, name))
        self.jobs.pop(name, None)
        await self.drop_stale()

    async def _learn(self) -> None:
        """What is defined and what is paused; a job whose handler is no more is kept, and waits."""
        self.jobs = await self.desk.call(definitions.defined)
        await self.desk.call(self._measure)
        await self._learn_paused()

    def _measure(self, queue: Queue) -> None:
        for job in tuple(self.jobs.values()):
            self.shares.measure(queue, job)

    async def _learn_paused(self) -> None:
        rows = await self.desk.call(
            lambda queue: queue.rows("SELECT job FROM jobs WHERE paused_ms IS NOT NULL")
        )
        self.paused = {name for (name,) in rows}

    def wake(self) -> None:
        """There may be something to do, or to send."""
        self._wake.set()
        self.outbox.wake()

    def failing(self) -> str:
        """Why no run begins any more, in words; "" while it goes round."""
        if self._loop is None or self._loop.done():
            return _("the scheduler has ended")
        return self.broken or ""

    def _stuck(self, why: str) -> None:
        self.broken = why

    # -- from outside --------------------------------------------------------------------------

    def hear(self, event: Mapping[str, object], more: int = 1) -> None:
        """Something happened at this node: jobs that wait for it will run. Never waits."""
        for name, job in self.jobs.items():
            for number, trigger in enumerate(job.triggers):
                if isinstance(trigger, On) and firing.fits(trigger, event):
                    self._events[name, number] += more
                    self._last[name, number] = event
                    self.wake()

    def missed(self) -> None:
        """Events came too fast and some are lost: whoever waits for one runs, to be safe."""
        for job in self.jobs.values():
            for trigger in job.triggers:
                if isinstance(trigger, On):
                    lost = {"event": trigger.event, **trigger.where, "missed": True}
                    self.hear(lost)

    async def pause(self, name: str, *, paused: bool) -> None:
        """See ``definitions.pause``; what runs goes on."""
        await self.desk.call(lambda queue: definitions.pause(queue, name, paused=paused))
        await self._learn_paused()
        self.around.told(name, 0, "paused" if paused else "resumed")
        self.wake()

    async def drop_stale(self) -> None:
        """End workers whose run is not theirs any more."""
        rows = await self.desk.call(
            lambda queue: queue.rows("SELECT run FROM runs WHERE state = 'leased'")
        )
        self.attempts.end(frozenset(run for (run,) in rows))

    # -- the loop ------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                wait = await self._turn()
                self.broken = None
            except (Unusable, Damaged) as error:
                if self.broken is None:
                    log.warning("jobs_cannot_write", why=str(error))
                self.broken = str(error)
                wait = _FULL_S
            except Exception as error:  # the others still want their turn
                log.exception("jobs_turn_failed")
                self.broken = str(error) or type(error).__name__
                wait = _FULL_S
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    async def _turn(self) -> float:
        """Everything that can be done now; seconds until there may be more."""
        await self._note_events()
        zone = self.around.zone()
        going = [job for name, job in self.jobs.items() if name not in self.paused]
        for job in going:
            await self._fire(job, zone)
        if await self.desk.call(lambda queue: queue.expire()):
            await self.drop_stale()
        while await self._claim():
            self._worked = time.monotonic()
        now = time.monotonic()
        if not self.attempts.running and now - self._worked > _REST_S:
            await self.workers.rest()
        if now - self._tidied > _TIDY_S:
            self._tidied = now
            await self.desk.call(tidy)
            await self.desk.call(self._measure)
        return await self._pause(zone, going)

    async def _fire(self, job: Job, zone: ZoneInfo) -> None:
        """What is due of one job; one that cannot be computed stops no other."""
        try:
            await self.desk.call(lambda queue: firing.fire(queue, job, zone))
        except (Unusable, Damaged):
            raise
        except Exception:
            log.exception("job_not_fired", job=job.name)

    async def _note_events(self) -> None:
        noted, self._events = self._events, Counter()
        for (name, number), count in noted.items():
            job = self.jobs.get(name)
            if job is None or number >= len(job.triggers):
                continue
            trigger, event = job.triggers[number], self._last[name, number]
            if isinstance(trigger, On):
                await self.desk.call(
                    lambda q, j=job, t=trigger, e=event, n=count: firing.heard(q, j, t, e, n)  # type: ignore[misc]  # defaults bind the loop's values
                )

    async def _pause(self, zone: ZoneInfo, going: list[Job]) -> float:
        def soonest(queue: Queue) -> int | None:
            found = [time for job in going if (time := firing.next_due(queue, job, zone))]
            ((least,),) = queue.rows("SELECT min(not_before_ms) FROM runs WHERE state = 'waiting'")
            return min([*found, *([] if least is None else [least])], default=None)

        at = await self.desk.call(soonest)
        most = LEASE_S / 3 if self.attempts.running else _LOOK_S
        if not self.attempts.running and self.workers.pids():
            most = min(most, _REST_S + 1)
        return most if at is None else min(max((at - self.around.now()) / 1000, 0.01), most)

    async def _claim(self) -> bool:
        """Give the next run a worker; False if none may go."""
        budget = self.budget
        budget.fill(self.around.mono())
        if len(budget.running) >= budget.allowance.places:
            return False
        short, held = self.around.short(), held_mib(self.path)
        # as it is at this moment, all of it: the claim is made in another thread
        budget = replace(budget, running=dict(budget.running))

        def fits(job: Job) -> bool:
            over = self.shares.over(job, self.jobs)
            return job.handler in self.handlers and not budget.hold(
                job, short=short, held_mib=held, over=over and over[0]
            )

        lease = await self.desk.call(lambda queue: queue.claim(LEASE_S, fits))
        if lease is None:
            return False
        self.attempts.begin(lease)
        return True


def _begin(budget: Budget) -> Callable[[Queue], None]:
    def work(queue: Queue) -> None:
        taken = queue.recover()
        if taken:
            log.info("jobs_taken_back", runs=taken)
        found = queue.rows("SELECT value FROM counts WHERE name = 'cpu_left_s'")
        if found:  # who ends the node again and again gets no more by it
            budget.left_s = min(float(found[0][0]), budget.allowance.cpu_s)

    return work


__all__ = ["Around", "NoHandler", "Scheduler"]
