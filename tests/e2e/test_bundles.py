"""Three houses that meet by stick only, with real daemons and real files."""

from __future__ import annotations

import base64
import errno
import os
import shutil
import sqlite3
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.neighbourhood import House, Street, street, until
from tests.e2e.test_parts import adds, photos
from tests.unit.pictures import jpeg

from commons_node.api.client import ApiError


@pytest.fixture
def elm_street() -> Iterator[Street]:
    with street() as made:
        yield made


def part(*houses: House) -> None:
    """They know of nobody any more: not where, and not who. There is no network between them."""
    for house in houses:
        assert house.stop() == 0
        with closing(sqlite3.connect(house.home / "node.db", isolation_level=None)) as file:
            file.execute("DELETE FROM peers")
    for house in houses:
        house.again()
        house.unlock()


def carry(giver: House, taker: House, **wish: Any) -> dict[str, Any]:
    """One stick from house to house; what the taker was told."""
    stick = giver.home.parent / f"{giver.name}-{taker.name}.bundle"
    giver.do("bundle.export", file=str(stick), **wish)
    return taker.do("bundle.import", file=str(stick))


def never_met(*houses: House) -> None:
    for house in houses:
        assert house.see("status")["peers"] == 0, f"{house.name} is connected with nobody"


@pytest.mark.long
def test_three_houses_that_meet_by_stick_only_lend_and_remove(elm_street: Street) -> None:
    roles = {"bob": "member", "carol": "steward"}
    alice, bob, carol = elm_street.community("alice", "bob", "carol", roles=roles)
    part(alice, bob, carol)

    # a loan that is signed in two houses
    drill = alice.do("resource.add", name="Drill")["resource"]
    told = carry(alice, bob)
    assert (told["refused"], told["missing"], told["maker"]) == ([], 0, "alice")
    assert told["reply"] == f"commons-node bundle export FILE --for {alice.node[:8]}"
    loan = bob.do("loan.request", resource=drill, days=3)["loan"]
    whole = alice.home.parent / "whole.bundle"
    size = bob.do("bundle.export", file=str(whole))
    back = bob.home.parent / "back.bundle"
    delta = bob.do("bundle.export", file=str(back), **{"for": alice.node[:8]})
    assert 0 < delta["operations"] < size["operations"], "only what alice lacks"
    assert delta["whole"] is False
    assert alice.do("bundle.import", file=str(back))["missing"] == 0
    alice.do("loan.approve", loan=loan)
    alice.do("loan.handover", loan=loan)
    carry(alice, bob, **{"for": "bob"})
    assert bob.do("loan.accept", loan=loan)["verdict"] == "accepted"
    carry(bob, carol)
    assert carol.see("loan.show", loan=loan)["state"] == "on_loan", "carol hears it from bob"
    carry(carol, alice)
    assert alice.hashes() == bob.hashes() == carol.hashes()

    # what is known by letter, and since when
    (row,) = [p for p in alice.see("peer.list")["peers"] if p["node"] == bob.node]
    assert (row["connected"], row["state"]) == (False, "unknown"), "never synced by a letter"
    assert "As of its bundle of" in row["sync"]["reason"]
    assert f"--for {bob.node[:8]}" in row["next"]
    status = alice.see("status")["communities"][0]
    assert status["sync"] == "alone"
    assert "bundle export FILE --for" in status["next_action"]

    # a removal, while carol writes on
    epochs = "SELECT count(*) FROM operations WHERE kind = 'membership.epoch.1'"
    first = alice.query(epochs)
    before = alice.home.parent / "before.bundle"
    alice.do("bundle.export", file=str(before))
    carol.do("resource.add", name="Carol's ladder")
    assert alice.do("member.remove", who="carol", reason="security")["verdict"] == "accepted"
    carry(carol, bob)
    carry(bob, alice)
    carry(alice, bob)
    after = alice.home.parent / "after.bundle"
    alice.do("bundle.export", file=str(after))
    assert alice.hashes() == bob.hashes(), "with what carol wrote meanwhile"
    assert bob.query(epochs) > first, "the epoch key is another"
    assert bob.do("bundle.import", file=str(before))["missing"] == 0, "old bundles open as before"
    refused = carol.refused("bundle.import", file=str(after))
    assert refused.code == "bundle_sealed", "made after her removal: it is not for her"
    again = carol.do("bundle.import", file=str(before))
    assert again["new"] == 0, "made before: she opens it, and it is nothing new"
    stick = carol.home.parent / "carols.bundle"
    carol.do("bundle.export", file=str(stick))
    refused = bob.refused("bundle.import", file=str(stick))
    assert refused.code == "bundle_maker", "who does not stand is not believed"
    never_met(alice, bob, carol)


