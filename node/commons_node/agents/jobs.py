"""The job that an agent becomes: its triggers, within what it may take."""

from __future__ import annotations

import math
from typing import Final

from commons_node.agents.grants import effective_limits
from commons_node.agents.manifest import Manifest
from commons_node.agents.store import Row
from commons_node.jobs.job import Job, Limits

HANDLER: Final = "agent"


def job_name(manifest: Manifest) -> str:
    """``overdue-reminders-a1b2c3d4``: a duty's name never ends like that."""
    return f"{manifest.name}-{manifest.publisher[:8]}"


def job_of(row: Row, zone: str) -> Job:
    """What the scheduler is told. Its principal is the community that the agent works for.

    ``zone``: that of the community, in which the agent is told the time; schedules are the host's.
    """
    manifest, limits = row.manifest, effective_limits(row.manifest, row.approval)
    return Job(
        name=job_name(manifest),
        handler=HANDLER,
        triggers=manifest.triggers,
        principal=row.community.hex(),
        agent=row.agent,
        summary=manifest.summary,
        concurrency=limits.concurrency,
        limits=Limits(
            wall_s=limits.wall_s,
            cpu_s=math.ceil(limits.wall_s) + 1,
            memory_mib=limits.memory_mib,
            calls=limits.calls,
        ),
        retry=manifest.retry,
        credits=limits.credits,
        given={
            "package": row.package.hex(),
            "fuel": limits.fuel,
            "output_bytes": limits.output_bytes,
            "settings": {**manifest.settings, **row.settings},
            "timezone": zone,
        },
    )
