"""What the queue refuses, and why."""

from __future__ import annotations

from commons_crdt.errors import CommonsError


class QueueFull(CommonsError):
    """{count} runs wait already: no more is taken in."""

    code = "queue_full"
    hint = "commons-node job list; then job cancel, or job pause"


class NoJob(CommonsError):
    """There is no job {job}."""

    code = "unknown"
    hint = "commons-node job list"
    status = "not_found"


class NoRun(CommonsError):
    """There is no run {run}."""

    code = "unknown"
    hint = "commons-node job show {job}"
    status = "not_found"


class StaleFence(CommonsError):
    """Run {run} is not this worker's any more."""

    code = "stale_fence"


class WrongState(CommonsError):
    """Run {run} is {state}."""

    code = "state"
    hint = "commons-node job show {job}"


class NoHandler(CommonsError):
    """The job {job} wants the handler {handler}, which this version does not have."""

    code = "no_handler"
    hint = "commons-node version; install the version that the job was made for"
