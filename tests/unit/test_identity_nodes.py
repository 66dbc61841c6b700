"""Identities between nodes that meet by hand: what a thief can't do, and what a member can."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.machines import Machine, device_of, machines
from tests.unit.town import person

from commons_crdt.author import Draft
from commons_crdt.authority import warrants as core
from commons_crdt.authority.facts import Removal
from commons_crdt.authority.identity_facts import Own, Recover, SetGuardians
from commons_crdt.authority.kinds import REMOVAL
from commons_crdt.authority.kinds_identity import GUARDIANS, RECOVER
from commons_crdt.device import DeviceSecrets
from commons_crdt.errors import CommonsError
from commons_crdt.ids import DocumentId, OperationId, digest
from commons_node.domains.identity.facts import (
    REQUEST,
    GuardiansTerms,
    RecoverTerms,
    Request,
    statement,
)
from commons_node.keystore.recovery_key import RecoveryKey
from commons_node.membership.devices import TICKET_S
from commons_node.membership.doors import HelpDoor, KeyDoor, OldDeviceDoor, TicketDoor
from commons_node.membership.identities import head
from commons_node.membership.identities import machines as rows_of
from commons_node.verifier.pool import VerifierPool
from commons_protocol.joining import TurnedAwayError
from commons_protocol.tickets import Ticket, decode_ticket, digits

BOB, EVE = person("bob"), person("eve")
LAPTOP, TABLET, THIRD = (device_of(f"bob's {what}") for what in ("laptop", "tablet", "third"))


async def refused(
    code: str, node: Machine, who: str, verb: str, /, **arguments: Any
) -> CommonsError:
    """The error of a command that must not work, with everything as it was before."""
    before = await node.home.state_hash()
    with pytest.raises(CommonsError) as caught:
        await node.do(who, verb, **arguments)
    assert caught.value.code == code, f"{caught.value.code}: {caught.value}"
    assert await node.home.state_hash() == before, "a refused command writes nothing"
    return caught.value


async def soon(true: Callable[[], bool]) -> None:
    """Let other tasks run until something is so."""
    for _ in range(1000):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to it")


async def paper(node: Machine, who: str = "bob", **how: Any) -> str:
    """A recovery key that counts."""
    printed = await node.do(who, "member.recovery.create")
    groups = printed["key"].split(" ")
    back = " ".join(groups[number - 1] for number in printed["check"])
    done = await node.do(who, "member.recovery.confirm", groups=back, **how)
    assert (done["verdict"], done["reason"]) == ("accepted", "")
    return str(printed["key"])


def ticket_door(code: str, device: DeviceSecrets) -> TicketDoor:
    return TicketDoor(decode_ticket(code, "device"), device, lambda _realm: None)


async def add(node: Machine, device: DeviceSecrets, who: str = "bob", **limit: Any) -> str:
    """A new device of somebody, let in by code and digits; the granting operation."""
    code = (await node.do(who, "member.device.add", **limit))["code"]
    door = ticket_door(code, device)
    coming = asyncio.create_task(node.let_in(door.ticket.id, door))
    await soon(lambda: node.devices.waiting(node.realm.realm, node.people[who][0]))
    ((_, found),) = [
        (name, one) for name, one in node.devices._tickets.items() if name == door.ticket.id
    ]
    done = await node.do(who, "member.device.confirm", digits=door.shown(found.salt))
    assert (done["verdict"], done["reason"]) == ("accepted", "")
    assert len(await coming) > 5, "the new machine gets all of log 0"
    return str(done["operation"])


# --- devices --------------------------------------------------------------------------------------


async def test_a_code_is_for_one_machine_and_for_a_quarter_of_an_hour(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with machines(tmp_path, pool, "north") as (north,):
        code = (await north.do("bob", "member.device.add"))["code"]
        door = ticket_door(code, LAPTOP)
        first = asyncio.create_task(north.let_in(door.ticket.id, door))
        await asyncio.sleep(0.05)
        with pytest.raises(TurnedAwayError, match="used"):
            await north.let_in(door.ticket.id, ticket_door(code, TABLET))
        first.cancel()
        await refused("nothing_asked", north, "cia", "member.device.confirm", digits="000000")

        north.home.now += TICKET_S * 1000 + 1000
        with pytest.raises(LookupError):
            await north.knock(door.ticket.id, door)
        assert north.has("bob") == {BOB.device.keys.id}


async def test_three_wrong_guesses_end_a_code(tmp_path: Path, pool: VerifierPool) -> None:
    async with machines(tmp_path, pool, "north") as (north,):
        code = (await north.do("bob", "member.device.add"))["code"]
        door = ticket_door(code, LAPTOP)
        coming = asyncio.create_task(north.let_in(door.ticket.id, door))
        await asyncio.sleep(0.05)
        right = door.shown(north.told[0])
        wrong = f"{(int(right) + 1) % 1_000_000:06}"
        for _ in range(3):
            await refused("digits", north, "bob", "member.device.confirm", digits=wrong)
        error = await refused("nothing_asked", north, "bob", "member.device.confirm", digits=right)
        assert "member device join" in error.way_out
        coming.cancel()
        assert north.has("bob") == {BOB.device.keys.id}


async def test_the_salt_is_drawn_after_the_machine_is_bound(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with machines(tmp_path, pool, "north") as (north,):
        code = (await north.do("bob", "member.device.add"))["code"]
        door = ticket_door(code, LAPTOP)
        tries = [asyncio.create_task(north.let_in(door.ticket.id, door)) for _ in range(2)]
        await asyncio.sleep(0.05)
        assert len(set(north.told)) == 1, "asked again, the same machine shows the same digits"
        again = (await north.do("bob", "member.device.add"))["code"]
        other = ticket_door(again, LAPTOP)
        tries.append(asyncio.create_task(north.let_in(other.ticket.id, other)))
        await asyncio.sleep(0.05)
        assert len(set(north.told)) == 2, "another code, other digits: nothing can be prepared"
        for task in tries:
            task.cancel()
        assert digits(north.realm.realm, BOB.member, LAPTOP.keys.id, north.told[0]) == door.shown(
            north.told[0]
        )


async def test_a_device_of_a_member_adds_the_next_one(tmp_path: Path, pool: VerifierPool) -> None:
    async with machines(tmp_path, pool) as (north, south):
        granted = await add(north, LAPTOP)
        north.people["laptop"] = (BOB.member, LAPTOP)
        await add(north, TABLET, "laptop")
        await north.tell(south)
        assert south.has("bob") == {d.keys.id for d in (BOB.device, LAPTOP, TABLET)}
        assert await south.says(bytes.fromhex(granted)) == ("accepted", "")
        listed = await south.see("bob", "member.device.list", who="bob")
        assert [row["standing"] for row in listed.value["devices"]] == ["good"] * 3


async def test_a_device_ends_itself_and_no_other_alone(tmp_path: Path, pool: VerifierPool) -> None:
    async with machines(tmp_path, pool) as (north, south):
        await add(north, LAPTOP)
        north.people["laptop"] = (BOB.member, LAPTOP)
        await refused("warrant", north, "laptop", "member.device.retire",
                      device=BOB.device.keys.id.hex())  # fmt: skip
        base = head(north.realm, BOB.member).base
        terms = RecoverTerms(BOB.member, base, (), ())
        rows = await rows_of(north.town, BOB.member)
        from commons_node.membership.identities import ends_of

        phone = [row for row in rows if row.device == BOB.device.keys.id]
        endings = tuple(end for _, end in ends_of(north.realm, phone))
        body = Recover(BOB.member, terms.base, (), endings, Own(), ())
        (forged,) = await north.forge(
            "laptop", Draft.fact(RECOVER, body, log=0, document=DocumentId(BOB.member))
        )
        assert forged.judgement.reason == "warrant", "nor with another program"

        done = await north.do("laptop", "member.device.retire", device=LAPTOP.keys.id.hex()[:12])
        assert done["verdict"] == "accepted"
        await refused("retired", north, "laptop", "invite.create")
        await north.tell(south)
        assert south.has("bob") == {BOB.device.keys.id}


async def test_a_limited_device_keeps_to_its_limit(tmp_path: Path, pool: VerifierPool) -> None:
    async with machines(tmp_path, pool, "north") as (north,):
        await north.do("alice", "resource.add", name="Drill", number="7")
        await north.do("alice", "resource.add", name="Saw", number="8")
        await refused("limit", north, "bob", "member.device.add", operations=5)
        await refused("limit", north, "bob", "member.device.add", kinds=["lending.fly"])
        await add(north, LAPTOP, "cia", kinds=["lending.request"], operations=1)
        cia = person("cia").member  # a steward, who may do a lot
        north.people["kiosk"] = (cia, LAPTOP)
        (row,) = [r for r in await rows_of(north.town, cia) if r.limit is not None]
        assert row.limit is not None
        kinds = ("lending.request.1", "lending.request.2")
        assert (row.limit.kinds, row.limit.operations) == (kinds, 1)
        await refused("limit", north, "kiosk", "invite.create")
        await refused("limit", north, "kiosk", "resource.add", name="Lathe", number="9")
        loan = await north.do("kiosk", "loan.request", resource="7", days=2)
        assert loan["verdict"] == "accepted"
        await refused("limit", north, "kiosk", "loan.request", resource="8", days=2)
        await refused("limit", north, "kiosk", "member.device.add")
        closed = await north.do("kiosk", "member.device.close")
        assert closed["verdict"] == "accepted"
        await refused("retired", north, "kiosk", "loan.request", resource="8", days=2)


async def frozen(north: Machine, south: Machine) -> tuple[str, str]:
    """Two of Bob's machines each let a third one in, without knowing of each other; both acts."""
    await add(north, LAPTOP)
    await north.tell(south)
    south.people["laptop"] = (BOB.member, LAPTOP)
    acts = await add(north, TABLET), await add(south, THIRD, "laptop")
    await north.tell(south)
    await south.tell(north)
    for node in (north, south):
        assert node.has("bob") == {BOB.device.keys.id, LAPTOP.keys.id}
        for act in acts:
            assert await node.says(bytes.fromhex(act)) == ("contested", "identity")
    return acts


