"""What the scheduler is given of its node: clocks, what attempts may ask, whom it tells."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from commons_node.jobs.dealing import Dealing, OwnDuty
from commons_node.jobs.job import Job
from commons_node.jobs.lease import Lease
from commons_node.jobs.metering import METER, Meter
from commons_node.jobs.outbox import Deliver, Held, Refuse
from commons_node.jobs.workers import Attempt, Preparer
from commons_node.keystore.sessions import idle_clock


@dataclass(frozen=True, slots=True)
class Around:
    """Each has a plain stand-in.

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
    refuse: Refuse = lambda _letter: None
    held: Held = frozenset
    preparer: Preparer | None = None
    now: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    mono: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000
    boot: Callable[[], int] = lambda: round(idle_clock() * 1000)
    meter: Meter = METER
