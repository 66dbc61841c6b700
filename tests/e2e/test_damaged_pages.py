"""Random pages of every file that a node keeps, of a stopped node and of one that runs."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
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
    """Noise over pages of content: so many, and more until one of them is in use.

    Not where the file would be beyond repair, for which there is another story: tried on a copy.
    """
    with closing(sqlite3.connect(file, timeout=10)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    needed = standing(file)
    copy = file.with_name("copy")
    pages = sorted(set(range(1, file.stat().st_size // PAGE)) - set(schema_pages(file)))
    for _ in range(20):
        shutil.copyfile(file, copy)
        rng.shuffle(pages)
        noise = {}
        for page in pages:
            noise[page] = rng.randbytes(PAGE)
            put(copy, page, noise[page])
            if len(noise) >= count and not sound(copy):
                break
        found = not sound(copy) and reads(copy, needed)
        copy.unlink()
        if found:
            for page, data in noise.items():
                put(file, page, data)
            return
    raise AssertionError("no page of it is in use")


def put(file: Path, page: int, data: bytes) -> None:
    with file.open("r+b") as out:
        out.seek(page * PAGE)
        out.write(data)


def standing(file: Path) -> list[int]:
    """The operations that say who is who; none in a file of another kind."""
    with closing(sqlite3.connect(file, timeout=10)) as connection:
        if not connection.execute("PRAGMA table_info(operations)").fetchall():
            return []
        rows = connection.execute(
            "SELECT n FROM operations WHERE chain IN (SELECT n FROM chains WHERE log = 0)"
        ).fetchall()
    return [n for (n,) in rows]


def reads(file: Path, numbers: list[int]) -> bool:
    """Whether each of these operations reads."""
    wanted = "SELECT header, signature, body FROM operations WHERE n = ?"
    try:
        with closing(sqlite3.connect(file, timeout=10)) as connection:
            return all(connection.execute(wanted, (n,)).fetchall() for n in numbers)
    except sqlite3.DatabaseError:
        return False


def schema_pages(file: Path) -> list[int]:
    """Where, behind the first page, SQLite keeps what tables there are: without it nothing reads.

    Source: SQLite's file format, "B-tree pages"; the first page begins with 100 bytes of header.
    """
    first = file.read_bytes()[:PAGE]
    if first[100] != 5:
        return []  # all of it is in the first page
    cells = int.from_bytes(first[103:105])
    at = [int.from_bytes(first[112 + 2 * n : 114 + 2 * n]) for n in range(cells)]
    below = [int.from_bytes(first[one : one + 4]) for one in at]
    return [page - 1 for page in (*below, int.from_bytes(first[108:112]))]


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
    for kind, count in [("realm", 1), ("realm", 6), ("own", 1), ("node", 2), ("jobs", 3)]:
        for old in ("realms", "own"):
            shutil.rmtree(bob.home / old)
        for file in bob.home.glob("*.db*"):
            file.unlink()
        shutil.copytree(whole, bob.home, dirs_exist_ok=True)
        overwrite(file_of(bob, kind), rng, count)
        bob.process = bob.start()
        bob.ready()
        assert repaired(bob) == [file_of(bob, kind).name], kind
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


def test_a_file_whose_tables_cannot_be_found_is_left_for_whoever_can_read_more(
    neighbours: tuple[House, House], rng: random.Random
) -> None:
    """While the node runs, and when it starts: it says what the host can do, and shows the rest."""
    _, bob = neighbours
    file = file_of(bob, "realm")
    with closing(sqlite3.connect(file, timeout=10)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    for page in schema_pages(file):
        put(file, page, rng.randbytes(PAGE))
    damaged = file.read_bytes()
    bob.do("job.run", job="integrity", wait=120)
    until(lambda: "backup restore" in str(bob.see("status")["warning"]), "status says it", 60)
    assert repaired(bob) == []
    with pytest.raises(ApiError) as told:
        bob.see("resource.list")
    assert told.value.code == "database"
    bob.stop()
    assert file.read_bytes() == damaged
    said = cli(bob.home, "run", "--no-lan", "--json")
    assert said.error["code"] == "database", said
    assert "backup restore" in said.error["hint"]
    assert file.read_bytes() == damaged


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