async def test_two_machines_that_did_not_meet_freeze_and_a_coordinator_picks(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with machines(tmp_path, pool) as (north, south):
        first, second = await frozen(north, south)
        listed = await north.see("bob", "member.device.list", who="bob")
        assert sorted(listed.value["frozen"]) == sorted((first, second)) == sorted(listed.conflicts)
        await refused("frozen", north, "bob", "member.device.add")
        error = await refused("warrant", north, "bob", "member.device.pick", act=first)
        assert "coordinator" in error.way_out
        await refused("unknown", north, "alice", "member.device.pick", act="0" * 64, who="bob")
        done = await north.do("alice", "member.device.pick", act=second[:12], who="bob")
        assert done["verdict"] == "accepted"
        await north.tell(south)
        for node in (north, south):
            assert node.has("bob") == {d.keys.id for d in (BOB.device, LAPTOP, THIRD)}
            assert await node.says(bytes.fromhex(first)) == ("rejected", "base")


async def test_the_recovery_key_thaws_a_frozen_identity(tmp_path: Path, pool: VerifierPool) -> None:
    async with machines(tmp_path, pool) as (north, south):
        key = await paper(north)
        await north.tell(south)
        first, _second = await frozen(north, south)
        await refused("warrant", north, "bob", "member.device.pick", act=first)
        done = await north.do("bob", "member.device.pick", act=first, recovery=key)
        assert done["verdict"] == "accepted"
        assert north.has("bob") == {d.keys.id for d in (BOB.device, LAPTOP, TABLET)}


# --- the recovery key -----------------------------------------------------------------------------


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


# --- guardians ------------------------------------------------------------------------------------


async def test_guardians_must_be_others_and_enough(tmp_path: Path, pool: VerifierPool) -> None:
    async with machines(tmp_path, pool, "north") as (north,):
        for members, threshold in (
            (["bob"], None), (["cia", "cia"], None), (["cia"], 2), (["cia"], 0), ([], 1),
        ):  # fmt: skip
            await refused(
                "guardians", north, "bob", "member.guardian.set",
                members=members, threshold=threshold,
            )  # fmt: skip
        await refused("state", north, "bob", "member.guardian.rehearse")
        done = await north.do("bob", "member.guardian.set", members=["alice", "cia", "dan"])
        assert (done["threshold"], done["of"]) == (2, 3)


async def test_a_rehearsal_shows_who_can_be_reached_and_changes_nothing(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with machines(tmp_path, pool) as (north, south):
        await north.do("bob", "member.guardian.set", members=["alice", "cia", "dan"])
        drill = await north.do("bob", "member.guardian.rehearse")
        await north.tell(south)
        before = head(south.realm, BOB.member)
        await refused("digits", south, "bob", "member.guardian.endorse", digits=drill["digits"])
        await refused("digits", south, "cia", "member.guardian.endorse", digits="000000000000")
        seen = await south.see("cia", "member.guardian.list", who="cia")
        assert "digits" not in str(seen.value), "a guardian must hear them"
        one = await south.do("cia", "member.guardian.endorse", digits=drill["spoken"])
        again = await south.do("cia", "member.guardian.endorse", digits=drill["digits"])
        assert one["operation"] == again["operation"], "once is enough"
        await south.do("alice", "member.guardian.endorse", digits=drill["digits"])
        await south.tell(north)
        (row,) = (await north.see("bob", "member.guardian.list", who="bob")).value["requests"]
        assert (row["enough"], row["missing"], row["count"]) == (True, ["dan"], "2 of 2")
        await refused("state", north, "bob", "member.guardian.finish", digits=drill["digits"])
        assert head(north.realm, BOB.member) == before


async def test_guardians_bring_back_who_has_nothing_left(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with machines(tmp_path, pool) as (north, south):
        await refused("state", north, "cia", "member.guardian.help", who="bob")
        await north.do("bob", "member.guardian.set", members=["alice", "cia"], threshold=2)
        await north.tell(south)
        code = (await south.do("dan", "member.guardian.help", who="bob"))["code"]
        door = HelpDoor(LAPTOP, ticket=decode_ticket(code, "help"))
        assert door.ticket is not None
        coming = asyncio.create_task(south.let_in(door.ticket.id, door))
        await soon(lambda: bool(south.told))
        spoken = door.shown(b"")
        await refused("guardians", south, "dan", "member.guardian.finish", digits=spoken)
        await south.tell(north)
        await north.do("alice", "member.guardian.endorse", digits=spoken)
        await south.do("cia", "member.guardian.endorse", digits=spoken)
        assert not coming.done(), "one of two is not enough"
        await north.tell(south)
        await coming
        await south.tell(north)
        for node in (north, south):
            assert node.has("bob") == {LAPTOP.keys.id}


async def test_guardians_change_what_the_member_asks_them_to(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with machines(tmp_path, pool, "north") as (north,):
        await north.do("bob", "member.guardian.set", members=["cia"])
        asked = await north.do(
            "bob", "member.guardian.set", members=["dan", "alice"], guardians=True
        )
        await refused("guardians", north, "bob", "member.guardian.finish", digits=asked["digits"])
        await north.do("cia", "member.guardian.endorse", digits=asked["digits"])
        done = await north.do("bob", "member.guardian.finish", digits=asked["digits"])
        assert done["verdict"] == "accepted"
        found = head(north.realm, BOB.member)
        assert set(found.guardians) == {person("dan").member, person("alice").member}
        stale = await refused(
            "state", north, "bob", "member.guardian.finish", digits=asked["digits"]
        )
        assert "came first" in str(stale), "an endorsement is for one place in the identity"


async def test_a_request_that_makes_no_sense_is_rejected(
    tmp_path: Path, pool: VerifierPool
) -> None:
    from commons_crdt.kinds import encode_fact
    from commons_node.membership import warrants

    async with machines(tmp_path, pool, "north") as (north,):
        terms = GuardiansTerms(BOB.member, head(north.realm, BOB.member).base, (), 0, bytes(32))
        good = encode_fact(terms)
        for act, data, document, reason in (
            ("recover", good, BOB.member, "malformed"),
            ("guardians", good + b"x", BOB.member, "malformed"),
            ("guardians", good, person("cia").member, "document"),
            ("guardians", good, BOB.member, ""),
        ):
            draft = Draft.fact(REQUEST, Request(act, data), document=DocumentId(document))  # type: ignore[arg-type]  # some are wrong
            (result,) = await warrants.carry(north, north.town, draft)  # type: ignore[arg-type]  # all of a daemon that it needs
            assert result.judgement.reason == reason
        assert len(await warrants.requests(north.town)) == 1


# --- coming back ----------------------------------------------------------------------------------


async def suspend(node: Machine, until_ms: int) -> None:
    """Alice suspends Bob at what is known here (0: removes him for good)."""
    from commons_node.membership.identities import ends_of

    rows = await rows_of(node.town, BOB.member)
    endings = tuple(sorted((end for _, end in ends_of(node.realm, rows)), key=lambda e: e.device))
    body = Removal(BOB.member, until_ms, endings, "conduct")
    (done,) = await node.forge(
        "alice", Draft.fact(REMOVAL, body, log=0, document=DocumentId(BOB.member))
    )
    assert done.judgement.reason == ""


async def test_who_was_suspended_comes_back_when_it_is_over(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with machines(tmp_path, pool, "north") as (north,):
        realm = north.realm.realm
        door = OldDeviceDoor(BOB.device, LAPTOP, realm, BOB.member)
        name = BOB.device.keys.signing
        with pytest.raises(LookupError):
            await north.knock(name, door)  # a member has nothing to come back from
        await suspend(north, north.home.now + 3_600_000)
        await refused("removed", north, "bob", "invite.create")
        with pytest.raises(LookupError):
            await north.knock(name, door)  # not over yet
        north.home.now += 3_700_000
        await north.let_in(name, door)
        north.people["laptop"] = (BOB.member, LAPTOP)
        assert BOB.member in north.realm.judge.authority.members()
        made = await north.do("laptop", "member.guardian.set", members=["cia"])
        assert made["verdict"] == "accepted", "a member again, with a new device"


async def test_who_was_removed_does_not_come_back_alone(tmp_path: Path, pool: VerifierPool) -> None:
    async with machines(tmp_path, pool, "north") as (north,):
        await suspend(north, 0)
        north.home.now += 10**9
        door = OldDeviceDoor(BOB.device, LAPTOP, north.realm.realm, BOB.member)
        with pytest.raises(LookupError):
            await north.knock(BOB.device.keys.signing, door)


def test_a_ticket_is_not_written_into_logs() -> None:
    ticket = Ticket("help", BOB.member, b"sixteen bytes se", bytes(32))
    assert "sixteen" not in repr(ticket)
