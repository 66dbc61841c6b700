"""A second machine, a lost phone, a stolen one, guardians, a kiosk: between real nodes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.neighbourhood import (
    PASSPHRASE,
    House,
    Street,
    agree,
    cut,
    heal,
    meet,
    street,
    until,
)

WAIT_S = 30
SUSPENDED_S = 20
"""Long enough for one refused attempt on a loaded machine, short enough to wait for its end."""


@pytest.fixture
def elm_street() -> Iterator[Street]:
    with street() as made:
        yield made


def named(house: House, name: str) -> dict[str, Any]:
    """A member's row in the list of members at this house."""
    return next(m for m in house.see("member.list")["members"] if m["name"] == name)


def devices(house: House, who: str) -> dict[str, dict[str, Any]]:
    """A member's devices by name, as this house sees them."""
    return {d["name"]: d for d in house.see("member.device.list", who=who)["devices"]}


def standing(house: House, who: str | None = None) -> list[str]:
    """The ids of the devices of a member (of this house) that this house takes acts from."""
    named_one = {"who": who} if who is not None else {}
    rows = house.see("member.device.list", **named_one)["devices"]
    return sorted(row["device"] for row in rows if row["standing"] == "good")


def paper_of(house: House) -> str:
    """A recovery key that was made, printed and checked back."""
    printed = house.do("member.recovery.create")
    groups = printed["key"].split(" ")
    wrong = house.refused("member.recovery.confirm", groups="0000 0000 0000")
    assert wrong.code == "recovery_key", "what is not on the paper is not taken"
    back = " ".join(groups[number - 1] for number in printed["check"])
    assert house.do("member.recovery.confirm", groups=back)["verdict"] == "accepted"
    key: str = printed["key"]
    return key


def arrive(old: House, new: House, **more: Any) -> dict[str, Any]:
    """``new`` becomes a machine of ``old``'s member, who types the digits that it shows."""
    code = old.do("member.device.add", **more)["code"]
    asked = new.do("member.device.join", code=code, passphrase=PASSPHRASE)
    assert asked["state"] == "asked", f"the new machine shows digits: {asked}"
    granted = old.do("member.device.confirm", digits=asked["spoken"])
    assert granted["verdict"] == "accepted"
    done = new.do("member.device.finish", wait=WAIT_S)
    assert done["state"] == "joined", f"the new machine is in: {done}"
    assert done["device"] == granted["device"]
    new.member = done["member"]
    return done


def test_a_second_machine_is_let_in_by_digits_and_acts_for_its_member(elm_street: Street) -> None:
    alice, bob = elm_street.community("alice", "bob", roles={"bob": "member"})
    phone, eve = elm_street.build("phone", "eve")

    code = bob.do("member.device.add", name="phone")["code"]
    asked = phone.do("member.device.join", code=code, passphrase=PASSPHRASE)
    late = eve.refused("member.device.join", code=code, passphrase=PASSPHRASE)
    assert "another machine has used this code" in str(late), "a code is for one machine"
    other = f"{(int(asked['digits']) + 1) % 1_000_000:06}"
    wrong = bob.refused("member.device.confirm", digits=other)
    assert wrong.code == "digits", "other digits let nobody in"
    assert phone.do("member.device.finish", wait=1)["state"] == "asked"
    assert bob.do("member.device.confirm", digits=asked["digits"])["name"] == "phone"
    assert phone.do("member.device.finish", wait=WAIT_S)["state"] == "joined"

    meet(phone, alice)
    agree(alice, bob, phone)
    assert named(alice, "bob")["devices"] == 2
    assert devices(alice, "bob")["phone"]["standing"] == "good"
    assert devices(phone, "bob")["phone"]["this"], "it knows itself"
    made = phone.do("invite.create")
    agree(alice, bob, phone)
    assert alice.see("explain", operation=made["invite"])["author"] == "bob"
    assert alice.see("explain", operation=made["invite"])["verdict"] == "accepted"

    refused = bob.refused("member.device.retire", device="phone")
    assert refused.code == "warrant", "one machine alone can't end another: it may be the thief's"
    assert phone.do("member.device.retire", device="phone")["verdict"] == "accepted"
    agree(alice, bob)
    assert devices(alice, "bob")["phone"]["standing"] != "good", "but a machine may end itself"
    assert phone.refused("invite.create").code == "retired"


