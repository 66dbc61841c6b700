"""Every sentence that jobs say to a host, with its fields beside it, so that it can be translated.

``WHY`` says why a job does not run now and what to do; ``NOTICES`` what a duty has found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Reason:
    """A sentence and the next action, both with named fields."""

    sentence: str
    action: str


WHY: Final[Mapping[str, Reason]] = {
    "running": Reason(
        "It runs now: run {run}, attempt {attempt}, for {seconds} s.",
        "watch it: commons-node job logs {job}",
    ),
    "no_handler": Reason(
        "This version has no handler {handler}.", "install the version that it was made for"
    ),
    "off": Reason(
        "No job runs on this node: the setting jobs_workers is 0.",
        "set jobs_workers to 1 or more in config.toml and start the node again",
    ),
    "paused": Reason("It is paused.", "commons-node job resume {job}"),
    "broken": Reason(
        "The node cannot write down what jobs do: {error}", "make room on the disk of the home"
    ),
    "never": Reason(
        "It may take {memory} MiB, more than jobs may take together ({allowed} MiB).",
        "raise jobs_memory_mib in config.toml",
    ),
    "concurrency": Reason(
        "As many of its runs as may go at once go already: {count}.", "wait, or cancel one"
    ),
    "places": Reason(
        "All workers are busy: {count} jobs run.", "wait, or raise jobs_workers in config.toml"
    ),
    "memory": Reason(
        "Jobs that run may take so much memory that there is no room for its {memory} MiB.",
        "wait, or raise jobs_memory_mib in config.toml",
    ),
    "cpu": Reason(
        "Jobs have used up their processor time; there is more in {seconds} s.",
        "wait, or raise jobs_cpu_s in config.toml",
    ),
    "disk": Reason(
        "The disk is short: jobs wait until there is room.", "make room on the disk of the home"
    ),
    "disk_share": Reason(
        "What jobs have stored is larger than they may: {mib} MiB.",
        "commons-node job run tidy, or raise jobs_disk_mib in config.toml",
    ),
    "backoff": Reason(
        "It failed ({fault}) and is tried again at {next}, attempt {attempt} of {most}.",
        "see why: commons-node job logs {job}",
    ),
    "queued": Reason(
        "It is in the queue; runs of others that come before it: {count}.", "wait"
    ),
    "dead": Reason(
        "It failed as often as it may ({attempts} times): {error}",
        "mend that, then: commons-node job retry {job}",
    ),
    "due": Reason("It is not due before {next}.", "run it now: commons-node job run {job}"),
    "event": Reason(
        "It waits for the event {event}.", "run it now: commons-node job run {job}"
    ),
    "by_hand": Reason(
        "It has no schedule: it runs when somebody says so.", "commons-node job run {job}"
    ),
}  # fmt: skip

NOTICES: Final[Mapping[str, str]] = {
    "damaged": "The database {file} is damaged: {why} What to do: {fix}",
    "overdue": "{community}: {count} overdue: {loans}",
    "overdue_many": "{community}: {count} overdue: {loans}; and {more} more",
}


def notice(code: str, **fields: object) -> dict[str, object]:
    """The body of a ``notice`` effect: the sentence, and what it is made of."""
    return {"text": NOTICES[code].format(**fields)[:2_000], "about": {"code": code, **fields}}


def reason(code: str, **fields: object) -> dict[str, str]:
    """Code, sentence and next action of why a job does not run."""
    found = WHY[code]
    return {
        "code": code,
        "sentence": found.sentence.format(**fields),
        "next_action": found.action.format(**fields),
    }
