"""A small neighbourhood lives through everything at once, and all of its nodes end up the same.

A seed that fails prints the command that tells the rest. Seeds that once failed are in
`once_failed.json`, and always run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.simulation.salted import salted

from commons_node.testing.checks import STALE_S
from commons_node.testing.lies import SCHEMES, unmet
from commons_node.testing.paths import PATHS
from commons_node.testing.plan import SMALL, Plan, command, read
from commons_node.testing.storm import Outcome, run
from commons_node.testing.weather import CALM, FAULTS, Faults, idle

SHORT = range(1, 9)
SELDOM = {"frames_swapped", "frame_lost", "frame_doubled", "worker_deaths"}
"""Too rare for so few small seeds; `make simulate` asks for them, and so do the mutants."""


class Once(NamedTuple):
    """A story that failed once."""

    seed: int
    plan: Plan
    what: str


def _once_failed() -> list[Once]:
    text = Path(__file__).with_name("once_failed.json").read_text(encoding="utf-8")
    return [
        Once(
            one["seed"],
            SMALL if one["plan"] == "small" else read(json.dumps(one["plan"])),
            one["what"],
        )
        for one in json.loads(text)
    ]


ONCE_FAILED = _once_failed()


def told(outcome: Outcome, plan: Plan = SMALL) -> str:
    """What a reader needs to run it again."""
    lines = "\n  ".join(outcome.wrong)
    return f"seed {outcome.seed} fails: {command(outcome.seed, plan)}\n  {lines}"


def total(counts: Iterable[Faults]) -> Faults:
    """All of them together."""
    whole: Faults = Faults()
    for count in counts:
        whole.update(count)
    return whole


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return [run(seed, SMALL)[0] for seed in SHORT]


def test_after_the_storm_all_honest_nodes_are_the_same(outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        assert not outcome.wrong, told(outcome)
        assert outcome.rest_s is not None, "everybody says that it is in sync in the end"
        assert outcome.acknowledged > 10, "there was something to lose"
        assert outcome.claims > 0, "somebody said that it was in sync, and it was looked into"


def test_every_fault_struck_and_was_felt(outcomes: list[Outcome]) -> None:
    struck = total(outcome.faults for outcome in outcomes)
    seldom = {f"{fault} without {effect}" for fault in SELDOM for effect in FAULTS[fault]}
    false_greens = set(idle(struck)) - SELDOM - seldom
    assert not false_greens, "a storm without them proves nothing about them"


def test_every_lie_was_told_and_met_by_somebody_honest(outcomes: list[Outcome]) -> None:
    struck = total(outcome.faults for outcome in outcomes)
    seldom = {f"lie_{name} without met_{name}" for name in SCHEMES}  # each is met where it is calm
    assert not set(unmet(struck)) - seldom, "a lie that nobody hears proves nothing"
    assert any(struck[f"met_{name}"] for name in SCHEMES)
    assert struck["forks_found"] > 0, "two branches of one chain were found out"


def test_the_same_operations_went_other_ways_too(outcomes: list[Outcome]) -> None:
    for way in PATHS:
        went = sum(outcome.ways.get(way, 0) for outcome in outcomes)
        assert went >= len(SHORT) // 2, f"some came {way}"
    assert sum(outcome.converged for outcome in outcomes) > 6 * len(SHORT) // 2, "and some waited"


def test_the_lies_were_refused_for_what_they_are(outcomes: list[Outcome]) -> None:
    refused = total(outcome.refusals for outcome in outcomes)
    for reason in ("time", "lamport", "signature", "body", "gossip_flood", "push_flood"):
        assert refused[reason] > 0, f"somebody refused something for its {reason}"


@pytest.mark.parametrize("once", ONCE_FAILED, ids=lambda once: once.what)
def test_what_once_failed_fails_no_more(once: Once) -> None:
    outcome, _ = run(once.seed, once.plan)
    assert not outcome.wrong, told(outcome, once.plan)


def test_a_seed_is_one_run_byte_for_byte() -> None:
    first, _ = run(3, SMALL)
    again, _ = run(3, SMALL)
    assert first.trace == again.trace, "the same bytes at the same times"
    assert first == again, "and the same outcome"
    other, _ = run(4, SMALL)
    assert other.trace != first.trace, "another seed is another run"


def test_no_order_of_a_set_or_a_dict_of_hashes_leaks_into_a_run() -> None:
    program = (
        "from commons_node.testing.plan import SMALL; from commons_node.testing.storm import run;"
        " print(run(3, SMALL)[0].trace)"
    )
    assert salted(program) == {run(3, SMALL)[0].trace}, "the salt of hashes changes nothing"


def test_long_after_a_cut_nobody_says_to_be_in_sync_with_who_is_beyond_it() -> None:
    quiet = Plan(
        nodes=6, joining=0, leaving=0, liars=0, crashes=0, jumps=0, one_way=0, asks=0, writes=3,
        weather=CALM, apart_s=STALE_S + 1,
    )  # fmt: skip
    for seed in range(1, 4):
        outcome, _ = run(seed, quiet)
        assert not outcome.wrong, told(outcome, quiet)
        assert outcome.cuts == 1, "it was looked into"
        assert outcome.faults["kept_apart"] > 0, "and there was a cut"


def test_a_calm_town_is_equal_without_any_fault() -> None:
    calm = Plan(
        nodes=5, joining=0, leaving=0, liars=0, crashes=0, jumps=0, one_way=0, islands=1, writes=20,
        asks=0, weather=CALM,
        apart_s=5, settle_s=5,
    )  # fmt: skip
    outcome, _ = run(1, calm)
    assert not outcome.wrong, told(outcome, calm)
    assert outcome.rest_s is not None
    assert outcome.rest_s <= 4, "nobody has to wait for anything"