@pytest.mark.long
def test_two_machines_that_never_meet_exchange_two_files(
    elm_street: Street, tmp_path: Path
) -> None:
    alice, attic = elm_street.build("alice", "attic")
    alice.found()
    code = alice.do("member.device.add", offline=True)["code"]
    request, grant = tmp_path / "request", tmp_path / "grant"
    passphrase = ["--passphrase-file", str(attic.passphrase_file)]
    said = attic.cli("member", "device", "join", code, "--request", str(request), *passphrase)
    assert said.json["state"] == "asked"
    granted = alice.cli(
        "member", "device", "confirm", said.json["digits"], "--request", str(request),
        "--out", str(grant), "--as", "alice", "--passphrase-file", str(alice.passphrase_file),
    )  # fmt: skip
    assert granted.json["verdict"] == "accepted"
    done = attic.cli("member", "device", "join", code, "--grant", str(grant), *passphrase)
    assert done.json["state"] == "joined"
    assert standing(attic) == standing(alice), "without a word on the network"
    assert len(standing(attic)) == 2
    meet(attic, alice)
    agree(alice, attic)


def test_who_lost_a_phone_comes_back_with_the_recovery_key(elm_street: Street) -> None:
    alice, lost = elm_street.community("alice", "bob", roles={"bob": "member"})
    key = paper_of(lost)
    before = lost.do("invite.create")["invite"]
    agree(alice, lost)
    lost.kill()
    refused_before = alice.refusal("revoked") + alice.refusal("stranger")

    (new,) = elm_street.build("new")
    wrong = new.refused("member.recover.key", recovery=key[:-1], passphrase=PASSPHRASE)
    assert wrong.code == "recovery_key", "a slip of the pen is noticed before anybody is asked"
    done = new.do(
        "member.recover.key",
        recovery=key, passphrase=PASSPHRASE, name="new phone", address=alice.address,
    )  # fmt: skip
    assert done["state"] == "joined"
    assert done["member"] == lost.member, "it is the same member"
    assert len(done["retired"]) == 2, "the phone ended, and its node"
    agree(alice, new)
    assert list(devices(alice, "bob")) != [], "a list of what there was"
    assert standing(alice, "bob") == [done["device"]]
    assert named(alice, "bob")["role"] == "member", "the role stays"
    assert alice.see("explain", operation=before)["verdict"] == "accepted", "so does the past"
    after = new.do("invite.create")["invite"]
    agree(alice, new)
    assert alice.see("explain", operation=after)["verdict"] == "accepted"

    lost.again()  # somebody found it, and switches it on
    lost.unlock()
    lost.do("peer.connect", address=alice.address)
    until(
        lambda: alice.refusal("revoked") + alice.refusal("stranger") > refused_before,
        "nobody speaks with a phone that has ended",
    )
    assert lost.refused("sync.wait", peer=[alice.node], timeout=5).code == "not_converged"
    agree(alice, new)
    assert standing(alice, "bob") == [done["device"]]


@pytest.mark.long  # between realms without a network it runs in every test run
def test_a_thief_who_is_cut_off_gains_nothing_against_the_recovery_key(elm_street: Street) -> None:
    alice, carl, stolen = elm_street.community("alice", "carl", "bob", roles={"bob": "member"})
    key = paper_of(stolen)
    agree(alice, carl, stolen)
    for house in (carl, stolen):
        cut(alice, house)

    eves, new = elm_street.build("eve", "new")
    arrive(stolen, eves)
    meet(eves, carl)
    agree(carl, stolen, eves)
    assert len(standing(carl, "bob")) == 2, "on this island Eve has a device of Bob's"
    invite = eves.do("invite.create")["invite"]
    agree(carl, eves)
    assert carl.see("explain", operation=invite)["verdict"] == "accepted"

    done = new.do("member.recover.key", recovery=key, passphrase=PASSPHRASE, address=alice.address)
    heal(alice, carl)
    agree(alice, carl, new)
    assert standing(carl, "bob") == [done["device"]], "the recovery key goes before a device"
    for house in (alice, carl, new):
        told = house.see("explain", operation=invite)
        assert told["verdict"] == "rejected", f"what Eve did as Bob does not count: {told}"


