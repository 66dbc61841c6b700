"""Days that others write: what a loan was meant to last, zones, open days of a constitution."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from tests.fuzz.target import Target, hold

from commons_cli.tables import is_elsewhere
from commons_crdt.errors import Refused
from commons_crdt.ids import ZERO
from commons_crdt.kinds import Claim, decode_fact
from commons_node.domains.lending.calendars import _zone
from commons_node.domains.lending.facts import Asked
from commons_node.domains.lending.opening import days_of, wrong_setting
from commons_node.domains.lending.rules import _asked
from commons_node.domains.lending.terms import BadTerms, until_day
from commons_node.domains.lending.wording import moved

_UTC = ZoneInfo("UTC")


def _said(data: bytes) -> bool:
    """A request's body, as it came: either no rule lets it stand, or all of it can be said."""
    try:
        body = decode_fact(Asked, data)
    except (Refused, msgspec.ValidationError):
        return False
    header: Any = SimpleNamespace(document=ZERO)
    none: Any = None
    if _asked(Claim(none, header, body, none, none, none, none, {})):
        return False
    said = moved(body.asked, body.due)
    hold((said is None) == (body.asked == body.due), "another day is explained, the same is not")
    hold(_zone(body.zone, _UTC).key != "", "and there is a zone")
    is_elsewhere(body.zone, "2026-05-04T22:00:00Z")
    return True


def _said_seeds() -> Mapping[str, bytes]:
    from commons_crdt.kinds import encode_fact

    def body(meant: str, asked: str, due: str, zone: str = "Europe/Berlin") -> bytes:
        return encode_fact(Asked(b"r" * 32, 1, 9 * 3_600_000, zone, meant, asked, due))

    return {
        "days": body("P1D", "1970-01-01", "1970-01-01"),
        "moved": body("1969-12-31", "1969-12-31", "1970-01-01"),
        "time": body("1970-01-01T09:00", "1970-01-01", "1970-01-01"),
        "no zone": body("P1D", "1970-01-01", "1970-01-01", "No/Where"),
        "bad far": body("P1D", "1970-01-01", "1970-01-09"),
        "bad day": body("P1D", "1970-02-30", "1970-02-30"),
        "bad meant": body("1970-02-30", "1970-01-01", "1970-01-01"),
        "bad bytes": b"\x80",
    }


def _typed(data: bytes) -> bool:
    """What somebody types as a day, or a council as days."""
    text = data.decode("utf-8", "replace")
    for name in ("open_days", f"closed.{text}"):
        hold(isinstance(wrong_setting(name, text), str), "a setting is good, or it is said why not")
    week = days_of(text)
    hold(week <= frozenset(range(7)), "days of a week")
    try:
        terms = until_day(1_780_000_000_000, text, _UTC)
    except BadTerms:
        return bool(week)
    hold(terms.due == date.fromisoformat(text), "a day is the day that was typed")
    return True


def _typed_seeds() -> Mapping[str, bytes]:
    return {
        "week": b"Mo-Fr,Su",
        "day": b"2026-06-19",
        "bad every year": b"12-24",
        "bad day": b"2026-02-30",
        "bad last": b"9999-12-31",
        "bad word": b"soon",
    }


TARGETS = (
    Target("loan-days", _said, _said_seeds, "cbor"),
    Target("typed-days", _typed, _typed_seeds, "text"),
)
