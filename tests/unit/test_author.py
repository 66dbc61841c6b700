"""Writing: what an author composes goes through the judge like everybody else's."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.town import (
    LOAN,
    NOTE,
    START_MS,
    Number,
    Replica,
    identity,
    person,
    said,
    secrets,
    town,
)

from commons_crdt.author import Draft, Place, compose, found
from commons_crdt.authority.facts import Genesis
from commons_crdt.ids import ZERO, DocumentId, OperationId
from commons_crdt.operation import (
    MAX_REFS,
    Operation,
    check_contents,
    content,
    decode_header,
    operation_id,
    verify,
)

ALICE = person("alice")
SALT = b"s" * 32


@pytest.fixture
def home() -> Replica:
    return town()


def composed(home: Replica, draft: Draft, now_ms: int = START_MS + 10**6) -> Operation:
    place = home.place(ALICE.device, draft)
    return compose(draft, place, ALICE.device, now_ms, lambda: SALT)


def test_the_same_draft_place_time_and_salt_make_the_same_bytes(home: Replica) -> None:
    draft = Draft.fact(NOTE, Number(1), parts=[("text", b"hello")])
    assert composed(home, draft) == composed(home, draft), "nothing is random, nothing is read"


def test_contents_are_salted_and_match_their_header(home: Replica) -> None:
    salts = iter([b"1" * 32, b"2" * 32, b"3" * 32])
    draft = Draft.fact(NOTE, Number(1), parts=[("text", b"hello"), ("text", b"world")])
    place = home.place(ALICE.device, draft)
    operation = compose(draft, place, ALICE.device, START_MS, lambda: next(salts))
    header = decode_header(operation.header)
    check_contents(header, operation)
    assert operation.body == b"1" * 32 + draft.content
    assert operation.parts == (b"2" * 32 + b"hello", b"3" * 32 + b"world"), "each its own salt"
    assert [part.length for part in header.parts] == [37, 37]


def test_a_composed_operation_is_accepted(home: Replica) -> None:
    for log, kind in ((1, NOTE), (1, LOAN)):
        draft = Draft.fact(kind, Number(0), log=log)
        operation = composed(home, draft)
        assert verify(operation.header, operation.signature, ALICE.device.keys.signing)
        assert said(home.receive(operation)) == ("accepted", "")


def test_a_clock_that_was_set_back_does_not_break_the_chain(home: Replica) -> None:
    first = home.note(ALICE)
    operation = composed(home, Draft.fact(NOTE, Number(1)), now_ms=5)
    assert decode_header(operation.header).time_ms == first.time_ms, "never less than prev's"
    assert said(home.receive(operation)) == ("accepted", "")


def test_an_author_cites_only_what_prev_does_not_know(home: Replica) -> None:
    bob = home.welcome("bob")
    first = home.note(ALICE)
    assert home.header(first.id).authority, "the first note cites what alice knows"
    second = home.note(ALICE)
    assert home.header(second.id).authority == (), "the second adds nothing"
    home.invite(ALICE)
    third = home.note(ALICE)
    assert len(home.header(third.id).authority) == 1
    assert said(home.note(bob)) == ("accepted", "")


def test_without_a_document_an_operation_is_about_itself(home: Replica) -> None:
    note = home.note(ALICE)
    assert home.header(note.id).document == ZERO
    assert note.document == DocumentId(note.id)


def test_a_chain_starts_at_1_after_its_grant_and_the_founders_log_0_after_the_genesis(
    home: Replica,
) -> None:
    genesis = home.standings[OperationId(home.realm)]
    headers = [home.header(standing.id) for standing in (genesis, home.note(ALICE))]
    assert [(header.log, header.seq) for header in headers] == [(0, 1), (1, 1)]
    assert headers[1].prev == genesis.id
    grant = home.standings[home.tips[ALICE.device.keys.id, 0]]
    assert grant.seq == 2, "the genesis is the founder's first"


@given(st.integers(0, 2**50), st.binary(min_size=32, max_size=32))
@settings(deadline=None, max_examples=20)
def test_a_realm_is_named_by_its_genesis(now_ms: int, salt: bytes) -> None:
    realm, operation = found(
        Genesis(identity(ALICE.device), 1, ()), ALICE.device, now_ms, lambda: salt
    )
    assert bytes(realm) == bytes(operation_id(operation.header))
    header = decode_header(operation.header)
    assert header.realm == header.document == header.prev == ZERO
    assert verify(operation.header, operation.signature, ALICE.device.keys.signing)
    assert operation.body is not None
    assert content(operation.body) != operation.body


def test_two_communities_founded_alike_are_two() -> None:
    one, other = town(), town(salt=lambda: b"o" * 32)
    assert one.realm != other.realm, "the salt tells them apart"


def test_a_short_salt_is_a_mistake_of_ours(home: Replica) -> None:
    draft = Draft.fact(NOTE, Number(1))
    with pytest.raises(ValueError, match="salt"):
        compose(draft, home.place(ALICE.device, draft), ALICE.device, 0, lambda: b"short")


def test_a_device_that_is_not_the_end_of_a_chain_starts_its_own(home: Replica) -> None:
    note = home.note(ALICE)
    draft = Draft.fact(NOTE, Number(1))
    stranger = compose(draft, Place(home.realm, note), secrets("eve"), START_MS, lambda: SALT)
    assert decode_header(stranger.header).seq == 1
    assert home.receive(stranger) == "chain", "which nobody granted"


def test_more_references_than_fit_are_not_read(home: Replica) -> None:
    notes = [home.note(ALICE).id for _ in range(MAX_REFS + 1)]
    operation = composed(home, Draft.fact(LOAN, Number(1), refs=notes))
    assert home.receive(operation) == "format"
