"""The bounded parse of a change: what it reads, and what it refuses by which code."""

import subprocess
import sys
import zlib
from contextlib import suppress

import pytest
from automerge import core
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.test_document_bytes import (
    ALICE,
    BOB,
    BYTES,
    COUNTER,
    DELETE,
    EVE,
    FLOAT,
    INCREMENT,
    INTEGER,
    MAKE_LIST,
    MAKE_MAP,
    MAKE_TEXT,
    NULL,
    TEXT,
    THING,
    TIMESTAMP,
    TRUE,
    UNSIGNED,
    Craft,
    Write,
    altered,
    body_of,
    chunk,
    contended,
    honest_changes,
    runs,
    sleb,
)

from commons_crdt.document.change import (
    ACTORS_LIMIT,
    CHANGE_SIZE_LIMIT,
    MalformedChange,
    parse_change,
)
from commons_crdt.document.leb import MalformedNumber, read_sleb, read_uleb, uleb
from commons_crdt.document.operations import read_operations
from commons_crdt.document.schema import INTEGER_LIMIT
from commons_crdt.document.values import Value
from commons_crdt.document.write import create

values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-INTEGER_LIMIT + 1, INTEGER_LIMIT - 1),
    st.text(max_size=300),
)


def code_of(change: bytes) -> str:
    """The code by which a change is refused, in the header or in the operations."""
    with pytest.raises(MalformedChange) as caught:
        read_operations(parse_change(change))
    return caught.value.code


def plain() -> bytes:
    return create(ALICE, {"name": "drill", "count": 3, "open": True}, THING)


def replay(chunks: list[bytes]) -> core.Document:
    """What the library itself makes of these chunks."""
    message = b"\x42\0\0\0" + uleb(len(chunks)) + b"".join(uleb(len(c)) + c for c in chunks)
    document = core.Document()
    document.receive_sync_message(core.SyncState(), core.Message.decode(message))
    return document


def test_the_header_agrees_with_the_library() -> None:
    changes = replay(contended()).get_changes([])
    assert len(changes) == 5, "every change of the story is there"
    for change in changes:
        header = parse_change(change.raw_bytes)
        operations = read_operations(header)
        assert header.hash == change.hash
        assert header.actor == change.actor_id
        assert header.deps == tuple(change.deps)
        assert (header.seq, header.start_op) == (change.seq, change.start_op)
        assert header.start_op + len(operations) - 1 == change.max_op, "one counter per operation"
        assert header.other_actors == tuple(change.other_actor_ids)
        assert (header.time, header.message) == (0, "")


@given(st.dictionaries(st.text(min_size=1, max_size=20), values, min_size=1, max_size=64))
def test_whatever_the_library_writes_is_read_back(fields: dict[str, Value]) -> None:
    document = core.Document(ALICE)
    with document.transaction() as transaction:
        for name, value in fields.items():
            match value:
                case None:
                    transaction.put(core.ROOT, name, core.ScalarType.Null, None)
                case bool():
                    transaction.put(core.ROOT, name, core.ScalarType.Boolean, value)
                case int():
                    transaction.put(core.ROOT, name, core.ScalarType.Int, value)
                case str():
                    transaction.put(core.ROOT, name, core.ScalarType.Str, value)
    (change,) = document.get_changes([])
    header = parse_change(change.raw_bytes)
    read = {op.field: (type(op.value), op.value) for op in read_operations(header)}
    assert read == {name: (type(value), value) for name, value in fields.items()}
    assert header.hash == change.hash
    assert len(read) == change.max_op


def test_only_the_uncompressed_encoding_is_a_change() -> None:
    long = core.Document(ALICE)
    with long.transaction() as transaction:
        transaction.put(core.ROOT, "note", core.ScalarType.Str, "lorem ipsum " * 100)
    (change,) = long.get_changes([])
    assert change.bytes != change.raw_bytes, "the library can also deflate a long change"
    assert code_of(change.bytes) == "deflated"
    assert parse_change(change.raw_bytes).hash == change.hash
    (loaded,) = core.Document.load(long.save()).get_changes([])
    assert loaded.raw_bytes == change.raw_bytes, "the raw bytes are the same after save and load"


def test_a_deflate_bomb_is_never_inflated() -> None:
    packer = zlib.compressobj(9, wbits=-15)
    bomb = packer.compress(bytes(40_000_000)) + packer.flush()
    assert len(bomb) < CHANGE_SIZE_LIMIT, "it fits into an operation"
    assert code_of(chunk(bomb, kind=2)) == "deflated"


