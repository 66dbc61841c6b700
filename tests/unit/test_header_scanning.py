"""The quick way to read a header says what decoding, encoding and comparing say, or nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from commons_crdt.errors import Refused
from commons_crdt.operation import (
    MAX_COUNTER,
    Header,
    PartRef,
    decode_at_length,
    decode_header,
    encode_header,
    ordered,
)
from commons_crdt.scanning import scan

HASH = st.binary(min_size=32, max_size=32)
EDGES = [1, 23, 24, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, MAX_COUNTER]
COUNTER = st.sampled_from(EDGES) | st.integers(1, MAX_COUNTER)
HASHES = st.lists(HASH, max_size=16).map(ordered)
WORD = st.from_regex(r"\A[a-z][a-z_]{0,15}\Z")
KIND = st.builds("{}.{}.{}".format, WORD, WORD, st.integers(1, 999)).filter(lambda k: len(k) <= 36)
PART = st.builds(PartRef, WORD, st.integers(32, MAX_COUNTER), HASH)
HEADER = st.builds(
    Header, st.just(1), HASH, HASH, st.sampled_from([0, 1]), COUNTER, HASH, COUNTER,
    COUNTER.map(lambda n: n - 1), KIND, HASH, HASHES, HASHES, HASH,
    COUNTER.map(lambda n: max(n, 32)), st.lists(PART, max_size=2).map(tuple),
)  # fmt: skip


def at_length(data: bytes) -> Header | str:
    """What the long way says: the header, or the code of its refusal."""
    try:
        return decode_at_length(data)
    except Refused as error:
        return error.why


def told(data: bytes) -> Header | str:
    """What the node says."""
    try:
        return decode_header(data)
    except Refused as error:
        return error.why


@given(HEADER)
def test_a_header_is_read_as_it_was_written(header: Header) -> None:
    data = encode_header(header)
    assert decode_header(data) == header
    assert (scan(data) is None) == bool(header.parts), "only parts need the long way"


@given(HEADER, st.data())
def test_whatever_was_changed_both_ways_agree(header: Header, draws: st.DataObject) -> None:
    data = bytearray(encode_header(header))
    for _ in range(draws.draw(st.integers(1, 3))):
        at = draws.draw(st.integers(0, len(data) - 1))
        match draws.draw(st.sampled_from(["other", "gone", "twice", "short"])):
            case "other":
                data[at] = draws.draw(st.integers(0, 255))
            case "gone" if len(data) > 1:
                del data[at]
            case "twice":
                data.insert(at, draws.draw(st.integers(0, 255)))
            case _:
                del data[max(at, 1) :]
    assert told(bytes(data)) == at_length(bytes(data))


LONGER = [
    lambda n: bytes([0x18, n]), lambda n: b"\x19" + n.to_bytes(2, "big"),
    lambda n: b"\x1a" + n.to_bytes(4, "big"), lambda n: b"\x1b" + n.to_bytes(8, "big"),
]  # fmt: skip


@given(HEADER.filter(lambda h: not h.parts), st.integers(1, 23), st.sampled_from(LONGER))
def test_a_number_that_is_longer_than_it_must_be_is_refused(header, number, longer) -> None:  # type: ignore[no-untyped-def]
    data = encode_header(header)
    at = 2 + 34 + 34 + 1
    width = {0x18: 2, 0x19: 3, 0x1A: 5, 0x1B: 9}.get(data[at], 1)
    assert told(data[:at] + bytes([number]) + data[at + width :]) != "encoding"
    assert told(data[:at] + longer(number) + data[at + width :]) == "encoding"


def test_the_length_of_a_kind_is_the_one_it_says() -> None:
    header = Header(
        1, bytes(32), bytes(32), 1, 1, bytes(32), 1, 0, "ten.lett.1", bytes(32), (), (),
        bytes(32), 32, (),
    )  # fmt: skip
    data = encode_header(header)
    assert scan(data) is not None
    lying = data.replace(b"\x6aten", b"x\x6aten")
    assert scan(lying) is None, "a prefix of two bytes is not one of one byte"
    assert told(lying) == at_length(lying) == "encoding"
