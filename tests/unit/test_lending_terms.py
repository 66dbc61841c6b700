"""When a loan ends, and who stands when a thing is promised twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import permutations
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commons_crdt.ids import digest
from commons_node.domains.lending.booking import (
    FOREVER_MS,
    Booking,
    busiest,
    clashes,
    free_from,
)
from commons_node.domains.lending.terms import BadTerms, between, for_days, instant, last_day

STOCKHOLM = ZoneInfo("Europe/Stockholm")
DAY_MS = 24 * 3_600_000


def ms(text: str, zone: ZoneInfo = STOCKHOLM) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def test_a_loan_for_three_days_ends_with_the_third_day_where_the_community_is() -> None:
    asked = for_days(ms("2026-05-01T15:00"), 3, STOCKHOLM)
    begin, end = asked.from_ms, asked.until_ms
    assert (asked.meant, asked.due) == ("P3D", date(2026, 5, 4))
    assert begin == ms("2026-05-01T15:00")
    assert end == ms("2026-05-05T00:00"), "all of the 4th is the borrower's"
    assert last_day(end, STOCKHOLM) == "2026-05-04"
    assert instant(end) == "2026-05-04T22:00:00Z"


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-10-23T12:00", "2026-10-27T00:00"),  # a day of 25 hours lies between
        ("2026-03-27T12:00", "2026-03-31T00:00"),  # and one of 23
    ],
)
def test_days_are_days_also_when_the_clocks_change(start: str, end: str) -> None:
    until = for_days(ms(start), 3, STOCKHOLM).until_ms
    assert until == ms(end), "an hour more or less does not move the end of the day"


def test_a_late_evening_here_is_a_new_day_elsewhere() -> None:
    late = int(datetime(2026, 5, 1, 23, 30, tzinfo=UTC).timestamp() * 1000)
    until = for_days(late, 1, STOCKHOLM).until_ms
    assert last_day(until, STOCKHOLM) == "2026-05-03", "it is the 2nd in Stockholm already"


def test_times_without_a_zone_are_the_communitys() -> None:
    now = ms("2026-05-01T12:00")
    asked = between(now, datetime(2026, 5, 2), datetime(2026, 5, 4), STOCKHOLM)  # noqa: DTZ001 - as typed
    assert (asked.from_ms, asked.until_ms) == (ms("2026-05-02T00:00"), ms("2026-05-04T00:00"))
    assert between(now, None, datetime(2026, 5, 4, tzinfo=UTC), STOCKHOLM).from_ms == now


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ("2026-05-04", "2026-05-02"),
        ("2026-05-02", "2026-05-02"),
        ("2026-04-01", "2026-04-02"),
        ("2026-05-02", "2028-05-02"),
        ("1950-01-01", "2026-05-02"),
        ("2026-05-02", None),
    ],
)
def test_times_that_make_no_loan_are_refused(begin: str, end: str | None) -> None:
    until = datetime.fromisoformat(end) if end else None
    with pytest.raises(BadTerms):
        between(ms("2026-05-01T12:00"), datetime.fromisoformat(begin), until, STOCKHOLM)


def booking(
    name: str, begin: int, end: int, *, out: bool = False, role: int = 3, seq: int = 1
) -> Booking:
    """A confirmed loan by ``name``'s own steward."""
    who = digest("t-member", name.encode())
    return Booking(digest("t-loan", name.encode()), b"drill", begin, end, out, role, who, who, seq)


def test_loans_that_touch_do_not_clash() -> None:
    assert clashes([booking("a", 0, 10), booking("b", 10, 20)], 1) == []
    found = clashes([booking("a", 0, 11, role=4), booking("b", 10, 20)], 1)
    assert [clash.loan for clash in found] == [booking("b", 0, 1).loan], "the host's stands"


def test_who_has_it_stands_before_who_was_promised_it() -> None:
    out, promised = booking("a", 0, 10, out=True), booking("b", 0, 10, role=5)
    for order in permutations([out, promised]):
        (clash,) = clashes(order, 1)
        assert (clash.loan, clash.stands) == (promised.loan, (out.loan,))


def test_one_confirmers_earlier_word_stands() -> None:
    first, second = booking("a", 0, 10, seq=1), booking("a", 5, 15, seq=2)
    (clash,) = clashes([second, replace(first, loan=b"first")], 1)
    assert clash.loan == second.loan


def test_copies_and_uncounted_things_have_room() -> None:
    three = [booking(name, 0, 10) for name in "abc"]
    assert len(clashes(three, 2)) == 1, "two of three have a copy"
    assert clashes(three, None) == [], "nobody counts nails"
    assert busiest([booking("a", 0, 5), booking("b", 5, 10)], 0, 10) == 1, "one after the other"


def test_the_next_free_time_is_named() -> None:
    known = [booking("a", 0, 10), booking("b", 12, 20)]
    assert free_from(known, 1, 5, 2) == 10, "between the two"
    assert free_from(known, 1, 5, 5) == 20, "after both"
    overdue = [booking("a", 0, FOREVER_MS, out=True)]
    assert free_from(overdue, 1, 5, 2) is None, "nobody can say when it comes back"


@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.integers(1, 10), st.booleans(), st.integers(3, 5)),
        max_size=8,
    ),
    st.integers(1, 3),
    st.randoms(use_true_random=False),
)
def test_what_stands_depends_on_no_order_and_always_fits(spans, quantity, random) -> None:  # type: ignore[no-untyped-def]
    booked = [
        booking(str(n), begin, begin + length, out=out, role=role)
        for n, (begin, length, out, role) in enumerate(spans)
    ]
    found = clashes(booked, quantity)
    random.shuffle(booked)
    assert sorted(clashes(booked, quantity), key=lambda c: c.loan) == sorted(
        found, key=lambda c: c.loan
    )
    lost = {clash.loan for clash in found}
    stands = [one for one in booked if one.loan not in lost]
    assert all(busiest(stands, one.from_ms, one.until_ms) <= quantity for one in stands)
