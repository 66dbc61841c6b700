"""The sentences of reputation: whole templates with named gaps, one function for each place.

Facts for machines stand beside them in the answer.
"""

from __future__ import annotations

from typing import Final

from commons_crdt.texts import N_, Spoken, _, ngettext

NEW: Final = N_(
    "{name} is new here: nobody has had the occasion to say anything. That is neither good nor bad."
)
RETURNED_TO_ONE: Final = N_(
    "{name}: {n} loans returned in the last {months} months, all to one person."
)
ON_TIME: Final = N_("On time: {on_time} of the {spoken} that somebody spoke of.")
NOT_BORROWED: Final = N_("{name} has borrowed nothing in the last {months} months.")
OWN: Final = N_("You have lent to {name}, or borrowed from {name}, yourself.")
SELF: Final = N_("This is you.")
FOUNDER: Final = N_("The community's own trust starts from {name}.")
MANY_WAYS: Final = N_("{n} ways or more that share nobody lead to {name}.")
NO_WAY: Final = N_(
    "Nobody whom you or the founders have borrowed from or lent to leads to {name}. What others "
    "say of {name} may be true; you cannot tell from here."
)
SOME_WEIGH: Final = N_(
    "Of the {every} loans, {n} were with those by whom these ways come; the others are counted and "
    "weigh nothing from here."
)
YOU: Final = N_("you")

READY: Final = N_(
    "Enough members vouch for {name}: {who}. If you agree: commons-node member role {member} member"
)
READY_WHAT: Final = N_("vouches for {name}")

STANDINGS: Final = Spoken({
    "stands": "counts until {until}",
    "expired": "ran out {until}",
    "withdrawn": "was taken back",
    "renewed": "was renewed",
    "young": "given before {who} was a member for {age_days} days: does not count",
    "over_budget": "beyond {budget} in {period_days} days: does not count",
    "cooling": "too soon after the one before: does not count",
    "paused": "rests: somebody for whom {who} vouched was removed",
    "gone": "one of the two is no member now",
})  # fmt: skip


def returned(n: int, *, name: str, lenders: int, months: int) -> str:
    """What was brought back, to several people or only once."""
    said = ngettext(
        "{name}: {n} loan returned in the last {months} months.",
        "{name}: {n} loans returned in the last {months} months, to {lenders} different people.",
        n,
    )
    return said.format(n=n, name=name, lenders=lenders, months=months)


def lent(n: int, people: int) -> str:
    """What was lent or taken back, and among how many."""
    said = ngettext(
        "Lent or taken back: {n} loan, {people} different people in all.",
        "Lent or taken back: {n} loans, {people} different people in all.",
        n,
    )
    return said.format(n=n, people=people)


def sealed(n: int) -> str:
    """How many words nobody can read yet."""
    return ngettext(
        "{n} word is still sealed until both have spoken, or for a week.",
        "{n} words are still sealed until both have spoken, or for a week.",
        n,
    ).format(n=n)


def known(n: int, name: str, who: str) -> str:
    """Whom the reader knows of those who lent to a member."""
    return ngettext(
        "{n} person you know lent to {name}: {who}.",
        "{n} people you know lent to {name}: {who}.",
        n,
    ).format(n=n, name=name, who=who)


def ways(n: int, name: str) -> str:
    """How many ways lead to a member."""
    return ngettext(
        "One way leads to {name} through people who borrowed from each other.",
        "{n} ways that share nobody lead to {name} through people who borrowed from each other.",
        n,
    ).format(n=n, name=name)


def light(n: int) -> str:
    """Of somebody to whom no way leads: loans within a circle of their own."""
    return ngettext(
        "{n} loan is counted and weighs nothing from here.",
        "{n} loans are counted and weigh nothing from here.",
        n,
    ).format(n=n)


def say(template: str, **gaps: object) -> str:
    """A sentence of this file in the reader's language, filled."""
    return _(template).format(**gaps)
