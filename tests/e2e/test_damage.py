"""Files that the disk has damaged: noticed, moved aside, made anew; nothing damaged is shown."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.e2e.neighbourhood import House, Street, agree, meet, street, until

PAGE = 4096


@pytest.fixture
def elm_street() -> Iterator[Street]:
    with street() as made:
        yield made


def realm_of(house: House) -> Path:
    (file,) = (house.home / "realms").glob("*.db")
    return file


def overwritten(file: Path, holding: list[bytes]) -> int:
    """Garbage over every page that holds one of these; how many pages."""
    data = file.read_bytes()
    pages = {data.index(one) // PAGE for one in holding if one in data}
    with file.open("r+b") as out:
        for page in pages:
            out.seek(page * PAGE)
            out.write(b"\xa5" * PAGE)
    return len(pages)


def lives_on(alice: House, bob: House) -> None:
    """Both write, and agree."""
    alice.unlock()
    meet(alice, bob)
    agree(alice, bob)
    written = alice.do("invite.create", uses=1)["operation"]
    agree(alice, bob)
    assert bob.verdicts()[written] == 1
    assert alice.operations()["contested"] == 0


def repaired(house: House) -> list[dict[str, object]]:
    found: list[dict[str, object]] = house.see("status")["repaired"]
    return found


@pytest.mark.long
def test_broken_pages_of_a_community_come_back_from_a_neighbour(elm_street: Street) -> None:
    alice, bob = elm_street.community("alice", "bob")
    rows = "".join(f"{number},Thing {number}\n" for number in range(40))
    data = base64.b64encode(f"number,name\n{rows}".encode()).decode()
    alice.do("resource.import", file={"name": "things.csv", "data": data})
    agree(alice, bob)
    before = alice.hashes()
    told = set(alice.verdicts())
    alice.stop()
    bob.stop()
    headers = [row[0] for row in alice.query("SELECT header FROM operations ORDER BY n")]
    assert overwritten(realm_of(alice), headers[-4:]) > 0
    alice.again()
    (one,) = repaired(alice)
    assert one["lost"], "some rows could not be read"
    assert realm_of(alice).with_name(str(one["aside"])).exists(), "the damaged one is kept"
    assert "The disk has damaged a file" in alice.see("status")["warning"]
    alice.unlock()
    error = alice.refused("invite.create", uses=1)
    assert error.code == "copied_home", "its own newest acts may have been there"
    bob.again()
    meet(alice, bob)
    agree(alice, bob)
    assert alice.hashes() == before
    assert set(alice.verdicts()) >= told
    lives_on(alice, bob)


@pytest.mark.long
def test_of_several_communities_one_is_beyond_repair(elm_street: Street) -> None:
    """It stands aside, with a word; the node starts, and the others are as they were."""
    (alice,) = elm_street.build("alice")
    lost = alice.found()["community"]
    alice.name = "alicia"
    kept = alice.found("Oak Lane")["community"]
    before = {one["community"] for one in alice.see("status")["communities"]}
    assert before == {lost, kept}
    alice.stop()
    file = alice.home / "realms" / f"{lost}.db"
    file.write_bytes(b"\xa5" * file.stat().st_size)
    damaged = file.read_bytes()
    with closing(sqlite3.connect(alice.home / "node.db")) as own:
        own.execute("DELETE FROM settings WHERE name = ?", (f"standing/{lost}",))
        own.commit()
    alice.again()
    told = alice.see("status")
    assert [one["community"] for one in told["communities"]] == [kept]
    assert "too little reads of it" in told["warning"]
    assert "backup restore" in told["warning"]
    alice.unlock()
    written = alice.do("invite.create", uses=1)
    assert written["verdict"] == "accepted"
    said = alice.cli("--community", str(lost), "resource", "list")
    assert said.error["code"] == "database"
    assert "backup restore" in said.error["hint"]
    assert file.read_bytes() == damaged, "it is left for whoever can read more of it"


@pytest.mark.long
def test_a_changed_byte_is_found_by_the_hashes(elm_street: Street) -> None:
    """SQLite sees nothing wrong: only what was signed tells."""
    alice, bob = elm_street.community("alice", "bob")
    alice.do("resource.add", name="A drill with a blue handle", number="1")
    agree(alice, bob)
    before = alice.hashes()
    alice.stop()
    file = realm_of(alice)
    data = file.read_bytes()
    assert data.count(b"blue handle") >= 1
    file.write_bytes(data.replace(b"blue handle", b"blue hAndle"))
    alice.again()
    until(lambda: repaired(alice), "it looks at what it holds after each start")
    (one,) = repaired(alice)
    assert "contents are not those that were signed" in str(one["why"])
    alice.unlock()
    meet(alice, bob)
    agree(alice, bob)
    assert alice.hashes() == before
    assert b"blue hAndle" not in file.read_bytes()
    lives_on(alice, bob)


@pytest.mark.long
def test_the_nodes_own_file(elm_street: Street) -> None:
    alice, bob = elm_street.community("alice", "bob")
    alice.stop()
    file = alice.home / "node.db"
    with file.open("r+b") as out:
        out.seek(PAGE)
        out.write(b"\xa5" * (file.stat().st_size - PAGE))
    alice.again()
    (one,) = repaired(alice)
    assert one["file"] == "node.db"
    assert alice.see("status")["communities"], "its communities are known by their files"
    lives_on(alice, bob)
