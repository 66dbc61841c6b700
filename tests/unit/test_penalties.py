"""Who breaks rules again and again is kept out for a while, and nobody who is only slow."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commons_crdt.ids import RealmId
from commons_node.peering.penalties import (
    BLAMED,
    BLAMED_OPERATIONS,
    LONGEST_MS,
    PATIENCE,
    WINDOW_MS,
    Penalties,
)
from commons_node.peering.records import MemoryRecords, Offender, PeerRecords, Share, Shares
from commons_node.store.database import open_database
from commons_node.store.node_store import NODE_SCHEMA
from commons_node.store.peer_records import StoredRecords
from commons_protocol.names import NodeId

EVE = "e" * 64
DEVICE = "d" * 64
MINUTE = 60_000


def misbehave(penalties: Penalties, now: int, why: str = "order") -> Offender | None:
    """Three times at once, as whoever goes on and on does."""
    found = [penalties.offence(EVE, EVE, why, now) for _ in range(PATIENCE)]
    assert found[:-1] == [None] * (PATIENCE - 1), "two are forgiven"
    return found[-1]


def test_the_third_broken_rule_within_ten_minutes_keeps_eve_out_for_a_minute() -> None:
    penalties = Penalties()
    found = misbehave(penalties, 1000)
    assert found == Offender(EVE, EVE, 1, 1000 + MINUTE, "order")
    assert penalties.of(EVE, 1000 + MINUTE - 1) == found
    assert penalties.of(EVE, 1000 + MINUTE) is None, "it ends by itself"
    assert penalties.here(2000) == [found]
    assert not penalties.here(MINUTE + 1000)


def test_it_doubles_up_to_a_day_and_is_forgotten_after_a_day() -> None:
    penalties, now, lasted = Penalties(), 0, []
    for _ in range(14):
        found = misbehave(penalties, now)
        assert found is not None
        lasted.append((found.until_ms - now) // MINUTE)
        now = found.until_ms + 1
    assert lasted[:11] == [1 << n for n in range(11)], "1, 2, 4 … minutes"
    assert lasted[11:] == [1440] * 3, "and never more than a day"
    assert not penalties.stale(now + LONGEST_MS - 2)
    assert penalties.stale(now + LONGEST_MS) == [EVE]
    found = misbehave(penalties, now + LONGEST_MS)
    assert found is not None
    assert (found.times, found.until_ms) == (1, now + LONGEST_MS + MINUTE), "it begins anew"


@given(st.lists(st.integers(WINDOW_MS // (PATIENCE - 1) + 1, 10 * WINDOW_MS), max_size=40))
def test_a_fault_now_and_then_has_no_consequence(pauses: list[int]) -> None:
    penalties, now = Penalties(), 0
    for pause in pauses:
        assert penalties.offence(EVE, EVE, "encoding", now) is None
        now += pause
    assert not penalties.here(now)


def test_a_clock_that_was_set_back_blames_nobody() -> None:
    penalties = Penalties()
    for now in (10 * WINDOW_MS, 5 * WINDOW_MS, 1):
        assert penalties.offence(EVE, EVE, "order", now) is None


ALICES = "a" * 64
"""The member whose nodes these are."""


def breaks(penalties: Penalties, name: str, now: int) -> dict[str, tuple[int, int]]:
    """A node of alice's breaks a rule: who is out, for how many minutes, for the how-many-th time.

    Each has a device of the same name.
    """
    found = penalties.broken(name, [f"{name}'s device"], [ALICES], "order", now)
    return {one.subject: ((one.until_ms - now) // MINUTE, one.times) for one in found}


def test_a_further_device_of_a_member_brings_no_further_patience() -> None:
    penalties = Penalties()
    assert not breaks(penalties, "one", 0)
    assert not breaks(penalties, "two", 0)
    out = breaks(penalties, "three", 0)
    assert out == dict.fromkeys(("three", "three's device", ALICES), (1, 1))
    assert not breaks(penalties, "three", 1), "what was on its way makes it no longer"
    assert penalties.of("one", 1) is None, "what she did not do again is not held against her"
    assert breaks(penalties, "four", 0)["four"] == (1, 1), "as long as alice's time runs: at once"
    later = MINUTE + 1
    assert not breaks(penalties, "four", later)
    assert breaks(penalties, "one", later)["one"] == (2, 2), "and for all her nodes it doubles"


def test_a_thief_with_one_of_her_machines_does_not_have_alice_kept_out() -> None:
    penalties, now = Penalties(), 0
    for n in range(60):  # any of her devices may grant another
        breaks(penalties, f"the thief's {n}", now)
        now += MINUTE // 4
    assert penalties.of(ALICES, now) is not None
    assert penalties.of("hers", now) is None
    assert penalties.of("hers's device", now) is None
    assert not [one for one in penalties.here(now) if one.node == "hers"]


def test_a_person_who_lifts_it_lifts_all_of_it() -> None:
    penalties = Penalties()
    misbehave(penalties, 0)
    for _ in range(PATIENCE):
        penalties.offence(DEVICE, EVE, "order", 0)
    assert set(penalties.of_node(EVE)) == {EVE, DEVICE}, "the node, and the device that it was"
    for subject in penalties.of_node(EVE):
        penalties.lift(subject)
    assert not penalties.here(1)
    found = misbehave(penalties, 1)
    assert found is not None
    assert found.times == 1, "nothing is held against it"


def test_nobody_is_blamed_for_what_happens_between_honest_nodes() -> None:
    honest = {
        "slow", "silent", "gone", "stop", "proof_timeout", "stranger", "revoked", "push_flood",
        "gossip_flood", "shed_push", "shed_gossip", "session", "failed", "replaced", "refresh",
        "crowded", "sync_flood",
    }  # fmt: skip
    seen_differently = {"budget", "stranger", "limit", "ended", "chain", "time", "lamport", "rules"}
    assert not honest & BLAMED
    assert not seen_differently & BLAMED_OPERATIONS, "others may have another past"


@pytest.fixture(params=["memory", "disk"])
async def records(request: pytest.FixtureRequest, tmp_path: Path) -> PeerRecords:
    if request.param == "memory":
        return MemoryRecords()
    return StoredRecords(await open_database(tmp_path / "node.db", NODE_SCHEMA))


async def test_what_is_remembered_outlives_the_daemon(records: PeerRecords) -> None:
    elm, eve = RealmId(bytes(32)), NodeId(EVE)
    offender = Offender(DEVICE, EVE, 3, 99, "signature")
    await records.save_offender(offender)
    shares = Shares(records)
    await shares.proven(eve, elm)
    shares.ended(eve, elm, 5)
    await shares.write(eve)
    again = Shares(records)
    await again.load()
    assert again.of(eve) == {elm}
    assert again.compared(eve, elm) == 5
    assert list(await records.offenders()) == [offender]
    assert list(await records.shares()) == [Share(eve, elm, 5)]
    await records.forget_offender(DEVICE)
    await again.forget(eve)
    assert not await records.offenders()
    assert not await records.shares()
    if isinstance(records, StoredRecords):
        await records._database.close()
