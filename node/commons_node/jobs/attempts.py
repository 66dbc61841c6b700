"""The life of one attempt: a worker has it, its lease is held, and what came of it is kept.

It begins with a lease that the scheduler has claimed. However it ends (in good order, with its
worker, with its time, by a hand that cancels it), the queue is told once, under the attempt's own
fence, and nobody waits for it any more.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import structlog

from commons_crdt.errors import CommonsError
from commons_node.jobs import frames
from commons_node.jobs.around import Around
from commons_node.jobs.budget import Budget
from commons_node.jobs.dealing import Dealing, Ending, believed
from commons_node.jobs.desk import Closed, Desk
from commons_node.jobs.effects import BadEffect, Effect
from commons_node.jobs.handler import Handler
from commons_node.jobs.history import flush, note_refusals
from commons_node.jobs.lease import LEASE_S, Lease, Used
from commons_node.jobs.metering import Spent
from commons_node.jobs.queue import Queue
from commons_node.jobs.refusals import StaleFence
from commons_node.jobs.shares import Shares
from commons_node.jobs.workers import Attempt, Ended, Workers
from commons_node.store.database import Damaged
from commons_node.store.upgrading import Unusable

_AGAIN_S: Final = 1.0
"""Between two tries to write down how one ended."""

log = structlog.get_logger(component="jobs")


@dataclass(slots=True)
class Attempts:
    """All attempts of one scheduler; each runs by itself once it has begun.

    ``over`` is called when one leaves its place; ``stuck`` with the reason why the end of one
    cannot be written down yet.
    """

    desk: Desk
    workers: Workers
    budget: Budget
    shares: Shares
    around: Around
    handlers: Mapping[str, Handler]
    over: Callable[[], None]
    stuck: Callable[[str], None]
    running: dict[int, Attempt] = field(default_factory=dict)
    """Those that run, by run."""
    ended: Counter[str] = field(default_factory=Counter)
    """Ends of attempts since the start, by what became of the run."""
    _tasks: dict[asyncio.Task[None], int] = field(default_factory=dict)
    """By task: where a lease ran out, its attempt may still end when the run's next one begins."""
    _stopping: bool = False

    def begin(self, lease: Lease) -> None:
        """A run is leased: it gets a worker."""
        attempt = self.running[lease.run] = Attempt()
        self.budget.running[lease.run] = lease.job
        task = asyncio.create_task(self._attend(lease, attempt), name=f"job {lease.job.name}")
        self._tasks[task] = lease.run
        task.add_done_callback(lambda task: self._let_go(task, attempt))
        self.around.told(lease.job.name, lease.run, "leased")

    def _let_go(self, task: asyncio.Task[None], attempt: Attempt) -> None:
        run = self._tasks.pop(task)
        if self.running.get(run) is attempt:
            del self.running[run]
            self.budget.running.pop(run, None)
        self.over()

    def end(self, held: frozenset[int] = frozenset()) -> list[asyncio.Task[None]]:
        """Cancel all but those whose run is ``held``; what to wait for until they have ended."""
        tasks = [task for task, run in self._tasks.items() if run not in held]
        for task in tasks:
            task.cancel()
        return tasks

    def stop(self) -> None:
        """From now on, what is cancelled is given back: it has cost its run no attempt."""
        self._stopping = True

    # -- one of them ---------------------------------------------------------------------------

    async def _attend(self, lease: Lease, attempt: Attempt) -> None:
        dealing = self.around.dealing(lease, attempt)
        ended, spoke = await self._run(lease, attempt, dealing)
        self.budget.spend(ended.cpu_ms / 1000)
        spent = dealing.spent(ended if spoke else None)
        ended, effects = believed(dealing, attempt.effects, ended)

        def work(queue: Queue) -> str:
            # the log is kept even of a run whose fence is stale, its effects are not
            flush(queue, lease.run, attempt)
            note_refusals(queue, lease.run, dealing.refused)
            used = Used(attempt.wall_ms, ended.cpu_ms, ended.memory)
            state = self._settled(queue, lease, ended, effects, used, spent)
            self.shares.add(queue, lease.job, lease.run, effects if state == "done" else [])
            return state

        await self._close(lease, ended, work)

    async def _run(self, lease: Lease, attempt: Attempt, dealing: Dealing) -> tuple[Ending, bool]:
        """How it ended, and whether its worker has said so itself."""
        me = asyncio.current_task()
        assert me is not None
        beating = asyncio.create_task(self._beat(lease, attempt, dealing, me))
        try:
            start = dealing.within(self._start_of(lease))
            return await self.workers.run(start, attempt, dealing.answer), True
        except Ended as error:
            cpu = lease.job.limits.cpu_s * 1000  # it can't say any more what it took
            return frames.Failed(
                error.code, str(error), error.again, min(cpu, attempt.wall_ms), 0, attempt.fuel
            ), False
        except asyncio.CancelledError:
            if self._stopping:
                with suppress(CommonsError):
                    await self.desk.call(lambda queue: queue.give_back(lease.run, lease.fence))
            raise
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)

    def _start_of(self, lease: Lease) -> frames.Start:
        job = lease.job
        return frames.Start(
            self.handlers[job.handler].entry, job.name, lease.run, lease.attempt,
            lease.scheduled_ms, lease.covers, lease.dry, job.limits,
            self.around.given(job), lease.event,
        )  # fmt: skip

    async def _beat(
        self, lease: Lease, attempt: Attempt, dealing: Dealing, mine: asyncio.Task[None]
    ) -> None:
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
                mine.cancel()
                return
            except (Unusable, Damaged):
                continue  # the disk is full: the lease may run out, and the fence decides

    # -- its end -------------------------------------------------------------------------------

    def _settled(
        self,
        queue: Queue,
        lease: Lease,
        ended: Ending,
        effects: list[Effect],
        used: Used,
        spent: Spent | None,
    ) -> str:
        """The run's state from now on: ``done`` with all its effects, or what a failure makes."""
        left = self.budget.left_s
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

    async def _close(self, lease: Lease, ended: Ending, work: Callable[[Queue], str]) -> None:
        """Tried until the disk takes it: what a run did is not forgotten for want of room."""
        while True:
            try:
                state = await self.desk.call(work)
            except StaleFence:
                state = "stale"
            except Closed:
                return
            except (Unusable, Damaged) as error:
                self.stuck(str(error))
                await asyncio.sleep(_AGAIN_S)
                continue
            break
        self.ended[state] += 1
        if isinstance(ended, frames.Failed):
            log.warning(
                "job_failed", job=lease.job.name, run=lease.run, code=ended.code,
                why=ended.error, attempt=lease.attempt, state=state,
            )  # fmt: skip
        self.around.told(lease.job.name, lease.run, state)


__all__ = ["Attempts"]
