"""The simulator can fail: break a rule on purpose, or still a fault, and it says so.

A suite that stays green over a broken product proves nothing; here each breach has its complaint.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from tests.simulation.test_simulator_seeds import EVERY_FAULT

from commons_crdt import folds
from commons_crdt.authority.judge import Judge
from commons_crdt.folds import Fact
from commons_crdt.ids import DeviceId
from commons_node.domains.membership import views
from commons_node.peering.hints import Hints
from commons_node.realm.memory import Memory
from commons_node.testing.disk import Disk
from commons_node.testing.storm import SMALL, run
from commons_node.testing.weather import ROUGH
from commons_protocol.sync import RealmSync

SEEDS = range(1, 11)
CONTROLS = range(1, 5)


def complaints(seeds: Iterable[int] = SEEDS) -> str:
    """What the first seed that fails complains of; "" if none does."""
    for seed in seeds:
        outcome, _ = run(seed, SMALL)
        if outcome.wrong:
            return "\n".join(outcome.wrong)
    return ""


# --- a broken product is found out ---


def test_a_judge_who_overlooks_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    def blind(_judge: Judge, _device: DeviceId, _log: int, _seq: int) -> bool:
        return False

    monkeypatch.setattr(Judge, "forked", blind)
    found = complaints()
    assert "different" in found or "to the end" in found, "two branches stand, one at each node"


def test_a_judge_who_takes_any_lamport(monkeypatch: pytest.MonkeyPatch) -> None:
    import commons_crdt.authority.judge as module

    class Any(int):
        def __eq__(self, other: object) -> bool:
            return isinstance(other, int)

        def __ne__(self, other: object) -> bool:
            return not isinstance(other, int)

        __hash__ = int.__hash__

        def __radd__(self, other: int) -> int:
            return Any(other)

    def loosely(*values: object, **more: object) -> object:
        return Any(max(*values, **more))  # type: ignore[call-overload]  # as the caller has it

    monkeypatch.setattr(module, "max", loosely, raising=False)
    assert "breaks a rule" in complaints(), "a wrong lamport is stored"


def test_a_disk_that_acknowledges_what_it_has_not_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lose_power = Disk.lose_power

    def forgetful(one: Disk) -> None:
        lose_power(one)
        ((last,),) = one.rows("SELECT max(n) FROM operations")
        for table, column in (
            ("operations", "n"),
            ("parts", "operation"),
            ("subjects", "operation"),
        ):
            one.rows(f"DELETE FROM {table} WHERE {column} > ?", (last - 3,))  # noqa: S608

    monkeypatch.setattr(Disk, "lose_power", forgetful)
    found = complaints()
    assert "is lost at" in found or "different" in found, f"what was promised is gone: {found}"


def test_a_digest_that_sees_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Memory, "digest", lambda _memory: bytes(32))
    found = complaints()
    assert "one digest and different" in found, "equal digests are equal sets"


def test_a_node_that_always_claims_to_be_in_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RealmSync, "still_equal", property(lambda _sync: True))
    found = complaints()
    assert "and never was" in found or "cannot reach" in found, "nobody says so when it is not"


def test_a_fold_that_looks_at_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    def latest(facts: Sequence[Fact]) -> Fact | None:
        now = time.time_ns() // 1_000_000
        return min(facts, key=lambda f: abs(now - f.time_ms) % 97, default=None)

    monkeypatch.setattr(folds, "prevailing", latest)
    monkeypatch.setattr(views, "prevailing", latest)
    assert "state" in complaints(), "a view that depends on the time of looking is no view"


def test_a_realm_that_forgets_what_came_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anti-entropy repairs it: gossip is a hint. But then it must be there to repair."""

    async def deaf(_hints: Hints, *_arguments: object) -> None:
        return None

    monkeypatch.setattr(Hints, "_ingest", deaf)
    assert not complaints(CONTROLS), "without gossip everything still arrives"


def test_a_node_that_never_compares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RealmSync, "poke", lambda _sync: [])
    found = complaints()
    assert "to the end" in found, "gossip alone is not enough, and nobody pretends that it is"


# --- a fault that does not strike is found out ---

STILL = {
    "lost": replace(ROUGH, lost=0.0),
    "twice": replace(ROUGH, twice=0.0),
    "late": replace(ROUGH, late=0.0),
    "resent": replace(ROUGH, resent=0.0),
    "cut": replace(ROUGH, cut=0.0),
    "slow_writes": replace(ROUGH, slow_disk=0.0),
}
OMITTED = {
    "partitions": replace(SMALL, islands=1),
    "crashes": replace(SMALL, crashes=0),
    "clock_jumps": replace(SMALL, jumps=0),
    "one_way_links": replace(SMALL, one_way=0),
    "joins": replace(SMALL, joining=0),
    "leaves": replace(SMALL, leaving=0),
    "lie_fork": replace(SMALL, liars=0),
}


@pytest.mark.parametrize("fault", STILL)
def test_a_fault_that_is_turned_off_is_missed(fault: str) -> None:
    assert fault in EVERY_FAULT, "the short set asks for it"
    outcome, _ = run(1, replace(SMALL, weather=STILL[fault]))
    assert outcome.idle(fault) == [fault], "no silent success"


@pytest.mark.parametrize("fault", OMITTED)
def test_a_fault_that_is_left_out_is_missed(fault: str) -> None:
    outcome, _ = run(1, OMITTED[fault])
    idle = outcome.idle(fault)
    if fault == "partitions":
        assert not outcome.faults["stalled"] or outcome.faults["one_way_links"], "nothing was split"
    else:
        assert idle == [fault], "no silent success"
