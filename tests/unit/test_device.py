"""Devices: two keys and a name that is a hash of both; claims and sealed boxes."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.town import secrets

from commons_crdt.device import (
    DeviceKeys,
    DeviceSecrets,
    seal,
    sign_claim,
    unseal,
    verify_claim,
)

ALICE, EVE = secrets("alice"), secrets("eve")
seeds = st.binary(min_size=32, max_size=32)
SMALL_ORDER = [
    bytes(32),
    b"\x01" + bytes(31),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
]


def test_a_device_is_named_by_both_its_keys() -> None:
    keys = ALICE.keys
    for other in (
        DeviceKeys(1, EVE.keys.signing, keys.sealing),
        DeviceKeys(1, keys.signing, EVE.keys.sealing),
        DeviceKeys(1, keys.sealing, keys.signing),
    ):
        assert other.id != keys.id, "another key is another device"
    assert keys.id == DeviceSecrets(ALICE.signing, ALICE.sealing).keys.id
    assert len(keys.id) == 32


def test_secrets_never_show_in_a_repr() -> None:
    shown = f"{ALICE!r} {ALICE} {[ALICE]}"
    assert ALICE.signing.hex() not in shown
    assert repr(ALICE.signing) not in shown, "a repr ends in a log"


def test_keys_of_another_suite_or_length_are_not_read() -> None:
    good = [1, b"s" * 32, b"x" * 32]
    assert msgspec.convert(good, DeviceKeys).suite == 1
    for bad in ([2, *good[1:]], good[:2], [*good, b""], [1, b"s" * 31, b"x" * 32]):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(bad, DeviceKeys)


def test_a_claim_is_for_one_purpose_and_these_parts() -> None:
    signature = sign_claim("consent", ALICE.signing, b"a" * 32, b"b" * 32)
    key = ALICE.keys.signing
    assert verify_claim("consent", key, signature, b"a" * 32, b"b" * 32)
    assert not verify_claim("possess", key, signature, b"a" * 32, b"b" * 32), "another purpose"
    assert not verify_claim("consent", key, signature, b"b" * 32, b"a" * 32), "another order"
    assert not verify_claim("consent", key, signature, b"a" * 32), "fewer parts"
    assert not verify_claim("consent", EVE.keys.signing, signature, b"a" * 32, b"b" * 32)
    for wrong in (b"", signature[:-1], bytes(64)):
        assert not verify_claim("consent", key, wrong, b"a" * 32, b"b" * 32)
    assert not verify_claim("consent", key[:-1], signature, b"a" * 32, b"b" * 32)


@given(seeds, st.binary(max_size=64))
@settings(deadline=None, max_examples=30)
def test_what_is_sealed_to_a_device_only_that_device_opens(seed: bytes, secret: bytes) -> None:
    device = DeviceSecrets(seed, seed)
    sealed = seal(secret, device.keys.sealing)
    assert len(sealed) == len(secret) + 48, "a sealed box is 48 bytes longer"
    assert unseal(sealed, device.sealing) == secret
    assert unseal(sealed, EVE.sealing) is None, "eve opens nothing"
    assert unseal(sealed[:-1] + bytes([sealed[-1] ^ 1]), device.sealing) is None


@pytest.mark.parametrize("data", [b"", b"x" * 47, b"x" * 80])
def test_garbage_unseals_to_nothing(data: bytes) -> None:
    assert unseal(data, ALICE.sealing) is None


@pytest.mark.parametrize("key", SMALL_ORDER)
def test_a_sealing_key_of_small_order_is_not_usable(key: bytes) -> None:
    keys = DeviceKeys(1, EVE.keys.signing, key)
    assert not keys.usable, "a node that sealed to it would fail, so nobody is let in with it"
    assert EVE.keys.usable
