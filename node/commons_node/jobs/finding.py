"""A job by what people call it: its own name, or its agent's."""

from __future__ import annotations

from commons_node.jobs.job import Job
from commons_node.jobs.refusals import NoJob
from commons_node.jobs.scheduler import Scheduler


def find_job(scheduler: Scheduler, name: str) -> Job:
    """Raises ``NoJob``."""
    wanted = name.strip()
    job = scheduler.jobs.get(wanted)
    if job is None:  # an agent's job has a longer name than the agent
        fit = [one for one in scheduler.jobs.values() if _of_agent(one, wanted)]
        if len(fit) != 1:
            raise NoJob(job=name)
        job = fit[0]
    return job


def _of_agent(job: Job, name: str) -> bool:
    return job.agent is not None and name in {job.agent, job.agent.partition("/")[2]}
