"""From when to when: what "for three days" means where the thing is.

Pure. A loan ends at the end of a local day, which is the beginning of the next; intervals are half
open, so that one that ends then and one that begins then do not touch. Calendar days are counted,
not hours: a day on which the clocks change is still one day. A day on which the place is closed is
no due day: the next open one is. All of it is computed once, by who asks (docs/decisions/0019).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from commons_crdt.errors import CommonsError
from commons_crdt.texts import _
from commons_node.domains.lending.facts import MAX_LOAN_MS
from commons_node.domains.lending.opening import ALWAYS, OpenDays, next_open, open_days_later

MAX_DAYS = 365


class BadTerms(CommonsError):
    """The time of the loan is wrong: {why}."""

    code = "terms"
    hint = "for example --days 3, --due 2026-05-04, or --from 2026-05-01 --to 2026-05-04"
    status = "usage"


@dataclass(frozen=True, slots=True)
class Terms:
    """``[from_ms, until_ms)`` in UTC, what was meant by it, and the local days of its end.

    ``meant``: as in ``facts.Meant``. ``asked``: the day that was meant, ``due`` the open one.
    """

    from_ms: int
    until_ms: int
    meant: str
    asked: date
    due: date


def for_days(now_ms: int, days: int, zone: ZoneInfo, opening: OpenDays = ALWAYS) -> Terms:
    """From now until the end of the local day that is ``days`` days away."""
    if not 1 <= days <= MAX_DAYS:
        raise BadTerms(why=_("a loan is for 1 to {max_days} days").format(max_days=MAX_DAYS))
    today = datetime.fromtimestamp(now_ms / 1000, zone).date()
    return _whole_days(now_ms, today + timedelta(days=days), f"P{days}D", zone, opening)


def until_day(now_ms: int, day: str, zone: ZoneInfo, opening: OpenDays = ALWAYS) -> Terms:
    """From now until the end of this local day."""
    try:
        asked = date.fromisoformat(day)
    except ValueError:
        raise BadTerms(why=_("{day!r} is no day").format(day=day)) from None
    return _whole_days(now_ms, asked, asked.isoformat(), zone, opening)


def longer(
    now_ms: int, days: int, until_ms: int | None, zone: ZoneInfo, opening: OpenDays = ALWAYS
) -> Terms:
    """From now until the end of the day ``days`` days after that of ``until_ms``, or today."""
    if not 1 <= days <= MAX_DAYS:
        raise BadTerms(why=_("a loan is for 1 to {max_days} days").format(max_days=MAX_DAYS))
    last = max(now_ms, (until_ms or now_ms) - 1)
    try:
        asked = datetime.fromtimestamp(last / 1000, zone).date() + timedelta(days=days)
    except (ValueError, OverflowError, OSError):
        raise BadTerms(why=_("it is longer than the calendar")) from None
    return _whole_days(now_ms, asked, f"P{days}D", zone, opening)


def _whole_days(now_ms: int, asked: date, meant: str, zone: ZoneInfo, opening: OpenDays) -> Terms:
    try:
        due = next_open(asked, opening)
        until_ms = _ms(datetime.combine(due + timedelta(days=1), time.min), zone)
    except OverflowError:
        raise BadTerms(why=_("it is longer than the calendar")) from None
    return _checked(now_ms, Terms(now_ms, until_ms, meant, asked, due))


def between(
    now_ms: int,
    begin: datetime | None,
    end: datetime | None,
    zone: ZoneInfo,
    opening: OpenDays = ALWAYS,
) -> Terms:
    """From ``begin`` (now, if None) until ``end``; times without a zone are those of the place.

    On a closed day it ends at the same time of the next open one. A time that the clocks leave out
    is as much later as they are put forward; of one that comes twice the first is meant.
    """
    if end is None:
        raise BadTerms(why=_("it is not said until when"))
    from_ms = now_ms if begin is None else _ms(begin, zone)
    local = end if end.tzinfo is None else end.astimezone(zone).replace(tzinfo=None)
    asked = _last_day(local)
    due = next_open(asked, opening)
    until_ms = _ms(end if due == asked else local + (due - asked), zone)
    return _checked(
        now_ms,
        Terms(from_ms, until_ms, local.isoformat(timespec="minutes"), asked, due),
    )


def _last_day(local: datetime) -> date:
    """The day of a time, at midnight the one that ends."""
    return (local - timedelta(microseconds=1)).date()


def _checked(now_ms: int, terms: Terms) -> Terms:
    if terms.until_ms <= terms.from_ms:
        raise BadTerms(why=_("it ends before it begins"))
    if terms.until_ms <= now_ms:
        raise BadTerms(why=_("it is over already"))
    if terms.until_ms - terms.from_ms > MAX_LOAN_MS:
        raise BadTerms(why=_("it is longer than {max_days} days").format(max_days=MAX_DAYS))
    return terms


def _ms(moment: datetime, zone: ZoneInfo) -> int:
    local = moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
    ms = int(local.timestamp() * 1000)
    if ms < 1:
        raise BadTerms(why=_("it is before 1970"))
    return ms


def pick_up(since_ms: int, days: int, zone: ZoneInfo, opening: OpenDays) -> tuple[date, int] | None:
    """The day to whose end a thing is kept that was ready at ``since_ms``, and that moment.

    ``days`` open days later: a day on which nobody is there to fetch it from does not count.
    None beyond the calendar.
    """
    try:
        ready = datetime.fromtimestamp(since_ms / 1000, zone).date()
        last = open_days_later(ready, days, opening)
        end = datetime.combine(last + timedelta(days=1), time.min, zone)
        return last, int(end.timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        return None


def instant(ms: int | None) -> str | None:
    """A time in RFC 3339, UTC, to the second."""
    if ms is None:
        return None
    try:
        moment = datetime.fromtimestamp(ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None  # a claim beyond the calendar
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def last_day(until_ms: int | None, zone: ZoneInfo) -> str | None:
    """The last local day before ``until_ms``, as YYYY-MM-DD."""
    if until_ms is None:
        return None
    try:
        return datetime.fromtimestamp((until_ms - 1) / 1000, zone).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return None
