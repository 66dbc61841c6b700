"""Things on real nodes: importing, describing, finding, erasing; alice and cia are stewards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.street import Home, agree, homes, member

from commons_crdt.errors import CommonsError
from commons_crdt.folds import Subject
from commons_node.domains.resources.views import item_row, specification_row
from commons_node.registry import File
from commons_node.verifier.pool import VerifierPool

INVENTORY = Path(__file__).parents[2] / "examples" / "tool_library_inventory.csv"


async def bring_in(home: Home, data: bytes, **more: object) -> dict[str, Any]:
    """Alice imports a file."""
    return dict(await home.do("alice", "resource.import", file=File("inventory.csv", data), **more))


async def test_a_real_inventory_comes_in_once(tmp_path: Path, pool: VerifierPool) -> None:
    async with homes(tmp_path, pool, "north") as (north,):
        data = INVENTORY.read_bytes()
        tried = await bring_in(north, data, dry_run=True)
        assert (tried["created"], tried["operations"]) == (200, 0)
        assert not await north.rows("resource.list", "resources"), "a dry run writes nothing"
        first = await bring_in(north, data)
        assert (first["read"], first["created"], first["failed"]) == (200, 200, 0)
        assert first["operations"] == 396, "200 things of 196 kinds"
        assert all(row["resource"] for row in first["rows"])
        before = await north.state_hash()
        again = await bring_in(north, data)
        assert (again["unchanged"], again["operations"]) == (200, 0), "nothing comes in twice"
        assert await north.state_hash() == before
        listed = await north.rows("resource.list", "resources")
        assert len(listed) == 200
        (drill,) = [row for row in listed if row["number"] == "1622"]
        assert (drill["name"], drill["state"], drill["custodian"]) == (
            "Cordless Drill", "available", member("alice").hex(),
        )  # fmt: skip
        states = {row["state"] for row in listed}
        assert states == {"available", "maintenance", "pending", "retired"}


async def test_a_file_with_a_bad_row_changes_nothing_unless_asked_to(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north") as (north,):
        data = b"number,name,quantity\n1,Axe,2\n2,\xff,1\n3,Saw,none\n1,Plane,1\n"
        before = await north.state_hash()
        with pytest.raises(CommonsError) as caught:
            await bring_in(north, data)
        error = caught.value
        assert (error.code, error.status) == ("import", "failed")
        assert "3 of 4 rows" in str(error)
        assert "Row 3 (number 2): it is not UTF-8 text." in str(error)
        report: Any = error.details["report"]
        assert (report["read"], report["created"], report["failed"], report["operations"]) == (
            4, 0, 3, 0,
        )  # fmt: skip
        assert [row["outcome"] for row in report["rows"]] == [
            "not imported", "failed", "failed", "failed",
        ]  # fmt: skip
        assert await north.state_hash() == before, "nothing is half imported"
        tried = await bring_in(north, data, dry_run=True)
        assert (tried["created"], tried["failed"]) == (1, 3), "a dry run tells the same"
        some = await bring_in(north, data, partial=True)
        assert (some["created"], some["failed"]) == (1, 3)
        (row,) = await north.rows("resource.list", "resources")
        assert (row["name"], row["quantity"]) == ("Axe", 2)


async def test_a_later_file_changes_only_what_it_says(tmp_path: Path, pool: VerifierPool) -> None:
    async with homes(tmp_path, pool, "north") as (north,):
        await bring_in(north, b"number,name,brand,quantity,categories\n1,Axe,Gr,2,Wood\n2,Saw,,,\n")
        second = await bring_in(north, b"number,name,quantity\n1,Axe,3\n2,Saw,\n3,Plane,1\n")
        assert [row["outcome"] for row in second["rows"]] == ["updated", "unchanged", "created"]
        assert second["operations"] == 3, "one change, one thing, one kind"
        axe = (await north.see("resource.show", resource="1")).value
        assert (axe["quantity"], axe["brand"], axe["categories"]) == (3, "Gr", "Wood"), (
            "what the file does not say stays"
        )
        third = await bring_in(north, b"number,name,categories,loan_days\n1,Axe,Wood; Fire,14\n")
        assert (third["updated"], third["operations"]) == (1, 1), "the kind is changed, once"
        await bring_in(north, b"number,name\n1,Hatchet\n")
        axe = (await north.see("resource.show", resource="hatchet")).value
        assert (axe["number"], axe["loan_days"], axe["brand"]) == ("1", 14, "Gr"), (
            "a new name keeps the rest"
        )


async def test_things_of_one_kind_share_its_description(tmp_path: Path, pool: VerifierPool) -> None:
    async with homes(tmp_path, pool, "north") as (north,):
        data = (
            b"number,name,brand,categories\n1,Drill,Bosch,Power\n2,Drill,Bosch,\n3,Drill,Ryobi,\n"
        )
        assert (await bring_in(north, data))["operations"] == 5, "three things of two kinds"
        await north.do("cia", "resource.edit", resource="2", categories="Power; Holes")
        assert (await north.see("resource.show", resource="1")).value[
            "categories"
        ] == "Power; Holes"
        await north.do("cia", "resource.edit", resource="2", brand="Makita")
        brands = {
            row["number"]: row["brand"] for row in await north.rows("resource.list", "resources")
        }
        assert brands == {"1": "Bosch", "2": "Makita", "3": "Ryobi"}, "one thing gets another kind"
        again = (await north.see("resource.show", resource="2")).value
        assert again["categories"] == "Power; Holes"


async def test_things_are_found_by_number_name_id_and_words(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north") as (north,):
        await bring_in(
            north,
            b"number,name,brand,other_names,categories\n10,Drill,Bosch,borer,Power\n"
            b"9,Drill,Ryobi,,Power\n100,Axe,,,Wood\n",
        )
        rows = await north.rows("resource.list", "resources")
        assert [row["number"] for row in rows] == ["9", "10", "100"], "numbers sort as numbers"
        for selector in ("100", "axe", rows[2]["resource"], rows[2]["resource"][:8].upper()):
            assert (await north.see("resource.show", resource=selector)).value["name"] == "Axe"
        with pytest.raises(CommonsError, match="9 Drill Ryobi; 10 Drill Bosch"):
            await north.see("resource.show", resource="drill")
        with pytest.raises(CommonsError, match="No thing"):
            await north.see("resource.show", resource="anvil")
        for query, numbers in (
            ("BORER", ["10"]),
            ("power drill", ["9", "10"]),
            ("10", ["10", "100"]),
        ):
            found = await north.rows("resource.list", "resources", query=query)
            assert [row["number"] for row in found] == numbers, query
        page = (await north.see("resource.list", limit=2)).value
        rest = (await north.see("resource.list", limit=2, after=page["next"])).value
        assert [row["number"] for row in page["resources"] + rest["resources"]] == [
            "9",
            "10",
            "100",
        ]
        assert rest["next"] is None


async def test_describing_is_for_stewards_and_numbers_are_unique(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north") as (north,):
        added = await north.do("cia", "resource.add", name="Axe", number="1", uncounted="no")
        assert added["verdict"] == "accepted"
        for name, arguments in (
            ("resource.add", {"name": "Saw"}),
            ("resource.edit", {"resource": "1", "state": "retired"}),
            ("resource.erase", {"resource": "1"}),
            ("resource.import", {"file": File("f", b"number,name\n5,Saw\n")}),
        ):
            with pytest.raises(CommonsError) as caught:
                await north.do("bob", name, **arguments)
            assert caught.value.code == "not_permitted", name
        with pytest.raises(CommonsError) as caught:
            await north.do("cia", "resource.add", name="Saw", number="1")
        assert caught.value.code == "number_taken"
        await north.do("cia", "resource.edit", resource="1", notice="Sharp.")
        await north.do("cia", "resource.edit", resource="1", clear=["notice"])
        assert (await north.see("resource.show", resource="1")).value["notice"] is None


async def test_two_stewards_describe_one_thing_on_two_islands(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool) as (north, south):
        await north.do("alice", "resource.add", name="Axe", number="1")
        await agree(north, south)
        await north.do("alice", "resource.edit", resource="1", notice="Sharp.")
        await south.do("cia", "resource.edit", resource="1", state="maintenance")
        await agree(north, south)
        for home in (north, south):
            axe = (await home.see("resource.show", resource="1")).value
            assert (axe["notice"], axe["state"]) == ("Sharp.", "maintenance"), "both changes stand"
            assert axe["owner"] == member("alice").hex(), "it is the one's who described it first"
        assert await north.state_hash() == await south.state_hash()


async def test_an_erased_thing_is_gone_everywhere_and_its_loans_stay(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool) as (north, south):
        await north.do("alice", "resource.add", name="Axe", number="1")
        loan = (await north.do("bob", "loan.request", resource="1", days=1))["loan"]
        await north.do("cia", "resource.erase", resource="1")
        await agree(north, south)
        for home in (north, south):
            assert await home.rows("resource.list", "resources") == []
            (row,) = await home.rows("loan.list", "loans")
            assert (row["loan"], row["number"]) == (loan, None)
        assert await north.state_hash() == await south.state_hash()


def test_rows_read_whatever_a_document_says() -> None:
    spec = "ab" * 32
    row = item_row(Subject(b"k", (), {"specification": spec, "state": "lost", "uncounted": True}))
    assert row is not None
    assert row[0] == bytes.fromhex(spec)
    assert row[3:6] == (1, 1, "active"), "no quantity is one, an unknown state is active"
    odd = item_row(Subject(b"k", (), {"specification": "nonsense"}))
    assert odd is not None
    assert odd[0] == b"", "a thing of no kind is still a thing"
    assert item_row(Subject(b"k", (), {})) is None
    assert item_row(Subject(b"k", (), None)) is None
    assert specification_row(Subject(b"k", (), {"brand": "Bosch"})) is None
