"""From when to when: what "for three days" means where the community is.

Pure. A loan ends at the end of a local day, which is the beginning of the next; intervals are half
open, so that one that ends then and one that begins then do not touch. Calendar days are counted,
not hours: a day on which the clocks change is still one day.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from commons_crdt.errors import CommonsError
from commons_crdt.texts import _

MAX_DAYS = 365


class BadTerms(CommonsError):
    """The time of the loan is wrong: {why}."""

    code = "terms"
    hint = "for example --days 3, or --from 2026-05-01 --to 2026-05-04"
    status = "usage"


def for_days(now_ms: int, days: int, zone: ZoneInfo) -> tuple[int, int]:
    """From now until the end of the local day that is ``days`` days away (ms, UTC)."""
    if not 1 <= days <= MAX_DAYS:
        raise BadTerms(why=_("a loan is for 1 to {max_days} days").format(max_days=MAX_DAYS))
    today = datetime.fromtimestamp(now_ms / 1000, zone).date()
    end = datetime.combine(today + timedelta(days=days + 1), time.min, zone)
    return now_ms, int(end.timestamp() * 1000)


def between(
    now_ms: int, begin: datetime | None, end: datetime | None, zone: ZoneInfo
) -> tuple[int, int]:
    """From ``begin`` (now, if None) until ``end``; times without a zone are the community's."""
    if end is None:
        raise BadTerms(why=_("it is not said until when"))
    from_ms = now_ms if begin is None else _ms(begin, zone)
    until_ms = _ms(end, zone)
    if until_ms <= from_ms:
        raise BadTerms(why=_("it ends before it begins"))
    if until_ms <= now_ms:
        raise BadTerms(why=_("it is over already"))
    if until_ms - from_ms > MAX_DAYS * 24 * 3600 * 1000:
        raise BadTerms(why=_("it is longer than {max_days} days").format(max_days=MAX_DAYS))
    return from_ms, until_ms


def _ms(moment: datetime, zone: ZoneInfo) -> int:
    local = moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
    ms = int(local.timestamp() * 1000)
    if ms < 1:
        raise BadTerms(why=_("it is before 1970"))
    return ms


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