def test_chunks_that_are_not_one_change() -> None:
    change = plain()
    assert code_of(b"") == "magic"
    assert code_of(b"\0" + change[1:]) == "magic"
    assert code_of(change[:9]) == "truncated"
    assert code_of(change[:-1]) == "truncated"
    assert code_of(change + b"\0") == "trailing"
    assert code_of(change + change) == "trailing", "one chunk, not two"
    assert code_of(change[:4] + bytes(4) + change[8:]) == "checksum"
    assert code_of(chunk(body_of(change), kind=0)) == "type", "a saved document is not a change"
    assert code_of(chunk(body_of(change), kind=9)) == "type"
    assert code_of(bytes(CHANGE_SIZE_LIMIT + 1)) == "size"
    assert code_of(altered(change, extra=b"\0")) == "trailing", "nothing hides after the columns"


def test_counts_are_bounded_before_they_are_believed() -> None:
    body = body_of(plain())
    many = tuple(bytes((n, *bytes(31))) for n in range(17))
    assert code_of(chunk(uleb(2**62) + body[1:])) == "dependencies"
    assert code_of(altered(plain(), deps=many)) == "dependencies"
    assert code_of(altered(plain(), deps=(many[1], many[0]))) == "dependencies", "sorted only"
    assert code_of(altered(plain(), deps=(many[1], many[1]))) == "dependencies", "each once"
    assert code_of(chunk(b"\x10" + body[1:])) == "truncated"
    assert code_of(altered(plain(), actor=ALICE[:16])) == "actor"
    assert code_of(altered(plain(), message=b"x" * 4097)) == "message"
    assert code_of(altered(plain(), message=b"\xff")) == "message"
    assert code_of(altered(plain(), others=(BOB,))) == "actors", "no actor is named for nothing"
    assert code_of(altered(plain(), others=(EVE, BOB))) == "actors"
    assert code_of(altered(plain(), others=(ALICE,))) == "actors"
    assert code_of(altered(plain(), others=(BOB[:31],))) == "actors"
    prefix = b"\0\x20" + ALICE + b"\x01\x01\x00\x00"
    assert code_of(chunk(prefix + uleb(ACTORS_LIMIT + 1) + bytes(99))) == "actors"
    assert code_of(altered(plain(), seq=0)) == "number"
    assert code_of(altered(plain(), start_op=0)) == "number"
    assert code_of(altered(plain(), start_op=2**32 - 1)) == "number", "the library dies of this"
    assert code_of(altered(plain(), columns={0x42: sleb(2**40) + b"\1"})) == "columns"
    assert code_of(altered(plain(), columns={0x70: sleb(2**40) + b"\0"})) == "columns"
    assert code_of(altered(plain(), columns={0x15: sleb(-(2**40))})) == "unsupported"


def test_a_number_has_one_form() -> None:
    body = body_of(plain())
    assert code_of(chunk(b"\x80\x00" + body[1:])) == "number", "zero dependencies in two bytes"
    for bad in (b"", b"\x80", b"\x80\x00", b"\xff" * 9 + b"\x01", b"\x80" * 50):
        with pytest.raises(MalformedNumber):
            read_uleb(bad, 0, len(bad))
    for bad in (b"", b"\x80", b"\xff\x7f", b"\x80\x00", b"\x80" * 50):
        with pytest.raises(MalformedNumber):
            read_sleb(bad, 0, len(bad))


@given(st.integers(-(2**62) + 1, 2**62 - 1))
def test_numbers_survive(number: int) -> None:
    signed = sleb(number)
    assert read_sleb(signed, 0, len(signed)) == (number, len(signed))
    unsigned = uleb(abs(number))
    assert read_uleb(unsigned, 0, len(unsigned)) == (abs(number), len(unsigned))


@pytest.mark.parametrize(
    "write",
    [
        Write("count", COUNTER, sleb(1)),
        Write("count", TIMESTAMP, sleb(2**61)),
        Write("count", UNSIGNED, uleb(1)),
        Write("count", FLOAT, bytes(8)),
        Write("name", BYTES, b"drill"),
        Write("name", 15, b"drill"),
        Write("count", INTEGER, sleb(1), action=INCREMENT),
        Write("name", NULL, action=MAKE_MAP),
        Write("name", NULL, action=MAKE_LIST),
        Write("name", NULL, action=MAKE_TEXT),
    ],
)
def test_only_the_four_scalars_at_the_root_are_fields(write: Write) -> None:
    assert code_of(Craft(ALICE, writes=(write,)).pack()) == "unsupported"


