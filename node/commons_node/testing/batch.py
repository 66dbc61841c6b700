"""Many seeds, several at a time, each in a process of its own; the sum as one JSON object."""

from __future__ import annotations

import gc
import multiprocessing
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field

from commons_node.testing.lies import unmet
from commons_node.testing.measures import undone
from commons_node.testing.plan import Plan
from commons_node.testing.storm import Outcome, run
from commons_node.testing.weather import Faults, idle

ENOUGH = 20
"""Seeds from which on every fault must have struck, and every lie must have been met."""


@dataclass(frozen=True, slots=True)
class Ran:
    """One seed; ``outcome`` is None if the simulation itself fell over, for the ``reason``."""

    seed: int
    outcome: Outcome | None
    reason: str
    cpu_s: float

    @property
    def wrong(self) -> tuple[str, ...]:
        """What was wrong."""
        return (self.reason,) if self.outcome is None else self.outcome.wrong


@dataclass(slots=True)
class Sum:
    """What came of a batch."""

    first: int
    runs: list[Ran] = field(default_factory=list)

    def json(self) -> dict[str, object]:
        """The object of ``make simulate`` (CONTRACT.md)."""
        outcomes = [ran.outcome for ran in self.runs if ran.outcome is not None]
        faults: Faults = Faults()
        for outcome in outcomes:
            faults.update(outcome.faults)
        return {
            "v": 1,
            "name": "simulate",
            "seeds": len(self.runs),
            "first": self.first,
            "failed": sum(bool(ran.wrong) for ran in self.runs),
            "failing": sorted(ran.seed for ran in self.runs if ran.wrong),
            "idle": self.idle(),
            "faults": dict(sorted(faults.items())),
            "operations": sum(outcome.operations for outcome in outcomes),
            "acknowledged": sum(outcome.acknowledged for outcome in outcomes),
            "claims": sum(outcome.claims for outcome in outcomes),
            "cpu_s": round(sum(ran.cpu_s for ran in self.runs), 1),
        }

    def idle(self) -> list[str]:
        """Faults and lies that never struck, where there were seeds enough for all."""
        if len(self.runs) < ENOUGH:
            return []
        struck: Faults = Faults()
        for ran in self.runs:
            struck.update(ran.outcome.faults if ran.outcome is not None else {})
        return [*idle(struck), *unmet(struck), *undone(struck)]


def one(seed: int, plan: Plan) -> Ran:
    """Run a seed; nothing is raised."""
    began = time.process_time()
    gc.collect()
    gc.disable()  # the run is short and its garbage is memory only
    try:
        outcome: Outcome | None = run(seed, plan)[0]
        reason = ""
    except Exception:
        outcome, reason = None, traceback.format_exc(limit=-4)
    finally:
        gc.enable()
    return Ran(seed, outcome, reason, time.process_time() - began)


def many(seeds: Sequence[int], plan: Plan, workers: int, heard: Callable[[Ran], None]) -> Sum:
    """Run seeds; ``heard`` is told of each one as it ends."""
    total = Sum(min(seeds, default=0))
    for ran in _runs(seeds, plan, workers):
        total.runs.append(ran)
        heard(ran)
    return total


def _runs(seeds: Sequence[int], plan: Plan, workers: int) -> Iterator[Ran]:
    if workers == 1:
        yield from (one(seed, plan) for seed in seeds)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        for ended in as_completed([pool.submit(one, seed, plan) for seed in seeds]):
            yield ended.result()
