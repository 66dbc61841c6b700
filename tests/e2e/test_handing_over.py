"""A node goes to another host: the file, the old home that refuses, the new one that is careful."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import tarfile
from contextlib import closing
from io import BytesIO
from pathlib import Path

import pytest
from tests.e2e.neighbourhood import House, agree, cli, street, until

from commons_node.api.client import ApiError
from commons_node.backup.restored import Owed, Restored, write
from commons_node.doctor.house import folder
from commons_node.home import AlreadyRunning, Home
from commons_node.service.firewall import opening
from commons_node.service.handing import (
    BadHandOver,
    HandedOver,
    HomeTaken,
    NoCopy,
    NothingToHandOver,
    check,
    hand_over,
    stay,
    take_over,
    undo,
)
from commons_node.service.unit import NAME, Service, unit
from commons_node.starting import main


@pytest.mark.long
def test_a_node_moves_to_another_host(tmp_path: Path) -> None:
    with street() as elm_street:
        alice, bob = elm_street.community("alice", "bob")
        before = alice.hashes()
        running = cli(alice.home, "service", "hand-over", str(tmp_path / "node.tar"), "--json")
        assert running.error["code"] == "already_running", "it stops first"
        assert not (tmp_path / "node.tar").exists()
        assert alice.stop() == 0
        file = tmp_path / "node.tar"
        done = cli(alice.home, "service", "hand-over", str(file), "--json").json
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert done["files"] > 5
        refused = cli(alice.home, "run", "--json")
        assert (refused.code, refused.error["code"]) == (4, "handed_over"), "it runs here no more"
        new = elm_street.folder / "new"
        taken = cli(new, "service", "take-over", str(file), "--json").json
        assert taken["files"] == done["files"]
        assert not [p for p in new.rglob("*") if stat.S_IMODE(p.stat().st_mode) & 0o077]
        (moved,) = elm_street.build("new")
        moved.member = alice.member
        assert moved.hashes() == before, "all of it is there"
        moved.unlock()
        until(lambda: moved.see("peer.list")["peers"][0]["connected"], "it meets bob by itself")
        until(lambda: acts(moved), "and acts")
        agree(moved, bob)
        assert bob.see("fork.list")["forks"] == [], "nobody was forked by it"


def acts(house: House) -> bool:
    """Whether it could; not while it has yet to hear what else was written with its keys."""
    try:
        return bool(house.do("invite.create", uses=1)["verdict"] == "accepted")
    except ApiError as error:
        if error.code != "copied_home":
            raise
        return False


def made(tmp_path: Path) -> Home:
    """A home that has run, without a node's daemon."""
    home = Home(tmp_path / "home")
    home.create()
    (home.path / "realms").mkdir(mode=0o700)
    for name in ("node.key", "node.db", "realms/x.db", "run/place", "run/lock"):
        (home.path / name).write_bytes(name.encode() * 1000)
    (home.run / "sessions").mkdir()
    (home.run / "sessions" / "token").write_text("secret of a terminal")
    return home


def test_what_stays_and_what_goes(tmp_path: Path) -> None:
    home, file = made(tmp_path), tmp_path / "file"
    hand_over(home, file)
    with tarfile.open(file) as packed:
        names = set(packed.getnames())
    assert names == {"node.key", "node.db", "realms/x.db", "run/place", "commons-node-digests.json"}
    with pytest.raises(HandedOver):
        check(home)
    with pytest.raises(HandedOver):
        hand_over(home, tmp_path / "again")
    undo(home)
    check(home)
    alone = Home(tmp_path / "alone")
    take_over(file, alone, alone=True)
    assert (alone.path / "realms" / "x.db").read_bytes() == b"realms/x.db" * 1000
    assert not alone.moved(), "it has nobody to meet"
    other = Home(tmp_path / "other")
    take_over(file, other)
    assert other.moved(), "it waits until it has met somebody"
    with pytest.raises(HomeTaken):
        take_over(file, other)


def test_a_hand_over_that_does_not_work_leaves_the_old_one_running(tmp_path: Path) -> None:
    home = made(tmp_path)
    (tmp_path / "there").write_text("somebody's")
    with pytest.raises(FileExistsError):
        hand_over(home, tmp_path / "there")
    with pytest.raises(OSError, match="No such file"):
        hand_over(home, tmp_path / "no" / "folder")
    check(home)
    assert (tmp_path / "there").read_text() == "somebody's"


