"""Lending between nodes that meet by hand: alice and cia are stewards, bob and dan borrow."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from tests.unit.street import HOUR_MS, VERBS, Home, agree, homes, member

from commons_crdt.errors import CommonsError
from commons_node.community import Unknown
from commons_node.registry import File, Request
from commons_node.selecting import Selection
from commons_node.verifier.pool import VerifierPool

DAY_MS = 24 * HOUR_MS


async def drill(home: Home, number: str = "1622", **more: object) -> str:
    """Alice describes a drill; its id."""
    answer = await home.do(
        "alice", "resource.add", name="Cordless Drill", brand="Ryobi", number=number, **more
    )
    return str(answer["resource"])


async def lent(home: Home, giver: str = "alice", taker: str = "bob", number: str = "1622") -> str:
    """A loan from request to acceptance, all at one node; its id."""
    loan = str((await home.do(taker, "loan.request", resource=number, days=3))["loan"])
    await home.do(giver, "loan.approve", loan=loan)
    await home.do(giver, "loan.handover", loan=loan)
    taken = await home.do(taker, "loan.accept", loan=loan)
    assert (taken["state"], taken["custodian"]) == ("on_loan", member(taker).hex())
    return loan


async def refused(code: str, home: Home, who: str, name: str, **arguments: object) -> CommonsError:
    """The error of a command that is refused, with everything as it was before."""
    before = await home.state_hash()
    with pytest.raises(CommonsError) as caught:
        await home.do(who, name, **arguments)
    assert caught.value.code == code, str(caught.value)
    assert await home.state_hash() == before, "a refused command writes nothing"
    return caught.value


def offer_file(answer: object) -> File:
    """What the command line would have written to disk."""
    assert isinstance(answer, dict)
    return File("offer", base64.b64decode(answer["file"]))


async def test_a_loan_at_one_terminal_from_request_to_return(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north") as (north,):
        thing = await drill(north)
        loan = await lent(north)
        shown = (await north.see("loan.show", loan=loan)).value
        assert [step["step"] for step in shown["steps"]] == [
            "request", "approve", "handover", "accept",
        ]  # fmt: skip
        assert shown["steps"][3]["member"] == member("bob").hex()
        assert (shown["resource"], shown["overdue"]) == (thing, False)
        (row,) = await north.rows("resource.list", "resources")
        assert (row["state"], row["custodian"], row["loan"]) == (
            "on_loan", member("bob").hex(), loan,
        )  # fmt: skip
        view = VERBS.view("loan.list")
        assert view is not None
        (whole,), (brief,) = [
            list((await view.read(Request(north, selection=some), view.args())).value["loans"])  # type: ignore[call-overload]  # rows
            for some in (None, Selection(frozenset({"state", "settled"}), 1))
        ]
        assert whole["steps"] == shown["steps"]
        assert brief == {"state": "on_loan", "settled": False}, "nobody looks at anything else"
        await north.do("bob", "loan.return", loan=loan)
        done = await north.do("cia", "loan.receive", loan=loan, condition="ok")
        assert (done["state"], done["provisional"]) == ("returned", False)
        assert done["custodian"] == member("cia").hex(), "cia has it now, not its owner"
        (row,) = await north.rows("resource.list", "resources", state="available")
        assert (row["custodian"], row["loan"]) == (member("cia").hex(), None)
        number = str(row["number"])
        shown = (await north.see("loan.show", loan=number)).value
        assert (shown["loan"], shown["state"]) == (loan, "returned"), "by its number as before"
        with pytest.raises(Unknown):
            await north.do("bob", "loan.return", loan=number)


async def test_a_drill_comes_back_where_nobody_ever_heard_of_the_loan(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool) as (north, south):
        await drill(north)
        await north.tell(south)
        loan = await lent(north)
        returned = await north.do("bob", "loan.return", loan=loan, out="offer")
        file = offer_file(dict(returned))
        assert not await south.rows("loan.list", "loans"), "south knows of no loan"
        done = await south.do("cia", "loan.receive", loan=loan, offer=file)
        assert (done["verdict"], done["state"], done["provisional"]) == (
            "accepted", "returned", True,
        )  # fmt: skip
        assert done["custodian"] == member("cia").hex()
        reading = await south.see("loan.show", loan=loan)
        assert reading.missing, "south says that it has not seen everything"
        assert (await north.see("loan.show", loan=loan)).value["state"] == "returning"
        await agree(north, south)
        for home in (north, south):
            shown = (await home.see("loan.show", loan=loan)).value
            assert (shown["state"], shown["provisional"]) == ("returned", False), "now it is final"
        assert await north.state_hash() == await south.state_hash()


async def test_a_drill_comes_back_by_a_code_read_over_the_phone(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool) as (north, south):
        thing = await drill(north)
        await north.tell(south)
        loan = await lent(north)
        code = (await north.do("bob", "loan.return", loan=loan))["offer"]
        done = await south.do("cia", "loan.receive", loan=loan[:12], offer=code.lower())
        assert (done["state"], done["provisional"], done["resource"]) == ("returned", True, thing)
        await agree(north, south)
        for home in (north, south):
            shown = (await home.see("loan.show", loan=loan)).value
            assert (shown["provisional"], shown["borrower"]) == (False, member("bob").hex())
            (row,) = await home.rows("resource.list", "resources")
            assert (row["custodian"], row["loan"]) == (member("cia").hex(), None)
        assert await north.state_hash() == await south.state_hash()


async def test_a_borrower_takes_a_drill_at_a_node_that_never_synced(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool) as (north, south):
        await drill(north)
        loan = (await north.do("bob", "loan.request", resource="1622", days=3))["loan"]
        await north.do("alice", "loan.approve", loan=loan)
        offer = await north.do("alice", "loan.handover", loan=loan, out="offer")
        await refused("unknown", south, "bob", "loan.accept", loan=loan)
        await refused("unknown", south, "bob", "loan.accept", loan=loan, offer=offer["offer"])
        await refused("state", south, "bob", "loan.accept", loan="0" * 64, offer=offer["offer"])
        taken = await south.do("bob", "loan.accept", loan=loan, offer=offer_file(dict(offer)))
        assert (taken["state"], taken["provisional"]) == ("on_loan", False)
        await agree(north, south)
        assert (await north.see("loan.show", loan=loan)).value["state"] == "on_loan"
        assert await north.state_hash() == await south.state_hash()


async def test_a_borrower_accepts_by_code_what_was_asked_for_on_the_own_node(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool) as (north, south):
        await drill(north)
        await north.tell(south)
        loan = (await south.do("bob", "loan.request", resource="1622", days=3))["loan"]
        await south.tell(north)
        await north.do("alice", "loan.approve", loan=loan)
        code = (await north.do("alice", "loan.handover", loan=loan))["offer"]
        await refused("state", south, "dan", "loan.accept", loan=loan, offer=code)
        taken = await south.do("bob", "loan.accept", loan=loan, offer=code)
        assert (taken["state"], taken["provisional"]) == ("on_loan", True)
        await agree(north, south)
        shown = (await south.see("loan.show", loan=loan)).value
        assert (shown["state"], shown["provisional"]) == ("on_loan", False)
        assert await north.state_hash() == await south.state_hash()


async def test_only_the_right_person_takes_each_step(tmp_path: Path, pool: VerifierPool) -> None:
    async with homes(tmp_path, pool, "north") as (north,):
        await drill(north)
        loan = (await north.do("bob", "loan.request", resource="1622", days=3))["loan"]
        await refused("not_permitted", north, "bob", "loan.approve", loan=loan)
        await refused("state", north, "alice", "loan.handover", loan=loan)
        await north.do("alice", "loan.approve", loan=loan)
        await refused("state", north, "alice", "loan.approve", loan=loan)
        await refused("not_permitted", north, "dan", "loan.handover", loan=loan)
        await refused("state", north, "bob", "loan.accept", loan=loan)
        await north.do("alice", "loan.handover", loan=loan)
        wrong = await refused("state", north, "dan", "loan.accept", loan=loan)
        assert "bob" in str(wrong), "it says whose it is"
        await refused("state", north, "alice", "loan.accept", loan=loan)
        await north.do("bob", "loan.accept", loan=loan)
        await refused("state", north, "bob", "loan.accept", loan=loan)
        await refused("state", north, "dan", "loan.return", loan=loan)
        await refused("not_permitted", north, "dan", "loan.receive", loan=loan)
        await refused("state", north, "alice", "loan.decline", loan=loan)
        await north.do("alice", "loan.receive", loan=loan)
        await refused("state", north, "alice", "loan.receive", loan=loan)


async def test_a_steward_who_borrows_needs_another_steward(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north") as (north,):
        await drill(north)
        loan = (await north.do("cia", "loan.request", resource="1622", days=3))["loan"]
        await north.do("cia", "loan.approve", loan=loan)
        await refused("state", north, "cia", "loan.handover", loan=loan)
        await north.do("alice", "loan.handover", loan=loan)
        await north.do("cia", "loan.accept", loan=loan)
        await north.do("cia", "loan.return", loan=loan)
        await refused("state", north, "cia", "loan.receive", loan=loan)
        done = await north.do("alice", "loan.receive", loan=loan)
        assert done["custodian"] == member("alice").hex()


async def test_one_drill_handed_over_on_two_islands_is_told_and_nothing_is_lost(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool) as (north, south):
        await drill(north)
        await agree(north, south)
        of_bob = await lent(north, "alice", "bob")
        of_dan = await lent(south, "cia", "dan")
        await agree(north, south)
        for home in (north, south):
            reading = await home.see("resource.show", resource="1622")
            assert reading.value["custodian"] == member("bob").hex(), "alice's role goes before"
            assert [one["conflict"] for one in reading.conflicts] == ["custody"]
            loans = await home.see("loan.list")
            double = [one for one in loans.conflicts if one["conflict"] == "double_booking"]
            assert [(one["loan"], one["stands"]) for one in double] == [(of_dan, [of_bob])]
            states = {row["loan"]: row["state"] for row in loans.value["loans"]}
            assert states == {of_bob: "on_loan", of_dan: "on_loan"}, "both are told as they were"
        assert await north.state_hash() == await south.state_hash()


async def test_two_stewards_decide_differently_on_two_islands(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool) as (north, south):
        await drill(north)
        loan = (await north.do("bob", "loan.request", resource="1622", days=3))["loan"]
        await agree(north, south)
        await north.do("alice", "loan.approve", loan=loan)
        await south.do("cia", "loan.decline", loan=loan, reason="It is being repaired.")
        assert (await south.see("loan.show", loan=loan)).value["reason_given"], "bob can read why"
        await agree(north, south)
        for home in (north, south):
            reading = await home.see("loan.show", loan=loan)
            assert reading.value["state"] == "approved", "the founder's word goes before"
            assert [one["conflict"] for one in reading.conflicts] == ["contradiction"]
        assert await north.state_hash() == await south.state_hash()


async def test_a_thing_is_not_promised_twice_and_alternatives_are_named(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north") as (north,):
        await drill(north)
        await drill(north, "1700")
        first = (await north.do("bob", "loan.request", resource="1622", days=3))["loan"]
        asked = await north.do("dan", "loan.request", resource="1622", days=2)
        assert asked["note"] is None, "a request alone promises nothing"
        await north.do("alice", "loan.approve", loan=first)
        error = await refused("double_booking", north, "cia", "loan.approve", loan=asked["loan"])
        assert "1700" in error.way_out, "another drill of the same kind is free"
        assert "free from" in error.way_out
        late = await north.do("cia", "loan.request", resource="1622", days=1)
        assert late["note"], "a thing that is promised may be asked for, but it is said so"
        await north.do("alice", "loan.decline", loan=first)
        await north.do("cia", "loan.approve", loan=asked["loan"])


async def test_several_copies_are_lent_to_several_people(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north") as (north,):
        await drill(north, "5", quantity=2)
        first, second = await lent(north, number="5"), await lent(north, taker="dan", number="5")
        third = (await north.do("cia", "loan.request", resource="5", days=3))["loan"]
        await refused("double_booking", north, "alice", "loan.approve", loan=third)
        (row,) = await north.rows("resource.list", "resources")
        assert (row["state"], row["out"]) == ("on_loan", 2)
        await north.do("alice", "loan.receive", loan=first)
        (row,) = await north.rows("resource.list", "resources")
        assert (row["state"], row["out"], row["loan"]) == ("available", 1, second)
        assert not (await north.see("loan.list")).conflicts
        await north.do("alice", "loan.approve", loan=third)


async def test_an_overdue_thing_is_told_and_blocks_the_future(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north") as (north,):
        await drill(north)
        loan = await lent(north)
        before = await north.state_hash()
        north.now += 30 * DAY_MS
        (row,) = await north.rows("loan.list", "loans", overdue=True)
        assert (row["loan"], row["overdue"]) == (loan, True)
        assert await north.state_hash() == before, "overdue is never stored"
        later = (await north.do("dan", "loan.request", resource="1622", days=3))["loan"]
        await refused("double_booking", north, "alice", "loan.approve", loan=later)
        assert await north.rows("loan.list", "loans", who="dan", mine=True)


async def test_what_is_not_lendable_cannot_be_asked_for(tmp_path: Path, pool: VerifierPool) -> None:
    async with homes(tmp_path, pool, "north") as (north,):
        await drill(north)
        for state in ("maintenance", "retired", "pending"):
            await north.do("cia", "resource.edit", resource="1622", state=state)
            await refused("state", north, "bob", "loan.request", resource="1622", days=3)
        await north.do("cia", "resource.edit", resource="1622", state="active")
        await refused("terms", north, "bob", "loan.request", resource="1622", days=400)
        await refused("terms", north, "bob", "loan.request", resource="1622")
        await refused("unknown", north, "bob", "loan.request", resource="9999", days=3)
        await north.do("bob", "loan.request", resource="cordless drill", days=3)


async def test_offers_that_are_not_about_this_loan_are_refused(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north") as (north,):
        await drill(north)
        await drill(north, "1700")
        one, other = await lent(north), await lent(north, taker="dan", number="1700")
        code = (await north.do("dan", "loan.return", loan=other))["offer"]
        await refused("state", north, "alice", "loan.receive", loan=one, offer=code)
        await refused("code", north, "alice", "loan.receive", loan=one, offer="nonsense")
        junk = File("offer", b"\x00" * 50)
        await refused("offer", north, "alice", "loan.receive", loan=one, offer=junk)
        done = await north.do("alice", "loan.receive", loan="1700", offer=code, condition="ticket")
        assert "maintenance" in done["next"], "what is broken goes to repair"
        with pytest.raises(CommonsError, match="open loan"):
            await north.do("alice", "loan.receive", loan="1700")
