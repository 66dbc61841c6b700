"""Addresses through relays, as text and in the codes that people carry."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commons_crdt.ids import MemberId, OperationId, RealmId, digest
from commons_protocol.circuit import (
    LONGEST,
    by_check,
    is_relayed,
    split,
    straight_first,
    through,
)
from commons_protocol.codes import (
    MAX_CODE,
    LongAddress,
    decode_invite,
    encode_invite,
    node_check,
    payload_of,
)
from commons_protocol.names import peer_of_key
from commons_protocol.network import Address, Unreachable
from commons_protocol.tickets import decode_ticket, encode_ticket

ALICE = peer_of_key(digest("t-alice"))
RELAY = peer_of_key(digest("t-relay"))
INVITE, REALM = OperationId(digest("t-invite")), RealmId(digest("t-realm"))
SEED = bytes(16)

hosts = st.one_of(
    st.ip_addresses(v=4).map(lambda ip: f"/ip4/{ip}"),
    st.ip_addresses(v=6).map(lambda ip: f"/ip6/{ip}"),
    st.from_regex(r"[a-z]([a-z0-9]{0,8}[a-z])?", fullmatch=True).map(lambda name: f"/dns/{name}"),
)


@given(hosts, st.integers(1, 65535), st.booleans())
def test_a_code_carries_a_relay_and_the_check_of_who_is_behind_it(
    host: str, port: int, named: bool
) -> None:
    where = Address(f"{host}/tcp/{port}")
    relayed = through(Address(f"{where}/p2p/{RELAY}") if named else where, ALICE)
    assert relayed is not None
    code = encode_invite(INVITE, SEED, REALM, relayed)
    assert len(payload_of(code)) + 3 <= MAX_CODE
    found = decode_invite(code)
    (address,) = found.addresses
    circuit = split(address)
    assert circuit is not None
    assert circuit.peer is None, "there is no room for it"
    assert circuit.check == found.check == node_check(ALICE, len(found.check))
    assert found.fits_peer(ALICE)
    assert not found.fits_peer(RELAY), "the relay itself is not who is meant"
    direct = decode_invite(encode_invite(INVITE, SEED, REALM, Address(f"{where}/p2p/{ALICE}")))
    assert circuit.relay == direct.addresses[0], "the same place, and not a relay"
    member = MemberId(digest("t-member"))
    ticket = decode_ticket(encode_ticket("device", member, SEED, REALM, relayed), "device")
    assert ticket.addresses == found.addresses


def test_a_name_of_sixteen_letters_does_not_fit() -> None:
    relayed = through(Address("/dns/a-name-so-long-x/tcp/1"), ALICE)
    assert relayed is not None
    with pytest.raises(LongAddress):
        encode_invite(INVITE, SEED, REALM, relayed)


def test_addresses_through_relays_are_read_and_told_from_others() -> None:
    relay = Address(f"/ip4/203.0.113.5/tcp/4001/p2p/{RELAY}")
    relayed = through(relay, ALICE)
    assert relayed is not None
    circuit = split(relayed)
    assert circuit is not None
    assert (circuit.relay, circuit.peer, circuit.check) == (relay, ALICE, b"")
    assert split(relay) is None
    assert is_relayed(relayed)
    assert straight_first((relayed, relay)) == (relay, relayed)
    assert through(Address("/dns/" + "x" * LONGEST), ALICE) is None, "no message carries it"
    check = split(by_check(relay, bytes(16)))
    assert check is not None
    assert check.check == bytes(16)


@pytest.mark.parametrize(
    "bad",
    [
        "/p2p-circuit/p2p/" + ALICE,
        "/ip4/1.2.3.4/tcp/1/p2p-circuit",
        "/ip4/1.2.3.4/tcp/1/p2p-circuit/p2p/nobody",
        f"/ip4/1.2.3.4/tcp/1/p2p-circuit/p2p/{RELAY}/p2p-circuit/p2p/{ALICE}",
        "/ip4/1.2.3.4/tcp/1/p2p-circuit/check/00",
        "/ip4/1.2.3.4/tcp/1/p2p-circuit/check/" + "zz" * 16,
    ],
)
def test_what_is_no_address_through_a_relay_is_said_so(bad: str) -> None:
    with pytest.raises(Unreachable):
        split(Address(bad))
