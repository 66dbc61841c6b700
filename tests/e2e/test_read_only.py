"""Homes in which nothing can be written, and homes that are started twice."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.disks import Disk, disk
from tests.e2e.neighbourhood import QUICK, House, Street, agree, clean_environment, cli, street
from tests.e2e.safes import assert_no_fork, writes

pytestmark = pytest.mark.long
READ_ONLY = os.strerror(errno.EROFS)


@pytest.fixture
def spare() -> Iterator[Disk]:
    """A disk on which a home stands; it goes after the street."""
    with tempfile.TemporaryDirectory(prefix="disk-") as folder, disk(Path(folder), "64m") as made:
        yield made


@pytest.fixture
def elm_street(spare: Disk) -> Iterator[Street]:
    with street() as made:
        yield made


def on(spare: Disk, elm_street: Street) -> House:
    alice = House("alice", spare.path / "alice", config=QUICK + "disk_reserve = 0\n")
    elm_street.houses.append(alice)
    alice.ready()
    alice.found()
    return alice


def contents(home: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in home.rglob("*") if one.is_file()}


def test_a_disk_that_is_mounted_read_only(spare: Disk, elm_street: Street) -> None:
    """As after errors: said at the start, nothing lost, and it goes on after."""
    alice = on(spare, elm_street)
    before = alice.hashes()
    alice.stop()
    held = contents(alice.home)
    alice._log.close()  # a file that is open for writing keeps the disk writable
    spare.remount("ro")
    said = cli(alice.home, "run", "--json")
    assert said.code != 0
    assert READ_ONLY in said.error["message"], said
    assert said.error["hint"]
    assert "Traceback" not in said.err
    doctor = cli(alice.home, "doctor", "--json")
    home = next(one for one in doctor.json["checks"] if one["check"] == "home")
    assert home["state"] == "fail"
    assert "read-only" in home["fix"]
    assert contents(alice.home) == held
    spare.remount("rw")
    alice._log = (alice.home / "log").open("ab")
    alice.again()
    assert alice.hashes() == before
    assert alice.see("status")["repaired"] == [], "nothing was damaged"
    alice.unlock()
    writes(alice)


def test_a_disk_that_turns_read_only_under_a_node(spare: Disk, elm_street: Street) -> None:
    """It goes on showing what there is, says why it writes nothing, and writes again after."""
    (bob,) = elm_street.build("bob")
    alice = on(spare, elm_street)
    bob.join(alice.invite())
    agree(alice, bob)
    subprocess.run(["mount", "--bind", str(alice.home), str(alice.home)], check=True)
    try:
        mounted = ["mount", "-o", "remount,bind,ro", str(alice.home)]
        subprocess.run(mounted, check=True)
        files = list((alice.home / "realms").glob("*.db*"))
        assert files
        # what is open stays writable by its handles; whatever is opened anew is refused
        error = alice.refused("backup.create", folder=str(alice.home / "safe"), passphrase="x" * 20)
        assert READ_ONLY in str(error), error
        assert error.hint
        assert alice.see("member.list")["members"]
    finally:
        subprocess.run(["umount", "--lazy", str(alice.home)], check=True)
    more = writes(alice, 2)
    agree(alice, bob)
    assert set(more) <= set(bob.verdicts())
    assert_no_fork(alice, bob)


@pytest.mark.parametrize(("owner", "mode"), [(65_534, 0o700), (0, 0o500)])
def test_a_folder_that_this_user_may_not_write(elm_street: Street, owner: int, mode: int) -> None:
    """It is somebody else's, or its mode forbids it; root without its powers stands for a user."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        assert not os.environ.get("CI"), "with CI=true this must run"
        pytest.skip("only root can give a folder away, and setpriv takes its powers")
    (alice,) = elm_street.build("alice")
    alice.found()
    alice.stop()
    held = contents(alice.home)
    for one in (alice.home, alice.home / "run"):
        os.chown(one, owner, owner)
        one.chmod(mode)
    powers = "-dac_override,-dac_read_search,-fowner"
    done = subprocess.run(
        ["setpriv", f"--bounding-set={powers}", f"--inh-caps={powers}",
         sys.executable, "-m", "commons_node", "run", "--home", str(alice.home), "--json"],
        env=clean_environment(alice.home), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "Traceback" not in done.stderr, done.stderr
    error = json.loads(done.stderr.splitlines()[-1])["error"]
    assert str(alice.home) in error["message"] or "readonly" in error["message"], error
    assert "writable" in error["hint"] or "give this one to your user" in error["hint"], error
    for one in (alice.home, alice.home / "run"):
        os.chown(one, 0, 0)
        one.chmod(0o700)
    assert contents(alice.home) == held
    alice.again()


def test_a_home_that_is_started_twice(elm_street: Street) -> None:
    """By the same name, and by another one of the same folder; the first goes on as if nothing."""
    (alice,) = elm_street.build("alice")
    alice.found()
    held = alice.verdicts()
    other = elm_street.folder / "link"
    other.symlink_to(alice.home)
    for home in (alice.home, other):
        said = cli(home, "run", "--json")
        assert said.code != 0
        assert said.error["code"] == "already_running"
        assert str(alice.process.pid) in said.error["message"]
        assert "commons-node status" in said.error["hint"]
    assert alice.verdicts() == held
    assert alice.process.poll() is None
    writes(alice)


def test_a_copy_on_another_machine(elm_street: Street) -> None:
    """The same folder under the same name on a machine of another id: it signs nothing alone."""
    alice, bob = elm_street.community("alice", "bob")
    told = writes(alice, 2)
    agree(alice, bob)
    bob.stop()
    alice.stop()
    copy = elm_street.folder / "copy"
    shutil.copytree(alice.home, copy, ignore=shutil.ignore_patterns("api.sock"))
    machine = elm_street.folder / "machine-id"
    machine.write_text("0123456789abcdef0123456789abcdef\n")
    # the copy stands where the home was, of another machine's mounts
    enter = f"mount --bind {copy} {alice.home} && mount --bind {machine} /etc/machine-id"
    if not Path("/etc/machine-id").exists():
        enter = f"mount --bind {copy} {alice.home}"
    there = House(
        "there", copy, under=["unshare", "--mount", "sh", "-c", f'{enter} && exec "$@"', "sh"]
    )
    elm_street.houses.append(there)
    there.ready()
    there.member = alice.member
    there.unlock()
    assert there.refused("invite.create", uses=1).code == "copied_home"
    alice.again()
    alice.unlock()
    more = writes(alice, 2)
    assert there.refused("invite.create", uses=1).code == "copied_home"
    there.stop()
    bob.again()
    agree(alice, bob)
    assert {*told, *more} <= set(bob.verdicts())
    assert_no_fork(alice, bob)
