"""One signer for each chain: copies and restored homes fetch their own newer operations first."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.e2e.neighbourhood import House, Street, agree, meet, street, until


@pytest.fixture
def elm_street() -> Iterator[Street]:
    with street() as made:
        yield made


def writes(house: House, times: int = 1) -> list[str]:
    """So many operations of the house's member, as the API acknowledged them."""
    return [house.do("invite.create", uses=1)["operation"] for _ in range(times)]


def assert_one_chain(*houses: House) -> None:
    """No chain has two operations at one place, and nothing is contested."""
    for house in houses:
        doubled = house.query("SELECT chain, seq FROM operations GROUP BY 1, 2 HAVING count(*) > 1")
        assert doubled == [], f"{house.name} holds no fork"
        assert house.operations()["contested"] == 0


@contextmanager
def held_still(house: House) -> Iterator[None]:
    """All files are of one moment, as in a snapshot of the disk: a file and its log fit."""
    runs = house.process.poll() is None
    if runs:
        house.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        if runs:
            house.process.send_signal(signal.SIGCONT)


def copied(elm_street: Street, alice: House, *without: str) -> House:
    """The same home at another place, as a backup program or a curious person makes it."""
    home = elm_street.folder / "copy"
    with held_still(alice):
        shutil.copytree(alice.home, home, ignore=shutil.ignore_patterns("api.sock", *without))
    (copy,) = elm_street.build("copy")
    copy.member = alice.member
    return copy


@pytest.mark.long
def test_a_copied_home_without_its_node_key_signs_nothing_when_it_is_unlocked(
    elm_street: Street,
) -> None:
    """Unlocking makes a node at home that has no device; here that is an act at a taken place."""
    alice, bob = elm_street.community("alice", "bob")
    bob.stop()
    alice.stop()
    copy = copied(elm_street, alice, "node.key")
    alice.again()
    alice.unlock()
    newer = writes(alice, 2)
    before = copy.verdicts()
    copy.unlock()
    assert copy.node != alice.node, "it has lost its device"
    assert copy.refused("invite.create", uses=1).code == "copied_home"
    assert copy.see("member.list")["members"], "it can be read"
    assert copy.verdicts() == before, "it signed nothing"
    assert set(newer).isdisjoint(before), "and the places are taken"


@pytest.mark.long
def test_a_copied_home_signs_nothing_before_it_has_met_somebody(elm_street: Street) -> None:
    alice, bob = elm_street.community("alice", "bob")
    alice.stop()
    bob.stop()
    alice.again()
    alice.unlock()
    copy = copied(elm_street, alice)
    assert copy.node == alice.node, "a copy has the same keys: that is why it must not sign"
    newer = writes(alice, 3)
    copy.unlock()
    error = copy.refused("invite.create", uses=1)
    assert (error.code, error.exit) == ("copied_home", 4), "the copy does not sign"
    assert copy.see("member.list")["members"], "but it can be read"

    copy.kill()
    copy.again()
    copy.unlock()
    again = copy.refused("invite.create", uses=1)
    assert again.code == "copied_home", "starting it once more does not make it the original"
    code = alice.invite()
    copy.stop()

    bob.again()
    agree(alice, bob)
    alice.stop()
    copy.again()
    copy.unlock()
    meet(copy, bob)
    until(lambda: set(newer) <= set(copy.verdicts()), "the copy fetches what it never wrote")
    after = writes(copy, 2)
    agree(copy, bob)
    assert set(newer + after) <= set(bob.verdicts()), "nothing is lost"
    assert all(bob.verdicts()[one] == 1 for one in newer + after), "everything is accepted"
    assert_one_chain(copy, bob)

    (cleo,) = elm_street.build("cleo")
    assert cleo.join(code, address=copy.address)["state"] == "joined"
    agree(copy, bob, cleo)
    assert_one_chain(copy, bob, cleo)


@pytest.mark.long
def test_a_copy_lets_nobody_in_before_it_has_met_somebody(elm_street: Street) -> None:
    """An admission is signed by the node's own device, whose chain is copied as well."""
    alice, bob = elm_street.community("alice", "bob")
    code = alice.invite(uses=2)
    agree(alice, bob)
    alice.stop()
    bob.do("peer.block", node=alice.node)
    copy = copied(elm_street, alice)
    (cleo,) = elm_street.build("cleo")
    waiting = cleo.join(code, address=copy.address, wait=4)
    assert waiting["state"] == "waiting", "a copy admits nobody: it says later"
    assert copy.refusal("join_later") > 0
    bob.do("peer.unblock", node=copy.node)
    meet(copy, bob)
    until(
        lambda: any(m["name"] == "cleo" for m in bob.see("member.list")["members"]),
        "she is let in when the copy has met somebody",
        40,
    )
    agree(copy, bob, cleo)
    assert_one_chain(copy, bob, cleo)


@pytest.mark.long
def test_an_older_state_of_a_home_continues_behind_what_it_had_told(elm_street: Street) -> None:
    """A home is put back as it was an hour ago, at the same place: nobody can tell from outside."""
    alice, bob = elm_street.community("alice", "bob")
    alice.stop()
    last_hour = elm_street.folder / "last-hour"
    shutil.copytree(alice.home, last_hour, ignore=shutil.ignore_patterns("api.sock"))
    alice.again()
    alice.unlock()
    told = writes(alice, 5)
    agree(alice, bob)
    alice.kill()
    for old in ("realms", "node.db", "node.db-wal", "node.db-shm"):
        there = alice.home / old
        if there.is_dir():
            shutil.rmtree(there)
        else:
            there.unlink(missing_ok=True)
    shutil.copytree(last_hour, alice.home, dirs_exist_ok=True)
    alice.again()
    alice.unlock()
    more = writes(alice, 2)
    assert set(told) <= set(alice.verdicts()), "its own newer operations came before it signed"
    agree(alice, bob)
    assert set(told + more) <= set(bob.verdicts())
    assert_one_chain(alice, bob)


def test_a_killed_node_goes_on_where_it_was(elm_street: Street) -> None:
    alice, bob = elm_street.community("alice", "bob")
    told: list[str] = []
    for _ in range(3):
        told += writes(alice, 2)
        alice.kill()
        alice.again()
        alice.unlock()
        assert set(told) <= set(alice.verdicts()), "what was acknowledged is on the disk"
    agree(alice, bob)
    assert set(told) <= set(bob.verdicts())
    assert_one_chain(alice, bob)
    alice.stop()
    alice.assert_whole()
