"""Messages: bounded before anything is built, and operations sent as they are stored."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commons_crdt.errors import Refused
from commons_crdt.operation import MAX_BODY, MAX_HEADER, SMALL_PART, Operation
from commons_protocol import carriage, wire
from commons_protocol.frame import decode, encode
from commons_protocol.network import MAX_FRAME

operations = st.lists(
    st.builds(
        Operation,
        header=st.binary(min_size=1, max_size=MAX_HEADER),
        signature=st.binary(min_size=64, max_size=64),
        body=st.none() | st.binary(max_size=3000) | st.just(b"b" * MAX_BODY),
        parts=st.lists(st.none() | st.binary(max_size=500), max_size=8).map(tuple),
    ),
    max_size=30,
)


@given(sent=operations)
def test_operations_arrive_as_they_were_sent_in_frames_that_fit(sent: list[Operation]) -> None:
    received: list[Operation] = []
    pieces = b""
    count = 0
    for frame, held in carriage.frames(3, sent):
        assert len(frame) <= MAX_FRAME
        count += held
        message = wire.unpack_sync(frame)
        if isinstance(message, wire.Piece):
            pieces += message.data
            if message.last:
                received.append(carriage.unpack_pieces(pieces))
                pieces = b""
        else:
            assert isinstance(message, wire.Operations)
            received.extend(carriage.unpack_operations(message.operations))
    assert received == sent
    assert count == len(sent)


def test_frames_are_as_full_as_they_can_be() -> None:
    sent = [Operation(b"h" * 290, b"s" * 64, b"b" * 90, ())] * 1000
    frames = list(carriage.frames(0, sent))
    assert len(frames) <= 1000 * 460 // MAX_FRAME + 2


def test_a_page_of_log_zero_always_ends_with_a_last_one() -> None:
    for count in (0, 1, 1000):
        sent = [Operation(b"h" * 290, b"s" * 64, b"b" * 90, ())] * count
        messages = [wire.unpack_join(frame) for frame in carriage.pages(sent)]
        assert [m.last for m in messages if isinstance(m, wire.Page)].count(True) == 1
        assert sum(len(m.operations) for m in messages if isinstance(m, wire.Page)) == count


MESSAGES: list[wire._Message] = [
    wire.Hello(1, b"n" * 32),
    wire.Tags(b"t" * 256),
    wire.Proof(15, b"x" * 144),
    wire.Members(0, ((b"k" * 32, ("/ip4/1.2.3.4/tcp/1",)),)),
    wire.Digest(0, False, b"d" * 32, b"z" * 16),
    wire.Ranges(
        0,
        1,
        True,
        ((0, (b"m", b"mn"), b"f" * 48),),
        ((2, ((b"d" * 32, 0, bytes(32), 1, 0, b"m" * 32),), ()), (3, (), (0, 7))),
    ),
    wire.Want(0, 16, ((b"d" * 32, 1, 1, 2**53 - 1),), ()),
    wire.Want(0, 16, (), (b"i" * 32,)),
    wire.Credit(0, 4),
    wire.Served(0),
    wire.Done(0),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_a_message_is_what_it_was(message: wire._Message) -> None:
    assert wire.unpack_sync(wire.pack(message)) == message
    with pytest.raises(Refused):
        wire.unpack_join(wire.pack(message))


def test_the_largest_ranges_and_want_fit_a_frame() -> None:
    most = wire.MOST_OPEN - 1
    end = (b"d" * 32, 2**53 - 1, b"i" * 32, 2**53 - 1, 2**53 - 1, b"m" * 32)
    listing = (most, (end,) * wire.MAX_ENDS, (most,) * wire.MAX_ENDS)
    split = (most, (b"b" * 32,) * (wire.BRANCH - 1), b"f" * wire.BRANCH * wire.FINGERPRINT)
    parts = (split,) * (wire.MOST_ANSWERED // wire.BRANCH)
    assert len(wire.pack(wire.Ranges(15, 1, False, parts, (listing,)))) <= MAX_FRAME
    span = (b"d" * 32, 1, 2**53 - 1, 2**53 - 1)
    assert len(wire.pack(wire.Want(15, 64, (span,) * wire.MAX_RANGES, ()))) <= MAX_FRAME
    address = "/dns/" + "x" * 195
    nodes = ((b"k" * 32, (address,) * 8),) * 32
    assert len(wire.pack(wire.Members(15, nodes))) <= MAX_FRAME


@given(frame=st.binary(max_size=300))
def test_any_bytes_are_a_message_or_are_refused(frame: bytes) -> None:
    for unpack in (wire.unpack_sync, wire.unpack_join):
        try:
            unpack(frame)
        except Refused as error:
            assert error.why in {"encoding", "message", "size"}  # noqa: PT017 - most bytes, not all


@pytest.mark.parametrize("tag", [0, 1, 2, 3, 4, 5, 28, 29, 30, 35, 36, 37, 258, 1004, 43000, 77777])
@pytest.mark.parametrize("inner", [b"\x00", b"\x61a", b"\x82\x01\x02", b"\x44abcd"])
def test_no_tag_is_ever_looked_into(tag: int, inner: bytes) -> None:
    with pytest.raises(Refused):
        decode(b"\xda" + struct.pack(">I", tag) + inner)


@pytest.mark.parametrize(
    "data",
    [
        b"\x9f\x01\xff",  # an array without a length
        b"\x5f\x41a\xff",  # bytes without a length
        b"\xa2\x01\x01\x01\x02",  # a key twice
        b"\x81" * 7 + b"\x00",  # too deep
        b"\x9b" + b"\xff" * 8,  # a count that cannot be
        b"\x5b\x00\x00\x00\xff\xff\xff\xff\xff",  # a length that cannot be
        b"\x00\x00",  # more than one value
        b"",
    ],
)
def test_what_is_not_plain_is_refused(data: bytes) -> None:
    with pytest.raises(Refused) as caught:
        decode(data)
    assert caught.value.why == "encoding"


def test_a_frame_that_is_too_long_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(Refused) as caught:
        decode(encode(b"x" * MAX_FRAME))
    assert caught.value.why == "size"


def test_what_no_peer_would_parse_is_left_behind_by_who_holds_it() -> None:
    fat = Operation(b"h", b"s" * 64, b"b" * (MAX_BODY + 1), (b"p" * MAX_FRAME,))
    ((frame, _),) = [f for f in carriage.frames(0, [fat]) if f[1]][-1:]
    assert len(frame) <= MAX_FRAME
    (page,) = carriage.pages([fat])
    message = wire.unpack_join(page)
    assert isinstance(message, wire.Page)
    assert carriage.unpack_operations(message.operations) == (
        Operation(b"h", b"s" * 64, None, (None,)),
    )


def test_the_parts_that_do_not_fit_are_left_out_the_largest_first() -> None:
    parts = (b"a" * 1000, b"b" * 2000, None, b"c" * 500)
    slim = carriage.slimmed(Operation(b"h", b"s" * 64, b"b", parts), limit=1800)
    assert slim.parts == (b"a" * 1000, None, None, b"c" * 500)
    assert carriage.operation_size(slim) <= 1800


def test_large_parts_never_travel_with_their_operation() -> None:
    small, large = b"s" * SMALL_PART, b"l" * (SMALL_PART + 1)
    photo = Operation(b"h", b"s" * 64, b"b", (small, large, None))
    assert carriage.operation_size(photo) < 3000
    ((frame, _),) = carriage.frames(0, [photo])
    message = wire.unpack_sync(frame)
    assert isinstance(message, wire.Operations)
    (operation,) = carriage.unpack_operations(message.operations)
    assert operation.parts == (small, None, None)
    pushed = wire.unpack_sync(carriage.pack_push(0, [photo]))
    assert isinstance(pushed, wire.Push)
    assert pushed.operations[0][3] == (small, None, None)
