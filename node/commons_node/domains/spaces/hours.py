"""Opening and quiet hours: a bounded subset of the OSM ``opening_hours`` language, read and asked.

    hours = rule *( ";" rule )          later rules win on the days that they name
    rule  = "24/7" | [ days ] ( "off" | "closed" | span *( "," span ) )
    days  = item *( "," item ) ;  item = Mo | Mo-Fr | PH is not taken
    span  = HH:MM-HH:MM                 up to 24:00, or across midnight (22:00-06:00)

Months, weeks, holidays, sunset and comments are refused with a sentence, never guessed. Source:
https://wiki.openstreetmap.org/wiki/Key:opening_hours/specification, rule types 1 and 2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Final

from commons_crdt.errors import CommonsError
from commons_crdt.texts import _

MAX_TEXT: Final = 500
DAYS: Final = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
_MOST_RULES = 32
_DAY_MINUTES = 1440
_WEEK_MINUTES = 7 * _DAY_MINUTES
_SPAN = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])")
_RULE = re.compile(r"(?:([A-Z][A-Za-z,\- ]*?)\s+)?(off|closed|[0-9][0-9:,\- ]*)")


class BadHours(CommonsError):
    """The hours could not be read: {why}."""

    code: ClassVar[str] = "hours"
    hint: ClassVar[str] = 'write them as in OpenStreetMap: "Mo-Fr 08:00-18:00; Sa 10:00-14:00"'
    status = "usage"


@dataclass(frozen=True, slots=True)
class Hours:
    """``spans[day]``: (from, until) in minutes of that day; until may be up to 48 hours."""

    spans: tuple[tuple[tuple[int, int], ...], ...]

    def covers(self, moment: datetime) -> bool:
        """Whether a local moment lies within the hours; their end is exclusive."""
        return self.until(moment) is not None

    def until(self, moment: datetime) -> datetime | None:
        """When the hours that ``moment`` lies in end, on the local clock; None outside of them.

        Times that follow without a gap count as one; at most a week is looked ahead.
        """
        start = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        now = moment.hour * 60 + moment.minute
        end = self._reach(moment.weekday(), now)
        return None if end is None else start + timedelta(minutes=end)

    def _reach(self, weekday: int, now: int) -> int | None:
        """The minute, counted from the start of that day, to which ``now`` is covered."""
        at, last = now, now + _WEEK_MINUTES
        while at < last:
            day = at // _DAY_MINUTES
            ends = [
                until + before * _DAY_MINUTES
                for before in (day - 1, day)
                for since, until in self.spans[(weekday + before) % 7]
                if since + before * _DAY_MINUTES <= at < until + before * _DAY_MINUTES
            ]
            if not ends:
                break
            at = max(ends)
        return None if at == now else min(at, last)


ALWAYS: Final = Hours((((0, _DAY_MINUTES),),) * 7)


def parse_hours(text: str) -> Hours:
    """Read hours; ``BadHours`` says what is not understood."""
    if len(text) > MAX_TEXT:
        raise BadHours(why=_("they are too long"))
    rules = [rule.strip() for rule in text.split(";") if rule.strip()]
    if not 1 <= len(rules) <= _MOST_RULES:
        why = _("there are too many rules") if rules else _("there is nothing in them")
        raise BadHours(why=why)
    week: list[tuple[tuple[int, int], ...]] = [()] * 7
    for rule in rules:
        if rule == "24/7":
            week = list(ALWAYS.spans)
            continue
        found = _RULE.fullmatch(rule)
        if found is None:
            raise BadHours(why=_("{rule!r} is not understood").format(rule=rule))
        spans = () if found[2] in {"off", "closed"} else _spans(found[2])
        for day in _days(found[1]):
            week[day] = spans
    return Hours(tuple(week))


def _days(text: str | None) -> list[int]:
    if text is None:
        return list(range(7))
    chosen: list[int] = []
    for item in text.split(","):
        first, dash, last = (part.strip() for part in item.partition("-"))
        if first not in DAYS or (dash and last not in DAYS):
            why = _("{text!r} is no day of the week").format(text=item.strip())
            raise BadHours(why=why)
        since = DAYS.index(first)
        until = DAYS.index(last) if dash else since
        chosen.extend((since + n) % 7 for n in range((until - since) % 7 + 1))
    return chosen


def _spans(text: str) -> tuple[tuple[int, int], ...]:
    spans = []
    for item in text.split(","):
        found = _SPAN.fullmatch(item.strip())
        if found is None:
            why = _("{text!r} is no time such as 08:00-18:00").format(text=item.strip())
            raise BadHours(why=why)
        since, until = int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])
        if since >= _DAY_MINUTES or until > _DAY_MINUTES:
            raise BadHours(why=_("{text!r} is later than 24:00").format(text=item.strip()))
        spans.append((since, until if until > since else until + _DAY_MINUTES))
    return tuple(spans)
