"""Opening and quiet hours, coarse places, and when somebody is checked out by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commons_crdt.ids import DocumentId
from commons_node.domains.spaces.cells import BadPlace, parse_cell
from commons_node.domains.spaces.facts import SPACE_SCHEMA
from commons_node.domains.spaces.finding import Space
from commons_node.domains.spaces.hours import DAYS, BadHours, parse_hours

STOCKHOLM = ZoneInfo("Europe/Stockholm")
SATURDAY = datetime(2026, 11, 21, tzinfo=STOCKHOLM)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """On the day that lies so many days after a Saturday."""
    return SATURDAY + timedelta(days=day, hours=hour, minutes=minute)


def ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def space(**fields: object) -> Space:
    empty = dict.fromkeys(SPACE_SCHEMA.fields)
    return Space(DocumentId(bytes(32)), {**empty, "name": "Café", **fields})  # type: ignore[dict-item]  # of a test


@pytest.mark.parametrize(
    ("text", "moment", "until"),
    [
        ("24/7", at(0, 3), at(7, 3)),
        ("Mo-Fr 08:00-18:00; Sa 10:00-14:00", at(0, 13, 59), at(0, 14)),
        ("Mo-Fr 08:00-18:00; Sa 10:00-14:00", at(0, 14), None),
        ("Mo-Fr 08:00-18:00; Sa 10:00-14:00", at(1, 12), None),
        ("08:00-12:00,13:00-18:00", at(3, 12, 30), None),
        ("08:00-12:00,12:00-18:00", at(3, 9), at(3, 18)),
        ("Sa 22:00-04:00", at(0, 23), at(1, 4)),
        ("Sa 22:00-04:00", at(1, 3, 59), at(1, 4)),
        ("Sa 22:00-04:00", at(0, 3), None),
        ("Fr-Mo 00:00-24:00", at(0, 12), at(3, 0)),
        ("24/7; Sa off", at(0, 12), None),
        ("24/7; Sa off", at(6, 12), at(7, 0)),
        ("Sa-Su closed; Sa 10:00-11:00", at(0, 10, 30), at(0, 11)),
    ],
)
def test_hours_say_until_when(text: str, moment: datetime, until: datetime | None) -> None:
    assert parse_hours(text).until(moment) == until


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "nothing"),
        ("Nov-Feb 08:00-10:00", "no day of the week"),
        ("Mo 8-10", "no time"),
        ("Mo 25:00-26:00", "no time"),
        ("Mo 23:30-24:30", "later"),
        ("PH off", "no day of the week"),
        ("sunrise-sunset", "understood"),
        ("Mo 08:00+", "understood"),
        (";".join(["Mo off"] * 33), "too many"),
        ("x" * 600, "too long"),
    ],
)
def test_what_is_not_read_is_said_and_never_guessed(text: str, why: str) -> None:
    with pytest.raises(BadHours, match=why):
        parse_hours(text)


spans = st.tuples(st.integers(0, 23), st.integers(0, 59), st.integers(0, 23), st.integers(0, 59))


@given(st.sampled_from(DAYS), spans, st.integers(0, 7 * 1440 - 1))
def test_open_means_open_to_the_very_end(
    day: str, span: tuple[int, int, int, int], minute: int
) -> None:
    text = f"{day} {span[0]:02}:{span[1]:02}-{span[2]:02}:{span[3]:02}"
    hours = parse_hours(text)
    moment = datetime(2026, 11, 16) + timedelta(minutes=minute)  # noqa: DTZ001 - of any zone
    end = hours.until(moment)
    if end is None:
        assert not hours.covers(moment)
        return
    assert moment < end <= moment + timedelta(days=1)
    assert hours.covers(end - timedelta(minutes=1)), "the last minute still is"
    assert not hours.covers(end), "the end is not"


def test_closing_follows_the_clock_on_the_wall_when_it_is_changed() -> None:
    cafe = space(hours="Su 00:00-06:00")
    night = datetime(2026, 10, 25, 1, 30, tzinfo=STOCKHOLM)  # at 03:00 it is 02:00 again
    closing = cafe.open_until(ms(night), STOCKHOLM)
    assert closing is not None
    assert closing.astimezone(UTC) == datetime(2026, 10, 25, 5, tzinfo=UTC), "06:00 in winter"


def test_a_visitor_is_checked_out_after_three_hours_or_when_it_closes() -> None:
    hour = 3_600_000
    came = ms(at(0, 12))
    assert space().leaves_ms(came, STOCKHOLM) == came + 3 * hour
    assert space(stay_minutes=60).leaves_ms(came, STOCKHOLM) == came + hour
    assert space(hours="Sa 10:00-14:00").leaves_ms(came, STOCKHOLM) == came + 2 * hour
    assert space(hours="Su 10:00-14:00").leaves_ms(came, STOCKHOLM) == came + 3 * hour, (
        "who is let in while it is closed stays as long as elsewhere"
    )


def test_a_place_is_made_coarse_at_once() -> None:
    assert parse_cell("59.334591, 18.063240") == parse_cell("59.3346,18.0633") == "u6sce1"
    assert parse_cell("u6sce") == "u6sce", "who wants to say less may"
    assert "cell" in SPACE_SCHEMA.fields
    assert not {"latitude", "longitude", "address"} & SPACE_SCHEMA.fields.keys()
    for wrong in ("u6sce6x", "north", "91,0", "1,2,3", "nan,0", ""):
        with pytest.raises(BadPlace):
            parse_cell(wrong)
