"""Tickets: short enough for a terminal's QR code, never mistaken for another code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commons_crdt.device import verify_claim
from commons_crdt.ids import DeviceId, MemberId, OperationId, RealmId, digest
from commons_protocol.codes import MAX_CODE, BadCode, LongAddress, decode_invite, encode_invite
from commons_protocol.names import peer_of_key
from commons_protocol.network import Address
from commons_protocol.tickets import (
    Purpose,
    Ticket,
    decode_ticket,
    digits,
    encode_ticket,
    heard,
    spoken,
    statement_digits,
)

ALICE = MemberId(digest("t-alice"))
REALM = RealmId(digest("t-realm"))
PHONE = DeviceId(digest("t-phone"))
SEED = b"sixteen bytes se"
NODE = peer_of_key(digest("t-node"))
OTHER = peer_of_key(digest("t-other"))
ADDRESSES = [
    f"/ip4/192.168.178.20/tcp/4001/p2p/{NODE}",
    f"/ip6/2001:db8:1234:5678:9abc:def0:1234:5678/tcp/65535/p2p/{NODE}",
    f"/dns/tools.street.eu/tcp/4001/p2p/{NODE}",
    None,
]


def code(address: str | None = ADDRESSES[0], purpose: Purpose = "device") -> str:
    return encode_ticket(purpose, ALICE, SEED, REALM, Address(address) if address else None)


@pytest.mark.parametrize("purpose", ["device", "help"])
@pytest.mark.parametrize("address", ADDRESSES)
def test_a_ticket_gives_back_what_it_was_made_of(address: str | None, purpose: Purpose) -> None:
    written = code(address, purpose)
    assert len(written) * 5 // 8 <= MAX_CODE, "a QR code of it fits a terminal of 24 lines"
    found = decode_ticket(written.lower(), purpose)
    assert (found.purpose, found.member, found.seed) == (purpose, ALICE, SEED)
    assert found.fits_realm(REALM)
    assert not found.fits_realm(RealmId(digest("t-elsewh")))
    assert found.fits_peer(NODE)
    if address is None:
        assert found.realm == REALM, "without a way to ask, the ticket names the whole realm"
    else:
        assert found.realm is None
        assert found.addresses == (address.removesuffix(f"/p2p/{NODE}"),)
        assert not found.fits_peer(OTHER), "another node at that address is not asked"


def test_codes_for_other_things_are_told_apart() -> None:
    with pytest.raises(BadCode, match="it is a help code, and this takes a device code"):
        decode_ticket(code(purpose="help"), "device")
    invite = encode_invite(OperationId(digest("t-invite")), SEED, REALM, None)
    with pytest.raises(BadCode, match="no device code"):
        decode_ticket(invite, "device")
    with pytest.raises(BadCode, match="no invite"):
        decode_invite(code())


def test_a_name_that_is_too_long_is_refused_when_the_code_is_made() -> None:
    with pytest.raises(LongAddress):
        code(f"/dns/{'a' * 60}.example/tcp/4001/p2p/{NODE}")


@given(at=st.integers(0, 200), letter=st.sampled_from("0123456789ABCDEFGHJKMNPQRSTVWXYZ"))
def test_a_wrong_letter_is_noticed(at: int, letter: str) -> None:
    whole = code()
    at %= len(whole)
    changed = whole[:at] + letter + whole[at + 1 :]
    try:
        found = decode_ticket(changed, "device")
    except BadCode:
        return
    assert found == decode_ticket(whole, "device"), "what is read is what was written"


def test_the_seed_stands_in_no_text_that_may_be_logged() -> None:
    ticket = decode_ticket(code(), "device")
    assert "sixteen" not in repr(ticket)
    assert SEED.hex() not in repr(ticket)


def test_the_two_purposes_never_share_a_key() -> None:
    device, aid = (Ticket(p, ALICE, SEED, REALM) for p in ("device", "help"))
    assert device.public_key != aid.public_key
    assert device.id != aid.id
    claim = device.possess(REALM, PHONE)
    assert verify_claim("possess", device.public_key, claim, REALM, ALICE, PHONE)
    assert not verify_claim("possess", aid.public_key, claim, REALM, ALICE, PHONE)


@given(device=st.binary(min_size=32, max_size=32), salt=st.binary(min_size=16, max_size=16))
def test_six_digits_stand_for_one_device(device: bytes, salt: bytes) -> None:
    shown = digits(REALM, ALICE, DeviceId(device), salt)
    assert len(shown) == 6
    assert heard(spoken(shown)) == shown, "read aloud in groups, typed as one likes"
    other = digits(REALM, MemberId(digest("t-bob")), DeviceId(device), salt)
    assert heard(other) == other


def test_digits_spread_over_all_numbers() -> None:
    salts = [n.to_bytes(16, "big") for n in range(2000)]
    shown = {digits(REALM, ALICE, PHONE, salt) for salt in salts}
    assert len(shown) > 1980, "hardly any two alike"
    assert {one[0] for one in shown} == set("0123456789")


def test_a_statement_is_spoken_in_three_groups() -> None:
    assert len(spoken(statement_digits(digest("t-statem"))).split(" ")) == 3
