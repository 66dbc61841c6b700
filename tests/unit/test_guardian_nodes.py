"""Guardians between nodes that meet by hand, and who comes back after a suspension."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.unit.identities import (
    BOB,
    LAPTOP,
    refused,
    soon,
)
from tests.unit.machines import Machine, machines
from tests.unit.town import person

from commons_crdt.author import Draft
from commons_crdt.authority.facts import Removal
from commons_crdt.authority.kinds import REMOVAL
from commons_crdt.ids import DocumentId
from commons_node.domains.identity.facts import (
    REQUEST,
    GuardiansTerms,
    Request,
)
from commons_node.membership.doors import HelpDoor, OldDeviceDoor
from commons_node.membership.identities import head
from commons_node.membership.identities import machines as rows_of
from commons_node.verifier.pool import VerifierPool
from commons_protocol.tickets import Ticket, decode_ticket


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
