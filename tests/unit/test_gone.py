"""Who was removed or suspended: what they are told, and where their things are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.unit.machines import Machine, machines
from tests.unit.street import member
from tests.unit.test_lending_nodes import lent
from tests.unit.town import DAY_MS

from commons_crdt.errors import CommonsError
from commons_node.explaining.gone import all_gone
from commons_node.verifier.pool import VerifierPool


async def turned_away(node: Machine, who: str) -> CommonsError:
    with pytest.raises(CommonsError) as caught:
        await node.do(who, "invite.create")
    return caught.value


async def test_who_was_removed_is_told_so(tmp_path: Path, pool: VerifierPool) -> None:
    async with machines(tmp_path, pool, "north") as (north,):
        await north.do("alice", "member.remove", who="bob", reason="conduct")
        error = await turned_away(north, "bob")
        assert error.code == "removed"
        assert str(error).startswith("bob was removed by alice on ")
        assert "council" in error.way_out


async def test_who_is_suspended_is_told_until_when(tmp_path: Path, pool: VerifierPool) -> None:
    async with machines(tmp_path, pool, "north") as (north,):
        await north.do("alice", "member.suspend", who="bob", days=30 * 86_400)
        error = await turned_away(north, "bob")
        assert error.code == "removed"
        assert str(error).startswith("bob was suspended by alice on ")
        assert re.search(r", until \d+ July 2025 at \d\d:\d\d\.", str(error)), error
        assert "member readmit" in error.way_out
        (row,) = (await north.see("cia", "member.gone")).value["gone"]
        assert (row["name"], row["way"], row["by"]) == ("bob", "suspended", "alice")
        assert row["until"] is not None
        assert row["sentence"] == str(error)
        await north.do("alice", "member.remove", who="bob")
        found = all_gone(north.town)[member("bob")]
        assert (found.way, found.until_ms) == ("removed", 0), "for good is for good"
        (row,) = (await north.see("cia", "member.gone")).value["gone"]
        assert (row["way"], row["until"]) == ("removed", None)


async def test_a_thing_with_somebody_who_is_gone_says_so_and_comes_back(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with machines(tmp_path, pool, "north") as (north,):
        await north.home.do("alice", "resource.add", name="Cordless Drill", number="1622")
        loan = await lent(north.home)
        done = await north.do("alice", "member.remove", who="bob")
        assert done["owes"] == "Cordless Drill 1622"
        (row,) = (await north.see("cia", "resource.list")).value["resources"]
        assert (row["with"], row["custodian_gone"]) == ("bob, who was removed", "removed")
        assert row["custodian"] == member("bob").hex(), "the id is what it was"
        seen = (await north.see("cia", "resource.show", resource="1622")).value
        assert seen["owed"] == (
            "When it is brought back, a steward records that alone: commons-node loan receive 1622"
        )
        north.home.now += DAY_MS
        back = await north.home.do("cia", "loan.receive", loan="1622", condition="ok")
        assert (back["state"], back["verdict"]) == ("returned", "accepted")
        (row,) = (await north.see("cia", "resource.list")).value["resources"]
        assert (row["state"], row["with"], row["owed"]) == ("available", "cia", None)
        steps = (await north.home.see("loan.show", loan=loan)).value["steps"]
        assert steps[-1]["member"] == member("cia").hex()
