"""A lost machine's private realm comes back from its backup, and no key of it signs there again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from tests.e2e.neighbourhood import PASSPHRASE, WAIT_S, House, Street, agree, meet, street, until
from tests.e2e.safes import Safe, lose, restored
from tests.e2e.venue import open_cafe

pytestmark = pytest.mark.long


@pytest.fixture
def elm_street() -> Iterator[Street]:
    with street() as made:
        yield made


@pytest.fixture
def safe(elm_street: Street) -> Safe:
    return Safe(elm_street.folder)


def realms(house: House) -> set[str]:
    """The private realms that a machine writes in."""
    return {path.stem for path in (house.home / "own").glob("*.db")}


def lost(house: House) -> set[str]:
    """Those of a lost machine that it has not taken up yet."""
    return {path.stem for path in (house.home / "own" / "lost").glob("*.db")}


def authors(house: House) -> dict[bytes, int]:
    """How many private entries each device has written, of all that stand here."""
    found: dict[bytes, int] = {}
    for path in (house.home / "own").glob("*.db"):
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as file:
            rows = file.execute(
                "SELECT c.device, count(*) FROM operations o JOIN chains c ON c.n = o.chain"
                " WHERE o.kind = 'own.entry.1' GROUP BY 1"
            ).fetchall()
        found |= dict(rows)
    return found


def founder(house: House) -> bytes:
    """The device that made the private realm of a house."""
    (path,) = (house.home / "own").glob("*.db")
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as file:
        query = "SELECT c.device FROM operations o JOIN chains c ON c.n = o.chain ORDER BY o.n"
        return bytes(file.execute(query).fetchone()[0])


def doors(house: House) -> int:
    return len(house.query("SELECT 1 FROM operations WHERE kind = 'own.door.1'"))


def listed(house: House) -> list[tuple[str, str]]:
    return [(one["space_name"], one["state"]) for one in house.see("checkin.list")["checkins"]]


def test_check_ins_of_a_lost_machine_come_back_and_are_counted_once(
    elm_street: Street, safe: Safe
) -> None:
    cafe = open_cafe(elm_street)
    alice, bob = cafe.alice, cafe.bob
    for name in ("cia", "dan", "eve", "fay", "bob"):
        cafe.comes(name)
    until(lambda: len(cafe.tags()) == 5, "five came, and are counted")
    agree(alice, bob)
    before, (former,) = authors(bob), realms(bob)
    safe.of(bob)
    for what in ("verify", "rehearse"):
        said = safe.does(what, elm_street.folder)
        assert said.code == 0, said
    lose(bob)
    alice.stop()

    new = restored(elm_street, safe, "bob-2")
    assert (lost(new), realms(new)) == ({former}, set())
    answer = new.do("member.unlock", member=bob.member, passphrase=PASSPHRASE)
    assert answer["restored"]["state"] == "waiting", "in the community it signs nothing yet"
    until(lambda: not lost(new), "what is Bob's alone waits for nobody")
    assert listed(new) == [("Café", "here")]
    assert former not in realms(new)
    assert not authors(new).keys() & before.keys(), "no key of the lost machine has signed"
    written = sum(authors(new).values())
    new.kill()
    new.again()
    new.do("member.unlock", member=bob.member, passphrase=PASSPHRASE)
    until(lambda: sum(authors(new).values()) > written, "started once more it still may write")
    assert listed(new) == [("Café", "here")], "nothing of it came twice"

    alice.again()
    meet(new, alice)
    until(lambda: not new.see("status")["restored"], "the rest is done when somebody is there")
    again = new.do("checkin.create", space="Café", code=cafe.code())
    assert again["again"], "he is there already, as the lost machine had it"
    agree(alice, new)
    new.do("checkin.end")
    until(lambda: listed(new) == [("Café", "left")], "and he can leave")
    assert len(cafe.tags()) == 5, "nobody was counted twice"


def test_a_lost_second_machine_comes_into_the_same_realm_by_a_new_device(
    elm_street: Street, safe: Safe
) -> None:
    alice, bob = elm_street.community("alice", "bob")
    (phone,) = elm_street.build("phone")
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
    code = alice.do("space.code", space="Café")["code"]
    bob.do("checkin.create", space="Café", code=code)
    phone.unlock()
    until(lambda: realms(phone) == realms(bob), "the phone comes in by Bob's other machine")
    until(lambda: len(authors(bob)) == 2, "and has written there")
    safe.of(phone)
    lose(phone)
    before = {one: count for one, count in authors(bob).items() if one != founder(bob)}
    assert len(before) == 1, "what the phone had written"

    new = restored(elm_street, safe, "phone-2")
    new.member = bob.member
    meet(new, alice)
    meet(new, bob)
    new.do("member.unlock", member=bob.member, passphrase=PASSPHRASE)
    until(lambda: not new.see("status")["restored"], "it has a device of its own")
    agree(alice, bob, new)
    assert realms(new) == set(), "it founds no other realm: Bob's other machine has one"
    bob.unlock()
    until(lambda: doors(bob) == 2, "which lets the new device in")
    agree(alice, bob, new)
    new.unlock()
    until(lambda: realms(new) == realms(bob), "it comes in again by Bob's other machine")
    until(lambda: not lost(new), "and has looked what the backup had beyond that")
    until(lambda: listed(new) == [("Café", "here")], "he sees his check-in, once")
    until(lambda: len(authors(bob)) == 3, "the new device writes there")
    assert {device: authors(bob)[device] for device in before} == before, "and the lost one no more"