def test_a_home_that_waits_for_somebody_is_told_that_there_is_nobody(tmp_path: Path) -> None:
    home = made(tmp_path)
    home.settle()
    with pytest.raises(NoCopy):
        stay(home)
    with pytest.raises(NothingToHandOver):
        stay(Home(tmp_path / "nowhere"))
    home.unsettle()
    assert home.moved()
    stay(home)
    assert not home.moved(), "it was moved, or mended"
    write(home.path, Owed("ab" * 32, (), 1, alone=False, realms=["cd" * 32], members={}))
    assert Restored(home.path).must_meet
    stay(home)
    assert not Restored(home.path).must_meet, "it was restored"
    home.unsettle()
    hand_over(home, tmp_path / "file")
    with pytest.raises(HandedOver):
        stay(home)
    with home, pytest.raises(AlreadyRunning):
        stay(home)


@pytest.mark.parametrize("met", [True, False])
def test_a_node_that_never_met_another_is_told_to_wait_for_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *, met: bool
) -> None:
    home = made(tmp_path)
    (home.path / "node.db").unlink()
    with closing(sqlite3.connect(home.path / "node.db")) as file:
        file.execute("CREATE TABLE shares (node TEXT, realm BLOB)")
        file.executemany("INSERT INTO shares VALUES (?, ?)", [("bob", b"elm")] * met)
        file.commit()
    file_of = str(tmp_path / "node.tar")
    assert main(["service", "hand-over", file_of, "--home", str(home.path), "--json"]) == 0
    take, *_ = json.loads(capsys.readouterr().out)["next"]
    assert take == "commons-node service take-over node.tar" + " --alone" * (not met)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["take-over"], "commons-node service take-over FILE"),
        (["hand-over"], "commons-node service hand-over FILE"),
        (["take-over", "nowhere.tar"], "No such file or directory"),
    ],
)
def test_a_file_that_is_not_named_or_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    assert main(["service", *words, "--home", str(tmp_path / "home"), "--json"]) != 0
    said = capsys.readouterr().err
    assert says in said
    assert "folder of units" not in said
    assert not (tmp_path / "home").exists()


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Home, Path, Path]:
    """A home with a service, its unit, and what a ``systemctl`` is told."""
    home, unit_file, asked = made(tmp_path), tmp_path / "systemd" / "user" / NAME, tmp_path / "told"
    secret, disk = tmp_path / "alice.passphrase", tmp_path / "my disk"
    secret.touch(0o600)
    disk.mkdir()
    (home.path / "config.toml").write_text(f'backup_to = "{disk}/backups"\n')
    unit_file.parent.mkdir(parents=True)
    service = Service(Path("/opt/python"), home.path, unlock=(("alice", secret),), also=(disk,))
    unit_file.write_text(unit(service))
    program = tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" $(ls {unit_file} | wc -l) >> {asked}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return home, unit_file, asked


