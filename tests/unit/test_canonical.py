"""One value has one encoding, and a peer's bytes never build anything but plain values."""

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commons_crdt import canonical
from commons_crdt.errors import Refused

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.binary(max_size=40)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)


def why(data: bytes, limit: int = 4096, depth: int = canonical.MAX_DEPTH) -> str:
    with pytest.raises(Refused) as caught:
        canonical.decode(data, limit, depth)
    return caught.value.why


@given(plain)
@settings(deadline=None, max_examples=150)
def test_a_plain_value_comes_back(value: object) -> None:
    data = canonical.encode(value)
    assert canonical.decode(data, len(data), depth=20) == value


@given(st.binary(max_size=60))
@settings(deadline=None, max_examples=300)
def test_any_bytes_are_refused_or_are_the_only_encoding_of_their_value(data: bytes) -> None:
    try:
        value = canonical.decode(data, 4096)
    except Refused:
        return  # garbage is refused with a code, never with another exception
    assert canonical.encode(value) == data, "what is accepted has no second encoding"


@given(st.integers(0, 2**20), st.binary(max_size=20))
@settings(deadline=None, max_examples=200)
def test_no_tag_is_ever_opened(tag: int, inside: bytes) -> None:
    data = cbor2.dumps(cbor2.CBORTag(tag, inside), canonical=True)
    assert why(data) == "encoding", "a tag asks for code: dates, regular expressions, big numbers"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("an indefinite list", "9f01ff"),
        ("indefinite bytes", "5f4101ff"),
        ("a long form of 1", "1801"),
        ("a long length", "580101"),
        ("a float", "f93c00"),
        ("NaN", "f97e00"),
        ("undefined", "f7"),
        ("a simple value", "f8ff"),
        ("a map", "a10102"),
        ("a map with one key twice", "a201020103"),
        ("a decimal of ten million digits", "c4821a0098968001"),
        ("a big float", "c5821a0098968001"),
        ("a big number", "c24901" + "00" * 8),
        ("a date", "c11a514b67b0"),
        ("a regular expression", "d823652861" + "2b292b"),
        ("a set", "d9010282" + "0102"),
        ("a list that holds itself", "d81c81d81d00"),
        ("text that is no UTF-8", "62c328"),
        ("a lone surrogate", "63eda080"),
        ("a list of 2^64 items", "9bffffffffffffffff"),
        ("bytes of 2^63", "5b7fffffffffffffff"),
        ("two values", "0000"),
        ("nothing", ""),
        ("half a value", "8201"),
        ("a reserved head", "1c"),
        ("a lone break", "ff"),
    ],
)
def test_what_is_not_canonical_is_refused(name: str, data: str) -> None:
    assert why(bytes.fromhex(data)) == "encoding", f"{name} is refused"


def test_size_is_checked_before_anything_is_read() -> None:
    assert why(b"\xff" * 11, limit=10) == "size", "too long is refused whatever it says"


@pytest.mark.parametrize("depth", [9, 100, 3000])
def test_deep_nesting_is_refused(depth: int) -> None:
    assert why(b"\x81" * depth + b"\x00") == "encoding", "nesting has a bound"
    assert why(b"\xc6" * depth + b"\x00") == "encoding", "tags within tags too"


def test_the_bound_of_nesting_is_the_callers() -> None:
    assert canonical.decode(b"\x81\x81\x00", 10, depth=2) == [[0]]
    assert why(b"\x81\x81\x81\x00", depth=2) == "encoding"
