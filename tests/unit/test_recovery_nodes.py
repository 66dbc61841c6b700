"""The recovery key between nodes that meet by hand: what a thief cannot do, and its owner can."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.identities import (
    BOB,
    EVE,
    LAPTOP,
    TABLET,
    add,
    paper,
    refused,
)
from tests.unit.machines import machines

from commons_crdt.author import Draft
from commons_crdt.authority import warrants as core
from commons_crdt.authority.identity_facts import Own, Recover, SetGuardians
from commons_crdt.authority.kinds_identity import GUARDIANS, RECOVER
from commons_crdt.ids import DocumentId, OperationId, digest
from commons_node.domains.identity.facts import (
    GuardiansTerms,
    RecoverTerms,
    statement,
)
from commons_node.keystore.recovery_key import RecoveryKey
from commons_node.membership.doors import KeyDoor
from commons_node.membership.identities import head
from commons_node.verifier.pool import VerifierPool
from commons_protocol.joining import TurnedAwayError


async def test_what_is_signed_is_what_the_judge_checks(tmp_path: Path, pool: VerifierPool) -> None:
    async with machines(tmp_path, pool, "north") as (north,):
        realm = north.realm.realm
        base = head(north.realm, BOB.member).base
        recover = RecoverTerms(BOB.member, base, (), ())
        body = Recover(BOB.member, base, (), (), Own(), ())
        assert statement(realm, recover) == core.statement(realm, RECOVER, body)
        guard = GuardiansTerms(BOB.member, base, (), 0, digest("t-hash"))
        setting = SetGuardians(BOB.member, base, (), 0, digest("t-hash"), Own())
        assert statement(realm, guard) == core.statement(realm, GUARDIANS, setting)


async def test_a_key_counts_only_when_it_was_read_from_the_paper(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with machines(tmp_path, pool, "north") as (north,):
        await refused("nothing_asked", north, "bob", "member.recovery.confirm", groups="x")
        await north.do("bob", "member.recovery.create")
        assert head(north.realm, BOB.member).recovery == bytes(32), "nothing is signed yet"
        for _ in range(5):
            await refused("recovery_key", north, "bob", "member.recovery.confirm", groups="AAAA")
        await refused("nothing_asked", north, "bob", "member.recovery.confirm", groups="AAAA")
        key = await paper(north)
        assert head(north.realm, BOB.member).recovery == RecoveryKey.read(key).hash

        printed = await north.do("bob", "member.recovery.create")
        groups = printed["key"].split(" ")
        back = " ".join(groups[number - 1] for number in printed["check"])
        north.home.now += 31 * 60 * 1000
        await refused("nothing_asked", north, "bob", "member.recovery.confirm", groups=back)


async def test_a_stolen_phone_changes_neither_key_nor_guardians(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with machines(tmp_path, pool, "north") as (north,):
        key = await paper(north)
        printed = await north.do("bob", "member.recovery.create")
        groups = printed["key"].split(" ")
        back = " ".join(groups[number - 1] for number in printed["check"])
        await refused("warrant", north, "bob", "member.recovery.confirm", groups=back)
        await refused("warrant", north, "bob", "member.guardian.set", members=["cia"])
        state = head(north.realm, BOB.member)
        body = SetGuardians(BOB.member, state.base, (), 0, bytes(32), Own())
        (forged,) = await north.forge(
            "bob", Draft.fact(GUARDIANS, body, log=0, document=DocumentId(BOB.member))
        )
        assert forged.judgement.reason == "warrant"
        done = await north.do("bob", "member.recovery.confirm", groups=back, recovery=key)
        assert done["verdict"] == "accepted", "the old key changes the key"
        wrong = await refused(
            "recovery_key", north, "bob", "member.guardian.set", members=["cia"], recovery=key
        )
        assert "newer key" in wrong.way_out


async def test_the_key_ends_a_lost_phone_at_its_tip_and_nothing_before_it(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with machines(tmp_path, pool) as (north, south):
        key = await paper(north)
        before = (await north.do("bob", "invite.create"))["invite"]
        await north.tell(south)
        unheard = (await north.do("bob", "invite.create"))["invite"]  # only the phone knows it

        door = KeyDoor(LAPTOP, key=RecoveryKey.read(key))
        await south.let_in(RecoveryKey.read(key).public, door)
        assert south.has("bob") == {LAPTOP.keys.id}
        after = (await north.do("bob", "invite.create"))["invite"]  # by the thief
        await south.tell(north)
        await north.tell(south)
        for node in (north, south):
            assert node.has("bob") == {LAPTOP.keys.id}
            assert await node.says(bytes.fromhex(before)) == ("accepted", "")
        for lost in (unheard, after):
            assert await north.says(bytes.fromhex(lost)) == ("rejected", "cut")
            there = await south.realm.standing(OperationId(bytes.fromhex(lost)))
            assert there is None, "nobody passes on what lies beyond an end"
        assert await north.home.state_hash() == await south.home.state_hash()
        south.people["laptop"] = (BOB.member, LAPTOP)
        made = await south.do("laptop", "invite.create")
        assert made["verdict"] == "accepted", "the new machine goes on as the same member"
        await refused("retired", north, "bob", "invite.create")


async def test_the_key_goes_before_what_a_thief_writes_at_the_same_time(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with machines(tmp_path, pool) as (north, south):
        key = await paper(north)
        await north.tell(south)
        hers = await add(north, EVE.device)  # Eve holds the phone, on her island
        north.people["eve"] = (BOB.member, EVE.device)
        invite = (await north.do("eve", "invite.create"))["invite"]
        door = KeyDoor(LAPTOP, key=RecoveryKey.read(key))
        await south.let_in(RecoveryKey.read(key).public, door)
        await north.tell(south)
        await south.tell(north)
        for node in (north, south):
            assert node.has("bob") == {LAPTOP.keys.id}
            assert (await node.says(bytes.fromhex(hers)))[0] == "rejected"
            assert (await node.says(bytes.fromhex(invite)))[0] == "rejected"


async def test_a_wrong_key_is_a_stranger_and_a_signature_for_other_terms_is_refused(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with machines(tmp_path, pool, "north") as (north,):
        key = RecoveryKey.read(await paper(north))
        guess = RecoveryKey(digest("t-guess"))
        with pytest.raises(LookupError):
            await north.knock(guess.public, KeyDoor(LAPTOP, key=guess))
        asked = await north.knock(key.public, KeyDoor(LAPTOP, key=key))
        from dataclasses import replace

        with pytest.raises(TurnedAwayError, match="refused"):
            await north.devices.apply(replace(asked, retire=()), north._hear)
        assert north.has("bob") == {BOB.device.keys.id}


async def test_a_device_that_is_not_lost_can_be_kept(tmp_path: Path, pool: VerifierPool) -> None:
    async with machines(tmp_path, pool, "north") as (north,):
        await add(north, LAPTOP)
        key = RecoveryKey.read(await paper(north))
        door = KeyDoor(TABLET, [LAPTOP.keys.id.hex()[:8]], key=key)
        await north.let_in(key.public, door)
        assert north.has("bob") == {LAPTOP.keys.id, TABLET.keys.id}
