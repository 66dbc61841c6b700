"""The folder of backups: what is in it, what a change of it gives, and when the next one is due."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commons_node.backup.folder import (
    Busy,
    Folder,
    NoBackup,
    NotABackupFolder,
    WrongBackupPassphrase,
    chosen,
    erased_since,
)
from commons_node.backup.manifest import Chunk, Erased, Manifest, RealmBackup
from commons_node.backup.restored import Owed, Restored, write
from commons_node.backup.schedule import BadPassphraseFile, lacking, passphrase_of
from commons_node.backup.sealed_file import BadBackup, name_of, size_of
from commons_node.backup.state import BackupState
from commons_node.config import Config
from commons_node.jobs.job import Cron, Every, Job
from commons_node.jobs.node import duties

pytestmark = pytest.mark.usefixtures("light")

SAFE = "two rivers meet in the old town"
SECRET = b"alice borrowed the blue drill"
HASH = bytes(32)
NOW = 1_800_000_000_000
HOUR_MS = 3_600_000


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder.made(tmp_path / "safe", SAFE)


def listed(*chunks: Chunk, created_ms: int = NOW, erased: tuple[Erased, ...] = ()) -> Manifest:
    realm = RealmBackup(HASH, HASH, (HASH,), 1, HASH, HASH, chunks, (), erased, ())
    return Manifest(1, created_ms, "0.1", "ab" * 32, (), (), (realm,))


def files(folder: Folder) -> Iterator[Path]:
    yield from (one for one in sorted(folder.path.rglob("*")) if one.is_file())


def read_all(path: Path) -> list[bytes]:
    """Whatever a restore would read of the newest backup."""
    found, _, manifest = chosen(path, SAFE)
    return [m for one in manifest.realms[0].chunks for m in found.get(one)]


def test_what_is_put_in_comes_out(folder: Folder) -> None:
    chunk = folder.put([SECRET, b"x" * 65_536, b"y"])
    folder.keep_manifest(listed(chunk))
    assert read_all(folder.path) == [SECRET, b"x" * 65_536, b"y"]
    assert all(one.stat().st_mode & 0o077 == 0 for one in files(folder)), "for this user alone"


def test_the_same_is_written_once(folder: Folder) -> None:
    first = folder.put([SECRET])
    written = folder.written
    assert folder.put([SECRET]) == first
    assert folder.written == written
    (folder.path / "chunks" / first.name).write_bytes(b"torn")
    folder.put([SECRET])
    assert list(folder.get(first)) == [SECRET], "one that is shorter than it should be is made anew"


def test_nothing_is_in_clear(folder: Folder) -> None:
    folder.keep_manifest(listed(folder.put([SECRET])))
    held = b"".join(one.read_bytes() for one in files(folder))
    assert SECRET not in held
    assert SECRET[:8] not in held
    assert name_of(b"k" * 32, [SECRET]) != name_of(b"l" * 32, [SECRET]), "names tell nothing either"
    with pytest.raises(WrongBackupPassphrase):
        Folder.opened(folder.path, SAFE + "!")


def test_any_change_is_refused_with_a_code(folder: Folder) -> None:
    folder.keep_manifest(listed(folder.put([SECRET, b"x" * 4000])))
    rng = random.Random(7)
    tried = 0
    for path in list(files(folder)):
        whole = path.read_bytes()
        if path.name == "lock":
            continue
        for _ in range(40):
            bad = bytearray(whole)
            match rng.randrange(3):
                case 0:
                    bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
                case 1:
                    del bad[rng.randrange(len(bad)) :]
                case _:
                    bad += rng.randbytes(rng.randrange(1, 40))
            path.write_bytes(bad)
            with pytest.raises((BadBackup, WrongBackupPassphrase)) as told:
                read_all(folder.path)
            assert str(told.value)
            tried += 1
        path.write_bytes(whole)
    assert tried == 120
    assert read_all(folder.path) == [SECRET, b"x" * 4000]


def test_files_cannot_stand_for_each_other(folder: Folder) -> None:
    one, two = folder.put([b"one"]), folder.put([b"two"])
    path = folder.keep_manifest(listed(one))
    chunks = folder.path / "chunks"
    (chunks / two.name).replace(chunks / one.name)
    with pytest.raises(BadBackup, match="not those that were written"):
        read_all(folder.path)
    later = path.with_name("29990101T000000Z-00000000.backup")
    path.rename(later)
    with pytest.raises(BadBackup):
        chosen(later, SAFE)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"x")
    with pytest.raises(NotABackupFolder):
        Folder.made(tmp_path, SAFE)
    assert [one.name for one in tmp_path.iterdir()] == ["photo.jpg"]
    with pytest.raises(NoBackup):
        chosen(tmp_path, SAFE)


def test_one_writer_at_a_time_and_it_sweeps_up(folder: Folder) -> None:
    (folder.path / "chunks" / ".x.part").write_bytes(b"half")
    with folder.alone(), pytest.raises(Busy), Folder.opened(folder.path, SAFE).alone():
        pass
    assert not list(folder.path.rglob("*.part"))


def test_old_ones_go_and_what_only_they_needed(folder: Folder) -> None:
    shared, only = folder.put([b"shared"]), folder.put([b"only the first"])
    first = folder.keep_manifest(listed(shared, only, created_ms=NOW))
    second = folder.keep_manifest(listed(shared, created_ms=NOW + HOUR_MS))
    assert folder.let_go(2) == 0
    assert folder.let_go(1) == 1
    assert (first.exists(), second.exists()) == (False, True)
    assert {one.name for one in (folder.path / "chunks").iterdir()} == {shared.name}


def test_the_newest_is_the_one_that_was_made_last_whatever_its_clock_said(folder: Folder) -> None:
    ahead = folder.keep_manifest(listed(created_ms=NOW + 24 * HOUR_MS))
    right = folder.keep_manifest(listed(created_ms=NOW))
    back = folder.keep_manifest(listed(created_ms=NOW - 365 * 24 * HOUR_MS))
    assert folder.backups() == [back, right, ahead]
    assert folder.manifest(back).created_ms == NOW - 365 * 24 * HOUR_MS, "what it says is as it was"
    assert folder.let_go(1) == 2
    assert folder.backups() == [back]


def test_while_a_list_cannot_be_read_no_chunk_goes(folder: Folder) -> None:
    chunk = folder.put([b"of the first"])
    bad = folder.keep_manifest(listed(chunk, created_ms=NOW))
    bad.write_bytes(bad.read_bytes()[:-1])
    folder.keep_manifest(listed(created_ms=NOW + HOUR_MS))
    assert folder.let_go(1) == 0
    assert bad.exists()
    assert list(folder.get(chunk)) == [b"of the first"]


def test_what_any_list_says_was_erased(folder: Folder) -> None:
    old = folder.keep_manifest(listed(created_ms=NOW, erased=(Erased(b"1" * 32, False),)))
    both = (Erased(b"1" * 32, True), Erased(b"2" * 32, False))
    folder.keep_manifest(listed(created_ms=NOW + 1000, erased=both))
    assert erased_since(folder, old) == {HASH: {b"1" * 32: True, b"2" * 32: False}}


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=5))
@settings(max_examples=50, deadline=None)
def test_sizes_and_names_follow_from_the_contents(messages: list[bytes]) -> None:
    split = [one[:1] for one in messages], [one[1:] for one in messages]
    assert size_of(messages) == 14 + 1 + 24 + 21 + sum(21 + len(one) for one in messages)
    if any(split[1]):
        assert name_of(HASH, messages) != name_of(HASH, [*split[0], *split[1]])


# -- when one is made by itself ------------------------------------------------------------------

DAILY = Config(backup_to="/mnt/safe", backup_passphrase_file="/x")


def of_place(last_ms: int, place: str = "/mnt/safe") -> BackupState:
    return BackupState(last_ms=last_ms, place=place)


def test_the_first_one_is_made_at_once_and_then_the_schedule_says_when() -> None:
    assert not lacking(Config(), BackupState(), NOW), "nobody asked for any"
    assert lacking(DAILY, BackupState(), NOW)
    assert not lacking(DAILY, of_place(NOW), NOW + 23 * HOUR_MS)
    assert not lacking(DAILY, of_place(NOW), NOW + 500 * HOUR_MS), "the schedule makes up for it"
    assert lacking(DAILY, of_place(NOW, "/mnt/other"), NOW), "in another place there is none yet"


def test_a_clock_that_was_set_back_makes_one() -> None:
    year = 365 * 24 * HOUR_MS
    assert lacking(DAILY, of_place(NOW), NOW - year), "not first in a year"


def test_the_duty_has_the_schedule_of_the_settings() -> None:
    def of(config: Config) -> Job:
        return next(one for one in duties(config) if one.name == "backup")

    assert of(Config()).triggers == (), "only by hand"
    assert of(DAILY).triggers == (Every(24 * 3600),)
    nightly = msgspec.structs.replace(DAILY, jobs_at=("backup=30 2 * * *",))
    assert of(nightly).triggers == (Cron("30 2 * * *"),)
    never = msgspec.structs.replace(DAILY, jobs_at=("backup=off",))
    assert of(never).triggers == ()
    assert of(msgspec.structs.replace(DAILY, backup_every_hours=0)).triggers == ()


def test_a_passphrase_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "phrase"
    file.write_text(SAFE + "\n")
    file.chmod(0o600)
    assert passphrase_of(str(file)) == SAFE
    file.chmod(0o640)
    with pytest.raises(BadPassphraseFile, match="chmod 600"):
        passphrase_of(str(file))
    with pytest.raises(BadPassphraseFile):
        passphrase_of(str(tmp_path / "nowhere"))


def test_what_a_restored_home_owes_is_noted_until_it_is_done(tmp_path: Path) -> None:
    realm, member = os.urandom(32), os.urandom(32)
    owed = Owed("ab" * 32, (), NOW, False, [realm.hex()], {member.hex(): realm.hex()})
    write(tmp_path, owed)
    found = Restored(tmp_path)
    assert found.must_meet
    assert found.owes(member)
    found.node_done(realm)
    again = Restored(tmp_path)
    assert not again.must_meet, "its node has a device of its own: it met somebody"
    assert again.owes(member)
    again.member_done(member)
    assert Restored(tmp_path).owed is None
    assert list(tmp_path.iterdir()) == []
