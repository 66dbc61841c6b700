"""Photos between real daemons: they come by themselves, in pieces, and go where they must."""

from __future__ import annotations

import base64
import sqlite3
from contextlib import closing

from tests.e2e.neighbourhood import House, agree, street, until
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
