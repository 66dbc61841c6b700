"""Any story in any weather: hypothesis thinks it up, and makes it small when it ends badly.

A failure prints the command that tells the very same story again.
"""

from __future__ import annotations

import time
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.simulation.test_simulator_seeds import told

from commons_node.testing.lies import LIES
from commons_node.testing.plan import SMALL, USUAL, Plan, command, read, shown
from commons_node.testing.storm import run
from commons_node.testing.weather import CALM, ROUGH, Faults, Weather

MANY = 14
SHRINK_S = 60.0
"""How long a bad story is made smaller."""


def chance(most: float) -> st.SearchStrategy[float]:
    """Of a fault: never, or up to ``most`` in steps that print well."""
    return st.integers(0, 10).map(lambda n: round(n * most / 10, 6))


def span(least: float, most: float) -> st.SearchStrategy[tuple[float, float]]:
    """Some seconds, the shorter first."""
    some = st.integers(0, 10).map(lambda n: round(least + n * (most - least) / 10, 4))
    return st.tuples(some, some).map(lambda pair: (min(pair), max(pair)))


weathers = st.builds(
    Weather,
    latency=span(0.001, 0.4),
    jitter=chance(0.1),
    lost=chance(0.5),
    twice=chance(0.4),
    late=chance(0.5),
    resent=chance(0.2),
    cut=chance(0.004),
    mangled=chance(0.004),
    slow_disk=chance(0.2),
    worker_death=chance(0.03),
)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """A story that can be told, of a few neighbours."""
    joining, leaving, liars = (draw(st.integers(0, 1)) for _ in range(3))
    few: dict[str, Any] = {
        name: draw(st.integers(0, 3)) for name in ("crashes", "jumps", "one_way", "asks")
    }
    return Plan(
        nodes=draw(st.integers(joining + leaving + liars + 2, 6)),
        joining=joining,
        leaving=leaving,
        liars=liars,
        lies=tuple(draw(st.lists(st.sampled_from(sorted(LIES)), max_size=5, unique=True))),
        islands=draw(st.integers(1, 3)),
        writes=draw(st.integers(1, 40)),
        weather=draw(weathers),
        apart_s=draw(st.integers(5, 80)),
        settle_s=draw(st.integers(5, 25)),
        **few,
    )


def test_whatever_happens_in_whatever_weather_all_end_up_the_same() -> None:
    struck: Faults = Faults()
    bad: dict[str, float] = {}

    @settings(
        max_examples=MANY, deadline=None, suppress_health_check=[HealthCheck.too_slow],
        print_blob=True,
    )  # fmt: skip
    @given(seed=st.integers(0, 2**32 - 1), plan=plans())
    def story(seed: int, plan: Plan) -> None:
        again = command(seed, plan)
        if bad and again not in bad and time.monotonic() - min(bad.values()) > SHRINK_S:
            return  # it is small enough to read
        try:
            outcome, _ = run(seed, plan)
        except Exception as error:
            bad[again] = time.monotonic()
            error.add_note(f"it fell over: {again}")
            raise
        if outcome.wrong:
            bad[again] = time.monotonic()
        struck.update(outcome.faults)
        struck["joining"] += plan.joining
        assert not outcome.wrong, told(outcome, plan)
        assert outcome.rest_s is not None

    story()
    for fault in ("kept_apart", "tasks_killed", "missed", "came_late", "held_up", "clocks_off"):
        assert struck[fault] > 0, f"{MANY} stories without {fault} prove nothing about it"
    assert struck["newcomers"] <= struck["joining"]


@given(plan=plans())
def test_a_story_is_printed_so_that_it_can_be_told_again(plan: Plan) -> None:
    assert read(shown(plan)) == plan
    assert shown(plan) in command(7, plan)


def test_what_is_as_usual_is_not_printed() -> None:
    assert command(7, USUAL) == "python -m commons_node.testing --seed 7"
    assert command(7, SMALL) == "python -m commons_node.testing --seed 7 --small"
    assert shown(Plan(nodes=9, weather=CALM)) == '{"nodes":9,"weather":{}}'
    assert read('{"weather":{"lost":0.5}}').weather == Weather(lost=0.5)
    assert read("{}").weather == ROUGH
