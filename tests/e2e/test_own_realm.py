"""A check-in on one machine of a member is seen on the member's other one, and nowhere else."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from tests.e2e.neighbourhood import PASSPHRASE, WAIT_S, House, agree, meet, street, until

pytestmark = pytest.mark.long


def realms(house: House) -> set[str]:
    """The private realms that a machine keeps."""
    return {path.stem for path in (house.home / "own").glob("*.db")}


def entries(house: House) -> int:
    """How many private entries stand in them."""
    found = 0
    for path in (house.home / "own").glob("*.db"):
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
            (count,) = connection.execute(
                "SELECT count(*) FROM operations WHERE kind = 'own.entry.1'"
            ).fetchone()
            found += count
    return found


def test_two_machines_of_one_member_keep_one_realm_and_the_host_none() -> None:
    with street() as made:
        alice, bob = made.community("alice", "bob")
        (phone,) = made.build("phone")
        asked = phone.do(
            "member.device.join",
            code=bob.do("member.device.add", name="phone")["code"],
            passphrase=PASSPHRASE,
        )
        bob.do("member.device.confirm", digits=asked["spoken"])
        assert phone.do("member.device.finish", wait=WAIT_S)["state"] == "joined"
        phone.member = bob.member
        alice.do("space.create", name="Café")
        meet(phone, alice)
        meet(phone, bob)
        agree(alice, bob, phone)

        bob.do("checkin.create", space="Café", code=alice.do("space.code", space="Café")["code"])
        assert len(realms(bob)) == 1
        until(lambda: entries(bob) >= 2, "an entry, and one that says nothing")
        agree(alice, bob, phone)
        phone.unlock()
        until(lambda: realms(phone) == realms(bob), "the phone comes in by Bob's other machine")

        def seen() -> bool:
            listed = phone.see("checkin.list")["checkins"]
            return bool(listed) and listed[0]["space_name"] == "Café"

        until(seen, "and reads what Bob wrote on it")
        phone.do("checkin.end")
        until(
            lambda: bob.see("checkin.list")["checkins"][0]["state"] == "left",
            "what he ends on the phone has ended on the other one",
        )
        assert realms(alice) == set(), "the host's machine does not know that there is such a realm"
        (realm,) = realms(bob)
        for path in alice.home.rglob("*"):
            if path.is_file():
                data = path.read_bytes()
                assert realm.encode() not in data, f"{path.name} names it nowhere"
                assert bytes.fromhex(realm) not in data, f"{path.name} names it nowhere"
