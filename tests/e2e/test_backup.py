"""A node that is backed up while it runs, lost, and made anew: real daemons, real processes."""

from __future__ import annotations

import asyncio
import base64
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.e2e.neighbourhood import (
    PASSPHRASE,
    QUICK,
    Street,
    agree,
    cli,
    meet,
    street,
    until,
)
from tests.e2e.safes import SAFE, Safe, assert_no_fork, devices, lose, restored, writes
from tests.sandbox.prepared import lend
from tests.unit.agents import made as package
from tests.unit.pictures import jpeg


@pytest.fixture
def elm_street() -> Iterator[Street]:
    with street() as made:
        yield made


@pytest.fixture
def safe(elm_street: Street) -> Safe:
    return Safe(elm_street.folder)


def test_a_lost_node_comes_back_with_new_devices(elm_street: Street, safe: Safe) -> None:
    alice, bob = elm_street.community("alice", "bob")
    (old,) = devices(alice)
    first = safe.of(alice)
    assert first["operations"] == sum(alice.operations().values())
    told = writes(alice, 3)  # after the backup, and heard by bob
    agree(alice, bob)
    again = safe.does("restore", elm_street.folder / "alice-2")
    assert again.code != 0
    assert again.error["code"] == "old_node_lives", "the old node answers: nothing is restored"
    assert not (elm_street.folder / "alice-2").exists()
    lose(alice)

    found = safe.does("verify", elm_street.folder)
    assert found.code == 0, found
    assert found.json["state_hash"] == first["state_hash"]
    assert found.json["operations"] == first["operations"]
    new = restored(elm_street, safe, "alice-2")
    assert new.node != alice.node
    meet(new, bob)
    answer = new.do("member.unlock", member=alice.member, passphrase=PASSPHRASE)
    assert answer["restored"]["state"] == "done", answer
    assert answer["restored"]["retired"] == [old]
    assert answer["device"] != old
    assert set(told) <= set(new.verdicts()), "what it had told came back first"
    more = writes(new, 2)
    agree(new, bob)
    assert all(bob.verdicts()[one] == 1 for one in told + more), "nothing that counted is lost"
    standing = devices(new)
    assert standing[old] != "good"
    assert standing[answer["device"]] == "good"
    assert new.see("member.list")["members"][0]["role"] == "coordinator"
    changed = new.do("community.propose", what="constitution", set=["epoch.days=40"])
    assert changed["state"] == "in_force", "the seat of the council moved to the new device"
    assert not (new.home / "restored.json").exists(), "nothing is owed any more"
    assert_no_fork(new, bob)


@pytest.mark.long
def test_offline_nothing_is_signed_with_the_old_keys_until_somebody_was_met(
    elm_street: Street, safe: Safe
) -> None:
    """The lost machine wrote in log 0 after the backup: at once, the end would have been a fork."""
    alice, bob = elm_street.community("alice", "bob")
    (old,) = devices(alice)
    safe.of(alice)
    told = writes(alice, 2)
    agree(alice, bob)
    lose(alice)
    bob.stop()
    new = restored(elm_street, safe, "alice-2")
    answer = new.do("member.unlock", member=alice.member, passphrase=PASSPHRASE)
    assert answer["restored"]["state"] == "waiting"
    before = new.verdicts()
    error = new.refused("invite.create", uses=1)
    assert (error.code, error.exit) == ("copied_home", 4)
    new.kill()
    new.again()
    answer = new.do("member.unlock", member=alice.member, passphrase=PASSPHRASE)
    assert answer["restored"]["state"] == "waiting", "starting once more changes nothing"
    assert new.verdicts() == before, "it signed nothing at all"
    assert new.see("status")["restored"] == [alice.member]

    bob.again()
    meet(new, bob)
    until(lambda: not new.see("status")["restored"], "the rest is done when somebody is there")
    assert set(told) <= set(new.verdicts())
    writes(new)
    agree(new, bob)
    assert devices(new)[old] != "good"
    assert_no_fork(new, bob)


@pytest.mark.long
def test_nobody_else_to_ask(elm_street: Street, safe: Safe) -> None:
    (alice,) = elm_street.build("alice")
    alice.found()
    writes(alice)
    before = alice.hashes()
    made = safe.of(alice)
    assert made["state_hash"] == before[1]
    lose(alice)
    new = restored(elm_street, safe, "alice-2", "--alone", "--yes")
    assert new.hashes() == before
    answer = new.do("member.unlock", member=alice.member, passphrase=PASSPHRASE)
    assert answer["restored"]["state"] == "done", answer
    writes(new)
    assert_no_fork(new)


