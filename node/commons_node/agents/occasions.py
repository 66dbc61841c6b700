"""When an agent runs, in words: what people write down; any other cron stays as it is written."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from commons_crdt.texts import N_, _, ngettext
from commons_node.jobs.job import Cron, Every, On, Trigger

_DAILY: Final = re.compile(r"(\d{1,2}) (\d{1,2}) \* \* (\*|[0-7]|[A-Za-z]{3})")
_NAMES: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_DAYS: Final[Mapping[str, str]] = {
    "*": N_("every day at {time}"),
    "MON": N_("on Mondays at {time}"),
    "TUE": N_("on Tuesdays at {time}"),
    "WED": N_("on Wednesdays at {time}"),
    "THU": N_("on Thursdays at {time}"),
    "FRI": N_("on Fridays at {time}"),
    "SAT": N_("on Saturdays at {time}"),
    "SUN": N_("on Sundays at {time}"),
}
_UNITS: Final[Sequence[tuple[int, Callable[[int], str]]]] = (
    (86_400, lambda n: ngettext("every day", "every {n} days", n)),
    (3_600, lambda n: ngettext("every hour", "every {n} hours", n)),
    (60, lambda n: ngettext("every minute", "every {n} minutes", n)),
    (1, lambda n: ngettext("every second", "every {n} seconds", n)),
)


def when(triggers: Sequence[Trigger]) -> list[str]:
    """When it runs, in words."""
    return [_when(trigger) for trigger in triggers] or [_("when somebody says so")]


def _when(trigger: Trigger) -> str:
    match trigger:
        case Cron():
            if trigger.zone:
                text = _("{when}, in the zone {zone}")
                return text.format(when=_cron(trigger.expression), zone=trigger.zone)
            return _cron(trigger.expression)
        case Every():
            return _every(trigger.seconds)
        case On():
            where = ", ".join(f"{key}={_plain(value)}" for key, value in trigger.where.items())
            if where:
                text = _("at the event {event} with {where}")
                return text.format(event=trigger.event, where=where)
            return _("at the event {event}").format(event=trigger.event)


def _cron(expression: str) -> str:
    found = _DAILY.fullmatch(expression)
    if found is not None:
        minute, hour, day = found.groups()
        name = _NAMES[int(day)] if day.isdigit() else day.upper()
        if name in _DAYS:
            return _(_DAYS[name]).format(time=f"{int(hour):02d}:{int(minute):02d}")
    return _("by the schedule {cron}").format(cron=expression)


def _every(seconds: float) -> str:
    for unit, text in _UNITS:
        count, rest = divmod(seconds, unit)
        if count >= 1 and not rest:
            return text(int(count)).format(n=int(count))
    return _("every {seconds:g} s").format(seconds=seconds)


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
