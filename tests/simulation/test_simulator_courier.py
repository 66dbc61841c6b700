"""A town without any network: what is carried on sticks makes all houses equal, all the same."""

from __future__ import annotations

from collections import Counter

import pytest

from commons_node.testing.courier import LATE, SEEN, Carried, carry
from commons_node.testing.weather import Faults

SEEDS = range(1, 3)
MORE = range(3, 15)
MONTHS = range(1, 4)


def holds(runs: list[Carried]) -> Faults:
    """Every run ended well; what struck in all of them together."""
    for run in runs:
        assert not run.wrong, f"carry({run.seed}): {run.wrong}"
        assert run.rounds is not None
        assert run.operations > 50
        assert run.deltas > 0, "some sticks held only what was lacking"
    return sum((run.faults for run in runs), Counter())


@pytest.mark.long
def test_houses_that_meet_by_stick_only_end_up_equal() -> None:
    struck = holds([carry(seed, houses=3, days=22) for seed in SEEDS])
    for fault, seen in SEEN.items():
        assert struck[fault] > 0, f"no story with {fault} proves nothing about it"
        assert struck[seen] > 0, f"{fault} struck, and nobody could see it"


@pytest.mark.long
def test_many_towns_without_a_network() -> None:
    runs = [carry(seed) for seed in MORE]
    struck = holds(runs)
    assert not [name for run in runs for name in run.idle() if struck[name.split()[0]] == 0]
    assert struck["did_removal"] > 0
    assert struck["did_lift"] + struck["did_rotation"] > 0


@pytest.mark.long
def test_towns_in_which_months_pass_between_the_trips() -> None:
    """Real days: loans fall due, invites and sticks run out, budgets fill up again."""
    runs = [carry(seed, houses=3, days=24, months=True) for seed in MONTHS]
    struck = holds(runs)
    assert all(run.days > 180 for run in runs), "longer than a stick is good for"
    for fault, seen in {**SEEN, **LATE}.items():
        assert struck[fault] > 0, f"no story with {fault} proves nothing about it"
        assert struck[seen] > 0, f"{fault} struck, and nobody could see it"
    assert struck["told_expired"] == struck["expired_sticks"], "refused, and nothing has changed"
    assert struck["taken_when_asked_twice"] > 0, "what is in it is good all the same"


def test_a_courier_who_carries_nothing_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The story can fail: without the trips the houses differ."""

    async def nothing(*_: object, **__: object) -> None:
        return None

    monkeypatch.setattr("commons_node.testing.courier.Courier.trip", nothing)
    run = carry(1, houses=3, days=6)
    assert run.rounds is None
    assert any("still differ" in sentence for sentence in run.wrong)
    assert set(run.idle()) == set(SEEN)
