"""Devices between nodes that meet by hand: codes, limits, and two machines that did not meet."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.unit.identities import (
    BOB,
    LAPTOP,
    TABLET,
    THIRD,
    add,
    paper,
    refused,
    ticket_door,
)
from tests.unit.machines import Machine, machines
from tests.unit.town import person

from commons_crdt.author import Draft
from commons_crdt.authority.identity_facts import Own, Recover
from commons_crdt.authority.kinds_identity import RECOVER
from commons_crdt.ids import DocumentId
from commons_node.domains.identity.facts import (
    RecoverTerms,
)
from commons_node.membership.devices import TICKET_S
from commons_node.membership.identities import head
from commons_node.membership.identities import machines as rows_of
from commons_node.verifier.pool import VerifierPool
from commons_protocol.joining import TurnedAwayError
from commons_protocol.tickets import Ticket, digits


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


def test_a_ticket_is_not_written_into_logs() -> None:
    ticket = Ticket("help", BOB.member, b"sixteen bytes se", bytes(32))
    assert "sixteen" not in repr(ticket)
