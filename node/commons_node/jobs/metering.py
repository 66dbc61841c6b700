"""What runs of agents cost: reserved with the lease, settled with its end, once for each attempt.

The unit is a thousandth of a compute credit. Fuel is a meter and comparable only within one build
of the runner, so a receipt says which build, which engine and which tariff. Credits are accounts of
this node, no proof of work. The node's own duties cost nothing.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Final

from commons_node.jobs import windows
from commons_node.jobs.job import Job
from commons_node.jobs.windows import DAY_MS

if TYPE_CHECKING:
    from commons_node.jobs.lease import Lease
    from commons_node.jobs.queue import Queue

CREDIT: Final = 1_000
_FUEL: Final = 1_000_000
_MOST_FUEL: Final = 10**15
"""More than any run asks for."""


@dataclass(frozen=True, slots=True)
class Tariff:
    """Thousandths of a credit: ``cpu`` for a million fuel, ``memory`` for a MiB and second.

    What a call costs is said by its capability; a change of any of these is a new version.
    """

    version: int = 1
    cpu: int = 1
    memory: int = 1

    def cost(self, spent: Spent) -> int:
        """ceil(fuel/1e6)·cpu + MiB·s·memory + calls."""
        fuel = ceil((spent.fuel or 0) / _FUEL) * self.cpu
        return fuel + ceil(spent.memory_mib_ms * self.memory / 1000) + spent.call_cost

    def pays(self, amount: int, memory_mib: int, wall_s: float) -> Paid:
        """What so much is enough for, of a run that wants so much memory for so long.

        Half of it at most is set aside for memory, and bounds its time; the rest is for fuel.
        """
        aside = min(ceil(memory_mib * wall_s * self.memory), amount // 2)
        return Paid(self.fuel(amount - aside), min(wall_s, aside / (memory_mib * self.memory)))

    def fuel(self, amount: int) -> int:
        """What so much buys."""
        return min(max(amount, 0) // self.cpu * _FUEL, _MOST_FUEL)


@dataclass(frozen=True, slots=True)
class Paid:
    """What credits pay for: all fuel of a run, and its time."""

    fuel: int
    wall_s: float


@dataclass(frozen=True, slots=True)
class Spent:
    """What an attempt used. ``fuel``: None where nobody could say, as of a worker that died."""

    fuel: int | None
    memory_mib_ms: int = 0
    calls: int = 0
    call_cost: int = 0
    runner: str = ""
    engine: str = ""


@dataclass(frozen=True, slots=True)
class Allowed:
    """Credits: of one run that says nothing, and of an agent and of a principal in a day."""

    run: int = 50
    agent_day: int = 2_000
    principal_day: int = 10_000


TARIFF: Final = Tariff()
STANDARD: Final = Allowed()


@dataclass(frozen=True, slots=True)
class Short:
    """A budget that has no room: whose it is, in credits, and for how long."""

    whose: str
    used: float
    most: int
    wanted: float
    left_ms: int


class Meter:
    """Reserves and settles; each call is within the caller's transaction."""

    def __init__(self, allowed: Allowed = STANDARD, tariff: Tariff = TARIFF) -> None:
        """``allowed`` is the host's."""
        self.allowed = allowed
        self.tariff = tariff

    def reservation(self, job: Job) -> int:
        """What a run may cost; 0 for what is not charged."""
        return (job.credits or self.allowed.run) * CREDIT if job.agent is not None else 0

    def short(self, queue: Queue, job: Job) -> Short | None:
        """The budget that keeps this job from beginning now; None if there is room."""
        if job.agent is None:
            return None
        wanted = self.reservation(job)
        for whose, name, most in self._budgets(job.agent, job.principal):
            found = windows.look(queue, name, DAY_MS)
            if found.used + wanted > most * CREDIT:
                return Short(whose, found.used / CREDIT, most, wanted / CREDIT, found.left_ms)
        return None

    def _budgets(self, agent: str, principal: str) -> tuple[tuple[str, str, int], ...]:
        return (
            ("agent", f"credits/agent/{agent}", self.allowed.agent_day),
            ("principal", f"credits/principal/{principal}", self.allowed.principal_day),
        )

    def _take(
        self, queue: Queue, file: sqlite3.Connection, agent: str, principal: str, amount: int
    ) -> None:
        for _whose, name, _most in self._budgets(agent, principal):
            windows.take(queue, file, name, amount, DAY_MS)

    def reserve(self, queue: Queue, file: sqlite3.Connection, lease: Lease) -> None:
        """An attempt begins."""
        job = lease.job
        if job.agent is None:
            return
        file.execute(
            "INSERT INTO receipts (run, fence, job, agent, principal, attempt, began_ms, reserved,"
            " tariff) VALUES (?,?,?,?,?,?,?,?,?)",
            (lease.run, lease.fence, job.name, job.agent, job.principal, lease.attempt,
             queue.now(), lease.reserved, self.tariff.version),
        )  # fmt: skip
        self._take(queue, file, job.agent, job.principal, lease.reserved)

    def report(self, file: sqlite3.Connection, run: int, fence: int, spent: Spent) -> None:
        """What an attempt has used so far: what it is charged for if nothing more is heard."""
        file.execute(
            "UPDATE receipts SET fuel = ?, memory_mib_ms = ?, calls = ?, call_cost = ?"
            " WHERE run = ? AND fence = ? AND cost IS NULL",
            (spent.fuel, spent.memory_mib_ms, spent.calls, spent.call_cost, run, fence),
        )

    def settle(
        self,
        queue: Queue,
        file: sqlite3.Connection,
        run: int,
        how: str,
        spent: Spent | None = None,
        *,
        lenient: bool = False,
    ) -> None:
        """An attempt has ended; settled already, it stays as it is.

        Without ``spent`` it is charged as last reported. Where its fuel is unknown it costs its
        reservation, unless ``lenient``: then what is known of it. It never costs more: a run is
        ended with its credits, and what it took while it was is the node's.
        """
        row = file.execute(
            "SELECT fence, agent, principal, reserved, fuel, memory_mib_ms, calls, call_cost"
            " FROM receipts WHERE run = ? AND cost IS NULL ORDER BY fence DESC",
            (run,),
        ).fetchone()
        if row is None:
            return
        fence, agent, principal, reserved, fuel, memory, calls, call_cost = row
        told = spent or Spent(fuel, memory or 0, calls or 0, call_cost or 0)
        cost = min(self.tariff.cost(told), reserved)
        if told.fuel is None and not lenient:
            cost = reserved
        file.execute(
            "UPDATE receipts SET ended_ms = ?, fuel = ?, memory_mib_ms = ?, calls = ?,"
            " call_cost = ?, runner = ?, engine = ?, how = ?, cost = ?"
            " WHERE run = ? AND fence = ? AND cost IS NULL",
            (queue.now(), told.fuel, told.memory_mib_ms, told.calls, told.call_cost,
             told.runner or None, told.engine or None, how, cost, run, fence),
        )  # fmt: skip
        self._take(queue, file, agent, principal, cost - reserved)


def in_credits(cost: int | None) -> float | None:
    """Thousandths as credits."""
    return None if cost is None else round(cost / CREDIT, 3)


METER: Final = Meter()
"""With what stands here."""
