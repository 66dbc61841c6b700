"""Every sentence that jobs say to a host, with its fields beside it, so that it can be translated.

``WHY`` says why a job does not run now and what to do; ``BESIDES`` what else of it waits for
somebody; ``NOTICES`` what a duty has found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from commons_crdt.texts import N_, Spoken, _
from commons_node.said import Said


@dataclass(frozen=True, slots=True)
class Reason:
    """A sentence and the next action, both with named fields."""

    sentence: str
    action: str


WHY: Final[Mapping[str, Reason]] = {
    "running": Reason(
        N_("It runs now: run {run}, attempt {attempt}, for {seconds} s."),
        N_("watch it: commons-node job logs {job}"),
    ),
    "preparing": Reason(
        N_("What agents run on is being prepared, once for this node: {percent} %."), N_("wait")
    ),
    "no_handler": Reason(
        N_("This version has no handler {handler}."), N_("install the version that it was made for")
    ),
    "off": Reason(
        N_("No job runs on this node: the setting jobs_workers is 0."),
        N_("set jobs_workers to 1 or more in config.toml and start the node again"),
    ),
    "paused": Reason(N_("It is paused."), N_("commons-node job resume {job}")),
    "broken": Reason(
        N_("The node cannot write down what jobs do: {error}"),
        N_("make room on the disk of the home")
    ),
    "never": Reason(
        N_("It may take {memory} MiB, more than jobs may take together ({allowed} MiB)."),
        N_("raise jobs_memory_mib in config.toml"),
    ),
    "concurrency": Reason(
        N_("As many of its runs as may go at once go already: {count}."), N_("wait, or cancel one")
    ),
    "places": Reason(
        N_("All workers are busy. Jobs that run: {count}."),
        N_("wait, or raise jobs_workers in config.toml")
    ),
    "memory": Reason(
        N_("Jobs that run may take so much memory that there is no room for its {memory} MiB."),
        N_("wait, or raise jobs_memory_mib in config.toml"),
    ),
    "cpu": Reason(
        N_("Jobs have used up their processor time; there is more in {seconds} s."),
        N_("wait, or raise jobs_cpu_s in config.toml"),
    ),
    "disk": Reason(
        N_("The disk is short: jobs wait until there is room."),
        N_("make room on the disk of the home")
    ),
    "disk_share": Reason(
        N_("What jobs have stored is larger than they may: {mib} MiB."),
        N_("commons-node job run tidy, or raise jobs_disk_mib in config.toml"),
    ),
    "share_agent": Reason(
        N_("What this agent has stored is larger than it may: {mib} MiB of {allowed} MiB."),
        N_("see what waits: commons-node job show {job}; or raise jobs_disk_mib in config.toml"),
    ),
    "share_principal": Reason(
        N_("What the agents of this community have stored is larger than they may: {mib} MiB of"
           " {allowed} MiB."),
        N_("remove an agent, or raise jobs_disk_mib in config.toml"),
    ),
    "budget_agent": Reason(
        N_("The agent has no credits left: {used} of {allowed} are used, and a run may cost"
           " {wanted}. There are more in {minutes} min."),
        N_("wait, or raise agents_day_credits in config.toml"),
    ),
    "budget_principal": Reason(
        N_("The agents of this community have no credits left: {used} of {allowed} are used, and"
           " a run may cost {wanted}. There are more in {minutes} min."),
        N_("wait, or raise agents_community_credits in config.toml"),
    ),
    "backoff": Reason(
        N_("It failed ({fault}) and is tried again at {next}, attempt {attempt} of {most}."),
        N_("see why: commons-node job logs {job}"),
    ),
    "queued": Reason(
        N_("It is in the queue; runs of others that come before it: {count}."), N_("wait")
    ),
    "dead": Reason(
        N_("It failed as often as it may (attempts: {attempts}): {error}"),
        N_("mend that, then: commons-node job retry {job}"),
    ),
    "due": Reason(N_("It is not due before {next}."), N_("run it now: commons-node job run {job}")),
    "event": Reason(
        N_("It waits for the event {event}."), N_("run it now: commons-node job run {job}")
    ),
    "by_hand": Reason(
        N_("It has no schedule: it runs when somebody says so."), N_("commons-node job run {job}")
    ),
}  # fmt: skip

BESIDES: Final[Mapping[str, Reason]] = {
    "late": Reason(
        N_("What it sends to {to} has not arrived (letters: {count}, attempts: {attempts}):"
           " {error}"),
        N_("mend that; it is tried again at {next}, or now: commons-node job retry {job}"),
    ),
    "lost": Reason(
        N_("What it sent to {to} is given up (letters: {count}, attempts: {attempts}): {error}"),
        N_("mend that, then: commons-node job retry {job}"),
    ),
    "proposed": Reason(
        N_("What it proposes waits for a member to sign it, or not: {count}."),
        N_("commons-node proposal list"),
    ),
    "held": Reason(
        N_("It is trusted with proposal {proposal} ({act}), but {why}."),
        N_("sign it yourself: commons-node proposal sign {proposal}"),
    ),
    "trusted": Reason(
        N_("{act} is signed in the name of {member}: today {used} of {each_day}."),
        N_("to end that: commons-node agent distrust {agent} {act}"),
    ),
    "trust_held": Reason(
        N_("{act} is not signed in the name of {member} now: {why}."), N_("{mend}")
    ),
}  # fmt: skip

NOTICES: Final = Spoken(
    {
        "damaged": "The database {file} is damaged: {why} What to do: {fix}",
        "overdue": "{community}: {count} overdue: {loans}",
        "overdue_many": "{community}: {count} overdue: {loans}; and {more} more",
    }
)


def notice(code: str, **fields: object) -> dict[str, object]:
    """The body of a ``notice`` effect: the sentence, and what it is made of."""
    return {"text": NOTICES[code].format(**fields)[:2_000], "about": {"code": code, **fields}}


def notice_in_words(text: str, about: Mapping[str, object]) -> str:
    """A kept notice in the reader's language; one that is not of this file stays as it is."""
    code = about.get("code")
    if not isinstance(code, str) or code not in NOTICES:
        return text
    try:
        return NOTICES[code].format(**{name: _field(value) for name, value in about.items()})
    except (LookupError, ValueError, AttributeError):
        return text


def _field(value: object) -> object:
    """A field; one that is a sentence itself was kept as ``Said``."""
    if isinstance(value, dict) and value.keys() == {"text", "gaps"}:
        return msgspec.convert(value, Said)
    return value


def reason(code: str, **fields: object) -> dict[str, str]:
    """Code, sentence and next action of why a job does not run, or of what waits beside."""
    found = WHY.get(code) or BESIDES[code]
    return {
        "code": code,
        "sentence": _(found.sentence).format(**fields),
        "next_action": _(found.action).format(**fields),
    }
