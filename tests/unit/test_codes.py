"""Codes survive being read aloud, fit a terminal, and give nothing away by being wrong."""

from __future__ import annotations

import pytest
import segno
from hypothesis import given
from hypothesis import strategies as st

from commons_crdt.device import verify_claim
from commons_crdt.ids import OperationId, RealmId, digest
from commons_crdt.operation import Operation, operation_id
from commons_node.membership.admissions import _code
from commons_protocol.codes import (
    MAX_CODE,
    BadCode,
    LongAddress,
    OfferCode,
    decode_invite,
    decode_invite_file,
    decode_offer,
    encode_invite,
    encode_invite_file,
    encode_offer,
    grouped,
    invite_key,
    knock_parts,
)
from commons_protocol.names import peer_of_key
from commons_protocol.network import Address

INVITE = OperationId(digest("t-invite"))
SEED = b"sixteen bytes se"
REALM = RealmId(digest("t-realm"))
NODE = peer_of_key(digest("t-node"))
OTHER = peer_of_key(digest("t-other"))

ADDRESSES = [
    f"/ip4/192.168.178.20/tcp/4001/p2p/{NODE}",
    f"/ip6/2001:db8:1234:5678:9abc:def0:1234:5678/tcp/65535/p2p/{NODE}",
    f"/dns/tools.street.eu/tcp/4001/p2p/{NODE}",
    None,
]


def code(address: str | None = ADDRESSES[0]) -> str:
    return encode_invite(INVITE, SEED, REALM, Address(address) if address else None)


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_invite_code_gives_back_what_it_was_made_of(address: str | None) -> None:
    found = decode_invite(code(address))
    assert (found.invite, found.seed, found.pin) == (INVITE, SEED, REALM[:16])
    assert found.fits_realm(REALM)
    assert not found.fits_realm(RealmId(digest("t-elsewh")))
    assert found.fits_peer(NODE)
    if address is None:
        assert found.addresses == ()
    else:
        assert found.addresses == (address.removesuffix(f"/p2p/{NODE}"),)
        assert not found.fits_peer(OTHER), "the address answers with the right key or not at all"


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_invite_code_fits_a_terminal_of_80_by_24(address: str | None) -> None:
    text = code(address)
    assert len(text) * 5 // 8 <= MAX_CODE
    qr = segno.make(text, error="l", micro=False, boost_error=False)
    assert qr.mode == "alphanumeric"
    wide, high = qr.symbol_size(border=4)
    assert wide <= 80
    assert (high + 1) // 2 <= 23, "half blocks, and a line left for the prompt"


def test_a_code_may_be_read_aloud_and_typed_by_hand() -> None:
    text = code()
    spoken = grouped(text).lower()
    assert "-" in spoken
    assert decode_invite(spoken).seed == SEED
    assert decode_invite(f"  {spoken[:40]}\n {spoken[40:]} ").seed == SEED
    assert not set(text) & set("ILOU"), "letters that look like others are never written"
    confused = text.replace("0", "O").replace("1", "l")
    assert decode_invite(confused).invite == INVITE, "and are understood where they are read"


@given(place=st.integers(0, 143), letter=st.sampled_from("0123456789ABCDEFGHJKMNPQRSTVWXYZ"))
def test_a_wrong_letter_is_noticed(place: int, letter: str) -> None:
    text = code()
    wrong = text[:place] + letter + text[place + 1 :]
    if wrong != text:
        with pytest.raises(BadCode):
            decode_invite(wrong)


@given(text=st.text(max_size=200))
def test_any_text_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(BadCode, match="could not be read") as caught:
        decode_invite(text)
    assert caught.value.way_out


@pytest.mark.parametrize("cut", [1, 5, 60, 143])
def test_a_code_with_a_part_missing_is_refused(cut: int) -> None:
    with pytest.raises(BadCode):
        decode_invite(code()[:-cut])


def test_the_code_of_one_thing_is_not_taken_for_another() -> None:
    offer = encode_offer(OfferCode(INVITE, OperationId(digest("t-loan")), digest("t-thing")))
    with pytest.raises(BadCode):
        decode_invite(offer)
    with pytest.raises(BadCode):
        decode_offer(code())


@pytest.mark.parametrize(
    "address",
    [
        f"/dns/a.very.long.name.of.a.host.example/tcp/4001/p2p/{NODE}",
        f"/ip4/1.2.3.4/udp/4001/quic-v1/p2p/{NODE}",
        "/ip4/1.2.3.4/tcp/4001",
        f"/ip4/1.2.3.400/tcp/4001/p2p/{NODE}",
        f"/ip4/1.2.3.4/tcp/70000/p2p/{NODE}",
    ],
)
def test_an_address_that_does_not_fit_is_said_so(address: str) -> None:
    with pytest.raises(LongAddress) as caught:
        code(address)
    assert "file" in caught.value.way_out


def test_the_seed_is_never_printed() -> None:
    assert SEED.hex() not in repr(decode_invite(code()))
    assert repr(SEED) not in repr(decode_invite(code()))


def test_the_key_of_an_invite_signs_possession_and_the_knock() -> None:
    found = decode_invite(code())
    key = invite_key(SEED)
    assert found.public_key == key
    member = digest("t-member")
    assert verify_claim("possess", key, found.possess(REALM, member), REALM, INVITE, member)
    nonce = digest("t-nonce")
    parts = knock_parts(nonce, NODE, OTHER, INVITE)
    assert verify_claim("knock", key, found.knock(nonce, NODE, OTHER), *parts)
    assert not verify_claim("knock", key, found.knock(nonce, OTHER, NODE), *parts)


def test_the_file_form_carries_the_operation_and_more_addresses() -> None:
    operation = Operation(b"header", b"s" * 64, b"body", (None, b"part"))
    addresses = tuple(Address(f"/ip4/10.0.0.{n}/tcp/4001/p2p/{NODE}") for n in range(3))
    data = encode_invite_file(operation, SEED, REALM, addresses)
    found = decode_invite_file(data)
    assert found.operation == operation
    assert found.invite == operation_id(b"header")
    assert (found.pin, found.addresses, found.seed) == (REALM, addresses, SEED)
    assert found.fits_peer(OTHER), "each address names its peer itself"


@given(data=st.binary(max_size=400))
def test_any_bytes_are_an_invite_file_or_are_refused(data: bytes) -> None:
    with pytest.raises(BadCode):
        decode_invite_file(data)


def test_an_offer_code_gives_back_what_it_was_made_of() -> None:
    offer = OfferCode(INVITE, OperationId(digest("t-loan")), digest("t-thing"))
    text = encode_offer(offer)
    assert len(text) == 135
    found = decode_offer(grouped(text).lower())
    assert (found.offer, found.loan) == (offer.offer, offer.loan)
    assert found.resource == offer.resource[:16]


def test_an_invite_names_the_first_address_that_fits_into_it() -> None:
    long = Address(f"/dns/{'tools.of-a-very-long-street.' * 3}eu/tcp/4001/p2p/{NODE}")
    short = Address(f"/ip4/203.0.113.5/tcp/4001/p2p/{NODE}")
    with pytest.raises(LongAddress):
        code(long)
    assert decode_invite(_code(INVITE, SEED, REALM, [long, short])).addresses == (
        short.removesuffix(f"/p2p/{NODE}"),
    )
    assert decode_invite(_code(INVITE, SEED, REALM, [long])).addresses == (), (
        "an invite that stands already is told all the same"
    )
