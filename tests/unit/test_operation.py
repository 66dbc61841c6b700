"""Headers, contents and signatures: a function of bytes, bounded, with one encoding."""

from collections.abc import Callable
from typing import Any

import cbor2
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.town import NOTE, Number, Replica, decided, person, resign, secrets, town

from commons_crdt.author import Draft
from commons_crdt.errors import Refused
from commons_crdt.operation import (
    MAX_COUNTER,
    MAX_HEADER,
    Header,
    Operation,
    PartRef,
    body_hash,
    check_contents,
    content,
    decode_header,
    encode_header,
    operation_id,
    ordered,
    part_hash,
    salted,
    sign,
    verify,
)

hashes = st.binary(min_size=32, max_size=32)
counters = st.integers(1, MAX_COUNTER)
names = st.from_regex(r"\A[a-z][a-z_]{0,9}\Z")
headers = st.builds(
    Header,
    version=st.just(1),
    realm=hashes,
    device=hashes,
    log=st.sampled_from([0, 1]),
    seq=counters,
    prev=hashes,
    lamport=counters,
    time_ms=st.integers(0, MAX_COUNTER),
    kind=st.builds("{}.{}.{}".format, names, names, st.integers(1, 999)),
    document=hashes,
    refs=st.lists(hashes, max_size=16).map(ordered),
    authority=st.lists(hashes, max_size=16).map(ordered),
    body_hash=hashes,
    body_length=st.integers(32, MAX_COUNTER),
    parts=st.lists(
        st.builds(PartRef, name=names, length=st.integers(32, MAX_COUNTER), hash=hashes),
        max_size=8,
    ).map(tuple),
)
PLAIN = Header(
    1, b"r" * 32, b"d" * 32, 1, 2, b"p" * 32, 3, 4, "town.note.1", b"o" * 32,
    (b"1" * 32, b"2" * 32), (b"3" * 32,), b"h" * 32, 40, (PartRef("text", 50, b"t" * 32),),
)  # fmt: skip


def why(data: bytes) -> str:
    with pytest.raises(Refused) as caught:
        decode_header(data)
    return caught.value.why


def altered(change: Callable[[list[Any]], object]) -> bytes:
    """The bytes of a good header after ``change`` of its list of positions."""
    positions = cbor2.loads(encode_header(PLAIN))
    change(positions)
    return cbor2.dumps(positions, canonical=True)


def put(index: int, value: object) -> Callable[[list[Any]], object]:
    return lambda positions: positions.__setitem__(index, value)


# --- headers ------------------------------------------------------------------------------------


@given(headers)
@settings(deadline=None, max_examples=150)
def test_any_header_comes_back_from_its_bytes(header: Header) -> None:
    data = encode_header(header)
    if len(data) <= MAX_HEADER:
        assert decode_header(data) == header, "what was written is read"
    else:
        assert why(data) == "size", "a header has a bound"


def test_the_largest_sensible_header_fits() -> None:
    many = tuple(bytes([i]) * 32 for i in range(16))
    parts = tuple(PartRef("a" * 16, MAX_COUNTER, b"t" * 32) for _ in range(8))
    full = msgspec.structs.replace(PLAIN, refs=many, authority=many, parts=parts)
    assert len(encode_header(full)) <= MAX_HEADER, "16 refs, 16 authority and 8 parts fit"
    assert decode_header(encode_header(full)) == full


@given(headers, st.integers(0, MAX_HEADER - 1), st.integers(1, 255))
@settings(deadline=None, max_examples=250)
def test_a_changed_byte_is_refused_or_makes_another_operation(
    header: Header, position: int, flip: int
) -> None:
    data = bytearray(encode_header(header))
    data[position % len(data)] ^= flip
    changed = bytes(data)
    assert operation_id(changed) != operation_id(encode_header(header)), "an id is of the bytes"
    try:
        decoded = decode_header(changed)
    except Refused:
        return
    assert decoded != header, "two encodings never mean the same header"
    assert encode_header(decoded) == changed, "what is accepted is canonical"


