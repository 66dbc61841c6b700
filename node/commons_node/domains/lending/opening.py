"""Which days a place is open: what a due day is moved by.

Pure. A community's days stand in its constitution; a space may answer ``is_open`` for its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Protocol

from commons_crdt.authority.settings import Constitution
from commons_crdt.texts import _

NAMES: Final = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
"""Days of the week as OpenStreetMap's ``opening_hours`` has them."""
_CLOSED: Final = re.compile(r"([0-9]{4}-)?[0-9]{2}-[0-9]{2}")
_FAR: Final = 366


class OpenDays(Protocol):
    """Whatever knows on which days somebody is there to take a thing back."""

    def is_open(self, day: date) -> bool:
        """True if a thing can be brought back on this local day."""
        ...


@dataclass(frozen=True, slots=True)
class Week:
    """Days of the week (0: Monday), without some days of the calendar (see ``Constitution``)."""

    days: frozenset[int] = frozenset(range(7))
    closed: frozenset[str] = frozenset()

    def is_open(self, day: date) -> bool:
        """See ``OpenDays``."""
        named = day.isoformat()
        return (
            day.weekday() in self.days and named not in self.closed and named[5:] not in self.closed
        )


ALWAYS: Final = Week()


def week_of(constitution: Constitution) -> Week:
    """The community's own days; what cannot be read closes nothing."""
    return Week(days_of(constitution.open_days) or ALWAYS.days, constitution.closed)


def days_of(text: str) -> frozenset[int]:
    """``Mo-Fr,Su`` as days of the week; empty if it says none or is not of this form."""
    found: set[int] = set()
    for part in text.replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        if first not in NAMES or (dash and last not in NAMES):
            return frozenset()
        begin, end = NAMES.index(first), NAMES.index(last if dash else first)
        found.update((begin + n) % 7 for n in range((end - begin) % 7 + 1))
    return frozenset(found)


def wrong_setting(name: str, value: int | str) -> str:
    """Why a setting about days could not be read; "" for a good one, and for any other."""
    if name == "open_days" and not (isinstance(value, str) and days_of(value)):
        return _("{value!r} names no days such as Mo-Fr or Mo,We,Sa.").format(value=value)
    if name.startswith("closed."):
        day = name.removeprefix("closed.")
        try:
            date.fromisoformat(day if len(day) > 5 else f"2000-{day}")
            good = _CLOSED.fullmatch(day) is not None
        except ValueError:
            good = False
        told = _("{day!r} is no day such as 2026-06-19, or 12-24 for every year.")
        return "" if good else told.format(day=day)
    return ""


def next_open(day: date, opening: OpenDays) -> date:
    """``day``, or the first open day after it; ``day`` if none within a year is open."""
    days = (day + timedelta(days=n) for n in range(_FAR))
    return next((one for one in days if opening.is_open(one)), day)


def open_days_later(day: date, count: int, opening: OpenDays) -> date:
    """The open day that is number ``count`` after ``day``.

    More than a year of them goes by the calendar; so does a step where no day of a year is open.
    """
    if count > _FAR:
        return next_open(day + timedelta(days=count), opening)
    for _n in range(count):
        day = next_open(day + timedelta(days=1), opening)
    return day
