"""A restored machine wrote while nobody was in reach: a fork that nobody meant, and its healing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.identities import add
from tests.unit.machines import Machine, device_of, machines
from tests.unit.street import member
from tests.unit.test_explaining import ask, explain
from tests.unit.town import DAY_MS, person

from commons_crdt.errors import CommonsError
from commons_crdt.verdict import Verdict
from commons_node.verifier.pool import VerifierPool


async def meet(one: Machine, other: Machine) -> None:
    """Two nodes exchange all that they hold; what lies beyond an end may be refused."""
    one.home.now = other.home.now = max(one.home.now, other.home.now)
    mine, theirs = await one.home.operations(), await other.home.operations()
    await other.realm.ingest(mine, one.home.name)
    await one.realm.ingest(theirs, other.home.name)
    for node in (one, other):
        await node.standing.refresh(node.realm)


async def test_a_restored_snapshot_is_healed_and_what_was_lost_is_written_again(
    tmp_path: Path, pool: VerifierPool
) -> None:
    """South is bob's machine, north the same machine from last week's snapshot."""
    laptop = device_of("bob's laptop")
    async with machines(tmp_path, pool) as (north, south):
        told = await ask(south, "bob", "the ladder")
        lost = await ask(north, "bob", "the saw")
        await meet(north, south)
        for node in (north, south):
            assert node.realm.judge.forks == {(person("bob").device.keys.id, 1): 2}
        assert (await explain(south, told))["reason"] == "fork"
        with pytest.raises(CommonsError) as caught:
            await ask(south, "bob", "anything")
        assert caught.value.code == "suspended", "an honest program signs no more with it"
        assert member("bob") in south.realm.judge.authority.members(), "the device, not the member"

        await add(south, laptop)  # log 0 of the machine did not fork
        south.people["laptop"] = (member("bob"), laptop)
        device = person("bob").device.keys.id.hex()
        done = await south.do("alice", "fork.resolve", device=device, branch=told)
        assert done["verdict"] == "accepted"
        assert (await explain(south, told))["verdict"] == "accepted"
        assert (await explain(south, lost))["reason"] == "fork"
        south.home.now += DAY_MS
        again = await ask(south, "laptop", "the saw")
        await meet(south, north)
        for node in (north, south):
            standing = await node.says(bytes.fromhex(again))
            assert standing == (Verdict.ACCEPTED.name.lower(), ""), "written again, it counts"
            assert (await node.says(bytes.fromhex(told)))[0] == "accepted"
        assert await north.home.state_hash() == await south.home.state_hash()


async def two_coordinators(node: Machine) -> None:
    done = await node.do("alice", "community.propose", what="coordinators", add=["bob"])
    assert done["state"] == "in_force"


async def agreed(node: Machine, proposer: str, other: str, **what: Any) -> None:
    """One proposes as the council's ballots ask for it, the other answers."""
    for _ in range(4):
        done = await node.do(proposer, "community.propose", **what)
        if done["state"] == "in_force":
            return
        table = (await node.see(other, "community.acts")).value["table"]
        for row in table:
            if row["yours"]:
                done = await node.do(other, "community.endorse", operation=row["operation"])
                if done["state"] == "in_force":
                    return
    raise AssertionError("two who agree decide")


async def test_a_coordinators_snapshot_is_healed_by_the_council_and_the_seat_moves(
    tmp_path: Path, pool: VerifierPool
) -> None:
    laptop = device_of("bob's laptop")
    async with machines(tmp_path, pool) as (north, south):
        await two_coordinators(north)
        await north.tell(south)
        told = await ask(south, "bob", "the ladder")
        await ask(north, "bob", "the saw")
        await meet(north, south)
        device = person("bob").device.keys.id
        with pytest.raises(CommonsError) as caught:
            await south.do("alice", "fork.resolve", device=device.hex(), branch=told)
        assert caught.value.code == "not_permitted", "nobody undoes an equal alone"
        assert "community propose branch" in caught.value.way_out

        await add(south, laptop)  # log 0 goes on: it has not forked
        south.people["laptop"] = (member("bob"), laptop)
        await agreed(south, "alice", "bob", what="coordinators", drop=["bob"], add=["bob"])
        council = south.realm.judge.authority.council
        assert dict(council.seats)[member("bob")] == laptop.keys.id, "the seat moved"
        with pytest.raises(CommonsError, match="no other device"):
            await south.do(
                "alice", "community.propose", what="coordinators", drop=["alice"], add=["alice"]
            )
        branch = {"device": device.hex(), "branch": told}
        await agreed(south, "alice", "laptop", what="branch", **branch)
        assert (await explain(south, told))["verdict"] == "accepted"
        with pytest.raises(CommonsError) as caught:
            await south.do("bob", "invite.create")
        assert caught.value.code == "retired", "the old device has ended"
        made = await south.do("laptop", "invite.create")
        assert made["verdict"] == "accepted", "and bob is a coordinator as before"
