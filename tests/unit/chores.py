"""A queue of jobs on a bench: clocks that are set by hand, workers that are only imagined."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from commons_node.jobs.definitions import define
from commons_node.jobs.effects import Effect
from commons_node.jobs.job import Job, Retry, Trigger
from commons_node.jobs.lease import Lease
from commons_node.jobs.metering import METER, Meter
from commons_node.jobs.queue import Queue
from commons_node.jobs.refusals import NoRun, StaleFence, WrongState

NOON = 1_780_000_000_000
LEASE_S = 30.0


class Bench:
    """One file of jobs, opened by one life after the other."""

    def __init__(
        self, folder: Path, *, rng: random.Random | None = None, meter: Meter = METER
    ) -> None:
        """Begins at ``NOON``."""
        self.meter = meter
        self.path = folder / "jobs.db"
        self.rng = rng or random.Random(1)
        self.wall = NOON
        self.mono = 0
        self.life = 0
        self.held: list[Lease] = []
        self.queue: Queue
        self.restart()

    def restart(self) -> int:
        """The node dies and comes back; how many runs it took back."""
        if self.life:
            self.queue.close()
        self.life += 1
        self.queue = Queue(
            self.path, f"life {self.life}", lambda: self.wall, lambda: self.mono, self.rng,
            meter=self.meter,
        )  # fmt: skip
        # whether a disk keeps its word is asked of real processes, in tests/e2e/test_jobs_kills.py
        self.queue.file.execute("PRAGMA synchronous = OFF")
        return self.queue.recover()

    def close(self) -> None:
        self.queue.close()

    def job(self, name: str = "chore", *, attempts: int = 3, **more: Any) -> Job:
        """A job whose retries wait up to 10, 20, 40 … seconds."""
        job = Job(name, "handler", retry=Retry(attempts, 10, 60), **more)
        define(self.queue, job)
        return job

    def triggered(self, *triggers: Trigger, name: str = "chore") -> Job:
        from commons_node.jobs import firing

        job = self.job(name, triggers=triggers)
        firing.arm(self.queue, job)
        return job

    def claim(self) -> Lease | None:
        lease = self.queue.claim(LEASE_S)
        if lease is not None:
            self.held.append(lease)
        return lease

    def pass_time(self, seconds: float) -> None:
        """Both clocks go on."""
        self.wall += round(seconds * 1000)
        self.mono += round(seconds * 1000)

    def state(self, run: int) -> str:
        ((state,),) = self.queue.rows("SELECT state FROM runs WHERE run = ?", run)
        return str(state)

    def count(self, *states: str) -> int:
        rows = self.queue.rows("SELECT state FROM runs")
        return sum(state in states for (state,) in rows)

    def kept(self) -> dict[str, Any]:
        import json

        return {name: json.loads(v) for name, v in self.queue.rows("SELECT name, value FROM kept")}

    def does(self, deed: Callable[[], object]) -> None:
        """A deed, which may be refused with one of the queue's own reasons."""
        try:
            deed()
        except (WrongState, StaleFence, NoRun):
            return

    def deeds(self) -> list[Callable[[], object]]:
        """What may happen next, for chance to choose from."""
        lease = self.rng.choice(self.held) if self.held else None
        runs = [run for (run,) in self.queue.rows("SELECT run FROM runs")]
        run = self.rng.choice(runs) if runs else 0
        queue = self.queue
        found: list[Callable[[], object]] = [
            self.claim, self.claim, self.claim,
            lambda: self.pass_time(self.rng.uniform(1, 25)),
            lambda: queue.cancel(run), lambda: queue.retry(run), queue.expire, self.restart,
        ]  # fmt: skip
        if lease is not None:
            found += [
                lambda: queue.finish(lease.run, lease.fence, [keep(lease.run)]),
                lambda: queue.fail(lease.run, lease.fence, "fault", "it broke"),
                lambda: queue.fail(lease.run, lease.fence, "fault", "for good", again=False),
                lambda: queue.beat(lease.run, lease.fence, LEASE_S),
                lambda: queue.give_back(lease.run, lease.fence),
            ]
        return found


def keep(number: int, value: object = 1) -> Effect:
    """An effect with a key of its own."""
    return Effect("keep", f"op-{number}", {"name": f"n{number % 200}", "value": value})
