"""``kill -9`` in the middle of one long thing: a sync, a backup, a restore, an upgrade."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tests.disks import MIB
from tests.e2e.neighbourhood import (
    QUICK,
    House,
    Street,
    agree,
    clean_environment,
    cli,
    command_of,
    kill_9,
    street,
    until,
)
from tests.e2e.safes import Safe, lose, many

from commons_node.api.client import ApiError
from commons_node.jobs.schema import JOBS_SCHEMA
from commons_node.store.node_store import NODE_SCHEMA
from commons_node.store.realm_schema import REALM_SCHEMA

pytestmark = pytest.mark.long
_MOST = 15
"""Tries of which some must hit: machines differ in how fast they are."""


@pytest.fixture
def elm_street() -> Iterator[Street]:
    with street() as made:
        yield made


@pytest.fixture
def safe(elm_street: Street) -> Safe:
    return Safe(elm_street.folder)


@pytest.fixture
def rng() -> random.Random:
    seed = int(os.environ.get("SEED", "7"))
    print(f"SEED={seed}")  # noqa: T201 - how to repeat it
    return random.Random(seed)


def held(house: House) -> int:
    """How many operations are on the disk of a house whose node may be gone."""
    ((count,),) = house.query("SELECT count(*) FROM operations")
    return int(count)


def test_in_a_sync(elm_street: Street, rng: random.Random) -> None:
    """Of the one who takes, and of the one who gives."""
    alice, bob = elm_street.community("alice", "bob")
    wanted = ahead(alice, bob)
    begun = held(bob)
    meet_by_and_by(alice, bob)
    within = 0
    for n in range(6):
        until(lambda least=begun: held(bob) > least, "some of it has come", 60)  # type: ignore[misc]  # defaults bind the loop's values
        time.sleep(rng.random() * 0.05)
        dies = bob if n % 2 else alice
        dies.kill()
        got = held(bob)
        within += begun < got < wanted
        begun = got
        dies.again()
        if got == wanted:
            if within >= 2:
                break
            alice.unlock()  # it was faster, or this test was slower
            wanted = ahead(alice, bob, first=(n + 1) * 3000)
        meet_by_and_by(alice, bob)
    assert within >= 2, f"nodes died in the middle: {within}"
    agree(alice, bob, seconds=90)
    assert alice.verdicts() == bob.verdicts()
    for house in (alice, bob):
        house.stop()
        house.assert_whole()


def ahead(alice: House, bob: House, first: int = 0) -> int:
    """Alice adds three thousand things while bob is off; how many operations she has then."""
    bob.stop()
    for thousand in range(3):
        many(alice, 1000, first=first + thousand * 1000)
    wanted = held(alice)
    bob.again()
    return wanted


def meet_by_and_by(alice: House, bob: House) -> None:
    bob.do("peer.connect", address=alice.address)


def length_of(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def test_in_a_backup(elm_street: Street, safe: Safe) -> None:
    """The last backup stays whole, and the next one is made as if nothing had been."""
    (alice,) = elm_street.build("alice")
    alice.found()
    first = safe.of(alice)
    half = 0
    for n in range(_MOST):
        if half == 3:
            break
        many(alice, 150, first=n * 150)
        had = len(list(safe.path.glob("*.backup")))
        stood = begun(safe)
        writing = threading.Thread(target=_tries, args=(safe, alice))
        writing.start()
        while writing.is_alive() and not begun(safe) - stood:
            time.sleep(0.002)
        alice.kill()
        writing.join(30)
        if len(list(safe.path.glob("*.backup"))) > had:  # it was faster
            first = safe.does("verify", elm_street.folder).json
        else:
            assert begun(safe) - stood, "some of it was on the disk"
            half += 1
            found = safe.does("verify", elm_street.folder)
            assert found.code == 0, found
            assert found.json["state_hash"] == first["state_hash"], "the one before is untouched"
        alice.again()
        alice.unlock()
    assert half == 3, f"died in the middle of a backup: {half}"
    last = safe.of(alice)
    assert safe.does("verify", elm_street.folder).json["state_hash"] == last["state_hash"]
    assert last["state_hash"] == alice.hashes()[1]
    assert not list(safe.path.rglob(".*.part")), "what was half done is swept"


def begun(safe: Safe) -> set[str]:
    """What stands in the folder of chunks, whole or half."""
    return {one.name for one in (safe.path / "chunks").iterdir()}


def _tries(safe: Safe, house: House) -> None:
    with suppress(ApiError, OSError):
        safe.of(house)


def at_work(house: House) -> list[int]:
    """The processes in which jobs of a house run now."""
    started = {pid: command_of(pid) for pid in house.children()}
    return [pid for pid, words in started.items() if any(w.endswith("jobs.worker") for w in words)]


def test_in_a_backup_by_itself(elm_street: Street, safe: Safe) -> None:
    """The job begins it again, whoever died: the node, or the process that reads it back."""
    more = f'\nbackup_to = "{safe.path}"\nbackup_passphrase_file = "{safe.phrase}"\n'
    (alice,) = elm_street.build("alice", config=QUICK + more)
    alice.found()
    many(alice, 300)
    until(lambda: alice.see("status")["backup"]["verified"], "the first one at once", 60)

    def backups() -> dict[int, dict[str, object]]:
        return {one["run"]: one for one in alice.see("job.show", job="backup")["runs"]}

    until(lambda: {one["state"] for one in backups().values()} == {"done"}, "and it is over")
    for n in range(2):
        made = alice.do("job.run", job="backup")["run"]

        def of(run: int = made) -> dict[str, object]:
            return backups().get(run, {})

        until(lambda: of().get("state") == "leased" and at_work(alice), "it is at work")
        if n:
            killed = [kill_9(pid) for pid in at_work(alice)]
            assert any(killed), "its process ran"
        else:
            alice.kill()
            alice.again()
        if n:
            until(lambda: of()["state"] == "waiting", "it was cut off, and will be tried again")
            alice.stop()
            with closing(sqlite3.connect(alice.home / "jobs.db")) as file:
                file.execute("UPDATE runs SET not_before_ms = 0 WHERE run = ?", (made,))
                file.commit()  # five minutes have passed
            alice.again()
        until(lambda: of()["state"] == "done", "it was begun again", 60)
        assert int(str(of()["attempts"])) >= 2
    found = safe.does("verify", elm_street.folder)
    assert found.json["state_hash"] == alice.hashes()[1]


def restoring(safe: Safe, home: Path) -> subprocess.Popen[bytes]:
    """The process of a restore, which a test may kill."""
    words = ["backup", "restore", str(safe.path), "--passphrase-file", str(safe.phrase)]
    return subprocess.Popen(
        [sys.executable, "-m", "commons_node", *words, "--home", str(home), "--alone", "--json"],
        env=clean_environment(home), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def contents(home: Path) -> tuple[set[str], list[tuple[bytes, int]]]:
    """The names of its files, and every operation of its only community with its verdict."""
    names = {str(one.relative_to(home)) for one in home.rglob("*") if one.is_file()}
    (file,) = (home / "realms").glob("*.db")
    with closing(sqlite3.connect(file)) as opened:
        assert opened.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return names, opened.execute("SELECT id, verdict FROM operations ORDER BY id").fetchall()


def test_in_a_restore(elm_street: Street, safe: Safe, rng: random.Random) -> None:
    """There is no home, or a whole one; the next try sweeps up."""
    (alice,) = elm_street.build("alice")
    alice.found()
    many(alice, 400)
    made = safe.of(alice)
    lose(alice)
    other, home = elm_street.folder / "other", elm_street.folder / "alice-2"
    takes = length_of(lambda: restoring(safe, other).wait(60))
    whole = contents(other)
    beside = home.with_name(".alice-2.restoring")
    within = half = 0
    for _ in range(_MOST):
        if within >= 3 and half >= 2:
            break
        process = restoring(safe, home)
        time.sleep(takes * rng.uniform(0.4, 0.98))
        process.kill()
        cut_off = process.wait(10) == -signal.SIGKILL
        if home.exists() or not cut_off:  # it was faster, if only with what comes before it ends
            assert contents(home) == whole
            shutil.rmtree(home)
            takes *= 0.8
            continue
        within += 1
        half += (begun := beside.exists())
        if not begun:
            takes *= 1.2  # it was slower: kill later
    assert within >= 3, f"died before there was a home: {within}"
    assert half >= 2, f"some of it was on the disk: {half} of {within}"
    assert restoring(safe, home).wait(60) == 0
    assert not beside.exists()
    (new,) = elm_street.build("alice-2")
    assert new.hashes()[1] == made["state_hash"]


class Newer(House):
    """A house whose daemon is of a version to come; its file takes steps, one of them long."""

    module = "tests.e2e.newer"


def schema_of(house: House) -> int:
    ((version,),) = house.query("PRAGMA user_version")
    return int(version)


def test_in_an_upgrade(elm_street: Street, rng: random.Random) -> None:
    (alice,) = elm_street.build("alice")
    alice.found()
    many(alice, 100)
    known, verdicts = alice.hashes(), alice.verdicts()
    alice.stop()
    (file,) = (alice.home / "realms").glob("*.db")
    wal = file.with_name(f"{file.name}-wal")
    newer = Newer("newer", alice.home)
    elm_street.houses.append(newer)
    within = 0
    for _ in range(4):
        size = rng.uniform(1, 60) * MIB  # of the 116 that it writes, and the slowest part follows
        until(lambda least=size: wal.exists() and wal.stat().st_size > least, "it has begun", 60)  # type: ignore[misc]
        newer.kill()
        within += schema_of(newer) == len(REALM_SCHEMA) + 1
        assert file.with_name(f"{file.name}.before-{len(REALM_SCHEMA)}").exists(), "with its copy"
        with closing(sqlite3.connect(file)) as opened:
            assert opened.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        newer.process = newer.start()
    assert within == 4, "each died within the long step"
    newer.ready()
    assert newer.hashes() == known
    assert newer.verdicts() == verdicts
    assert schema_of(newer) == len(REALM_SCHEMA) + 2
    assert not list(file.parent.glob("*before*")), "the copy goes when the new file was read"
    newer.stop()

    before = file.read_bytes()
    said = cli(alice.home, "run", "--json")
    assert said.code != 0, "and now there is no way back but a backup"
    assert said.error["code"] == "downgrade"
    assert "backup" in said.error["hint"]
    assert file.read_bytes() == before


@pytest.mark.parametrize(("kind", "schema"), [("node", NODE_SCHEMA), ("jobs", JOBS_SCHEMA)])
def test_in_an_upgrade_of_its_own_files(
    elm_street: Street, kind: str, schema: tuple[str, ...]
) -> None:
    """Of which there is one each, and nobody else has it."""
    (alice,) = elm_street.build("alice")
    alice.found()
    alice.do("job.pause", job="tidy")
    known = alice.hashes()
    alice.stop()
    file = alice.home / f"{kind}.db"
    wal = file.with_name(f"{file.name}-wal")
    newer = Newer("newer", alice.home, surroundings={"FILES": kind})
    elm_street.houses.append(newer)
    for _ in range(2):
        until(lambda: wal.exists() and wal.stat().st_size > 4 * MIB, "it has begun", 60)
        newer.kill()
        with closing(sqlite3.connect(file)) as opened:
            assert opened.execute("PRAGMA user_version").fetchone() == (len(schema) + 1,)
            assert opened.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert file.with_name(f"{file.name}.before-{len(schema)}").exists(), "with its copy"
        newer.process = newer.start()
    newer.ready()
    assert newer.hashes() == known
    states = {one["job"]: one["state"] for one in newer.see("job.list")["jobs"]}
    assert states["tidy"] == "paused"
    assert not list(alice.home.glob("*before*"))
    newer.stop()
    said = cli(alice.home, "run", "--json")
    assert said.error["code"] == "downgrade", said
