"""The scheduler: what is due comes into the queue, what may go gets a worker, what ends is kept.

Sleeps until something is due, or somebody says that there is something to do. The wall clock says
when a schedule is due and nothing else; leases, limits and the budget go by the monotonic one.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

import structlog

from commons_crdt.errors import CommonsError
from commons_node.jobs import firing, frames
from commons_node.jobs.budget import Allowance, Budget
from commons_node.jobs.dealing import Dealing, Ending, OwnDuty, believed
from commons_node.jobs.desk import Closed, Desk
from commons_node.jobs.effects import BadEffect
from commons_node.jobs.handler import HANDLERS, Handler
from commons_node.jobs.history import flush, note_refusals, tidy
from commons_node.jobs.job import Job, On
from commons_node.jobs.lease import Lease, Used
from commons_node.jobs.metering import METER, Meter
from commons_node.jobs.outbox import Deliver, Outbox
from commons_node.jobs.queue import Queue
from commons_node.jobs.refusals import StaleFence
from commons_node.jobs.term import new_term
from commons_node.jobs.workers import Attempt, Ended, Preparer, Workers
from commons_node.keystore.sessions import idle_clock
from commons_node.store.upgrading import Unusable

LEASE_S: Final = 30.0
_LOOK_S: Final = 30.0
"""The longest sleep: a wall clock that is set forward is noticed within it."""
_FULL_S: Final = 5.0
_REST_S: Final = 20.0
"""Workers that have nothing to do for so long end."""
_TIDY_S: Final = 3600.0

log = structlog.get_logger(component="jobs")


@dataclass(frozen=True, slots=True)
class Around:
    """What the scheduler is given of its node; each has a plain stand-in.

    ``dealing`` answers one attempt's calls; ``told`` hears that a job's state changed;
    ``preparer`` has what agents run on; ``boot`` is as ``mono``, but goes on while the machine
    sleeps.
    """

    zone: Callable[[], ZoneInfo] = lambda: ZoneInfo("UTC")
    short: Callable[[], bool] = lambda: False
    dealing: Callable[[Lease, Attempt], Dealing] = lambda _lease, _attempt: OwnDuty()
    given: Callable[[Job], Mapping[str, object]] = lambda job: job.given
    told: Callable[[str, int, str], None] = lambda _job, _run, _state: None
    ways: Mapping[str, Deliver] = field(default_factory=dict)
    preparer: Preparer | None = None
    now: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    mono: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000
    boot: Callable[[], int] = lambda: round(idle_clock() * 1000)
    meter: Meter = METER


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
        self.attempts: dict[int, Attempt] = {}
        self.ended: Counter[str] = Counter()
        """Ends of attempts since the start, by what became of the run."""
        self.budget = Budget(allowance, allowance.cpu_s, around.mono())
        self.workers = Workers(around.preparer)
        self.path = path
        self._rng = rng or Random()  # noqa: S311 - no secret
        self.desk = Desk(
            lambda: Queue(
                path, new_term(), around.now, around.mono, self._rng, around.boot, around.meter
            )
        )
        self.outbox = Outbox(self.desk, around.ways, self._rng)
        self._wake = asyncio.Event()
        self._events: Counter[tuple[str, int]] = Counter()
        self._last: dict[tuple[str, int], Mapping[str, object]] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._loop: asyncio.Task[None] | None = None
        self._stopping = False
        self._worked = self._tidied = time.monotonic()
        self.broken: str | None = None
        """Why it can't write just now, in words; None while it can."""

    # -- life ----------------------------------------------------------------------------------

    async def start(self, jobs: tuple[Job, ...] = ()) -> None:
        """Open the file, take back what earlier lives held, define ``jobs``, begin."""
        await self.desk.open()
        await self.desk.call(_begin(self.budget))
        for job in jobs:
            await self.define(job)
        await self._learn()
        self._loop = asyncio.create_task(self._run(), name="jobs")

    async def stop(self) -> None:
        """End workers and the file; what ran goes on at the next start."""
        self._stopping = True
        tasks = [task for task in (self._loop, *self._tasks.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.workers.stop()
        await self.desk.close()

    async def define(self, job: Job) -> None:
        """A job, new or changed: the seam for agents, backups and whatever else has a schedule."""
        if job.handler not in self.handlers:
            raise NoHandler(job=job.name, handler=job.handler)
        firing.check(job, self.around.zone())

        def work(queue: Queue) -> None:
            queue.define(job)
            firing.arm(queue, job)

        await self.desk.call(work)
        self.jobs[job.name] = job
        self.wake()

    async def forget(self, name: str) -> None:
        """A job is no more."""
        await self.desk.call(lambda queue: queue.forget(name))
        self.jobs.pop(name, None)
        await self.drop_stale()

    async def _learn(self) -> None:
        """What is defined and what is paused; a job whose handler is no more is kept, and waits."""
        self.jobs = await self.desk.call(lambda queue: queue.jobs())
        await self._learn_paused()

    async def _learn_paused(self) -> None:
        rows = await self.desk.call(
            lambda queue: queue.rows("SELECT job FROM jobs WHERE paused_ms IS NOT NULL")
        )
        self.paused = {name for (name,) in rows}

    def wake(self) -> None:
        """There may be something to do."""
        self._wake.set()

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
        """See ``Queue.pause``; what runs goes on."""
        await self.desk.call(lambda queue: queue.pause(name, paused=paused))
        await self._learn_paused()
        self.around.told(name, 0, "paused" if paused else "resumed")
        self.wake()

    async def drop_stale(self) -> None:
        """End workers whose run is not theirs any more."""
        rows = await self.desk.call(
            lambda queue: queue.rows("SELECT run FROM runs WHERE state = 'leased'")
        )
        held = {run for (run,) in rows}
        for run in [run for run in self._tasks if run not in held]:
            self._tasks[run].cancel()

    # -- the loop ------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                wait = await self._turn()
                self.broken = None
            except Unusable as error:
                if self.broken is None:
                    log.warning("jobs_cannot_write", why=str(error))
                self.broken = str(error)
                wait = _FULL_S
            except Exception:  # the others still want their turn
                log.exception("jobs_turn_failed")
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
        await self.desk.call(lambda queue: queue.expire())
        while await self._claim():
            self._worked = time.monotonic()
        await self.outbox.empty()
        now = time.monotonic()
        if not self._tasks and now - self._worked > _REST_S:
            await self.workers.rest()
        if now - self._tidied > _TIDY_S:
            self._tidied = now
            await self.desk.call(tidy)
        return await self._pause(zone, going)

    async def _fire(self, job: Job, zone: ZoneInfo) -> None:
        """What is due of one job; one that cannot be computed stops no other."""
        try:
            await self.desk.call(lambda queue: firing.fire(queue, job, zone))
        except Unusable:
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
            for table in ("runs WHERE state = 'waiting'", "outbox WHERE state = 'ready'"):
                ((least,),) = queue.rows(f"SELECT min(not_before_ms) FROM {table}")  # noqa: S608 - our own words
                found += [least] if least is not None else []
            return min(found, default=None)

        at = await self.desk.call(soonest)
        most = LEASE_S / 3 if self._tasks else _LOOK_S
        if not self._tasks and self.workers.pids():
            most = min(most, _REST_S + 1)
        return most if at is None else min(max((at - self.around.now()) / 1000, 0.01), most)

    async def _claim(self) -> bool:
        """Give the next run a worker; False if none may go."""
        budget = self.budget
        budget.fill(self.around.mono())
        if len(budget.running) >= budget.allowance.places:
            return False
        short, held = self.around.short(), held_mib(self.path)

        def fits(job: Job) -> bool:
            return job.handler in self.handlers and not budget.hold(job, short=short, held_mib=held)

        lease = await self.desk.call(lambda queue: queue.claim(LEASE_S, fits))
        if lease is None:
            return False
        budget.running[lease.run] = lease.job
        attempt = self.attempts[lease.run] = Attempt()
        task = asyncio.create_task(self._attend(lease, attempt), name=f"job {lease.job.name}")
        self._tasks[lease.run] = task
        task.add_done_callback(lambda _task: self._let_go(lease.run))
        self.around.told(lease.job.name, lease.run, "leased")
        return True

    def _let_go(self, run: int) -> None:
        self._tasks.pop(run, None)
        self.attempts.pop(run, None)
        self.budget.running.pop(run, None)
        self.wake()

    # -- one attempt ---------------------------------------------------------------------------

    async def _attend(self, lease: Lease, attempt: Attempt) -> None:
        dealing = self.around.dealing(lease, attempt)
        beating = asyncio.create_task(self._beat(lease, attempt, dealing))
        spoke = True
        try:
            ended = await self.workers.run(self._start_of(lease), attempt, dealing.answer)
        except Ended as error:
            spoke = False
            cpu = lease.job.limits.cpu_s * 1000  # it can't say any more what it took
            ended = frames.Failed(
                error.code, str(error), error.again, min(cpu, attempt.wall_ms), 0, attempt.fuel
            )
        except asyncio.CancelledError:
            if self._stopping:
                with suppress(CommonsError):
                    await self.desk.call(lambda queue: queue.give_back(lease.run, lease.fence))
            raise
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)
        self.budget.spend(ended.cpu_ms / 1000)
        spent = dealing.spent(ended if spoke else None)
        ended, effects = believed(dealing, attempt.effects, ended)

        def work(queue: Queue) -> str:
            # the log is kept even of a run whose fence is stale, its effects are not
            flush(queue, lease.run, attempt)
            note_refusals(queue, lease.run, dealing.refused)
            used, left = Used(attempt.wall_ms, ended.cpu_ms, ended.memory), self.budget.left_s
            if isinstance(ended, frames.Done):
                try:
                    queue.finish(
                        lease.run, lease.fence, effects,
                        used=used, result=ended.result, budget=left, spent=spent,
                    )  # fmt: skip
                except BadEffect as error:
                    failed = frames.Failed("effect", str(error), False, 0, 0)
                else:
                    return "done"
            else:
                failed = ended
            return queue.fail(
                lease.run, lease.fence, failed.code, failed.error,
                again=failed.again, used=used, budget=left, spent=spent,
            ).value  # fmt: skip

        await self._keep_trying(lambda: self._close(lease, ended, work))

    def _start_of(self, lease: Lease) -> frames.Start:
        job = lease.job
        return frames.Start(
            self.handlers[job.handler].entry, job.name, lease.run, lease.attempt,
            lease.scheduled_ms, lease.covers, lease.dry, job.limits,
            self.around.given(job), lease.event,
        )  # fmt: skip

    async def _beat(self, lease: Lease, attempt: Attempt, dealing: Dealing) -> None:
        """Hold the lease while the worker lives; drop the work when it is not ours any more."""
        while True:
            await asyncio.sleep(LEASE_S / 3)
            try:
                spent = dealing.spent(None)
                await self.desk.call(
                    lambda queue: queue.beat(lease.run, lease.fence, LEASE_S, spent)  # noqa: B023 - called at once
                )
                await self.desk.call(lambda queue: flush(queue, lease.run, attempt))
            except StaleFence:
                self._tasks[lease.run].cancel()
                return
            except Unusable:
                continue  # the disk is full: the lease may run out, and the fence decides

    async def _close(self, lease: Lease, ended: Ending, work: Callable[[Queue], str]) -> None:
        try:
            state = await self.desk.call(work)
        except StaleFence:
            state = "stale"
        self.ended[state] += 1
        if isinstance(ended, frames.Failed):
            log.warning(
                "job_failed", job=lease.job.name, run=lease.run, code=ended.code,
                why=ended.error, attempt=lease.attempt, state=state,
            )  # fmt: skip
        self.around.told(lease.job.name, lease.run, state)

    async def _keep_trying(self, work: Callable[[], Awaitable[None]]) -> None:
        """Until the disk takes it: what a run has done is not forgotten for want of room."""
        while True:
            try:
                return await work()
            except Unusable as error:
                self.broken = str(error)
                await asyncio.sleep(_FULL_S / 5)
            except Closed:
                return None


class NoHandler(CommonsError):
    """The job {job} wants the handler {handler}, which this version does not have."""

    code = "no_handler"
    hint = "commons-node version; install the version that the job was made for"


def _begin(budget: Budget) -> Callable[[Queue], None]:
    def work(queue: Queue) -> None:
        taken = queue.recover()
        if taken:
            log.info("jobs_taken_back", runs=taken)
        found = queue.rows("SELECT value FROM counts WHERE name = 'cpu_left_s'")
        if found:  # who ends the node again and again gets no more by it
            budget.left_s = min(float(found[0][0]), budget.allowance.cpu_s)

    return work


def held_mib(path: Path) -> float:
    """The size of the file of jobs and its log, in MiB."""
    files = (path, path.with_name(f"{path.name}-wal"))
    return sum(file.stat().st_size for file in files if file.exists()) / (1 << 20)


__all__ = ["Around", "NoHandler", "Scheduler", "held_mib"]
