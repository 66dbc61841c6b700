"""What a job is: a handler, when it runs, for whom, and within which limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,62}\Z")]
Misfire = Literal["run_once", "skip", "each"]

NODE: Final = "node"
"""The principal of the node's own duties."""


class Cron(msgspec.Struct, frozen=True, tag="cron", forbid_unknown_fields=True):
    """At the times of a cron expression in an IANA zone ("": the zone of the scheduler)."""

    expression: str
    zone: str = ""
    misfire: Misfire = "run_once"
    grace_s: float = 60.0
    """How late still counts as in time, where late times are skipped."""


class Every(msgspec.Struct, frozen=True, tag="every", forbid_unknown_fields=True):
    """Every so many seconds; ``misfire`` and ``grace_s`` as for ``Cron``."""

    seconds: Annotated[float, Meta(ge=1)]
    misfire: Misfire = "run_once"
    grace_s: float = 60.0


class On(msgspec.Struct, frozen=True, tag="on", forbid_unknown_fields=True):
    """When the node tells an event whose fields have these values.

    ``debounce_s``: after so long without another one, or after ten times as long in any case.
    """

    event: str
    where: Mapping[str, str | int | bool | None] = {}
    debounce_s: Annotated[float, Meta(ge=0)] = 0.0


Trigger = Cron | Every | On


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one attempt may take."""

    wall_s: Annotated[float, Meta(gt=0, le=86_400)] = 60.0
    cpu_s: Annotated[int, Meta(ge=1, le=86_400)] = 60
    memory_mib: Annotated[int, Meta(ge=64, le=65_536)] = 256
    disk_mib: Annotated[int, Meta(ge=0, le=65_536)] = 0
    """The largest file that it may write; 0: none."""
    calls: Annotated[int, Meta(ge=0)] = 2_000
    effects: Annotated[int, Meta(ge=0)] = 1_000


RUNS_OF_TIME: Final = 2
"""A worker of the sandbox has the processor time of so many runs, and is replaced when it may not
suffice for another one: its limit cannot be raised, not even by whoever set it."""


USERS: Final = 500
"""As whom workers of the sandbox may run, where the node is root: each lives as one of its own."""
BESIDE_MIB: Final = 100
"""Resident in a worker of the sandbox, beside an agent's memory. More takes only what an agent
passes or returns that is huge: then the process is replaced."""


class Retry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often, and how long between: full jitter below ``base_s`` doubled each time."""

    attempts: Annotated[int, Meta(ge=1, le=1_000)] = 5
    base_s: Annotated[float, Meta(gt=0)] = 10.0
    cap_s: Annotated[float, Meta(gt=0)] = 3600.0


class Job(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One job. ``agent``: the package that it comes from, None for the node's own duties."""

    name: Name
    handler: Name
    triggers: tuple[Trigger, ...] = ()
    principal: Annotated[str, Meta(max_length=128)] = NODE
    agent: Annotated[str, Meta(max_length=128)] | None = None
    summary: str = ""
    priority: Annotated[int, Meta(ge=0, le=9)] = 5
    """Among the jobs of one principal: 0 first, 9 last."""
    concurrency: Annotated[int, Meta(ge=1, le=64)] = 1
    limits: Limits = Limits()
    retry: Retry = Retry()
    credits: Annotated[int, Meta(ge=1, le=1_000_000_000)] | None = None
    """Of an agent's: what one run may cost, in compute credits; None: what the node allows."""
    frees_disk: bool = False
    """It may run although the disk is short."""
    given: Mapping[str, object] = {}
    """What the handler is told each time."""