@given(st.binary(max_size=200))
@settings(deadline=None, max_examples=200)
def test_garbage_is_refused_with_a_code(data: bytes) -> None:
    assert why(data) in {"encoding", "version", "format"}


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("version 2", altered(put(0, 2)), "version"),
        ("version 0", altered(put(0, 0)), "version"),
        ("a version that is text", altered(put(0, "1")), "version"),
        ("true for a version", altered(put(0, True)), "format"),
        ("version 2 of another shape", cbor2.dumps([2, "what comes later"]), "version"),
        ("no list", cbor2.dumps(1), "format"),
        ("an empty list", cbor2.dumps([]), "format"),
        ("a position missing", altered(lambda p: p.pop()), "format"),
        ("a position too many", altered(lambda p: p.append(0)), "format"),
        ("a short realm", altered(put(1, b"r" * 31)), "format"),
        ("a long device", altered(put(2, b"d" * 33)), "format"),
        ("a realm in base64", altered(put(1, "cnJy" * 10 + "cnI=")), "format"),
        ("a realm of numbers", altered(put(1, [0] * 32)), "format"),
        ("log 2", altered(put(3, 2)), "format"),
        ("log true", altered(put(3, True)), "format"),
        ("seq 0", altered(put(4, 0)), "format"),
        ("seq 2^53", altered(put(4, 2**53)), "format"),
        ("lamport 0", altered(put(6, 0)), "format"),
        ("a time before 1970", altered(put(7, -1)), "format"),
        ("a time that is a float", altered(put(7, 4.0)), "encoding"),
        ("a kind without a number", altered(put(8, "town.note")), "format"),
        ("kind number 0", altered(put(8, "town.note.0")), "format"),
        ("a kind with a line end", altered(put(8, "town.note.1\n")), "format"),
        ("a kind in capitals", altered(put(8, "Town.note.1")), "format"),
        ("a kind in bytes", altered(put(8, b"town.note.1")), "format"),
        ("refs out of order", altered(put(10, [b"2" * 32, b"1" * 32])), "format"),
        ("a ref twice", altered(put(10, [b"1" * 32] * 2)), "format"),
        ("17 refs", altered(put(10, [bytes([i]) * 32 for i in range(17)])), "format"),
        ("authority out of order", altered(put(11, [b"4" * 32, b"3" * 32])), "format"),
        ("17 authorities", altered(put(11, [bytes([i]) * 32 for i in range(17)])), "format"),
        ("refs as a set", altered(put(10, {b"1" * 32, b"2" * 32})), "encoding"),
        ("no refs but null", altered(put(10, None)), "format"),
        ("a body without salt", altered(put(13, 31)), "format"),
        ("a part without salt", altered(put(14, [["text", 31, b"t" * 32]])), "format"),
        ("a part in capitals", altered(put(14, [["Text", 50, b"t" * 32]])), "format"),
        ("a part with more", altered(put(14, [["text", 50, b"t" * 32, 0]])), "format"),
        ("9 parts", altered(put(14, [["text", 50, b"t" * 32]] * 9)), "format"),
        ("a part too deep", altered(put(14, [[["text"], 50, b"t" * 32]])), "format"),
        ("deep nesting", altered(put(14, [[[["text"]]]])), "encoding"),
        ("an indefinite list", b"\x9f" + encode_header(PLAIN)[1:] + b"\xff", "encoding"),
        ("a tag around it", b"\xd9\xd9\xf7" + encode_header(PLAIN), "encoding"),
        ("something behind it", encode_header(PLAIN) + b"\x00", "encoding"),
        ("a map", cbor2.dumps({"version": 1}), "encoding"),
        ("too long", b"\x8f" + b"\x00" * MAX_HEADER, "size"),
    ],
)
def test_a_header_that_breaks_the_format_is_refused(name: str, data: bytes, code: str) -> None:
    assert why(data) == code, f"{name} is refused as {code}"


# --- contents -----------------------------------------------------------------------------------


def with_contents(body: bytes, *parts: bytes) -> Header:
    refs = tuple(PartRef("text", len(part), part_hash(part)) for part in parts)
    return msgspec.structs.replace(
        PLAIN, body_hash=body_hash(body), body_length=len(body), parts=refs
    )


BODY, PART = salted(b"s" * 32, b"body"), salted(b"s" * 32, b"part")


