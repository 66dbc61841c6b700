"""The sentences of reputation: whole templates with named gaps, one table for each place.

A pair is one and many; the gap ``n`` decides. Facts for machines stand beside them in the answer.
"""

from __future__ import annotations

from typing import Final

Plural = tuple[str, str]

NEW: Final = (
    "{name} is new here: nobody has had the occasion to say anything. That is neither good nor bad."
)
RETURNED: Final[Plural] = (
    "{name}: {n} loan returned, {on_time} on time, in the last {months} months.",
    (
        "{name}: {n} loans returned, {on_time} on time, to {lenders} different people, "
        "in the last {months} months."
    ),
)
RETURNED_TO_ONE: Final = (
    "{name}: {n} loans returned, {on_time} on time, all to one person, in the last {months} months."
)
NOT_BORROWED: Final = "{name} has borrowed nothing in the last {months} months."
LENT: Final[Plural] = (
    "Lent or taken back: {n} loan, {people} different people in all.",
    "Lent or taken back: {n} loans, {people} different people in all.",
)
SEALED: Final[Plural] = (
    "{n} word is still sealed until both have spoken, or for a week.",
    "{n} words are still sealed until both have spoken, or for a week.",
)
KNOWN: Final[Plural] = (
    "{n} person you know lent to {name}: {who}.",
    "{n} people you know lent to {name}: {who}.",
)
OWN: Final = "You have lent to {name}, or borrowed from {name}, yourself."
SELF: Final = "This is you."
FOUNDER: Final = "The community's own trust starts from {name}."
WAYS: Final[Plural] = (
    "One way leads to {name} through people who borrowed from each other.",
    "{n} ways that share nobody lead to {name} through people who borrowed from each other.",
)
MANY_WAYS: Final = "{n} ways or more that share nobody lead to {name}."
NO_WAY: Final = (
    "Nobody whom you or the founders have borrowed from or lent to leads to {name}. What others "
    "say of {name} may be true; you cannot tell from here."
)
YOU: Final = "you"

READY: Final = (
    "Enough members vouch for {name}: {who}. If you agree: commons-node member role {member} member"
)
READY_WHAT: Final = "vouches for {name}"

STANDINGS: Final = {
    "stands": "counts until {until}",
    "expired": "ran out {until}",
    "withdrawn": "was taken back",
    "renewed": "was renewed",
    "young": "given before {who} was a member for {age_days} days: does not count",
    "over_budget": "beyond {budget} in {period_days} days: does not count",
    "cooling": "too soon after the one before: does not count",
    "paused": "rests: somebody for whom {who} vouched was removed",
    "gone": "one of the two is no member now",
}


def plural(forms: Plural, n: int, **gaps: object) -> str:
    """The form for ``n``, filled."""
    return (forms[0] if n == 1 else forms[1]).format(n=n, **gaps)