def test_operations_elsewhere_than_at_the_root_are_not_fields() -> None:
    inside_an_object = {0x01: runs([b"\0"] * 3), 0x02: runs([b"\1"] * 3)}
    assert code_of(altered(plain(), columns=inside_an_object)) == "unsupported"
    in_a_list = {0x15: b"", 0x11: b"\x00\x03", 0x13: runs([b"\0"] * 3)}
    assert code_of(altered(plain(), columns=in_a_list)) == "unsupported"
    marked = {0x94: b"\x00\x03"}
    assert code_of(altered(plain(), columns=marked)) == "unsupported"
    inserted = {0x34: b"\x00\x03"}
    assert code_of(altered(plain(), columns=inserted)) == "unsupported"
    twice = (Write("name", TEXT, b"a"), Write("name", TEXT, b"b", ((1, ALICE),)))
    assert code_of(Craft(ALICE, writes=twice).pack()) == "unsupported"
    assert code_of(Craft(ALICE).pack()) == "unsupported", "a change changes something"


def test_columns_have_one_encoding() -> None:
    name = b"\x04name"
    for columns in (
        {0x70: b"\x7f\x00\x02\x00"},  # a literal run that repeats itself in the next one
        {0x70: b"\x7d\x00\x00\x00"},  # a literal run of equal values
        {0x70: b"\x01\x00\x02\x00"},  # a run of one
        {0x70: b"\x02\x00\x7f\x00"},
        {0x70: b"\x02\x00"},  # too few
        {0x70: b"\x04\x00"},  # too many
        {0x70: b"\x00\x03"},  # nulls
        {0x70: b""},
        {0x42: b""},
        {0x56: b""},
        {0x57: b""},
        {0x57: b"drill\x03\x00"},
        {0x71: b"\x7f\x00"},  # predecessors that no operation has
    ):
        assert code_of(altered(plain(), columns=columns)) in ("columns", "truncated"), columns
    assert code_of(altered(plain(), columns={0x1D: name})) == "columns", "a deflated column"
    body = body_of(plain())
    start = body.index(b"\x06\x15")
    assert code_of(chunk(body[:start] + b"\x07\x01\x00" + body[start + 1 :])) == "columns"
    wide = Write("count", INTEGER, b"\x83\x00")
    assert code_of(Craft(ALICE, writes=(wide,)).pack()) == "number"
    padded = Write("count", INTEGER, b"\x03\x03")
    assert code_of(Craft(ALICE, writes=(padded,)).pack()) == "columns"
    hollow = Write("open", TRUE, b"\x00")
    assert code_of(Craft(ALICE, writes=(hollow,)).pack()) == "columns"
    valued = Write("open", TRUE, b"", action=DELETE)
    assert code_of(Craft(ALICE, writes=(valued,)).pack()) == "columns"
    broken = Write("name", TEXT, b"\xff")
    assert code_of(Craft(ALICE, writes=(broken,)).pack()) == "columns"


@given(st.data())
def test_no_mutant_gets_more_than_a_code(data: st.DataObject) -> None:
    change = data.draw(st.sampled_from(list(honest_changes())), label="change")
    mutant = data.draw(mutants(body_of(change)), label="mutant")
    with suppress(MalformedChange):
        read_operations(parse_change(chunk(mutant)))


@st.composite
def mutants(draw: st.DrawFn, body: bytes) -> bytes:
    """Bodies with a few bytes changed, put in, taken out or repeated."""
    out = bytearray(body)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(out) - 1)))
        match draw(st.sampled_from(("set", "insert", "delete", "repeat"))):
            case "set" if out:
                out[at] = draw(st.integers(0, 255))
            case "insert":
                out[at:at] = draw(st.binary(min_size=1, max_size=3))
            case "delete":
                del out[at : at + draw(st.integers(1, 3))]
            case _:
                out[at:at] = out[at : at + draw(st.integers(1, 40))]
    return bytes(out)


def test_parsing_a_change_does_not_load_automerge() -> None:
    script = """
import sys
import commons_crdt.document.change, commons_crdt.document.operations
import commons_crdt.document.rules, commons_crdt.document.schema, commons_crdt.document.values
print([name for name in sys.modules if "automerge" in name])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.strip() == b"[]", "the main process can judge headers without the library"
