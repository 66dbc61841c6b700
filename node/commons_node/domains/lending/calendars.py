"""Loans as an iCalendar file: of one thing, or of oneself. Nobody else's name ever stands in it.

A file leaves the community, so a thing's calendar says that it is lent, not to whom. Times are
local with their zone's rules in the file (VTIMEZONE); a loan keeps its UID for ever, so that a
calendar that reads the file again changes its entry instead of adding one. Source: RFC 5545.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from commons_crdt.texts import N_, _
from commons_node.domains.lending.loans import CONFIRMED, OUT, Loan

if TYPE_CHECKING:
    from icalendar import Event

PRODUCT: Final = "-//commons-node//loans//EN"
LENT: Final = N_("{name}: lent")
PROMISED: Final = N_("{name}: promised")
BORROWED: Final = N_("{name}: borrowed by you")
RESERVED: Final = N_("{name}: promised to you")
DUE: Final = N_("Due at the end of {day}.")
_FIRST: Final = date(1970, 1, 1)
SHOWN: Final = (*CONFIRMED, "returned")
"""States of loans that take somebody's time."""


def calendar_of(
    found: Sequence[Loan], title: str, community: str, zone: ZoneInfo, *, own: bool, now_ms: int
) -> bytes:
    """The file: one event a loan, half open as loans are. ``own``: of the reader's own loans.

    ``community``: its id, the right side of every UID.
    """
    from icalendar import Calendar

    calendar = Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("calscale", "GREGORIAN")
    calendar.add("x-wr-calname", title)
    for one in found:
        if one.state in SHOWN and one.row["until_ms"] is not None:
            calendar.add_component(_event(one, community, zone, own=own, now_ms=now_ms))
    calendar.add_missing_timezones(first_date=_FIRST)
    data: bytes = calendar.to_ical()
    return data


def _event(one: Loan, community: str, zone: ZoneInfo, *, own: bool, now_ms: int) -> Event:
    from icalendar import Event

    place = _zone(one.zone, zone)
    begin, end = _local(one.row["from_ms"], place), _local(one.row["until_ms"], place)
    gone = one.state == "returned" or one.state in OUT
    said = (BORROWED if gone else RESERVED) if own else (LENT if gone else PROMISED)
    event = Event()
    event.add("uid", f"{one.id.hex()}@{community}")
    event.add("dtstamp", datetime.fromtimestamp(now_ms / 1000, UTC).replace(microsecond=0))
    event.add("dtstart", begin)
    event.add("dtend", end)
    event.add("summary", _(said).format(name=one.label))
    event.add("description", _(DUE).format(day=one.due_day))
    event.add("status", "CONFIRMED")
    event.add("transp", "OPAQUE" if own else "TRANSPARENT")
    return event


def _local(ms: int, zone: ZoneInfo) -> datetime:
    """To the second: calendars know no smaller part."""
    return datetime.fromtimestamp(ms // 1000, zone)


def _zone(name: str | None, otherwise: ZoneInfo) -> ZoneInfo:
    """The zone that a borrower named, if this machine knows it."""
    try:
        return ZoneInfo(name) if name else otherwise
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return otherwise
