"""Random pages of every file that a node keeps, of a stopped node and of one that runs."""

from __future__ import annotations

import base64
import os
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tests.e2e.neighbourhood import House, Street, agree, meet, street, until
from tests.e2e.safes import Safe, many
from tests.unit.pictures import jpeg

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


def test_the_first_page_without_which_nothing_reads(neighbours: tuple[House, House]) -> None:
    """Of every file at once: what others have comes anew from them, by what proves who asks."""
    alice, bob = neighbours
    before, verdicts = alice.hashes(), alice.verdicts()
    bob.stop()
    damaged = {}
    for kind in KINDS:
        file = file_of(bob, kind)
        if kind == "node":
            continue  # it has what proves who asks: of two such files one must read
        put(file, 0, b"\xa5" * PAGE)
        damaged[file.name] = file.read_bytes()
    alice.stop()
    bob.again()
    assert sorted(repaired(bob)) == sorted(damaged)
    told = bob.see("status")
    for one in told["repaired"]:
        (aside,) = bob.home.rglob(one["aside"])
        assert aside.read_bytes() == damaged[one["file"]], "the damaged one is kept"
    assert "Hardly anything" in told["warning"]
    bob.unlock()
    assert bob.refused("member.profile.edit", about="back").code == "copied_home"
    alice.again()
    meet(bob, alice)
    agree(alice, bob)
    assert (bob.hashes(), bob.verdicts()) == (before, verdicts)
    bob.unlock()
    written = bob.do("member.profile.edit", about="back again")["operation"]
    agree(alice, bob)
    assert alice.verdicts()[written] == 1, "it is the device that it was"
    bob.stop()

    put(file_of(bob, "node"), 0, b"\xa5" * PAGE)
    bob.again()
    assert repaired(bob) == ["node.db"]
    meet(bob, alice)
    agree(alice, bob)
    bob.unlock()


def forget_standing(house: House) -> None:
    """What proves who asks is gone as well, with the rest of the node's own file."""
    with closing(sqlite3.connect(house.home / "node.db", timeout=10)) as file:
        done = file.execute("DELETE FROM settings WHERE name LIKE 'standing/%'")
        assert done.rowcount
        file.commit()


