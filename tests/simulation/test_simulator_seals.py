"""Seals in the middle of storms: they come in force, and what they settle stays."""

from __future__ import annotations

from dataclasses import replace

import pytest

from commons_crdt.ids import OperationId
from commons_node.sealing import checking, scratch
from commons_node.testing.plan import SMALL, USUAL, command
from commons_node.testing.sealers import Settled, sealed_alike, unsettled
from commons_node.testing.storm import Outcome, run
from commons_node.testing.town import Town

SEALED = replace(SMALL, nodes=8, seals=25, measures=0, schemes=0)
SEEDS = range(1, 4)


def told(outcome: Outcome) -> str:
    """What a reader needs to run it again."""
    lines = "\n  ".join(outcome.wrong)
    return f"seed {outcome.seed} fails: {command(outcome.seed, SEALED)}\n  {lines}"


@pytest.fixture(scope="module")
def runs() -> list[tuple[Outcome, Town]]:
    return [run(seed, SEALED) for seed in SEEDS]


def test_storms_with_seals_hold(runs: list[tuple[Outcome, Town]]) -> None:
    for outcome, _ in runs:
        assert not outcome.wrong, told(outcome)
        assert outcome.faults["seals"] > 0, "a seal is in force in the end"
        assert outcome.faults["settled"] >= 25


def test_seals_come_by_endorsement_of_others(runs: list[tuple[Outcome, Town]]) -> None:
    for _, town in runs:
        authority = town.honest[0].realm.judge.authority
        assert len(authority.council.seats) == 3
        seals = [one.seal for one in town.honest[0].realm.judge.seals()]
        polity = authority.polity
        assert polity is not None
        for seal in seals:
            base = polity.council.bases[authority.bits[seal]]
            voices = polity.council.ballots(base).values()
            assert any(len(of) >= 2 for of in voices), "one key alone seals nothing"


def test_what_was_settled_and_changes_is_noticed() -> None:
    """The checks of the storm can fail."""
    one, two = bytes([1] * 32), bytes([2] * 32)
    before: Settled = {one: (1, ""), two: (2, "role")}
    assert not list(unsettled("alice", before, {**before, bytes(32): (1, "")}))
    waits = {**before, two: (0, "seal")}
    assert not list(unsettled("alice", waits, before)), "what it listed has come"
    assert list(unsettled("alice", before, waits)), "and does not go again"
    (sentence,) = unsettled("alice", before, {**before, two: (1, "")})
    assert sentence == "alice judges 02020202 otherwise than it was settled"
    (sentence,) = unsettled("alice", before, {two: (2, "role")})
    assert "01010101" in sentence, "to be provisional again is a change, too"
    seal = OperationId(one)
    same = {"alice": [seal], "bob": [seal]}
    assert not list(sealed_alike(same, {"alice": before, "bob": before}))
    assert list(sealed_alike(same, {"alice": before, "bob": {}}))
    assert list(sealed_alike({**same, "bob": []}, {"alice": before, "bob": before}))


def test_a_node_that_computes_another_hash_endorses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without agreement on the hash no seal comes in force, and nothing else is wrong."""
    honest = scratch.worth
    asked = 0

    def differently(realm: bytes, operations: object, seal: object) -> object:
        nonlocal asked
        asked += 1
        found = honest(realm, operations, seal)  # type: ignore[arg-type]  # handed on as it came
        return found._replace(state=asked.to_bytes(32))

    monkeypatch.setattr(checking, "worth", differently)
    outcome, _ = run(1, SEALED)
    assert not outcome.wrong, told(outcome)
    assert asked > 1, "a seal was prepared by one and checked by another"
    assert outcome.faults["seals"] == 0


def test_what_make_simulate_runs_has_seals() -> None:
    assert USUAL.seals > 0
    assert command(7, USUAL) == "python -m commons_node.testing --seed 7"
