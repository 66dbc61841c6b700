"""What lending says in whole sentences: templates with named fields, in one place to translate."""

from __future__ import annotations

from datetime import date
from typing import Final

from commons_crdt.texts import N_, Spoken
from commons_node.explaining import catalogue

WEEKDAYS: Final = Spoken({
    0: "Monday", 1: "Tuesday", 2: "Wednesday", 3: "Thursday", 4: "Friday", 5: "Saturday",
    6: "Sunday",
})  # fmt: skip
MOVED: Final = N_("{asked_weekday} {asked} is closed; due {due_weekday} {due}.")


def moved(asked: str, due: str) -> str | None:
    """Why a loan is due on another day than was asked for; None if it is not."""
    if asked == due:
        return None
    one, other = date.fromisoformat(asked), date.fromisoformat(due)
    return catalogue.sentence(
        MOVED,
        asked_weekday=WEEKDAYS[one.weekday()],
        asked=asked,
        due_weekday=WEEKDAYS[other.weekday()],
        due=due,
    )


COMPLETES: Final = N_("Not all of this loan has arrived here; its chain is completed by itself.")
"""After a thing was taken back at a node that knows only the borrower's offer."""

ALSO_FREE: Final = N_("{name} is free in that time")
FREE_FROM: Final = N_("{name} is free from {time}")

WAITS: Final = Spoken({
    "out": "{winner} has {name} already: what was handed over stands before what was promised.",
    "role": "{winner} stands: {confirmer} promised {name} to {winner} as {role}, and {other}"
    " promised it to you as {other_role}.",
    "first": "{winner} stands: {confirmer} promised {name} to {winner} before promising it to you.",
    "lot": "{winner} stands: {confirmer} and {other} may each promise {name}, neither knew of the"
    " other, and the rule that nobody can bend chose.",
    "taken": "{winner} has {name} or is promised it in that time.",
})  # fmt: skip
"""Why somebody waits, by ``waiting.Why``."""
PLACE: Final = N_("You are number {place} on the waiting list for {name}. {why}")

NEWS: Final = Spoken({
    "offered": "{name} is offered to you: take it.",
    "ready": "{name} is ready: pick it up from {custodian} by the end of {keep}.",
    "moved": "{name} is somewhere else now: pick it up from {custodian}, not from {confirmer}.",
    "lapsed": "{name} was promised to you and not fetched in time: others may have it now.",
    "asked": "You asked to keep {name} until the end of {until}; nobody has answered yet.",
    "refused": "{name} cannot be kept longer: it is due at the end of {day}.",
    "longer": "You may keep {name} until the end of {day}.",
    "due": "{name} is due at the end of {day}.",
    "overdue": "{name} was due at the end of {day}: bring it back.",
})  # fmt: skip
"""What a borrower should know, by kind of news; all of it follows from how things stand now."""
