"""When a trigger is due: pure functions of the trigger, of what was done, and of now.

``anchor`` is the time up to which a trigger was looked at (ms, UTC). A clock that is set back makes
it lie ahead of now: then nothing is due and now becomes the anchor, so that a clock that was wrong
by a year stops nothing for a year. What was done already is not done again: a due time is the key.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from commons_crdt.errors import CommonsError
from commons_crdt.texts import _
from commons_node.jobs.job import Cron, Every

COUNTED: Final = 10_000
"""Due times that are counted after a long downtime; more are as many."""
EACH: Final = 100
"""Due times that are run one by one at most, the newest."""
_YEARS: Final = 50 * 366 * 86_400_000


class BadSchedule(CommonsError):
    """{text!r} is no schedule: {why}."""

    code = "bad_schedule"
    hint = "five fields as of cron, for example: 0 3 * * SUN"
    status = "usage"


@dataclass(frozen=True, slots=True)
class Due:
    """What is due now: the times to run for, for how many each stands, and the next anchor."""

    times: tuple[int, ...]
    covers: int
    skipped: int
    anchor: int


def check(trigger: Cron, zone: ZoneInfo) -> None:
    """Raise ``BadSchedule`` for an expression that never fits, or is none."""
    try:
        next(_cron(trigger, 0, zone))
    except (CronSimError, StopIteration) as error:
        raise BadSchedule(text=trigger.expression, why=str(error) or _("it never comes")) from None


def _cron(trigger: Cron, after: int, zone: ZoneInfo, *, back: bool = False) -> Iterator[int]:
    """Due times behind ``after`` (ms), or before it, the nearest first."""
    begin = datetime.fromtimestamp(after / 1000, UTC).astimezone(zone)
    for time in CronSim(trigger.expression, begin, reverse=back):
        yield round(time.timestamp() * 1000)


def _every(trigger: Every, after: int) -> Iterator[int]:
    step = round(trigger.seconds * 1000)
    time = after + step
    while True:
        yield time
        time += step


def following(trigger: Cron | Every, after: int, zone: ZoneInfo) -> int | None:
    """The first due time behind ``after``; None if there is none for decades."""
    found = _every(trigger, after) if isinstance(trigger, Every) else _cron(trigger, after, zone)
    try:
        time = next(found)
    except (StopIteration, CronSimError):
        return None
    return time if time - after < _YEARS else None


def due(trigger: Cron | Every, anchor: int, now: int, zone: ZoneInfo) -> Due:
    """What is due between ``anchor`` and ``now``, as the trigger's misfire policy has it."""
    if anchor > now:
        return Due((), 0, 0, now)
    if isinstance(trigger, Every):
        step = round(trigger.seconds * 1000)
        count = (now - anchor) // step
        latest = anchor + count * step
        times = [latest - n * step for n in range(min(count, EACH))]
        after = latest
    else:
        count = _count(trigger, anchor, now, zone)
        # from the next whole second, as a time that is due right now counts
        back = _cron(trigger, now - now % 1000 + 1000, zone, back=True) if count else iter(())
        times = [time for time in islice(back, min(count, EACH)) if anchor < time <= now]
        after = times[0] if times else anchor
    times.reverse()
    if not times:
        return Due((), 0, 0, after)
    if trigger.misfire == "each":
        return Due(tuple(times), 1, count - len(times), after)
    if trigger.misfire == "skip" and now - times[-1] > trigger.grace_s * 1000:
        return Due((), 0, count, after)
    skipped = count - 1 if trigger.misfire == "skip" else 0
    return Due((times[-1],), count - skipped, skipped, after)


def _count(trigger: Cron, anchor: int, now: int, zone: ZoneInfo) -> int:
    found = 0
    for time in _cron(trigger, anchor, zone):
        if time > now or found >= COUNTED:
            break
        found += 1
    return found