@pytest.mark.parametrize(
    ("body", "parts", "code"),
    [
        (BODY, (PART,), ""),
        (None, (PART,), ""),
        (BODY, (None,), ""),
        (BODY, (), ""),
        (BODY + b"!", (PART,), "body"),
        (salted(b"S" * 32, b"body"), (PART,), "body"),
        (PART, (PART,), "body"),
        (BODY, (PART + b"!",), "part"),
        (BODY, (BODY,), "part"),
        (BODY, (PART, PART), "part"),
    ],
)
def test_contents_must_be_those_that_the_header_names(
    body: bytes | None, parts: tuple[bytes | None, ...], code: str
) -> None:
    header = with_contents(BODY, PART)
    operation = Operation(encode_header(header), b"", body, parts)
    if not code:
        check_contents(header, operation)
        return
    with pytest.raises(Refused) as caught:
        check_contents(header, operation)
    assert caught.value.why == code, "wrong bytes are the sender's fault, with a code"


def test_a_header_that_lies_about_a_length_has_no_contents() -> None:
    header = with_contents(BODY, PART)
    longer = msgspec.structs.replace(header, body_length=header.body_length + 1)
    with pytest.raises(Refused, match="body"):
        check_contents(longer, Operation(encode_header(longer), b"", BODY))
    part = msgspec.structs.replace(header.parts[0], length=header.parts[0].length + 1)
    larger = msgspec.structs.replace(header, parts=(part,))
    with pytest.raises(Refused, match="part"):
        check_contents(larger, Operation(encode_header(larger), b"", BODY, (PART,)))


def test_a_body_never_passes_for_a_part() -> None:
    assert body_hash(BODY) != part_hash(BODY), "hashes are told apart by their purpose"
    assert operation_id(BODY) not in {body_hash(BODY), part_hash(BODY)}


def test_a_salt_hides_short_contents() -> None:
    assert content(BODY) == b"body"
    with pytest.raises(ValueError, match="32"):
        salted(b"short", b"body")


# --- signatures ---------------------------------------------------------------------------------


def test_a_signature_is_of_these_bytes_by_this_key_for_this_purpose() -> None:
    alice, eve = secrets("alice"), secrets("eve")
    header = encode_header(PLAIN)
    signature = sign(header, alice.signing)
    assert verify(header, signature, alice.keys.signing), "alice signed it"
    assert not verify(header, signature, eve.keys.signing), "eve did not"
    assert not verify(header + b"\x00", signature, alice.keys.signing), "nor other bytes"
    assert not verify(header, bytes(64), alice.keys.signing)
    for wrong in (b"", signature[:-1], signature + b"\x00"):
        assert not verify(header, wrong, alice.keys.signing), "a signature has 64 bytes"
    for key in (b"", alice.keys.signing[:-1]):
        assert not verify(header, signature, key), "a key has 32 bytes"


@given(st.binary(min_size=64, max_size=64), st.binary(min_size=32, max_size=32))
@settings(deadline=None, max_examples=100)
def test_random_signatures_and_keys_never_verify(signature: bytes, key: bytes) -> None:
    assert not verify(encode_header(PLAIN), signature, key)


# --- replay -------------------------------------------------------------------------------------


@pytest.fixture
def home() -> Replica:
    return town()


def test_an_operation_cannot_be_replayed_into_another_realm(home: Replica) -> None:
    home.welcome("bob")
    note = home.note(person("bob"))
    elsewhere = town((("timezone", "Europe/Lisbon"),))
    elsewhere.welcome("bob")
    replayed = elsewhere.receive(home.operations[note.id])
    assert replayed == "realm", "an operation names its realm, and counts in no other"
    assert elsewhere.refusals == {"realm": 1}


def test_a_genesis_is_of_one_realm_only(home: Replica) -> None:
    elsewhere = town((("timezone", "Europe/Lisbon"),))
    genesis = home.operations[next(iter(home.operations))]
    assert elsewhere.receive(genesis) == "realm"


def test_moving_an_operation_takes_a_new_signature(home: Replica) -> None:
    home.welcome("bob")
    operation = home.draw(person("bob").device, Draft.fact(NOTE, Number(1)))
    for change in ({"document": b"o" * 32}, {"realm": b"r" * 32}, {"kind": "town.loan.1"}):
        moved = resign(operation, secrets("eve"), **change)
        outcome = home.receive(moved)
        assert outcome == "signature", "eve cannot move bob's words to another place"
    assert decided(home.receive(operation)).judgement.reason == ""