@pytest.mark.long
def test_two_of_three_guardians_bring_a_member_back_while_one_is_away(elm_street: Street) -> None:
    alice, cia, dan, lost = elm_street.community(
        "alice", "cia", "dan", "bob", roles={"bob": "member"}
    )
    named_now = lost.do("member.guardian.set", members=["alice", "cia", "dan"], threshold=2)
    assert (named_now["verdict"], named_now["of"]) == ("accepted", 3)
    agree(alice, cia, dan, lost)

    drill = lost.do("member.guardian.rehearse")
    agree(alice, cia, dan, lost)
    for guardian in (alice, cia):
        guardian.do("member.guardian.endorse", digits=drill["digits"])
    agree(alice, cia, dan, lost)
    (row,) = lost.see("member.guardian.list")["requests"]
    assert row["enough"], "two of three can be reached"
    assert row["missing"] == ["dan"]
    still = lost.refused("member.guardian.finish", digits=drill["digits"])
    assert still.code == "state", "a rehearsal has no effect"
    assert len(standing(alice, "bob")) == 1

    lost.kill()
    dan.stop()
    (new,) = elm_street.build("new")
    code = cia.do("member.guardian.help", who="bob")["code"]
    asked = new.do("member.recover.start", code=code, passphrase=PASSPHRASE)
    assert asked["state"] == "asked"
    assert len(asked["digits"]) == 12
    agree(alice, cia)
    (request,) = [r for r in cia.see("member.guardian.list")["requests"] if r["act"] == "recover"]
    assert "digits" not in request, "guardians must hear them, not read them"
    guess = cia.refused("member.guardian.endorse", digits="123456789012")
    assert guess.code == "digits"
    cia.do("member.guardian.endorse", digits=asked["spoken"])
    assert new.do("member.recover.finish", wait=2)["state"] == "asked", "one is not enough"
    alice.do("member.guardian.endorse", digits=asked["digits"])
    done = new.do("member.recover.finish", wait=WAIT_S)
    assert done["state"] == "joined"
    agree(alice, cia, new)
    assert standing(cia, "bob") == [done["device"]]
    dan.again()
    agree(alice, cia, dan, new)


@pytest.mark.long
def test_a_kiosk_writes_what_it_was_let_in_for_and_then_closes(elm_street: Street) -> None:
    alice, kiosk = elm_street.build("alice", "kiosk")
    alice.found()
    alice.do("resource.add", name="Drill", number="7")
    alice.do("resource.add", name="Saw", number="8")
    alice.do("resource.add", name="Rake", number="9")
    arrive(alice, kiosk, kinds=["lending.request"], operations=2, name="kiosk")
    meet(kiosk, alice)
    agree(alice, kiosk)
    row = devices(alice, "alice")["kiosk"]
    assert (row["limited"], row["operations"]) == (True, 2)
    assert row["kinds"] == ["lending.request.1", "lending.request.2"]

    assert kiosk.refused("invite.create").code == "limit", "nothing of log 0"
    first = kiosk.do("loan.request", resource="7", days=2)
    second = kiosk.do("loan.request", resource="8", days=2)
    agree(alice, kiosk)
    for loan in (first, second):
        assert alice.see("explain", operation=loan["loan"])["verdict"] == "accepted"
    assert kiosk.refused("loan.request", resource="9", days=1).code == "limit"

    assert kiosk.do("member.device.close")["verdict"] == "accepted"
    agree(alice, kiosk)
    assert devices(alice, "alice")["kiosk"]["standing"] == "closed"


@pytest.mark.long
def test_who_was_suspended_comes_back_with_a_new_device(elm_street: Street) -> None:
    alice, bob = elm_street.community("alice", "bob", roles={"bob": "member"})
    old = standing(alice, "bob")
    early = bob.refused("member.readmit", address=alice.address)
    assert early.code in {"join", "state"}, "who is a member has nothing to come back from"
    agree(alice, bob)
    alice.do("member.suspend", who="bob", reason="conduct", **{"for": SUSPENDED_S})
    over = time.monotonic() + SUSPENDED_S
    still = bob.refused("member.readmit", address=alice.address)
    assert still.code == "join", "a suspension lasts until its end"
    assert standing(alice, "bob") == []
    time.sleep(max(0.0, over + 1 - time.monotonic()))
    back = bob.do("member.readmit", address=alice.address)
    assert back["state"] == "joined"
    assert [back["device"]] == standing(alice, "bob") != old, "with a new device"
    agree(alice, bob)
    assert named(alice, "bob")["devices"] == 1
