"""The soak's own rules, without daemons: plans repeat, claims are judged, nothing is hidden.

A soak that cannot fail proves nothing: each of its judgements is shown a case that it condemns.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.e2e.resident import Resident
from tests.soak import plan as plans
from tests.soak.__main__ import main
from tests.soak.figures import Figures
from tests.soak.ledger import Entry, Ledger
from tests.soak.plan import PER_MINUTE, make
from tests.soak.storm import MOST_NAMES
from tests.soak.truth import (
    PATIENCE_S,
    SAID,
    Claim,
    Said,
    connected_throughout,
    different,
    lacking,
    owed,
)

FIVE = MOST_NAMES[:5]
seeds = st.integers(0, 2**32)


# --- the plan -------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(3, 8), st.floats(6.0, 300.0))
def test_a_seed_is_a_plan(seed: int, nodes: int, seconds: float) -> None:
    names = MOST_NAMES[:nodes]
    plan = make(seed, seconds, names)
    again = make(seed, seconds, names)
    assert plan == again, "the same, whenever and wherever it is made"
    assert plan.digest() == again.digest()
    assert plan.digest() != make(seed + 1, seconds, names).digest()
    assert plan.faults() == sorted(PER_MINUTE), "no kind of fault is left out, however short it is"
    assert sum(one.seconds for one in plan.rounds) == pytest.approx(seconds)
    for one in plan.rounds:
        for fault in one.faults:
            assert set(fault.who) <= set(names)
            assert 0 <= fault.at <= one.seconds
            assert len(fault.who) == len(set(fault.who))
            if fault.kind in {"block", "split"}:
                assert 0 < len(fault.who) <= nodes // 2, "both groups have somebody"
        assert all(0 <= deed.at <= one.seconds and deed.who in names for deed in one.deeds)
        assert list(one.deeds) == sorted(one.deeds, key=lambda deed: deed.at)


def test_each_deed_of_a_plan_is_something_that_a_resident_can_do() -> None:
    done = {deed.what for one in make(1, 900, FIVE).rounds for deed in one.deeds}
    assert done == set(plans._DEEDS), "a long plan has all of them"
    assert all(callable(getattr(Resident, what)) for what in done)
    typed = [deed for one in make(1, 900, FIVE).rounds for deed in one.deeds if deed.by_cli]
    assert {deed.what for deed in typed} == plans._BY_CLI, "some at the real command line"


def test_five_minutes_are_planned_as_the_long_test_expects() -> None:
    plan = make(7, 300, FIVE)
    assert len(plan.rounds) == 5, "four calm moments before the last one"
    faults = [fault.kind for one in plan.rounds for fault in one.faults]
    assert {kind: faults.count(kind) for kind in PER_MINUTE} == {
        kind: round(rate * 5) for kind, rate in PER_MINUTE.items()
    }


def test_a_plan_is_printed_without_starting_anything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--plan", "--seed", "7", "--minutes", "0.5", "--nodes", "3"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["seed"], printed["names"]) == (7, ["alice", "bob", "cleo"])
    with pytest.raises(SystemExit) as refused:
        main(["--minutes", "0"])
    assert refused.value.code == 2


# --- the ledger -----------------------------------------------------------------------------------


def test_what_was_acknowledged_is_on_the_disk_before_anything_else(tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    ledger = Ledger(file)
    ledger.wrote("alice", "resource.import", ["aa", "bb"])
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["operation"] for line in lines] == ["aa", "bb"], "written down at once"
    ledger.wrote("bob", "loan.request", ["cc"])
    assert [one.node for one in ledger.entries()] == ["alice", "alice", "bob"]
    assert ledger.entries()[0].at <= ledger.entries()[2].at
    ledger.named("Lodger")
    assert ledger.names() == {"Lodger"}
    ledger.close()
    Ledger(file).close()
    assert len(file.read_text().splitlines()) == 3, "nothing is ever taken back"


# --- the truth ------------------------------------------------------------------------------------


def entry(node: str, at: float, operation: str) -> Entry:
    return Entry(at, node, "loan.request", operation)


WRITTEN = [entry("bob", 100.0, "old"), entry("bob", 130.0, "new"), entry("cleo", 100.0, "other")]


def test_a_wait_owes_all_that_its_peer_had_acknowledged_before_the_call() -> None:
    claim = Claim("alice", "wait", ("bob",), 130.1)
    assert [one.operation for one in owed(claim, WRITTEN)] == ["old", "new"]
    assert [one.operation for one in owed(replace(claim, asked=129.9), WRITTEN)] == ["old"]
    assert not owed(replace(claim, about=()), WRITTEN)


@pytest.mark.parametrize("said", ["peer", "status"])
def test_what_stands_on_an_earlier_comparison_is_given_patience(said: Said) -> None:
    claim = Claim("alice", said, ("bob", "cleo"), 130.1)
    assert [one.operation for one in owed(claim, WRITTEN)] == ["old", "other"]
    late = replace(claim, asked=130.0 + PATIENCE_S + 0.1)
    assert {one.operation for one in owed(late, WRITTEN)} == {"old", "new", "other"}


def test_a_node_that_lacks_what_it_owes_has_said_it_wrongly() -> None:
    wanted = owed(Claim("alice", "wait", ("bob",), 131.0), WRITTEN)
    assert not lacking(wanted, {"old": 1, "new": 1})
    assert [one.operation for one in lacking(wanted, {"old": 1})] == ["new"], "however it is judged"


@given(
    st.lists(st.tuples(st.sampled_from(FIVE), st.floats(0, 100), st.uuids())),
    st.sampled_from(FIVE),
    st.floats(0, 200),
    st.data(),
)
def test_who_holds_everything_is_never_accused(
    written: list[tuple[str, float, object]], about: str, asked: float, data: st.DataObject
) -> None:
    entries = [entry(node, at, str(ident)) for node, at, ident in written]
    held = {one.operation: 1 for one in entries}
    said = data.draw(st.sampled_from(SAID))
    claim = Claim("alice", said, (about,), asked)
    assert not lacking(owed(claim, entries), held)
    for one in owed(claim, entries):
        less = {k: v for k, v in held.items() if k != one.operation}
        assert lacking(owed(claim, entries), less) == [one], "and who lacks one always is"


def test_different_hashes_are_found_and_said_of_whom() -> None:
    same = {"alice": ("s", "t"), "bob": ("s", "t")}
    assert not different(same)
    assert different({**same, "cleo": ("s", "u")}) == {"state": [["alice", "bob"], ["cleo"]]}
    apart = different({**same, "cleo": ("r", "u")})
    assert apart["set"] == [["alice", "bob"], ["cleo"]]
    assert set(apart) == {"set", "state"}


def test_a_claim_of_the_whole_is_about_those_who_were_there_all_the_time() -> None:
    assert connected_throughout(["cleo", "bob"], ["bob", "cleo"], 2) == ("bob", "cleo")
    assert not connected_throughout(["bob", "cleo"], ["bob"], 2), "who went may have been gone"
    assert not connected_throughout(["bob", "cleo"], ["bob", "cleo"], 1), "and come back"


# --- the figures ----------------------------------------------------------------------------------


def test_refusals_of_all_lives_are_added_up() -> None:
    figures = Figures()
    figures.refusals["alice", 1] = type(figures.struck)({"stranger": 2})
    figures.refusals["alice", 2] = type(figures.struck)({"stranger": 1, "flood": 1})
    assert figures.refused() == {"flood": 1, "stranger": 3}
    figures.violated("lost")
    assert figures.violations == ["lost"]
