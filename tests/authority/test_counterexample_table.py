"""The counter-examples that broke an earlier draft: each has a test, and each test a mutant.

The table is on the page on testing. Here it is held: what it names exists, nothing is left out, and
each story about authority does fail where the rule beside it is broken.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.authority import sets, test_counterexamples, test_properties
from tests.authority.dice import random_set
from tests.authority.evaluators import Says, slow
from tests.authority.oracle import Answer, judge_all, verdicts
from tests.authority.oracle.council import Council
from tests.authority.test_judge_mutants import MUTANTS as JUDGE_MUTANTS
from tests.authority.test_mutants import MUTANTS, Mutant, around
from tests.authority.village import Village

from commons_crdt.authority.judge import Candidate
from commons_crdt.ids import OperationId
from commons_crdt.verdict import Judgement, Verdict

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
MORE = (
    Mutant(
        "two in force split",
        around(Council, "in_force", lambda found, *_: found[:1]),
        test_counterexamples.test_a_double_endorser_splits_the_community_and_nothing_is_decided,
    ),
    Mutant(
        "an unknown kind does nothing",
        around(
            verdicts,
            "verdict",
            lambda said, *_: verdicts.ACCEPTED if said.reason in {"kind", "unlisted"} else said,
        ),
        test_counterexamples.test_an_unknown_kind_freezes_nobody_who_sees_it,
    ),
)
RULES = {mutant.rule: mutant for mutant in (*MUTANTS, *MORE)}
SEEDS = range(40)


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its first two lines."""
    begin = PAGE.index(f"\n### {heading}\n")
    text = PAGE[begin : PAGE.find("\n#", begin + 1)]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def quoted(cell: str) -> list[str]:
    """What stands in code."""
    return re.findall(r"`([^`]+)`", cell)


EXAMPLES = rows("Counter-examples")
HELD = [
    (test.partition("::")[2], rule)
    for _, tests, mutants in EXAMPLES
    for test in quoted(tests)
    for rule in quoted(mutants)
    if rule in RULES and "test_counterexamples.py" in test
]


def test_every_counterexample_of_the_design_is_in_the_table() -> None:
    assert len(EXAMPLES) == 22
    assert len({name for name, _, _ in EXAMPLES}) == len(EXAMPLES)


@pytest.mark.parametrize("row", [*EXAMPLES, *rows("Invariants")], ids=lambda row: row[0])
def test_what_the_table_names_exists(row: list[str]) -> None:
    _, tests, mutants = row
    assert quoted(tests), "a named test"
    for name in (*quoted(tests), *(m for m in quoted(mutants) if "::" in m)):
        file, _, function = name.partition("::")
        text = (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert re.search(rf"def {function}\(", text), name
    known = RULES.keys() | {mutant.rule for mutant in JUDGE_MUTANTS} | BROKEN.keys()
    for rule in quoted(mutants):
        assert "::" in rule or rule in known, rule


@pytest.mark.parametrize(("story", "rule"), HELD, ids=lambda value: value)
def test_each_story_fails_without_its_rule(
    story: str, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: Callable[..., None] = getattr(test_counterexamples, story)
    more = (3,) if "cycle" in story else ()
    told(Says(slow), *more)
    RULES[rule].patch(monkeypatch)
    with pytest.raises(AssertionError):
        told(Says(slow), *more)


# --- the invariants, each broken ---


def _judging(change: Callable[[Answer, list[Candidate]], Answer]) -> Callable[..., Answer]:
    def judged(realm: Any, candidates: Iterable[Candidate], *more: Any) -> Answer:
        listed = list(candidates)
        return change(judge_all(realm, listed, *more), listed)

    return judged


def _without(answer: Answer, some: Iterable[Candidate]) -> Answer:
    """The answer, with these rejected."""
    fallen = {one.id: Judgement(Verdict.REJECTED, "cut") for one in some}
    found = {x: fallen.get(x, j) for x, j in answer.verdicts.items()}
    return replace(answer, verdicts=found)


def the_last_comes_too_late(answer: Answer, told: list[Candidate]) -> Answer:
    return _without(answer, told[-1:])


def log_1_decides(answer: Answer, told: list[Candidate]) -> Answer:
    return _without(answer, told[:1]) if any(one.header.log for one in told) else answer


def more_is_worse(answer: Answer, told: list[Candidate]) -> Answer:
    return _without(answer, told[: len(told) % 5])


BROKEN: dict[str, tuple[str, Callable[[pytest.MonkeyPatch], None]]] = {
    "the last comes too late": (
        "order",
        lambda m: m.setattr(sets, "judge_all", _judging(the_last_comes_too_late)),
    ),
    "log 1 decides": (
        "log_0_alone",
        lambda m: m.setattr(sets, "judge_all", _judging(log_1_decides)),
    ),
    "more is worse": (
        "unrelated",
        lambda m: m.setattr(sets, "judge_all", _judging(more_is_worse)),
    ),
    "what is not here counts": (
        "pending",
        lambda m: m.setattr(test_properties, "some_part", _gapped),
    ),
    "proofs are pruned": (
        "pruning",
        lambda m: m.setattr(test_properties, "pruned", _without_siblings),
    ),
}
"""Invariants, and what breaks them."""


def _without_siblings(village: Village, answer: Answer) -> frozenset[OperationId]:
    """What is kept, but of two at one place only one where nothing is built on the other."""
    kept = sets.pruned(village, answer)
    built_on = {a for x in kept for a in village.all[x].header.antecedents}
    places: dict[tuple[bytes, int, int], OperationId] = {}
    for x in sorted(kept, key=lambda x: (x not in built_on, x)):
        header = village.all[x].header
        places.setdefault((header.device, header.log, header.seq), x)
    return frozenset(x for x in kept if x in built_on or x in places.values())


def _gapped(village: Village, dice: random.Random) -> frozenset[Any]:
    """A part that is taken for closed, and is not."""
    return frozenset(dice.sample(sorted(village.all), len(village.all) // 2))


@pytest.mark.parametrize("rule", BROKEN)
def test_each_invariant_fails_where_it_is_broken(
    rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, patch = BROKEN[rule]
    holds = test_properties.PROPERTIES[name]
    for seed in SEEDS[:3]:
        holds(random_set(seed), seed)
    patch(monkeypatch)

    def all_hold() -> None:
        for seed in SEEDS:
            holds(random_set(seed), seed)

    with pytest.raises(AssertionError):
        all_hold()
