"""What members say of themselves: by field, from two machines, open or sealed to readers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.street import Home, agree, homes
from tests.unit.test_realm_erasure import found_in
from tests.unit.town import Person, person, secrets

from commons_crdt.author import Draft
from commons_crdt.authority.identity_facts import AddDevice
from commons_crdt.authority.kinds_identity import DEVICE
from commons_crdt.device import DeviceSecrets, sign_claim
from commons_crdt.errors import CommonsError
from commons_crdt.ids import DocumentId, MemberId, OperationId
from commons_node.domains.profiles.sealing import (
    MAX_DEVICES,
    TooManyReaders,
    open_sealed,
    to_devices,
    to_epoch,
)
from commons_node.membership.identities import head
from commons_node.verifier.pool import VerifierPool

KEY = bytes(range(32))
EPOCH = OperationId(bytes(32))


async def fields(home: Home, who: str, reader: str | None = None) -> dict[str, list[Any]]:
    """What stands on each field, as a reader sees it."""
    seen = await home.look("member.profile.show", reader or who, who=who)
    found: dict[str, list[Any]] = {}
    for row in seen.value["fields"]:
        found.setdefault(row["field"], []).append(row["text"])
    return found


async def test_a_field_is_said_said_again_and_taken_back(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north south", rules=3) as (north, south):
        await north.do("bob", "member.profile.edit", name="Bob B.", languages="sv, en")
        await north.do("bob", "member.profile.edit", about="I mend bikes")
        await agree(north, south)
        assert await fields(south, "Bob B.", "cia") == {
            "about": ["I mend bikes"], "languages": ["sv, en"],
        }  # fmt: skip
        await south.do("bob", "member.profile.edit", about="I mend boats")
        await agree(north, south)
        for home in (north, south):
            assert (await fields(home, "Bob B.", "cia"))["about"] == ["I mend boats"]
        await north.do("bob", "member.profile.edit", clear=["about"])
        assert "about" not in await fields(north, "Bob B.", "cia")
        await agree(north, south)
        assert await north.state_hash() == await south.state_hash()
        rows = await south.rows("member.profile.list", "profiles")
        (bob,) = [row for row in rows if row["name"] == "Bob B."]
        assert (bob["languages"], bob["about"], bob["photo"]) == ("sv, en", None, False)


async def test_two_machines_that_never_met_keep_both_words(
    tmp_path: Path, pool: VerifierPool
) -> None:
    async with homes(tmp_path, pool, "north south", rules=3) as (north, south):
        phone = secrets("bob's phone")
        south.people["bob"] = Phone("bob", phone)
        await add_device(north, south, phone)
        await north.do("bob", "member.profile.edit", about="from the laptop", languages="sv")
        await south.do("bob", "member.profile.edit", about="from the phone")
        await agree(north, south)
        for home in (north, south):
            seen = await home.look("member.profile.show", "cia", who="bob")
            said = {row["text"] for row in seen.value["fields"] if row["field"] == "about"}
            assert said == {"from the laptop", "from the phone"}, "both are kept and shown"
            assert seen.value["several"] == "about"
            assert seen.conflicts == [{"field": "about"}]
        assert await north.state_hash() == await south.state_hash()
        await north.do("bob", "member.profile.edit", about="from both")
        await agree(north, south)
        assert (await fields(south, "bob", "cia"))["about"] == ["from both"]


@dataclass(frozen=True, slots=True)
class Phone(Person):
    """Bob, with another device than the one that his id is made of."""

    @property
    def member(self) -> MemberId:
        return person(self.name).member


async def add_device(north: Home, south: Home, phone: DeviceSecrets) -> None:
    """Bob's laptop lets his phone in."""
    bob = person("bob")
    state = head(north.realm, bob.member)
    consent = sign_claim("consent", phone.signing, north.realm.realm, bob.member)
    body = AddDevice(state.base, phone.keys, consent, (), ())
    grant = north.realm.judge.authority.devices[bob.device.keys.id]
    draft = Draft.fact(DEVICE, body, log=0, document=DocumentId(bob.member))
    (result,) = await north.realm.write([draft], bob.device, grant.id)
    assert not result.judgement.reason
    await north.tell(south)


async def test_a_contact_is_read_by_its_readers_alone(tmp_path: Path, pool: VerifierPool) -> None:
    async with homes(tmp_path, pool, "north south", rules=3) as (north, south):
        await north.do("bob", "member.profile.edit", contact="070 123", readers=["cia"])
        await agree(north, south)
        assert (await fields(south, "bob", "cia"))["contact"] == ["070 123"]
        assert (await fields(south, "bob", "bob"))["contact"] == ["070 123"], "his own devices too"
        assert (await fields(south, "bob", "dan"))["contact"] == [None]
        assert not found_in(tmp_path, "070 123"), "it is sealed on every disk"
        south.realm.epoch_keys[EPOCH] = KEY
        with pytest.raises(CommonsError) as caught:
            await north.do("bob", "member.profile.edit", contact="070 123")
        assert caught.value.code == "no_epoch", "this street has no epoch yet"


async def test_older_rules_know_names_only(tmp_path: Path, pool: VerifierPool) -> None:
    async with homes(tmp_path, pool, "north") as (north,):
        await north.do("bob", "member.profile.edit", name="Bo")
        with pytest.raises(CommonsError, match="version 3") as caught:
            await north.do("bob", "member.profile.edit", about="x")
        assert caught.value.code == "needs_rules"
        with pytest.raises(CommonsError):
            await north.do("bob", "member.profile.edit")


texts = st.binary(max_size=400)


@given(texts, st.integers(1, 4), st.integers(0, 3))
def test_what_is_sealed_opens_for_its_readers_and_nobody_else(
    text: bytes, readers: int, at: int
) -> None:
    devices = [secrets(f"reader {n}") for n in range(readers)]
    part = to_devices(text, [one.keys for one in devices])
    assert open_sealed(part, {}, devices[at % readers]) == text
    assert open_sealed(part, {}, secrets("eve")) is None
    assert open_sealed(part, {}, None) is None
    assert text not in part or len(text) < 8
    sealed = to_epoch(text, EPOCH, KEY)
    assert open_sealed(sealed, {EPOCH: KEY}, None) == text
    assert open_sealed(sealed, {EPOCH: bytes(32)}, None) is None
    assert open_sealed(sealed, {}, devices[0]) is None


@given(st.binary(max_size=600))
def test_no_bytes_of_eve_break_the_reader(data: bytes) -> None:
    assert open_sealed(data, {EPOCH: KEY}, secrets("bob")) is None


def test_only_so_many_devices_can_read_one_text() -> None:
    many = [secrets(f"reader {n}").keys for n in range(MAX_DEVICES + 1)]
    assert len(to_devices(bytes(500), many[:-1])) <= 2048
    with pytest.raises(TooManyReaders):
        to_devices(b"x", many)
