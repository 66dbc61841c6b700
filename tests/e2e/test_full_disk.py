"""Disks that run full under real nodes: said, nothing lost that counted, and on by itself."""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.disks import MIB, Disk, disk
from tests.e2e.neighbourhood import QUICK, House, Street, agree, cli, street, until
from tests.e2e.safes import Safe, lose, many, writes
from tests.homes import make

from commons_node.api.client import ApiError
from commons_node.store.realm_schema import REALM_SCHEMA

pytestmark = pytest.mark.long
FULL = os.strerror(errno.ENOSPC)
BARE = QUICK + "disk_reserve = 0\n"
"""Own acts and others' go on to the last byte."""


@pytest.fixture
def small() -> Iterator[Disk]:
    """A disk on which a home may stand; it goes after the street."""
    with tempfile.TemporaryDirectory(prefix="disk-") as folder, disk(Path(folder), "24m") as made:
        yield made


@pytest.fixture
def elm_street(small: Disk) -> Iterator[Street]:
    with street() as made:
        yield made


@pytest.fixture
def safe(elm_street: Street) -> Safe:
    return Safe(elm_street.folder)


def says_what_why_and_next(error: ApiError) -> None:
    assert error.code == "database", error
    assert "full" in str(error), "why"
    assert "room" in error.hint, "what to do"


def until_it_is_full(house: House) -> tuple[list[str], ApiError]:
    """What it still acknowledged, and how it said that there is no room."""
    told: list[str] = []
    for _ in range(3000):
        try:
            told += writes(house)
        except ApiError as error:
            return told, error
    raise AssertionError("the disk never ran full")


def test_during_writes_and_during_sync(elm_street: Street, small: Disk) -> None:
    (bob,) = elm_street.build("bob")
    alice = House("alice", small.path / "alice", config=BARE)
    elm_street.houses.append(alice)
    alice.ready()
    alice.found()
    bob.join(alice.invite())
    alice.do("member.role", who="bob", role="steward")
    agree(alice, bob)

    small.fill(leave=MIB // 8)
    told, error = until_it_is_full(alice)
    says_what_why_and_next(error)
    assert told, "it wrote while there was room"
    small.fill()
    for _ in range(3):
        says_what_why_and_next(alice.refused("invite.create", uses=1))
    assert alice.see("member.list")["members"], "what is there can be read"
    assert set(told) <= set(alice.verdicts())

    many(bob, 60)
    news = set(bob.verdicts())
    until(lambda: alice.refusal("session") > 0, "what comes finds no room", 60)
    assert not news <= set(alice.verdicts())
    process = alice.process.pid
    small.empty()
    agree(alice, bob, seconds=90)
    assert alice.process.pid == process, "without a restart"
    more = writes(alice, 2)
    agree(alice, bob)
    for house in (alice, bob):
        assert {*told, *news, *more} <= set(house.verdicts()), f"{house.name} has all of it"
        counts = house.operations()
        assert counts["contested"] == counts["pending"] == counts["rejected"] == 0, counts
    assert small.filled == 2
    alice.stop()
    alice.assert_whole()


def test_during_a_backup(elm_street: Street, safe: Safe) -> None:
    with disk(safe.path, "384k") as small:
        (alice,) = elm_street.build("alice")
        alice.found()
        first = safe.of(alice)
        many(alice, 600)
        with pytest.raises(ApiError) as told:
            safe.of(alice)
        assert told.value.code == "bad_file"
        assert FULL in str(told.value), "it met the end of the disk"
        shown = alice.see("status")["backup"]
        assert FULL in shown["failed"], "and status says so"
        found = safe.does("verify", elm_street.folder)
        assert found.code == 0, found
        assert found.json["state_hash"] == first["state_hash"], "the one before is whole"
        small.remount("size=32m")
        last = safe.of(alice)
        assert safe.does("verify", elm_street.folder).json["state_hash"] == last["state_hash"]
        assert alice.see("status")["backup"]["failed"] is None


def test_during_a_restore(elm_street: Street, safe: Safe, small: Disk) -> None:
    (alice,) = elm_street.build("alice")
    alice.found()
    many(alice, 300)
    made = safe.of(alice)
    lose(alice)
    home = small.path / "alice-2"
    for leave in (0, MIB // 2):
        small.fill(leave)
        said = safe.does("restore", home, "--alone", "--yes")
        assert said.code != 0, said
        assert "full" in said.error["message"] or FULL in said.error["message"], said.error
        assert "room" in said.error["hint"], said.error
        small.empty()
        assert list(small.path.iterdir()) == [], "nothing is left of the try"
    said = safe.does("restore", home, "--alone", "--yes")
    assert said.code == 0, said
    assert said.json["state_hash"] == made["state_hash"]


def test_before_an_upgrade(elm_street: Street, small: Disk) -> None:
    """A node that finds earlier versions' files and no room for their copies touches none."""
    home = small.path / "alice"
    known = make.unpack(make.of("realm", 4)[0], home)
    files = [home / "node.db", home / "realms" / f"{known['realm']}.db"]
    before = [file.read_bytes() for file in files]
    alone = 16 * MIB + 2 * len(before[0]) + MIB // 16
    assert alone < 16 * MIB + 2 * len(before[1]), "the small one could, the large one could not"
    for leave in (8 * MIB, alone):
        small.empty()
        small.fill(leave)
        said = cli(home, "run", "--json")
        assert said.code != 0
        assert said.error["code"] == "disk", said.error
        assert "MiB" in said.error["message"]
        assert "make room" in said.error["hint"]
        assert [file.read_bytes() for file in files] == before
        assert not list(home.rglob("*before*"))
    small.empty()
    alice = House("alice", home)
    elm_street.houses.append(alice)
    alice.ready()
    assert alice.hashes() == (known["set"], known["state"])


def test_within_an_upgrade(elm_street: Street, small: Disk) -> None:
    """The disk fills up in a step: the node ends with a word, and the next start goes on."""
    alice = House("alice", small.path / "alice")
    elm_street.houses.append(alice)
    alice.ready()
    alice.found()
    known = alice.hashes()
    assert alice.stop() == 0
    (file,) = (alice.home / "realms").glob("*.db")
    first = len(REALM_SCHEMA)

    class Newer(House):
        module = "tests.e2e.newer"

    newer = Newer("newer", alice.home, surroundings={"ROWS": "14000"})  # 28 MB, of 23 that are free
    assert newer.process.wait(60) != 0
    assert "disk is full" in newer.whole_log()
    with closing(sqlite3.connect(file)) as opened:
        assert opened.execute("PRAGMA user_version").fetchone() == (first + 1,), "the step before"
        assert opened.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert file.with_name(f"{file.name}.before-{first}").exists(), "with its copy"
    small.remount("size=160m")
    newer.process = newer.start()
    elm_street.houses.append(newer)
    newer.ready()
    assert newer.hashes() == known
    assert not list(file.parent.glob("*before*"))
