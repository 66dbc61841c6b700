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
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.disks import Disk, disk
from tests.e2e.failing import fails
from tests.e2e.neighbourhood import (
    QUICK,
    House,
    Street,
    agree,
    clean_environment,
    cli,
    cut,
    heal,
    meet,
    street,
    until,
)
from tests.e2e.safes import assert_no_fork, writes
from tests.e2e.test_health_down import health

from commons_node.api.client import ApiError

pytestmark = pytest.mark.long
READ_ONLY = os.strerror(errno.EROFS)
READ_ONLY_TO_SQLITE = "disk I/O error"


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


class OnFailingDisk(House):
    """A house on a disk that fails when the test says so; see `failing`."""

    module = "tests.e2e.failing"

    def __init__(self, name: str, folder: Path) -> None:
        self._failed = folder / f"failed-{name}"
        surroundings = {"FAILS_WITH": str(self._failed)}
        config = QUICK + "disk_reserve = 0\n"
        super().__init__(name, folder / name, config=config, surroundings=surroundings)

    def fail(self) -> None:
        """From now on the node's process, all of it, can write nothing."""
        self._failed.touch()
        until(lambda: fails(self.process.pid), "the disk has failed")

    def mend(self) -> None:
        """What a host does while the node does not run."""
        self._failed.unlink()

    def doctor(self) -> dict[str, dict[str, str]]:
        """What it says on this machine, by the name of the check."""
        done = subprocess.run(
            [sys.executable, "-m", self.module, "doctor", "--home", self.home, "--json", "--quick"],
            env={**clean_environment(self.home), **self.surroundings},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return {one["check"]: one for one in json.loads(done.stdout)["checks"]}


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


def test_a_disk_that_fails_under_a_node(elm_street: Street) -> None:
    """The kernel makes it read-only, also for what is open: every write is refused with the reason,
    whoever watches is told, and nothing is lost; the host mends the disk, and it goes on.
    """
    (bob,) = elm_street.build("bob")
    alice = OnFailingDisk("alice", elm_street.folder)
    elm_street.houses.append(alice)
    alice.ready()
    alice.found()
    bob.join(alice.invite())
    alice.do("member.role", who="bob", role="member")
    told = writes(alice, 2)
    agree(alice, bob)
    before = alice.hashes()
    assert health(alice)[0] == 200

    alice.fail()
    error = alice.refused("resource.add", name="Saw", number="7")
    assert error.code == "database", error
    assert READ_ONLY_TO_SQLITE in str(error), error
    assert error.hint
    until(lambda: health(alice) == (503, {"store", "disk", "jobs"}), "watchers are told", 60)
    status = alice.see("status")
    assert status["health"]["store"] == "down"
    assert "cannot write to its disk" in status["warning"]
    assert READ_ONLY in status["warning"]
    found = alice.doctor()
    failed = {one for one, check in found.items() if check["state"] == "fail"}
    assert {"home", "node"} <= failed, found
    assert "read-only" in found["home"]["fix"]
    assert alice.hashes() == before, "it goes on showing what there is"
    assert alice.see("member.list")["members"]
    late = writes(bob)
    assert not set(late) & set(alice.verdicts()), "nothing is taken that is not written"

    assert alice.stop() == 0, "nothing but that ends it"
    alice.mend()
    alice.again()
    assert health(alice)[0] == 200
    assert alice.see("status")["warning"] is None
    assert alice.see("status")["repaired"] == [], "nothing was damaged"
    alice.unlock()
    told += writes(alice, 2)
    meet(alice, bob)
    agree(alice, bob)
    assert {*told, *late} <= set(bob.verdicts())
    assert {*told, *late} <= set(alice.verdicts())
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


MACHINES = ("/etc/machine-id", "/var/lib/dbus/machine-id")


@contextmanager
def machine_id() -> Iterator[Path]:
    """This machine's id; one is made for as long as the test takes where it has none."""
    for name in MACHINES:
        path = Path(name)
        if path.is_file() and path.read_bytes().strip():
            yield path
            return
    path = Path(MACHINES[0])
    empty = path.exists()
    path.write_text("fedcba9876543210fedcba9876543210\n")
    try:
        yield path
    finally:
        path.write_text("") if empty else path.unlink()


def elsewhere(alice: House, copy: Path, known: Path) -> House:
    """A daemon on the copy, which stands where the home was, of another machine's mounts."""
    other = copy.with_name("machine-id")
    other.write_text("0123456789abcdef0123456789abcdef\n")
    enter = f"mount --bind {copy} {alice.home} && mount --bind {other} {known}"
    return House(
        "there", copy, under=["unshare", "--mount", "sh", "-c", f'{enter} && exec "$@"', "sh"]
    )


def test_a_copy_on_another_machine(elm_street: Street) -> None:
    """The same folder under the same name on a machine of another id: it signs nothing alone."""
    with machine_id() as known:
        alice, bob = elm_street.community("alice", "bob")
        told = writes(alice, 2)
        agree(alice, bob)
        bob.stop()
        alice.stop()
        copy = elm_street.folder / "copy"
        shutil.copytree(alice.home, copy, ignore=shutil.ignore_patterns("api.sock"))
        there = elsewhere(alice, copy, known)
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


def test_both_copies_run_and_each_meets_somebody(elm_street: Street) -> None:
    """Two machines with one key, each with a neighbour that the other's has not met: nobody can
    prevent that they write; it is found out when the neighbours meet, and neither signs on.
    """
    with machine_id() as known:
        alice, bob, carol = elm_street.community("alice", "bob", "carol")
        told = writes(alice, 2)
        agree(alice, bob, carol)
        alice.stop()
        copy = elm_street.folder / "copy"
        shutil.copytree(alice.home, copy, ignore=shutil.ignore_patterns("api.sock"))
        cut(bob, carol)
        alice.again()
        alice.do("peer.block", node=bob.node)
        there = elsewhere(alice, copy, known)
        elm_street.houses.append(there)
        there.ready()
        there.member = alice.member
        there.do("peer.block", node=carol.node)
        for house, neighbour in ((alice, carol), (there, bob)):
            house.unlock()
            meet(house, neighbour)
            until(lambda one=house: not code_of(one), "who has met somebody may sign", 60)  # type: ignore[misc]
            agree(house, neighbour)
        heal(bob, carol)
        both, everybody = (alice, there), (alice, there, bob, carol)
        for house in everybody:
            until(lambda one=house: one.see("fork.list")["forks"], "it is found out", 60)  # type: ignore[misc]
        until(lambda: len({house.hashes() for house in everybody}) == 1, "all hold the same", 60)
        until(lambda: all(map(proofs, everybody)), "a neighbour proves it to all", 60)
        for house in everybody:
            assert {house.verdicts()[one] for one in told} == {1}, "what was there before stands"
            (fork,) = house.see("fork.list")["forks"]  # the node of both proves nothing
            assert fork["member"] == alice.member, "and everybody says whose device it is"
        assert {code_of(house) for house in both} == {"suspended"}, "and neither signs on"
        for house, state, fix in ((alice, "fail", "stop the other copy"), (bob, "warn", "resolve")):
            checks = cli(house.home, "doctor", "--json", "--quick").json["checks"]
            found = next(one for one in checks if one["check"] == "forks")
            assert (found["state"], fix in found["fix"]) == (state, True), found


def proofs(house: House) -> int:
    """How many proofs of forks it holds."""
    return int(house.query("SELECT count(*) FROM operations WHERE kind = 'fork.proof.1'")[0][0])


def code_of(house: House) -> str:
    """Why its member may not act; "" if it could."""
    try:
        house.do("invite.create", uses=1)
    except ApiError as error:
        return error.code
    return ""
