"""The token bucket: a function of its chain; it never overflows, splitting mints nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commons_crdt.budget import HOUR_MS, MILLI, Rate

rates = st.builds(Rate, st.integers(1, 500_000), st.integers(1, 50_000))
steps = st.lists(
    st.tuples(st.integers(0, 30 * HOUR_MS), st.integers(32, 70_000)), min_size=1, max_size=30
)


@pytest.mark.parametrize(
    ("length", "cost"), [(0, 1), (1, 2), (32, 2), (1024, 2), (1025, 3), (65_536, 65)]
)
def test_an_operation_costs_one_and_one_a_started_kilobyte(length: int, cost: int) -> None:
    assert Rate(1, 1).cost(length) == cost


def test_a_chain_starts_with_a_full_bucket() -> None:
    assert Rate(10, 1).after(None, 0, 32) == 8 * MILLI
    assert Rate(2, 1).after(None, 0, 32) == 0, "the last token may be spent"
    assert Rate(1, 1).after(None, 10**15, 32) is None, "what costs more than fits is never paid"


@given(rates, steps)
@settings(deadline=None, max_examples=150)
def test_a_bucket_never_holds_more_than_fits(rate: Rate, history: list[tuple[int, int]]) -> None:
    left: int | None = None
    for elapsed, length in history:
        rest = rate.after(left, elapsed, length)
        if rest is not None:
            left = rest
            assert 0 <= left <= rate.capacity * MILLI - rate.cost(length) * MILLI


@given(rates, st.integers(0, 10**9), st.lists(st.integers(0, 10 * HOUR_MS), max_size=20))
@settings(deadline=None, max_examples=150)
def test_splitting_time_mints_nothing(rate: Rate, left: int, pieces: list[int]) -> None:
    left = min(left, rate.capacity * MILLI)
    split, costs = left, 0
    for elapsed in pieces:
        rest = rate.after(split, elapsed, 0)
        if rest is not None:
            split, costs = rest, costs + 1
    at_once = left + sum(pieces) * rate.per_hour * MILLI // HOUR_MS
    assert split + costs * MILLI <= at_once, "many small waits give no more than one long wait"


@given(rates, steps)
@settings(deadline=None, max_examples=100)
def test_over_any_time_no_more_is_spent_than_capacity_and_inflow(
    rate: Rate, history: list[tuple[int, int]]
) -> None:
    left: int | None = None
    spent = time = 0
    for elapsed, length in history:
        rest = rate.after(left, elapsed, length)
        if rest is not None:
            time += elapsed if left is not None else 0
            spent += rate.cost(length) * MILLI
            left = rest
    assert spent <= rate.capacity * MILLI + time * rate.per_hour * MILLI // HOUR_MS + 1


@given(rates, st.integers(0, 10**9), st.integers(0, 70_000))
@settings(deadline=None, max_examples=150)
def test_an_author_who_waits_as_told_is_not_refused(rate: Rate, left: int, length: int) -> None:
    left = min(left, rate.capacity * MILLI)
    wait = rate.wait_ms(left, length)
    if rate.cost(length) > rate.capacity:
        return
    assert rate.after(left, wait, length) is not None, "the wait is long enough"
    if wait > 0:
        assert rate.after(left, wait - 1, length) is None, "and no longer than it must be"