def test_a_file_whose_tables_cannot_be_found(
    neighbours: tuple[House, House], elm_street: Street, rng: random.Random
) -> None:
    """While the node runs it is made anew; where nothing proves who asks, it stands aside."""
    alice, bob = neighbours
    safe, before = Safe(elm_street.folder), alice.hashes()
    for _ in range(2):
        safe.of(bob)
    file = file_of(bob, "realm")

    def noise() -> bytes:
        with closing(sqlite3.connect(file, timeout=10)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        for page in schema_pages(file):
            put(file, page, rng.randbytes(PAGE))
        return file.read_bytes()

    noise()
    bob.do("job.run", job="integrity", wait=120)
    mended(bob, "realm")
    assert "Hardly anything" in bob.see("status")["warning"]
    meet(bob, alice)
    agree(alice, bob)
    assert bob.hashes() == before

    damaged = noise()
    forget_standing(bob)
    bob.do("job.run", job="integrity", wait=120)
    until(lambda: "too little" in str(bob.see("status")["warning"]), "status says it", 60)
    for again in (False, True):
        if again:
            bob.stop()
            assert file.read_bytes() == damaged
            bob.again()
        with pytest.raises(ApiError) as told:
            bob.see("resource.list")
        assert told.value.code == "database"
        assert "backup restore" in told.value.hint
    bob.found("Oak Lane")
    assert [one["name"] for one in bob.see("status")["communities"]] == ["Oak Lane"]
    made = safe.of(bob, keep=1)
    assert "is damaged" in str(made["left_out"])
    assert made["deleted"] == 0, "those that have it stay"
    assert file.read_bytes() == damaged, "it is left for whoever can read more of it"


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


def break_trees(file: Path, *names: str) -> int:
    """Garbage over the roots of these tables, or over every tree but that of the schema.

    Such a page is no tree any more: whatever reads it is told so. How many pages.
    """
    with closing(sqlite3.connect(file, timeout=10)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        roots = dict(connection.execute("SELECT name, rootpage FROM sqlite_master"))
    data = file.read_bytes()
    trees = [n for n in range(1, len(data) // PAGE) if data[n * PAGE] in {2, 5, 10, 13}]
    pages = [roots[name] - 1 for name in names] or sorted(set(trees) - set(schema_pages(file)))
    for page in pages:
        put(file, page, b"\xa5" * PAGE)
    return len(pages)


def test_the_file_of_jobs_of_a_node_that_runs(elm_street: Street) -> None:
    """Met by whatever job is due, and mended without a restart: jobs go on, and stay paused."""
    (bob,) = elm_street.build("bob")
    bob.found()
    process, file = bob.process.pid, file_of(bob, "jobs")
    bob.do("job.pause", job="tidy")
    first = bob.do("job.run", job="figures", wait=60)["run"]
    for turn, tables in enumerate((["runs"], ["effects", "outbox"], [])):
        assert break_trees(file, *tables) > 0
        assert not sound(file)
        with suppress(ApiError):  # it cannot be begun, or not be ended, or it finds the damage
            bob.do("job.run", job="integrity", wait=60)
        until(lambda n=turn + 1: repaired(bob) == ["jobs.db"] * n, f"mended: {turn}", 60)  # type: ignore[misc]  # defaults bind the loop's values

        def runs() -> bool:
            try:
                return bool(bob.do("job.run", job="figures", wait=60)["state"] == "done")
            except ApiError as error:
                if error.code not in {"database", "stopped"}:
                    raise
                return False

        until(runs, "jobs go on", 60)
        assert sound(file)
        jobs = {one["job"]: one["state"] for one in bob.see("job.list")["jobs"]}
        assert jobs["tidy"] == "paused", turn
        newest = bob.see("job.show", job="figures")["runs"][0]
        assert newest["run"] > first, "no number of before comes again"
        first = newest["run"]
    assert "The disk has damaged 3 files" in bob.see("status")["warning"]
    assert bob.process.pid == process


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


def test_a_photo_that_the_disk_has_changed(elm_street: Street, tmp_path: Path) -> None:
    """SQLite sees nothing wrong, and nobody has looked: the node does, and it comes again."""
    alice, bob = elm_street.community("alice", "bob")
    safe = Safe(tmp_path)
    alice.do("resource.add", name="Drill", number="1")
    data = base64.b64encode(jpeg(300_000)).decode()
    alice.do("resource.photo.add", resource="1", file={"name": "d.jpg", "data": data})
    agree(alice, bob)

    def here(house: House) -> bool:
        (photo,) = house.see("resource.photo.show", resource="1")["photos"]
        return bool(photo["here"])

    def picture(house: House) -> str:
        seen: str = house.see("resource.photo.show", resource="1", out="d.jpg")["picture"]
        return seen

    until(lambda: here(bob), "he has it, too")
    signed = picture(alice)
    for turn, way in enumerate(("a look after the start", "the job")):
        if turn == 0:
            bob.stop()
        changed = change(file_of(bob, "realm"), base64.b64decode(signed)[100_000:100_100])
        assert sound(file_of(bob, "realm")), "it is as good as any to SQLite"
        if turn == 0:
            bob.again()
        else:
            assert bob.do("job.run", job="integrity", wait=120)["state"] == "done"
        word = ("changed a photo", "changed 2 photos")[turn]
        until(lambda w=word: w in str(bob.see("status")["warning"]), way, 60)  # type: ignore[misc]  # defaults bind the loop's values
        meet(bob, alice)
        until(lambda: here(bob), "it comes again", 60)
        assert picture(bob) == signed
        stored = b"".join(row[0] for row in bob.query("SELECT bytes FROM chunks ORDER BY first"))
        assert changed not in stored
    assert repaired(bob) == []
    made = safe.of(bob, parts="all")
    assert made["left_out"] is None
    assert safe.does("verify", tmp_path).code == 0


def change(file: Path, known: bytes) -> bytes:
    """Another byte in the middle of these, wherever they stand in a file; what it is now."""
    with closing(sqlite3.connect(file, timeout=10)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    at = file.read_bytes().index(known)
    other = known[:50] + bytes([known[50] ^ 1]) + known[51:]
    with file.open("r+b") as out:
        out.seek(at)
        out.write(other)
    return other