@pytest.mark.long
def test_two_members_of_one_node_each_finish_their_own(elm_street: Street, safe: Safe) -> None:
    alice, bob = elm_street.community("alice", "bob")
    code = alice.invite()
    eve = alice.do("join", code=code, member="eve", passphrase=SAFE)["member"]
    agree(alice, bob)
    safe.of(alice)
    lose(alice)
    new = restored(elm_street, safe, "alice-2")
    meet(new, bob)
    first = new.do("member.unlock", member=eve, passphrase=SAFE)
    assert first["restored"]["state"] == "done", first
    assert new.see("status")["restored"] == [alice.member], "alice has not unlocked yet"
    second = new.do("member.unlock", member=alice.member, passphrase=PASSPHRASE)
    assert second["restored"]["state"] == "done", second
    assert not (new.home / "restored.json").exists()
    agree(new, bob)
    assert_no_fork(new, bob)


@pytest.mark.long
def test_a_second_backup_adds_what_is_new_and_a_killed_one_costs_nothing(
    elm_street: Street, safe: Safe
) -> None:
    (alice,) = elm_street.build("alice")
    alice.found()
    first = safe.of(alice)
    before = safe.chunks()
    again = safe.of(alice)
    assert len(safe.chunks().keys() - before.keys()) <= 1, "the node's own file at most"
    assert again["state_hash"] == first["state_hash"]
    writes(alice, 3)
    third = safe.of(alice, keep=1)
    assert third["deleted"] == 2
    assert len(list(safe.path.glob("*.backup"))) == 1
    assert safe.does("verify", elm_street.folder).code == 0
    rehearsed = safe.does("rehearse", elm_street.folder)
    assert rehearsed.code == 0, rehearsed
    assert rehearsed.json["state_hash"] == third["state_hash"] == alice.hashes()[1]
    assert rehearsed.json["kept"] is False


def hollow(home: Path) -> set[bytes]:
    """The operations of a home's only community whose contents are absent."""
    (file,) = (home / "realms").glob("*.db")
    with closing(sqlite3.connect(file)) as connection:
        return {one for (one,) in connection.execute(_HOLLOW)}


_HOLLOW = "SELECT id FROM operations WHERE body IS NULL"


@pytest.mark.long
def test_what_was_erased_stays_erased(elm_street: Street, safe: Safe) -> None:
    """By a later backup of the same folder, and by a neighbour who knows of the erasure."""
    alice, bob = elm_street.community("alice", "bob")
    thing = alice.do("resource.add", name="drill", number="7")["resource"]
    alice.do("resource.edit", resource=thing, notice="kept under the blue tarpaulin")
    agree(alice, bob)
    old = Path(str(safe.of(alice)["file"]))
    assert hollow(alice.home) == set()
    alice.do("resource.erase", resource=thing)
    agree(alice, bob)
    erased = hollow(alice.home)
    assert erased
    newer = Path(str(safe.of(alice)["file"]))
    lose(alice)

    home = elm_street.folder / "later"
    words = ("--passphrase-file", str(safe.phrase), "--json")
    said = cli(home, "backup", "restore", str(old), *words)
    assert said.code == 0, said
    assert said.json["left_out"] == len(erased), "the older one has it, the newer says it is erased"
    assert hollow(home) == erased
    assert b"blue tarpaulin" not in bytes_of(home)

    newer.unlink()
    home = elm_street.folder / "alone"
    said = cli(home, "backup", "restore", str(old), *words)
    assert said.json["left_out"] == 0, "nothing says so any more"
    assert hollow(home) == set()
    (new,) = elm_street.build("alone")
    meet(new, bob)
    until(lambda: hollow(new.home) == erased, "the neighbour says what was erased")
    new.stop()
    assert b"blue tarpaulin" not in bytes_of(home)


def bytes_of(home: Path) -> bytes:
    return b"".join(one.read_bytes() for one in sorted((home / "realms").iterdir()))


@pytest.mark.long
def test_backups_by_themselves_are_made_up_for_and_read_back(
    elm_street: Street, safe: Safe
) -> None:
    more = f'\nbackup_to = "{safe.path}"\nbackup_passphrase_file = "{safe.phrase}"\n'
    safe.phrase.chmod(0o644)
    (alice,) = elm_street.build("alice", config=QUICK + more)
    until(lambda: alice.see("status")["backup"]["failed"], "others may read the passphrase")
    assert "chmod 600" in alice.see("status")["backup"]["failed"]
    alice.found()
    alice.stop()
    safe.phrase.chmod(0o600)
    with closing(sqlite3.connect(alice.home / "node.db")) as file:
        file.execute("DELETE FROM settings WHERE name = 'backup'")  # an hour has passed
        file.commit()
    alice.again()
    until(lambda: alice.see("status")["backup"]["verified"], "it was off, and makes up for it", 60)
    shown = alice.see("status")["backup"]
    assert shown["last"]
    assert (shown["failed"], shown["every_hours"]) == (None, 24)
    checks = {one["check"]: one for one in cli(alice.home, "doctor", "--json").json["checks"]}
    assert checks["backup"]["state"] == "ok", checks["backup"]
    found = safe.does("verify", elm_street.folder)
    assert found.json["state_hash"] == alice.hashes()[1]


