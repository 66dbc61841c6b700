"""Random pages of every file that a node keeps, of a stopped node and of one that runs."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.e2e.neighbourhood import House, Street, agree, cli, meet, street, until
from tests.e2e.safes import Safe, many

from commons_node.api.client import ApiError

pytestmark = pytest.mark.long
PAGE = 4096
KINDS = ("realm", "own", "node", "jobs")


@pytest.fixture
def elm_street() -> Iterator[Street]:
    with street() as made:
        yield made


@pytest.fixture
def rng() -> random.Random:
    seed = int(os.environ.get("SEED", "11"))
    print(f"SEED={seed}")  # noqa: T201 - how to repeat it
    return random.Random(seed)


@pytest.fixture
def neighbours(elm_street: Street) -> tuple[House, House]:
    """Alice, and bob who has a file of every kind: he has checked in at her place."""
    alice, bob = elm_street.community("alice", "bob")
    many(alice, 40)
    alice.do("space.create", name="Café")
    agree(alice, bob)
    bob.do("checkin.create", space="Café", code=alice.do("space.code", space="Café")["code"])
    until(lambda: list((bob.home / "own").glob("*.db")), "he has a private realm")
    bob.do("job.run", job="figures", wait=60)
    agree(alice, bob)
    return alice, bob


def file_of(house: House, kind: str) -> Path:
    folder = {"realm": "realms", "own": "own"}.get(kind)
    if folder is None:
        return house.home / f"{kind}.db"
    (file,) = (house.home / folder).glob("*.db")
    return file


def overwrite(file: Path, rng: random.Random, count: int) -> None:
    """Noise over pages behind the first one: so many, and more until one of them is in use."""
    with closing(sqlite3.connect(file, timeout=10)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    pages = list(range(1, file.stat().st_size // PAGE))
    rng.shuffle(pages)
    with file.open("r+b") as out:
        for written, page in enumerate(pages, 1):
            out.seek(page * PAGE)
            out.write(rng.randbytes(PAGE))
            out.flush()
            if written >= count and not sound(file):
                return
    raise AssertionError("no page of it is in use")


def sound(file: Path) -> bool:
    try:
        with closing(sqlite3.connect(file, timeout=10)) as connection:
            return bool(connection.execute("PRAGMA integrity_check").fetchone() == ("ok",))
    except sqlite3.DatabaseError:
        return False


def repaired(house: House) -> list[str]:
    """The files that were made anew; none while its own file is in the middle of that."""
    try:
        return [str(one["file"]) for one in house.see("status")["repaired"]]
    except ApiError as error:
        if error.code != "database":
            raise
        return []


def mended(house: House, kind: str) -> None:
    """Wait until a file was made anew, and all is shown again."""
    name = file_of(house, kind).name
    until(lambda: name in repaired(house), f"{kind} is mended", 60)

    def shown() -> bool:
        try:
            return bool(house.hashes())
        except ApiError as error:
            if error.code != "database":
                raise
            return False

    until(shown, "its community is shown again")


def test_of_a_stopped_node(neighbours: tuple[House, House], rng: random.Random) -> None:
    alice, bob = neighbours
    before, verdicts = alice.hashes(), alice.verdicts()
    bob.stop()
    whole = bob.home.with_name("whole")
    shutil.copytree(bob.home, whole, ignore=shutil.ignore_patterns("api.sock", "log"))
    came: Counter[str] = Counter()
    for kind, count in [("realm", 1), ("realm", 6), ("own", 1), ("node", 2), ("jobs", 3)]:
        for old in ("realms", "own"):
            shutil.rmtree(bob.home / old)
        for file in bob.home.glob("*.db*"):
            file.unlink()
        shutil.copytree(whole, bob.home, dirs_exist_ok=True)
        overwrite(file_of(bob, kind), rng, count)
        damaged = file_of(bob, kind).read_bytes()
        bob.process = bob.start()
        try:
            bob.ready()
        except RuntimeError:
            said = cli(bob.home, "run", "--no-lan", "--json")
            assert said.error["code"] == "database", said
            assert "backup restore" in said.error["hint"]
            assert file_of(bob, kind).read_bytes() == damaged, "left for whoever can read more"
            came["refused"] += 1
            continue
        assert repaired(bob) == [file_of(bob, kind).name], kind
        came[kind] += 1
        bob.session = None
        meet(bob, alice)
        agree(alice, bob)
        assert alice.hashes() == before
        assert bob.verdicts() == verdicts
        bob.unlock()
        if kind != "own":
            assert bob.see("checkin.list")["checkins"], "what nobody else has is here"
        assert sound(file_of(bob, kind))
        bob.stop()
    assert sum(came.values()) == 5
    assert all(came[kind] for kind in ("realm", "node", "jobs")), came
    print(dict(came))  # noqa: T201 - a figure


def test_of_a_node_that_runs(neighbours: tuple[House, House], rng: random.Random) -> None:
    """Found by whatever reads the file, at the latest by the nightly job; without a restart."""
    alice, bob = neighbours
    before = alice.hashes()
    process = bob.process.pid
    for turn, kind in enumerate(("realm", "own", "node")):
        overwrite(file_of(bob, kind), rng, 2)
        bob.do("job.run", job="integrity", wait=120)
        mended(bob, kind)
        assert len(repaired(bob)) == turn + 1
        meet(bob, alice)
        agree(alice, bob)
        assert bob.hashes() == before
        assert sound(file_of(bob, kind))
    assert bob.process.pid == process
    bob.stop()
    assert all("damaged" in note["text"] for note in notices(bob, "integrity"))


def notices(house: House, job: str) -> list[dict[str, str]]:
    with closing(sqlite3.connect(house.home / "jobs.db")) as file:
        rows = file.execute("SELECT text FROM notices WHERE job = ?", (job,)).fetchall()
    assert rows, "it told its host"
    return [{"text": text} for (text,) in rows]


def test_whoever_meets_a_broken_page_is_told_and_has_it_mended(
    neighbours: tuple[House, House], elm_street: Street, rng: random.Random
) -> None:
    alice, bob = neighbours
    safe = Safe(elm_street.folder)
    first = safe.of(bob)

    def break_page_by_page() -> None:
        for _ in range(30):
            overwrite(file_of(bob, "realm"), rng, 1)
            safe.of(bob)

    with pytest.raises(ApiError) as told:  # as soon as the backup reads one of them
        break_page_by_page()
    assert told.value.code == "database", told.value
    mended(bob, "realm")
    meet(bob, alice)
    agree(alice, bob)
    assert safe.of(bob)["state_hash"] == first["state_hash"]


def test_what_is_shown_and_was_never_signed(neighbours: tuple[House, House]) -> None:
    alice, bob = neighbours
    before = bob.hashes()
    bob.stop()
    with closing(sqlite3.connect(file_of(bob, "realm"))) as file:
        changed = file.execute(
            "UPDATE v_specifications SET name = 'Thimg 7' WHERE name = 'Thing 7'"
        )
        assert changed.rowcount == 1
        file.commit()
    bob.again()
    assert bob.hashes() != before, "a byte is another one, and no page is broken"
    assert bob.do("job.run", job="integrity", wait=120)["state"] == "done"
    mended(bob, "realm")
    assert bob.hashes() == before
    shown = {one["name"] for one in bob.see("resource.list")["resources"]}
    assert "Thing 7" in shown
    assert "Thimg 7" not in shown
    meet(bob, alice)
    agree(alice, bob)
