"""Hints: sealed, of few sizes, bounded, and believed by nobody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commons_crdt.errors import Refused
from commons_crdt.operation import Operation
from commons_protocol.carriage import unpack_operations
from commons_protocol.gossip import (
    MAX_AT_ONCE,
    SIZES,
    Channel,
    Gate,
    Heads,
    Said,
    Seen,
    hints,
)
from commons_protocol.network import MAX_GOSSIP, MAX_TOPIC, PeerId

CHANNEL = Channel.of(b"k" * 32)
OTHER = Channel.of(b"o" * 32)
NONCE = b"n" * 12
DIGEST = b"d" * 32
EVE = PeerId("eve")


def operation(size: int) -> Operation:
    return Operation(b"h" * 200, b"s" * 64, b"b" * size, ())


def test_a_topic_says_nothing_and_both_ends_derive_it() -> None:
    assert CHANNEL.topic == Channel.of(b"k" * 32).topic
    assert CHANNEL.topic != OTHER.topic
    assert len(CHANNEL.topic) == len(OTHER.topic) == 48 <= MAX_TOPIC
    assert CHANNEL.key.hex()[:48] != CHANNEL.topic, "who knows the topic does not know the key"


def test_a_small_operation_is_said_whole() -> None:
    (plain,) = hints([operation(100)], DIGEST)
    hint = CHANNEL.open(CHANNEL.seal(plain, NONCE))
    assert isinstance(hint, Said)
    assert unpack_operations(hint.operations) == (operation(100),)


def test_a_large_operation_or_many_are_only_announced() -> None:
    for operations in ([operation(2000)], [operation(10)] * (MAX_AT_ONCE + 1)):
        (plain,) = hints(operations, DIGEST)
        assert CHANNEL.open(CHANNEL.seal(plain, NONCE)) == Heads(DIGEST)


def test_who_was_pushed_to_is_told_only_that_there_is_something() -> None:
    (plain,) = hints([operation(100)], DIGEST, whole=False)
    assert CHANNEL.open(CHANNEL.seal(plain, NONCE)) == Heads(DIGEST)
    assert len(CHANNEL.seal(plain, NONCE)) == SIZES[0], "and that in the smallest size"


def test_a_mixture_says_the_small_ones_and_announces_the_rest() -> None:
    plain = hints([operation(10), operation(2000), operation(20)], DIGEST)
    found = [CHANNEL.open(CHANNEL.seal(p, NONCE)) for p in plain]
    assert [type(hint) for hint in found] == [Said, Heads]


def test_several_operations_that_exceed_one_message_are_said_in_several() -> None:
    plain = hints([operation(700)] * 8, DIGEST)
    assert len(plain) > 1
    said = [CHANNEL.open(CHANNEL.seal(p, NONCE)) for p in plain]
    assert sum(len(hint.operations) for hint in said if isinstance(hint, Said)) == 8


@given(size=st.integers(0, 4066))
def test_every_message_has_one_of_five_sizes(size: int) -> None:
    sealed = CHANNEL.seal(b"x" * size, NONCE)
    assert len(sealed) in SIZES
    assert len(sealed) <= MAX_GOSSIP


def test_a_longer_message_is_never_made() -> None:
    with pytest.raises(ValueError):
        CHANNEL.seal(b"x" * 4067, NONCE)


@given(place=st.integers(0, 255), bit=st.integers(0, 7))
def test_a_changed_message_is_refused(place: int, bit: int) -> None:
    sealed = bytearray(CHANNEL.seal(hints([operation(2000)], DIGEST)[0], NONCE))
    sealed[place] ^= 1 << bit
    with pytest.raises(Refused) as caught:
        CHANNEL.open(bytes(sealed))
    assert caught.value.why == "gossip_seal"


def test_a_message_of_another_community_or_topic_is_refused() -> None:
    sealed = OTHER.seal(hints([operation(10)], DIGEST)[0], NONCE)
    for channel in (CHANNEL, Channel(CHANNEL.topic, OTHER.key)):
        with pytest.raises(Refused) as caught:
            channel.open(sealed)
        assert caught.value.why == "gossip_seal"


@given(data=st.binary(max_size=300))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(Refused):
        CHANNEL.open(data)


@given(plain=st.binary(max_size=300))
def test_what_a_member_seals_may_still_be_nonsense(plain: bytes) -> None:
    try:
        CHANNEL.open(CHANNEL.seal(plain, NONCE))
    except Refused as error:
        assert error.why == "gossip_message"  # noqa: PT017 - some bytes are a hint


def test_a_flood_is_stopped_before_anything_is_opened() -> None:
    gate = Gate(burst=3, per_second=1)
    assert [gate.admits(EVE, 0) for _ in range(5)] == [True, True, True, False, False]
    assert gate.admits(PeerId("bob"), 0), "others are still heard"
    assert gate.admits(EVE, 1_000), "and eve again after a while"
    assert not gate.admits(EVE, 500), "a clock that goes back gives nothing"


def test_the_gate_forgets_whom_it_has_not_heard_for_long() -> None:
    gate = Gate(burst=1, per_second=0, most_peers=2)
    for name in ("a", "b", "c"):
        assert gate.admits(PeerId(name), 0)
    assert not gate.admits(PeerId("c"), 0)
    assert gate.admits(PeerId("a"), 0), "memory is bounded"


def test_what_was_seen_is_no_news_for_a_while() -> None:
    seen = Seen(most=2)
    assert seen.add(1)
    assert not seen.add(1)
    assert seen.add(2)
    assert seen.add(3)
    assert 1 not in seen, "the oldest is forgotten"
    assert 3 in seen