@pytest.mark.long
def test_an_old_node_that_comes_back_keeps_the_new_one_from_going_on(
    elm_street: Street, safe: Safe
) -> None:
    """It was off while its backup was restored, and somebody finds it in the cellar."""
    alice, bob = elm_street.community("alice", "bob")
    safe.of(alice)
    alice.stop()
    new = restored(elm_street, safe, "alice-2")
    alice.again()
    meet(new, bob)
    answer = new.do("member.unlock", member=alice.member, passphrase=PASSPHRASE)
    assert answer["restored"]["state"] == "failed"
    assert "still runs" in answer["restored"]["why"]
    assert new.refused("invite.create", uses=1).code == "old_node_lives"
    alice.unlock()
    late = writes(alice, 2)  # it is still the true one
    agree(alice, bob)
    alice.stop()
    meet(new, bob)
    until(lambda: set(late) <= set(new.verdicts()), "what it wrote is told")
    answer = new.do("member.unlock", member=alice.member, passphrase=PASSPHRASE)
    assert answer["restored"]["state"] == "done", answer
    more = writes(new)
    agree(new, bob)
    alice.again()
    alice.unlock()
    error = alice.refused("invite.create", uses=1)
    assert error.code == "denied", "bob's node does not accept it any more"
    assert "peer block" in error.hint
    agree(new, bob)
    assert all(bob.verdicts()[one] == 1 for one in late + more)
    assert_no_fork(new, bob)


@pytest.mark.long
def test_a_coordinator_among_several_ends_the_old_device_when_the_seat_has_moved(
    elm_street: Street, safe: Safe
) -> None:
    alice, bob = elm_street.community("alice", "bob", roles={"bob": "member"})
    alice.do("community.propose", what="coordinators", add=["bob"])
    agree(alice, bob)
    safe.of(alice)
    lose(alice)
    new = restored(elm_street, safe, "alice-2")
    meet(new, bob)
    answer = new.do("member.unlock", member=alice.member, passphrase=PASSPHRASE)
    assert answer["restored"]["state"] == "seat", answer
    writes(new)  # with the new device
    agree(new, bob)
    (open_one,) = bob.see("community.acts")["table"]
    bob.do("community.endorse", operation=open_one["operation"])
    agree(new, bob)
    answer = new.do("member.unlock", member=alice.member, passphrase=PASSPHRASE)
    assert answer["restored"]["state"] == "done", answer
    assert len(answer["restored"]["retired"]) == 1
    agree(new, bob)
    assert_no_fork(new, bob)


@pytest.mark.long
def test_photos_jobs_and_agents_come_back_with_a_node(elm_street: Street, safe: Safe) -> None:
    """What only this machine had: a photo, what was paused, what runs by itself and may."""
    alice, bob = elm_street.community("alice", "bob", config=QUICK + 'parts = "on-demand"\n')
    asyncio.run(lend(alice.home))
    alice.do("resource.add", name="Drill", number="1")
    alice.do("resource.photo.add", resource="1",
             file={"name": "d.jpg", "data": base64.b64encode(jpeg(300_000)).decode()})  # fmt: skip
    photo = alice.see("resource.photo.show", resource="1", out="d.jpg")["picture"]
    (elm_street.folder / "tell.agent").write_bytes(package())
    agent = alice.reads("agent", "install", str(elm_street.folder / "tell.agent"), "--yes")
    assert agent["state"] == "active"
    alice.do("job.pause", job="tidy")
    run = alice.do("job.run", job="figures", wait=60)["run"]
    agree(alice, bob)
    assert safe.of(alice)["left_out"] is None
    assert safe.does("verify", elm_street.folder).code == 0
    lose(alice)

    new = restored(elm_street, safe, "alice-2")
    asyncio.run(lend(new.home))
    (row,) = new.see("resource.photo.show", resource="1")["photos"]
    assert row["here"], "bob has not fetched it: it comes from the backup"
    assert new.see("resource.photo.show", resource="1", out="d.jpg")["picture"] == photo
    (back,) = new.see("agent.list")["agents"]
    assert (back["name"], back["state"]) == ("tell", "active")
    jobs = {one["job"]: one["state"] for one in new.see("job.list")["jobs"]}
    assert jobs["tidy"] == "paused"
    (known,) = new.see("job.show", job="figures")["runs"]
    assert (known["run"], known["state"]) == (run, "done")
    assert new.do("job.run", job="figures", wait=60)["run"] > run + 1000
    assert len(new.see("job.show", job="figures")["runs"]) == 2
