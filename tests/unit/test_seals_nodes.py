"""Seals as nodes write them: noticed, proposed, checked, endorsed; what is settled, and the pin."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.council_of_three import (
    DAY_MS,
    Three,
    honest_seal,
    in_force,
    look,
    operation,
    put,
    settled_ids,
    three,
    verdicts,
)
from tests.unit.street import open_realm

from commons_crdt.operation import operation_id
from commons_node.domains.council.proposing import NothingToSeal
from commons_node.sealing.due import is_due
from commons_node.testing.acts import invitation
from commons_node.verifier.pool import VerifierPool


async def sealed(town: Three) -> str:
    """A seal in force everywhere; the loan that it settles."""
    loan = await town.borrow()
    assert await look(town.alice) == "proposed", "alice's node notices that a seal is due"
    await town.meet()
    assert await look(town.bob) == "in_force", "bob's checks it and endorses: two of three"
    await town.meet()
    for home in town.all:
        assert await home.compare() == "equal", "each folds it by itself"
    return loan


async def test_a_seal_comes_in_force_without_anybody_asking(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with three(tmp_path, pool) as town:
        loan = await sealed(town)
        (seal,) = in_force(town.alice)
        for home in town.all:
            assert in_force(home) == [seal]
            assert home.realm.judge.pin == seal, "every node keeps to what is in force"
            shown = (await home.see("loan.show", loan=loan)).value
            assert shown["settled"] is True
            assert shown["certainty"] == "Settled: this will not change any more."
            assert all(row["settled"] for row in await home.rows("resource.list", "resources"))
            assert all(row["settled"] for row in await home.rows("member.list", "members"))
            acts = (await home.see("community.acts")).value
            assert acts["seal"] == acts["pin"] == seal.hex()
            assert acts["acts"][-1]["what"].startswith("seals ")
        assert await look(town.alice) == "quiet", "the next seal is not due yet"


async def test_all_is_provisional_before_a_seal_and_what_is_new_after_it(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with three(tmp_path, pool) as town:
        loan = await town.borrow()
        before = (await town.alice.see("loan.show", loan=loan)).value
        assert before["settled"] is False
        assert before["certainty"].startswith("Provisional: ")
        for view, of in (("loan.list", "loans"), ("member.list", "members")):
            assert not any(row["settled"] for row in await town.alice.rows(view, of))
    again = tmp_path / "again"
    again.mkdir()
    async with three(again, pool) as town:
        loan = await sealed(town)
        await town.alice.do("alice", "loan.decline", loan=loan)
        await town.alice.do("cia", "resource.edit", resource="7", notice="sharp")
        (row,) = await town.alice.rows("loan.list", "loans")
        assert row["settled"] is False, "one operation of the row is not sealed"
        (thing,) = await town.alice.rows("resource.list", "resources")
        assert thing["settled"] is False
        (told,) = await town.bob.rows("resource.list", "resources")
        assert told["settled"] is True, "where nothing new is here, nothing is provisional"


async def test_the_state_hash_is_that_of_the_sealed_operations_alone(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with three(tmp_path, pool, ["seal.margin.hours=24"]) as town:
        alice = town.alice
        await town.borrow("7")
        alice.now += 2 * DAY_MS
        await alice.do("cia", "resource.add", name="Young saw", number="8")
        seal = await honest_seal(alice, "alice")
        await put(alice, "alice", seal)
        await town.meet()
        assert await look(town.bob) == "in_force"
        await town.meet()
        ids = await settled_ids(alice)
        assert 0 < len(ids) < len(await verdicts(alice)), "the youngest are left out"
        whole = await alice.operations()
        alone = await open_realm(alice.realm.realm, tmp_path / "alone.db", pool)
        await alone.ingest([one for one in whole if operation_id(one.header) in ids], "disk")
        of_alone = (await alone.hashes())[1]
        await alone.close()
        assert seal.state == of_alone, "a realm that has the sealed set only says the same"
        assert seal.state != await alice.state_hash()
        assert await alice.compare() == "equal"
        rows = await alice.rows("resource.list", "resources")
        assert {row["number"]: row["settled"] for row in rows} == {"7": True, "8": False}


async def test_what_is_erased_lately_is_sealed_with_its_erasure(
    tmp_path: Path, pool: VerifierPool
) -> None:
    """The bytes are gone here and kept elsewhere: without the erasure hashes would differ."""
    async with three(tmp_path, pool, ["seal.margin.hours=24"]) as town:
        alice = town.alice
        loan = await town.borrow("7")
        await alice.do("cia", "resource.add", name="Old saw", number="9")
        alice.now += 2 * DAY_MS
        erasure = await town.erase_loan("dan", loan)
        await alice.do("cia", "resource.add", name="Young saw", number="8")
        seal = await honest_seal(alice, "alice")
        await put(alice, "alice", seal)
        await town.meet()
        assert await look(town.bob) == "in_force"
        await town.bob.tell(alice)
        ids = await settled_ids(alice)
        assert erasure in ids, "it is taken although it is young"
        assert await alice.compare() == "equal"
        rows = await alice.rows("resource.list", "resources")
        assert {row["number"]: row["settled"] for row in rows} == {"7": True, "9": True, "8": False}


async def test_a_locked_coordinator_signs_when_unlocked(tmp_path: Path, pool: VerifierPool) -> None:
    async with three(tmp_path, pool) as town:
        await town.borrow()
        town.alice.away.add("alice")
        assert await look(town.alice) == "prepared", "the node alone may not sign"
        assert not await town.alice.rows("community.acts", "table")
        town.alice.away.clear()
        assert await look(town.alice) == "proposed"
        await town.meet()
        town.bob.away.add("bob")
        assert await look(town.bob) == "checked"
        town.bob.away.clear()
        assert await look(town.bob) == "in_force"


async def test_time_alone_makes_a_seal_due(tmp_path: Path, pool: VerifierPool) -> None:
    async with three(tmp_path, pool, ["seal.operations=5000", "seal.days=7"]) as town:
        await town.borrow()
        assert not await is_due(town.alice.realm, town.alice.now)
        assert await look(town.alice) == "quiet"
        town.alice.now += 7 * DAY_MS
        assert await is_due(town.alice.realm, town.alice.now)
        assert await look(town.alice) == "proposed"


async def test_a_seal_by_hand(tmp_path: Path, pool: VerifierPool) -> None:
    async with three(tmp_path, pool, ["seal.operations=5000"]) as town:
        await town.borrow()
        proposed = await town.alice.do("alice", "community.propose", what="seal")
        assert proposed["state"] == "open"
        await town.meet()
        (row,) = await town.bob.rows("community.acts", "table")
        assert row["seal"]["checks"] is True
        assert row["what"].startswith(f"seals {row['seal']['chains']} chains, state ")
        done = await town.bob.do("bob", "community.endorse", operation=row["operation"])
        assert done["state"] == "in_force"
        assert in_force(town.bob) == [operation(proposed)]


async def test_nothing_is_sealed_before_its_margin(tmp_path: Path, pool: VerifierPool) -> None:
    async with three(tmp_path, pool, ["seal.margin.hours=24"]) as town:
        town.alice.now = town.born + DAY_MS // 2
        with pytest.raises(NothingToSeal):
            await town.alice.do("alice", "community.propose", what="seal")


async def test_people_who_decide_something_are_not_in_the_way_of_a_seal(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with three(tmp_path, pool) as town:
        await town.borrow()
        asked = await town.alice.do(
            "alice", "community.propose", what="constitution", settings=["epoch.days=30"]
        )
        assert await look(town.alice) == "quiet", "what people decide comes first"
        await town.meet()
        await town.bob.do("bob", "community.endorse", operation=asked["operation"])
        await town.meet()
        assert await look(town.alice) == "proposed", "the table is free"


@pytest.mark.parametrize("restart", [False, True])
async def test_a_later_cut_does_not_reach_below(
    tmp_path: Path, pool: VerifierPool, restart: bool
) -> None:
    async with three(tmp_path, pool) as town:
        await sealed(town)
        alice = town.alice
        await alice.do("alice", "resource.add", name="Saw", number="99")
        above = operation(await alice.do("dan", "loan.request", resource="99", days=9))
        before, ids = await verdicts(alice), await settled_ids(alice)
        if restart:
            await town.restart(alice)
        await town.remove("dan")
        after = await verdicts(alice)
        flipped = {ident for ident in before if after[ident] != before[ident]}
        assert above in flipped, "the removal cut dan at nothing"
        assert not flipped & ids, "what is settled does not change any more"
        assert len(ids) > 30
        member = {row["name"] for row in await alice.rows("member.list", "members")}
        assert "dan" not in member


async def test_the_pin_survives_and_holds_against_a_second_act(
    tmp_path: Path, pool: VerifierPool
) -> None:
    """Two keys endorse a rival of the seal on the same base: who is pinned stays, others split."""
    async with three(tmp_path, pool) as town:
        before = await town.alice.operations()
        await sealed(town)
        (seal,) = in_force(town.alice)
        await town.restart(town.alice)
        assert town.alice.realm.judge.pin == seal, "it stands in the file"
        assert await settled_ids(town.alice)
        rival = await town.rival(tmp_path, before)
        await rival.tell(town.alice)
        assert town.alice.realm.judge.forks, "both branches are here"
        assert town.alice.realm.judge.authority.council.chain[-1] == seal
        fresh = await open_realm(town.alice.realm.realm, tmp_path / "fresh.db", pool)
        fresh._now_ms = town.alice.now_ms
        both = dict.fromkeys([*await town.eve.operations(), *await rival.operations()])
        assert not (await fresh.ingest(list(both), "disk")).refused
        assert fresh.judge.pin is None
        assert len(fresh.judge.authority.council.split) == 2, "who starts from nothing sees a split"
        await fresh.close()
        await rival.realm.close()


async def test_who_joins_keeps_to_the_seal_that_the_invite_knew(
    tmp_path: Path, pool: VerifierPool
) -> None:
    """Whoever lets a newcomer in cannot lead them below it, with a rival act endorsed by copies."""
    async with three(tmp_path, pool) as town:
        before = await town.alice.operations()
        await sealed(town)
        (seal,) = in_force(town.eve)
        invite = await town.write_as(
            town.eve, "eve", invitation(bytes(range(32)), 1, town.eve.now + DAY_MS)
        )
        rival = await town.rival(tmp_path, before)
        both = dict.fromkeys([*await town.eve.operations(), *await rival.operations()])
        newcomer = await open_realm(town.eve.realm.realm, tmp_path / "newcomer.db", pool)
        newcomer._now_ms = town.alice.now_ms
        await newcomer.ingest(list(both), "join")
        assert newcomer.judge.authority.council.split, "two acts are in force on one base"
        states = {(await newcomer.hashes())[0]}
        await newcomer.pinning.keep_to(invite.id)
        assert newcomer.judge.pin == seal
        assert not newcomer.judge.authority.council.split
        assert newcomer.judge.authority.council.chain[-1] == seal
        states.add((await newcomer.hashes())[0])
        await newcomer.close()
        again = await open_realm(town.eve.realm.realm, tmp_path / "newcomer.db", pool)
        assert again.judge.pin == seal, "it survives a restart"
        states.add((await again.hashes())[0])
        assert len(states) <= 2, "and is judged as before it"
        await again.close()
        await rival.realm.close()


async def test_two_islands_propose_two_seals(tmp_path: Path, pool: VerifierPool) -> None:
    """Alice on one, bob (promised by eve) on the other; ballots settle which one it is."""
    async with three(tmp_path, pool) as town:
        await town.borrow()
        await town.meet()
        assert await look(town.alice) == "proposed"
        await town.duel(town.bob, town.eve)
        (first,) = in_force(town.bob)
        assert first == in_force(town.eve)[0]
        assert not in_force(town.alice)
        for _ in range(3):
            await town.meet()
            for home in town.all:
                await look(home)
        for home in town.all:
            assert in_force(home)[0] == first
            assert not home.realm.judge.authority.council.split
        assert len({tuple(in_force(home)) for home in town.all}) == 1


async def test_a_removed_coordinator_seals_nothing(tmp_path: Path, pool: VerifierPool) -> None:
    async with three(tmp_path, pool) as town:
        await town.borrow()
        await town.meet()
        await town.dismiss("bob")
        await town.meet()
        assert await look(town.bob) == "quiet", "bob's key is not listed any more"
        assert await look(town.alice) == "proposed"
        await town.alice.tell(town.bob)
        assert await look(town.bob) == "quiet"
        await town.alice.tell(town.eve)
        assert await look(town.eve) == "in_force", "the two that are left are a majority"
