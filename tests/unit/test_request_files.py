"""Two files instead of a network: nothing in them is secret, and nothing is believed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit import town

from commons_crdt.ids import OperationId, RealmId, digest
from commons_crdt.operation import Operation
from commons_node.membership.doors import TicketDoor
from commons_protocol.applying import Asked, Met
from commons_protocol.codes import BadCode
from commons_protocol.request_files import (
    checked,
    decode_grant,
    decode_request,
    encode_grant,
    encode_request,
    opened_by,
)
from commons_protocol.tickets import Ticket

REALM = RealmId(digest("t-realm"))
BOB = town.person("bob")
LAPTOP, NODE = town.secrets("bob's laptop"), town.secrets("the laptop's node")
TICKET = Ticket("device", BOB.member, b"sixteen bytes se", bytes(REALM))
LOG_ZERO = tuple(Operation(b"h%d" % n, b"s" * 64, b"b" * 400) for n in range(300))


def asked() -> Asked:
    door = TicketDoor(TICKET, LAPTOP, lambda _realm: NODE)
    found = door.ask(Met(REALM, BOB.member, OperationId(bytes(32)), ()))
    assert found is not None
    return found


def test_a_request_holds_what_would_be_said_and_no_secret() -> None:
    data = encode_request(BOB.member, TICKET.id, asked())
    member, ticket, message = decode_request(data)
    assert (member, ticket) == (BOB.member, TICKET.id)
    found = checked(opened_by(REALM, BOB.member, ticket, TICKET.public_key), message)
    assert (found.device, found.node) == (LAPTOP.keys, NODE.keys)
    for secret in (TICKET.seed, LAPTOP.signing, LAPTOP.sealing, NODE.signing):
        assert secret not in data


def test_a_request_that_was_changed_on_the_way_is_refused() -> None:
    eve = town.secrets("eve's phone")
    forged = replace(asked(), device=eve.keys)
    _, _, message = decode_request(encode_request(BOB.member, TICKET.id, forged))
    with pytest.raises(BadCode, match="not signed"):
        checked(opened_by(REALM, BOB.member, TICKET.id, TICKET.public_key), message)
    elsewhere = RealmId(digest("t-elsewh"))
    _, _, honest = decode_request(encode_request(BOB.member, TICKET.id, asked()))
    with pytest.raises(BadCode, match="not signed"):
        checked(opened_by(elsewhere, BOB.member, TICKET.id, TICKET.public_key), honest)


def test_a_grant_gives_back_log_zero() -> None:
    data = encode_grant(REALM, BOB.member, LOG_ZERO)
    assert decode_grant(data) == (REALM, BOB.member, LOG_ZERO)


@given(data=st.binary(max_size=300))
def test_other_files_are_told_apart(data: bytes) -> None:
    for decode in (decode_request, decode_grant):
        with pytest.raises(BadCode):
            decode(data)


def test_one_file_is_not_the_other() -> None:
    with pytest.raises(BadCode):
        decode_grant(encode_request(BOB.member, TICKET.id, asked()))
    with pytest.raises(BadCode):
        decode_request(encode_grant(REALM, BOB.member, ()))
