"""Due days: calendar days where the thing is, on days on which somebody is there."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.street import homes
from tests.unit.test_lending_nodes import drill, refused

from commons_cli.tables import day_shown
from commons_crdt.authority.settings import Constitution
from commons_crdt.ids import digest
from commons_crdt.kinds import Claim
from commons_node.community import Community
from commons_node.domains import RULES
from commons_node.domains.council.proposing import BadProposal, constitution
from commons_node.domains.lending.booking import busiest
from commons_node.domains.lending.facts import ASKED, REQUEST, Asked
from commons_node.domains.lending.opening import ALWAYS, Week, days_of, next_open, week_of
from commons_node.domains.lending.terms import Terms, between, for_days, until_day
from commons_node.domains.lending.wording import moved
from commons_node.verifier.pool import VerifierPool

STOCKHOLM, SYDNEY = ZoneInfo("Europe/Stockholm"), ZoneInfo("Australia/Sydney")
HOUR_MS = 3_600_000
WORKDAYS = Week(days_of("Mo-Fr"), frozenset({"12-24", "2026-06-19"}))


def ms(text: str, zone: ZoneInfo = STOCKHOLM, fold: int = 0) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp() * 1000)


def wall(at_ms: int, zone: ZoneInfo = STOCKHOLM) -> str:
    return datetime.fromtimestamp(at_ms / 1000, zone).isoformat(timespec="minutes")[:16]


@pytest.mark.parametrize(
    ("zone", "noon", "hours"),
    [
        (STOCKHOLM, "2026-03-28T12:00", 59),  # the 29th has 23 hours
        (STOCKHOLM, "2026-10-24T12:00", 61),  # the 25th has 25
        (SYDNEY, "2026-04-04T12:00", 61),  # in the south it is the other way round
        (SYDNEY, "2026-10-03T12:00", 59),
    ],
)
def test_two_days_are_two_days_where_a_clock_change_lies_between(
    zone: ZoneInfo, noon: str, hours: int
) -> None:
    now = ms(noon, zone)
    asked = for_days(now, 2, zone)
    assert wall(asked.until_ms, zone)[11:] == "00:00", "it ends with a day, whatever clocks do"
    assert asked.until_ms - now == hours * HOUR_MS, "so it is an hour more or less than two days"


def test_three_days_are_not_seventy_two_hours() -> None:
    now = ms("2026-10-23T18:00")
    assert wall(now + 72 * HOUR_MS) == "2026-10-26T17:00", "an hour too early on the wall"
    end = datetime.fromisoformat("2026-10-26T18:00")
    asked = between(now, None, end, STOCKHOLM)
    assert wall(asked.until_ms) == "2026-10-26T18:00", "the same time of day is meant"
    assert asked.until_ms - now == 73 * HOUR_MS
    assert asked.meant == "2026-10-26T18:00"


def test_a_time_that_the_clocks_leave_out_is_later_and_one_that_comes_twice_the_first() -> None:
    now = ms("2026-03-28T12:00")
    skipped = between(now, None, datetime.fromisoformat("2026-03-29T02:30"), STOCKHOLM)
    assert wall(skipped.until_ms) == "2026-03-29T03:30", "02:30 is no time of that night"
    assert skipped.meant == "2026-03-29T02:30", "what was meant is kept as it was said"
    twice = between(
        ms("2026-10-24T12:00"), None, datetime.fromisoformat("2026-10-25T02:30"), STOCKHOLM
    )
    assert twice.until_ms == ms("2026-10-25T02:30", fold=0)
    assert twice.until_ms == ms("2026-10-25T02:30", fold=1) - HOUR_MS


def test_a_closed_day_is_no_due_day() -> None:
    friday = ms("2026-05-01T12:00")
    asked = for_days(friday, 2, STOCKHOLM, WORKDAYS)
    assert (asked.asked, asked.due) == (date(2026, 5, 3), date(2026, 5, 4))
    assert wall(asked.until_ms) == "2026-05-05T00:00"
    said = moved(asked.asked.isoformat(), asked.due.isoformat())
    assert said == "Sunday 2026-05-03 is closed; due Monday 2026-05-04."
    assert moved("2026-05-04", "2026-05-04") is None
    holiday = until_day(friday, "2026-06-19", STOCKHOLM, WORKDAYS)
    assert holiday.due == date(2026, 6, 22), "closed on Midsummer's Eve, then it is a weekend"
    eve = until_day(friday, "2026-12-24", STOCKHOLM, WORKDAYS)
    assert eve.due == date(2026, 12, 25), "of every year"


def test_a_time_of_a_closed_day_is_the_same_time_of_the_next_open_one() -> None:
    asked = between(
        ms("2026-03-26T12:00"),
        None,
        datetime.fromisoformat("2026-03-28T18:00"),
        STOCKHOLM,
        WORKDAYS,
    )
    assert wall(asked.until_ms) == "2026-03-30T18:00", "on the wall, over the change of clocks"


def test_a_loan_that_ends_and_one_that_begins_do_not_touch() -> None:
    first = for_days(ms("2026-05-01T12:00"), 2, STOCKHOLM)
    second = until_day(first.until_ms, "2026-05-06", STOCKHOLM)
    assert second.from_ms == first.until_ms
    from tests.unit.test_lending_terms import booking

    booked = [booking("a", first.from_ms, first.until_ms)]
    assert busiest(booked, second.from_ms, second.until_ms) == 0


def test_days_are_read_as_maps_write_them() -> None:
    assert days_of("Mo-Fr") == frozenset(range(5))
    assert days_of("Sa-Mo, We") == {5, 6, 0, 2}, "a range may go over the week's end"
    assert days_of("weekdays") == frozenset() == days_of("Mo-")
    odd = Constitution.of([("open_days", "never"), ("closed.12-24", 1), ("closed.12-25", 0)])
    assert week_of(odd) == Week(ALWAYS.days, frozenset({"12-24"})), (
        "what is not read closes nothing"
    )
    closed = Week(frozenset(), frozenset())
    assert next_open(date(2026, 5, 1), closed) == date(2026, 5, 1), "and nobody waits for ever"


def test_a_council_is_told_when_days_cannot_be_read() -> None:
    for wrong in ("open_days=weekdays", "closed.24-12=1", "closed.2026-02-30=1", "closed.soon=1"):
        with pytest.raises(BadProposal):
            constitution([wrong])
    assert constitution(["open_days=Mo-Fr", "closed.02-29=1"]).settings == (
        ("closed.02-29", 1), ("open_days", "Mo-Fr"),
    )  # fmt: skip


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)),  # noqa: DTZ001 - on a wall
    st.integers(1, 300),
    st.sets(st.integers(0, 6), min_size=1),
    st.sampled_from(["Europe/Stockholm", "Australia/Lord_Howe", "America/Santiago", "UTC"]),
)
def test_a_due_day_is_open_ends_at_midnight_and_fits_the_rules(
    start: datetime, days: int, week: set[int], zone: str
) -> None:
    place, opening = ZoneInfo(zone), Week(frozenset(week))
    asked = for_days(int(start.replace(tzinfo=place).timestamp() * 1000), days, place, opening)
    assert opening.is_open(asked.due)
    assert timedelta(0) <= asked.due - asked.asked < timedelta(days=7)
    last = datetime.fromtimestamp((asked.until_ms - 1) / 1000, place).date()
    assert last == asked.due, "the last moment before its end is on the due day"
    assert judged(asked, zone) == "", "and every node accepts what this one has computed"


def body(terms: Terms, /, zone: str, **more: str) -> Asked:
    days = {"asked": terms.asked.isoformat(), "due": terms.due.isoformat(), "meant": terms.meant}
    return Asked(
        digest("t-thing", b"drill"), terms.from_ms, terms.until_ms, zone, **{**days, **more}
    )


def judged(terms: Terms, /, zone: str = "UTC", **more: str) -> str:
    """What the rule says of a request."""
    header: Any = SimpleNamespace(document=bytes(32))
    said: Any = body(terms, zone, **more)
    nobody: Any = None
    return RULES.kinds[ASKED].rule(Claim(nobody, header, said, nobody, nobody, nobody, nobody, {}))


def test_days_that_do_not_fit_the_moment_are_refused() -> None:
    asked = for_days(ms("2026-05-01T12:00"), 3, STOCKHOLM)
    assert judged(asked) == ""
    for wrong in (
        {"due": "2026-05-09"},
        {"due": "2026-05-01"},
        {"asked": "2026-05-06"},
        {"asked": "2026-02-30"},
        {"meant": "2026-02-30"},
        {"meant": "2026-05-04T25:00"},
    ):
        assert judged(asked, **wrong) == "terms", wrong


async def test_a_request_says_what_was_meant_where_the_rules_know_it(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north south") as (north, south):
        await drill(north)
        old = await north.do("bob", "loan.request", resource="1622", days=3)
        kinds = await Community(north.realm).query("SELECT kind FROM operations WHERE id = ?",
                                                   (bytes.fromhex(old["loan"]),))  # fmt: skip
        assert kinds == [(REQUEST,)], "this street keeps to rules version 1"
        shown = (await north.see("loan.show", loan=old["loan"])).value
        assert (shown["meant"], shown["due_day"]) == (None, old["due_day"])
        await north.do("alice", "community.propose", what="rules", version=3)
        settings = ["open_days=Mo-Fr", "closed.12-24=1"]
        await north.do("alice", "community.propose", what="constitution", settings=settings)
        off = await north.do("bob", "loan.cancel", loan=old["loan"])
        assert off["state"] == "cancelled", "a request of the first kind is called off, too"
        new = await north.do("bob", "loan.request", resource="1622", due="2025-08-10")
        assert new["due_day"] == "2025-08-11", "a Sunday is closed"
        assert new["moved"] == "Sunday 2025-08-10 is closed; due Monday 2025-08-11."
        await refused(
            "terms", north, "bob", "loan.request", resource="1622", days=1, due="2025-08-10"
        )
        await refused("terms", north, "bob", "loan.request", resource="1622", due="tomorrow")
        await north.tell(south)
        told = (await south.see("loan.show", loan=new["loan"])).value
        assert (told["meant"], told["due_day"], told["moved"], told["zone"]) == (
            "2025-08-10", "2025-08-11", new["moved"], "Europe/Stockholm",
        )  # fmt: skip
        assert await south.state_hash() == await north.state_hash()


async def test_nodes_whose_zone_files_differ_come_to_the_same(
    tmp_path: Path, pool: VerifierPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A country gives up its clock changes; one node has heard of it and the other has not."""
    async with homes(tmp_path, pool, "north south") as (north, south):
        await north.do("alice", "community.propose", what="rules", version=3)
        await drill(north)
        asked = await north.do("bob", "loan.request", resource="1622", due="2025-07-15")
        monkeypatch.setattr(Community, "timezone", ZoneInfo("Asia/Tokyo"))
        await north.tell(south)
        told = (await south.see("loan.show", loan=asked["loan"])).value
        assert (told["due"], told["due_day"]) == (asked["due"], "2025-07-15")
        assert await south.state_hash() == await north.state_hash()


def test_a_reader_elsewhere_is_told_whose_day_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    row = {"zone": "Europe/Stockholm", "due": "2026-05-04T22:00:00Z"}
    for here, said in (("Europe/Paris", "2026-05-04"),
                       ("Australia/Sydney", "2026-05-04 (Europe/Stockholm)")):  # fmt: skip
        monkeypatch.setenv("TZ", here)
        time.tzset()
        assert day_shown("2026-05-04", row) == said
    monkeypatch.undo()
    time.tzset()