def test_a_service_goes_when_its_node_is_packed_and_not_before(
    kept: tuple[Home, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, unit_file, asked = kept
    words, rest = ["service", "hand-over"], ["--home", str(home.path), "--json"]
    (tmp_path / "there").write_text("somebody's")
    assert main([*words, str(tmp_path / "there"), *rest]) != 0
    assert "bad_file" in capsys.readouterr().err
    assert unit_file.exists(), "a file that is there already leaves the service"
    check(home)
    assert [line.split()[1] for line in asked.read_text().splitlines()] == [
        "is-active", "stop", "start",
    ]  # fmt: skip
    asked.unlink()
    file = tmp_path / "node.tar"
    assert main([*words, str(file), *rest]) == 0
    done = json.loads(capsys.readouterr().out)
    assert not unit_file.exists()
    lines = [line.split() for line in asked.read_text().splitlines()]
    assert [(line[1], line[-1]) for line in lines] == [
        ("is-active", "1"), ("stop", "1"), ("disable", "1"), ("daemon-reload", "0"),
    ]  # fmt: skip
    secret, disk = tmp_path / "alice.passphrase", tmp_path / "my disk"
    assert done["next"] == [
        "commons-node service take-over node.tar",
        f"commons-node service install --unlock alice={secret} --also '{disk}'",
        f"rm -r {home.path}",
    ], "the new host is told what the old one knew"
    assert done["outside"] == [str(secret), str(disk), f"{disk}/backups"], "what is not carried"
    with pytest.raises(HandedOver):
        check(home)
    found = folder(home)
    assert (found.state, found.facts["handed_over"]) == ("fail", True), "doctor says it, too"
    assert "hand-over --undo" in found.fix


def test_a_service_rests_while_its_home_is_told_that_there_is_nobody(
    kept: tuple[Home, Path, Path],
) -> None:
    home, unit_file, asked = kept
    home.unsettle()
    assert main(["service", "take-over", "--alone", "--home", str(home.path)]) == 0
    assert not home.moved()
    assert unit_file.exists()
    lines = asked.read_text().splitlines()
    assert [line.split()[1] for line in lines] == ["is-active", "stop", "start"]
    assert main(["service", "take-over", "--alone", "--home", str(home.path)]) != 0
    lines = asked.read_text().splitlines()
    assert lines[-1].split()[1] == "start", "started again where nothing was to be done, too"


def test_the_service_of_another_home_is_left_alone(
    kept: tuple[Home, Path, Path], tmp_path: Path
) -> None:
    _home, unit_file, asked = kept
    (tmp_path / "two").mkdir()
    other = made(tmp_path / "two")
    file = tmp_path / "other.tar"
    assert main(["service", "hand-over", str(file), "--home", str(other.path)]) == 0
    assert unit_file.exists()
    assert not asked.exists(), "systemd was told nothing"


def with_members(file: Path, *members: tuple[str, bytes, bytes]) -> Path:
    with tarfile.open(file, "w") as packed:
        for name, kind, data in members:
            entry = tarfile.TarInfo(name)
            entry.type, entry.size, entry.linkname = kind, len(data), "/etc/passwd"
            packed.addfile(entry, BytesIO(data))
    return file


@pytest.mark.parametrize(
    "name", ["../evil", "/evil", "a/../../evil", "./evil", "a//evil"], ids=lambda one: one
)
def test_nothing_is_written_outside_of_the_home(tmp_path: Path, name: str) -> None:
    file = with_members(tmp_path / "file", (name, tarfile.REGTYPE, b"x"))
    with pytest.raises(BadHandOver):
        take_over(file, Home(tmp_path / "home"))
    assert {p.name for p in tmp_path.iterdir()} == {"file"}


def test_links_are_refused_and_so_is_what_was_damaged(tmp_path: Path) -> None:
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
        with pytest.raises(BadHandOver):
            take_over(with_members(tmp_path / "file", ("x", kind, b"")), Home(tmp_path / "home"))
    whole = tmp_path / "whole"
    hand_over(made(tmp_path), whole)
    data = bytearray(whole.read_bytes())
    found = 0
    for place in range(0, len(data), 4999):
        data[place] ^= 1
        (tmp_path / "torn").write_bytes(data)
        data[place] ^= 1
        try:
            take_over(tmp_path / "torn", Home(tmp_path / "new"))
        except BadHandOver:
            found += 1
        else:
            kept = (tmp_path / "new" / "node.key").read_bytes()
            assert kept == b"node.key" * 1000, "a flip in padding changes nothing"
            break
    assert found >= 2
    for length in (0, 100, 5000, len(data) - 11_000):
        (tmp_path / "torn").write_bytes(data[:length])
        with pytest.raises(BadHandOver):
            take_over(tmp_path / "torn", Home(tmp_path / "new2"))
    listed = ("commons-node-digests.json", tarfile.REGTYPE, json.dumps({}).encode())
    with pytest.raises(BadHandOver):
        take_over(with_members(tmp_path / "empty", listed), Home(tmp_path / "new2"))


@pytest.mark.parametrize(
    ("there", "line"),
    [
        ({"ufw", "nft"}, "ufw allow 4001/tcp"),
        ({"firewall-cmd", "nft"}, "firewall-cmd --permanent --add-port=4001/tcp"),
        ({"nft"}, "nft add rule inet filter input tcp dport 4001 accept"),
        (set(), "ufw allow 4001/tcp"),
    ],
)
def test_the_firewalls_line(there: set[str], line: str) -> None:
    assert opening(4001, lambda name: name if name in there else None).startswith(line)
