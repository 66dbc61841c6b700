"""The offer file: everything the other side needs, bounded, and believed by nobody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit import town

from commons_crdt.ids import OperationId, RealmId, digest
from commons_crdt.operation import Operation, operation_id
from commons_protocol.frame import encode
from commons_protocol.offers import (
    MAX_BYTES,
    BadOffer,
    LargeOffer,
    decode_offer_file,
    encode_offer_file,
)

ALICE = town.person("alice")


def test_a_node_that_was_never_reached_judges_an_offer_from_the_file_alone() -> None:
    home = town.town()
    bob = home.welcome("bob")
    offer = home.note(bob, 7)
    device = bob.device.keys.id
    zero = [home.operations[i] for i, s in home.standings.items() if s.log == 0]
    chain = [
        home.operations[i] for i, s in home.standings.items() if (s.device, s.log) == (device, 1)
    ]
    found = decode_offer_file(encode_offer_file(home.realm, offer.id, zero, chain))
    assert (found.realm, found.offer) == (home.realm, offer.id)
    island = town.replica(home.realm, "island", found.operations)
    assert island.says(offer) == ("accepted", "")
    for operation in found.operations:
        island.receive(operation)
    assert island.refusals.total() == 0, "reading it twice changes nothing"


def test_a_file_without_its_offer_is_refused() -> None:
    realm, operation = RealmId(digest("t-realm")), Operation(b"h", b"s" * 64, b"b")
    with pytest.raises(ValueError):
        encode_offer_file(realm, OperationId(digest("t-none")), [], [operation])
    packed: list[object] = [operation.header, operation.signature, operation.body, []]
    data = encode(["commons-offer", 1, realm, digest("t-none"), [packed]])
    with pytest.raises(BadOffer):
        decode_offer_file(data)


def test_an_offer_that_is_too_large_leaves_its_parts_behind_or_is_not_made() -> None:
    realm = RealmId(digest("t-realm"))
    heavy = [
        Operation(bytes([n]) * 40, b"s" * 64, b"b" * 1000, (b"p" * 200_000,)) for n in range(60)
    ]
    ident = operation_id(heavy[0].header)
    data = encode_offer_file(realm, ident, [], heavy)
    assert len(data) < MAX_BYTES
    assert decode_offer_file(data).operations[0].parts == (None,)
    bodies = [Operation(b"%d" % n, b"s" * 64, b"b" * 49_000) for n in range(180)]
    with pytest.raises(LargeOffer):
        encode_offer_file(realm, operation_id(bodies[0].header), [], bodies)


@given(data=st.binary(max_size=500))
def test_any_bytes_are_refused_with_a_sentence(data: bytes) -> None:
    with pytest.raises(BadOffer, match="could not be read"):
        decode_offer_file(data)


def test_a_file_that_is_too_large_is_not_even_looked_at() -> None:
    with pytest.raises(BadOffer):
        decode_offer_file(b"\x00" * (MAX_BYTES + 1))