def picture(house: House, photo: int = 1) -> bytes:
    """A photo as somebody sees it in a house."""
    seen = house.see("resource.photo.show", resource="7", photo=photo, out="seen.jpg")
    return base64.b64decode(seen["picture"])


@pytest.mark.long
def test_photos_go_from_house_to_house_by_stick(elm_street: Street, tmp_path: Path) -> None:
    """Two real daemons that never meet; the stick is torn in the middle of a photo once."""
    alice, bob = elm_street.community("alice", "bob", roles={"bob": "member"})
    part(alice, bob)
    alice.do("resource.add", name="Tent", number="7")
    for seed, size in ((1, 200_000), (2, 1_500_000)):
        adds(alice, jpeg(size, seed=seed), "7")
    stick = tmp_path / "photos.bundle"
    done = alice.do("bundle.export", file=str(stick))
    assert done["large_parts"] == 2
    light = tmp_path / "light.bundle"
    small = alice.do("bundle.export", file=str(light), parts_up_to=100_000)
    assert (small["large_parts"], small["parts_left"]) == (0, 2)
    assert small["bytes"] + 1_700_000 < done["bytes"]

    # without the photos: he hears of them, and asks for them on the way back
    told = bob.do("bundle.import", file=str(light))
    assert (told["missing"], told["large_parts"]["lacking"]) == (0, 2)
    assert [one["here"] for one in photos(bob, "7")] == [False, False]
    back = tmp_path / "back.bundle"
    assert bob.do("bundle.export", file=str(back), **{"for": "alice"})["wanted"] == 2
    alice.do("bundle.import", file=str(back))
    answer = tmp_path / "answer.bundle"
    given = alice.do("bundle.export", file=str(answer), **{"for": "bob"})
    assert (given["operations"], given["large_parts"]) == (0, 2)

    # torn in the second photo: the first is there, and the whole file goes on
    torn = tmp_path / "torn.bundle"
    torn.write_bytes(answer.read_bytes()[: given["bytes"] // 2])
    dry = bob.refused("bundle.import", file=str(torn), dry_run=True)
    assert dry.report is not None
    assert dry.report["large_parts"]["new"] == 1
    assert [one["here"] for one in photos(bob, "7")] == [False, False], "nothing was changed"
    refused = bob.refused("bundle.import", file=str(torn))
    assert refused.code == "bundle_incomplete"
    assert refused.report is not None
    assert refused.report["large_parts"]["new"] == 1
    bob.kill()
    bob.assert_whole()
    ((have, length),) = bob.query("SELECT have, length FROM large WHERE NOT whole")
    assert 0 < have < length, "half of the second one is on the disk, over a kill -9"
    bob.again()
    bob.unlock()
    told = bob.do("bundle.import", file=str(answer))["large_parts"]
    assert (told["new"], told["known"], told["left"], told["lacking"]) == (1, 1, {}, 0)
    assert [picture(bob, n) for n in (1, 2)] == [picture(alice, n) for n in (1, 2)]
    told = bob.do("bundle.import", file=str(stick))
    assert (told["new"], told["large_parts"]["new"], told["large_parts"]["known"]) == (0, 0, 2)
    assert alice.hashes() == bob.hashes()
    never_met(alice, bob)


@pytest.mark.long
def test_a_node_that_is_killed_while_it_imports_goes_on(elm_street: Street) -> None:
    alice, bob = elm_street.community("alice", "bob", roles={"bob": "member"})
    part(alice, bob)
    rows = "\n".join(f"{n},Thing {n},a long description of thing {n}" for n in range(1500))
    data = base64.b64encode(f"number,name,notice\n{rows}\n".encode()).decode()
    assert alice.do("resource.import", file={"name": "many.csv", "data": data})["created"] == 1500
    stick = alice.home.parent / "many.bundle"
    done = alice.do("bundle.export", file=str(stick))
    before = sum(bob.operations().values())

    def imports() -> None:
        with suppress(ApiError):
            bob.do("bundle.import", file=str(stick))

    taking = threading.Thread(target=imports)
    taking.start()
    count = "SELECT count(*) FROM operations"
    until(lambda: bob.query(count)[0][0] > before, "the first batch is on the disk")
    bob.kill()
    taking.join(20)
    bob.assert_whole()
    bob.again()
    bob.unlock()
    kept = bob.query(count)[0][0]
    assert before < kept < done["operations"], "it was killed in the middle"
    told = bob.do("bundle.import", file=str(stick))
    assert told["new"] == done["operations"] - kept, "what was imported stayed"
    assert (told["missing"], told["refused"]) == (0, [])
    assert alice.hashes() == bob.hashes()
    never_met(alice, bob)


@pytest.mark.long
def test_what_goes_wrong_with_a_stick_is_said(elm_street: Street, tmp_path: Path) -> None:
    alice, bob = elm_street.community("alice", "bob")
    (eve,) = elm_street.build("eve")
    eve.found("Oak Street")
    part(alice, bob)
    for n in range(30):
        alice.do("resource.add", name=f"Thing {n}", notice="x" * 400)
    stick = tmp_path / "a.bundle"
    alice.do("bundle.export", file=str(stick))
    assert stat.S_IMODE(stick.stat().st_mode) == 0o600
    whole = stick.read_bytes()

    def said(house: House, path: Path, *more: str) -> tuple[int, str, str]:
        answer = house.cli("bundle", "import", str(path), *more)
        return answer.code, answer.error["code"], answer.error["message"]

    assert said(eve, stick)[:2] == (1, "bundle_sealed")
    assert "another community" in said(eve, stick)[2]
    assert said(bob, tmp_path)[:2] == (2, "usage"), "a folder"
    assert said(bob, tmp_path / "no")[:2] == (2, "bad_file")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert said(bob, pipe)[:2] == (2, "bad_file"), "it does not wait for what never comes"
    newer = tmp_path / "newer"
    newer.write_bytes(whole[:14] + b"\x02" + whole[15:])
    assert said(bob, newer)[:2] == (1, "bundle_version")
    assert "newer program" in said(bob, newer)[2]
    other = tmp_path / "photo.jpg"
    other.write_bytes(b"\xff\xd8" * 2000)
    assert said(bob, other)[:2] == (1, "bundle_magic")

    dry = bob.cli("bundle", "import", str(stick), "--dry-run").json
    assert dry["would_bring"] > 30
    assert not list((bob.home / "realms").glob("*rehearsal*")), "nothing is left of it"
    torn = tmp_path / "torn"
    torn.write_bytes(whole[:-5000])
    answer = bob.cli("bundle", "import", str(torn))
    assert (answer.code, answer.error["code"]) == (1, "bundle_incomplete")
    assert bob.see("resource.list")["resources"] == [], "of one chunk nothing stands before"
    assert bob.cli("bundle", "import", str(stick)).json["new"] == dry["would_bring"], (
        "the dry run has changed nothing, and said the truth"
    )
    old = tmp_path / "old.bundle"
    alice.cli("bundle", "export", str(old), "--lifetime", "0s")
    assert said(bob, old)[:2] == (1, "bundle_expired")
    assert bob.cli("bundle", "import", str(old), "--even-expired").json["new"] == 0


@pytest.mark.long
def test_a_full_stick_and_one_that_cannot_be_written(elm_street: Street, tmp_path: Path) -> None:
    """A real small file system, which only root can mount, in a place of its own."""
    (alice,) = elm_street.community("alice")
    small = tmp_path / "stick"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)],
        capture_output=True, check=False,
    )  # fmt: skip
    if mounted.returncode:
        if os.environ.get("CI"):
            pytest.fail(f"nothing can be mounted here: {mounted.stderr.decode()}")
        pytest.skip("nothing can be mounted here")
    try:
        answer = alice.cli("bundle", "export", str(small / "a.bundle"))
        assert (answer.code, answer.error["code"]) == (2, "bad_file")
        assert os.strerror(errno.ENOSPC) in answer.error["message"]
        assert list(small.iterdir()) == [], "and nothing is left on it"
        subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
        answer = alice.cli("bundle", "export", str(small / "a.bundle"))
        assert (answer.code, answer.error["code"]) == (2, "bad_file")
        assert os.strerror(errno.EROFS) in answer.error["message"]
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.long
def test_a_home_that_moved_may_sign_when_a_letter_told_it_what_others_have(
    elm_street: Street,
) -> None:
    alice, bob = elm_street.community("alice", "bob", roles={"bob": "steward"})
    part(alice, bob)
    early = alice.home.parent / "early.bundle"
    alice.do("bundle.export", file=str(early))
    written = bob.do("resource.add", name="Saw")["operation"]
    carry(bob, alice)
    bob.stop()
    shutil.copytree(
        bob.home, elm_street.folder / "moved", ignore=shutil.ignore_patterns("api.sock")
    )
    (moved,) = elm_street.build("moved")
    moved.member = bob.member
    moved.unlock()
    assert moved.refused("resource.add", name="Axe").code == "copied_home"
    moved.do("bundle.import", file=str(early))
    assert moved.refused("resource.add", name="Axe").code == "copied_home", "that was before"
    told = carry(alice, moved)
    assert told["missing"] == 0
    assert moved.do("resource.add", name="Axe")["verdict"] == "accepted"
    assert carry(moved, alice)["refused"] == []
    assert written in alice.verdicts()
    assert not alice.query("SELECT 1 FROM operations GROUP BY chain, seq HAVING count(*) > 1")
