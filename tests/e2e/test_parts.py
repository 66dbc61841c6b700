"""Photos between real daemons: they come by themselves, in pieces, and go where they must."""

from __future__ import annotations

import base64
import signal
import sqlite3
from contextlib import closing, suppress

import pytest
from tests.e2e.neighbourhood import QUICK, House, agree, cut, heal, street, until
from tests.unit.pictures import CAMERA, PLACE, jpeg


def given(data: bytes) -> dict[str, str]:
    return {"name": "drill.jpg", "data": base64.b64encode(data).decode()}


def adds(house: House, data: bytes, resource: str = "1") -> dict[str, object]:
    return house.do("resource.photo.add", resource=resource, file=given(data))


def photos(house: House, resource: str = "1") -> list[dict[str, object]]:
    found: list[dict[str, object]] = house.see("resource.photo.show", resource=resource)["photos"]
    return found


def stored(house: House) -> list[tuple[int, bytes]]:
    """Every chunk on the disk of a node."""
    (path,) = (house.home / "realms").glob("*.db")
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as file:
        return file.execute("SELECT part, bytes FROM chunks ORDER BY part, first").fetchall()


def test_a_photo_is_added_at_one_node_and_seen_at_the_other() -> None:
    with street() as elm_street:
        alice, bob = elm_street.community("alice", "bob")
        alice.do("resource.add", name="Drill", number="1")
        added = adds(alice, jpeg(300_000))
        assert added["verdict"] == "accepted"
        assert int(str(added["removed"])) > len(PLACE) + len(CAMERA)
        agree(alice, bob)
        until(lambda: photos(bob)[0]["here"], "it comes by itself, nobody looked")
        seen = bob.see("resource.photo.show", resource="1", out="drill.jpg")
        picture = base64.b64decode(seen["picture"])
        assert len(picture) == added["bytes"]
        assert PLACE not in picture
        assert CAMERA not in picture
        status = bob.see("status")["communities"][0]["parts"]
        assert (status["known"], status["here"]) == (1, 1)
        assert status["bytes"] == len(picture) + 32
        hashes = alice.hashes(), bob.hashes()
        assert hashes[0] == hashes[1]
        alice.do("resource.photo.remove", resource="1", photo=1)
        agree(alice, bob)
        assert not stored(alice), "what is erased is gone from the disk"
        assert not stored(bob)
        assert photos(bob) == []
        assert not {"part_liar", "order", "part"} & bob.refusals().keys()


def parts_of(house: House) -> list[tuple[int, int, int]]:
    """(length, have, whole) of each large part on the disk of a node."""
    (path,) = (house.home / "realms").glob("*.db")
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as file:
        return file.execute("SELECT length, have, whole FROM large ORDER BY n").fetchall()


def halves(house: House) -> list[int]:
    """Which of them are here in part."""
    return [n for n, (all_, have, _) in enumerate(parts_of(house)) if 0 < have < all_]


def caught_in_the_middle(house: House) -> bool:
    """Stop it where it is; it goes on if that was between one photo and the next."""
    house.process.send_signal(signal.SIGSTOP)
    with suppress(sqlite3.OperationalError):  # it holds its file right now
        if halves(house):
            return True
    house.process.send_signal(signal.SIGCONT)
    return False


@pytest.mark.long
def test_a_node_that_is_killed_in_the_middle_and_is_short_of_room() -> None:
    many = 6
    with street() as elm_street:
        alice, bob = elm_street.community("alice", "bob", config=QUICK + 'parts = "texts"\n')
        alice.do("resource.add", name="Drill", number="1")
        for seed in range(many):
            adds(alice, jpeg(4_500_000, seed=seed))
        agree(alice, bob)
        assert len(photos(bob)) == many
        assert not stored(bob), "nobody looked"
        bob.do("part.policy", policy="all")

        # killed while a photo comes, it goes on where it was
        until(lambda: caught_in_the_middle(bob), "some is half here")
        bob.kill()
        before = parts_of(bob)
        half = halves(bob)
        assert half, "the disk says so, too"
        assert sum(have for _, have, _ in before) == sum(len(data) for _, data in stored(bob))
        bob.again().unlock()
        until(lambda: all(row["here"] for row in photos(bob)), "all of them are here", 60)
        seen = bob.see("resource.photo.show", resource="1", photo=half[0] + 1, out="x")
        assert len(base64.b64decode(seen["picture"])) == seen["photos"][half[0]]["bytes"]

        # room for two: what alice still has goes, what somebody looks at comes
        chosen = bob.do("part.policy", quota=10)
        assert chosen["policy"] == "all"
        until(lambda: sum(len(data) for _, data in stored(bob)) <= 10 << 20, "room is made")
        assert bob.see("status")["communities"][0]["parts"]["reason"], "status says why"
        gone = next(n for n, row in enumerate(photos(bob), 1) if not row["here"])
        bob.see("resource.photo.show", resource="1", photo=gone, out="x")
        assert photos(bob)[gone - 1]["here"], "a look brings it"
        assert sum(len(data) for _, data in stored(bob)) <= 10 << 20
        assert all(row["here"] for row in photos(alice)), "what was added there stays"

        # nobody has it: said, with what to do
        gone = next(n for n, row in enumerate(photos(bob), 1) if not row["here"])
        cut(alice, bob)
        said = bob.cli("resource", "photo", "show", "1", "--photo", str(gone), "--out", "x.jpg")
        assert (said.code, said.error["code"]) == (1, "part_not_here")
        assert "peer list" in said.error["hint"]
        heal(alice, bob)
        agree(alice, bob)
        out = bob.home / "x.jpg"
        words = ("resource", "photo", "show", "1", "--photo", str(gone), "--out", str(out))
        until(lambda: bob.cli(*words).code == 0 or out.exists(), "and it comes again", 60)
        assert out.read_bytes().startswith(b"\xff\xd8")
        assert PLACE not in out.read_bytes()
        assert bob.do("part.fetch")["fetched"] >= 0
