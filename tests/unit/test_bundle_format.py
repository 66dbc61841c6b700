"""The bytes of a bundle: what a stranger sees, and that nothing but what was written comes out."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzz.vectors import vectors
from tests.unit.rooms import bytes_of, note, village
from tests.unit.sticks import Stick, forged, frames
from tests.unit.town import Replica, secrets

from commons_crdt import canonical
from commons_crdt.ids import ZERO, DeviceId, OperationId
from commons_crdt.operation import Operation, operation_id, part_hash
from commons_protocol.bundles import reader
from commons_protocol.bundles.chunks import CHUNK, ROOM, seal_chunk
from commons_protocol.bundles.contents import (
    MAX_PIECE,
    Filed,
    Kind,
    Last,
    Piece,
    Wanted,
    decode_frame,
    encode_behind,
    encode_ends,
)
from commons_protocol.bundles.errors import BadBundle
from commons_protocol.bundles.gaps import by_chain, lacking, ranges, starts
from commons_protocol.bundles.reader import Reader, head_length, unlock
from commons_protocol.bundles.slots import LEAST, MAX_SLOTS, SLOT, make_slots, open_slots, rounded
from commons_protocol.bundles.writer import HEAD, Writer
from commons_protocol.ends import ChainEnd

BOB = "bob's node"
Put = Callable[[bytes], None]


def chance(seed: int = 1) -> Callable[[int], bytes]:
    return Random(seed).randbytes


@pytest.fixture(scope="module")
def home() -> Replica:
    made, people = village()
    for n in range(300):
        note(made, people.eve, n, "x" * 500)
    return made


def everything(home: Replica) -> Callable[[Writer, Put], None]:
    def fill(out: Writer, put: Put) -> None:
        for one in bytes_of(home):
            for data in out.add(Kind.ONE, one):
                put(data)

    return fill


@pytest.fixture(scope="module")
def whole(home: Replica) -> Stick:
    return forged(home, "alice's node", BOB, everything(home))


def operations(stick: Stick) -> list[Operation]:
    """What comes out, up to the first damage."""
    return [one.operation for one in taken(stick)[0] if isinstance(one, Filed)]


def taken(stick: Stick) -> tuple[list[Any], BadBundle | None]:
    """All frames before the first fault, and the fault."""
    return taken_by(bytes(stick.data), secrets(BOB).sealing)


def taken_by(data: bytes, seed: bytes) -> tuple[list[Any], BadBundle | None]:
    found: list[Any] = []
    source = io.BytesIO(data)
    try:
        begin = source.read(HEAD)
        header = begin + source.read(head_length(begin) - HEAD)
        made = Reader(unlock(header, [seed]))
        while not made.done:
            found.extend(made.chunk(source.read(CHUNK)))
    except BadBundle as bad:
        return found, bad
    return found, None


def test_what_was_written_comes_out_in_its_order(home: Replica, whole: Stick) -> None:
    assert operations(whole) == bytes_of(home)
    assert taken(whole)[1] is None
    assert whole.chunks > 1


@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_whatever_happens_to_a_file_nothing_comes_out_that_was_not_in(
    home: Replica, whole: Stick, data: st.DataObject
) -> None:
    bad = Stick(bytearray(whole.data))
    how = data.draw(st.sampled_from(["cut", "flip", "swap", "double"]))
    at = data.draw(st.integers(0, whole.size - 1))
    if how == "cut":
        del bad.data[at:]
    elif how == "flip":
        bad.data[at] ^= 1 << data.draw(st.integers(0, 7))
    elif how == "swap":
        first, last = (bad.at_chunk(data.draw(st.integers(0, bad.chunks - 1))) for _ in "ab")
        one, other = whole.data[first : first + CHUNK], whole.data[last : last + CHUNK]
        bad.data[first : first + CHUNK], bad.data[last : last + CHUNK] = other, one
    else:
        bad.data[at:at] = bad.data[at : at + CHUNK]
    found, fault = taken(bad)
    given_ = [one.operation for one in found if isinstance(one, Filed)]
    assert given_ == bytes_of(home)[: len(given_)], "a beginning of what was written, no more"
    assert fault is None or fault.code.startswith("bundle_")
    if fault is None:
        assert len(given_) == len(bytes_of(home)), "who says that it was all, has all"


def test_a_stranger_learns_a_rounded_size_and_a_rounded_number(home: Replica) -> None:
    """No name, no time, no community, and nobody's key stands in it; the sizes are rough."""

    def with_(count: int) -> Stick:
        def fill(out: Writer, put: Put) -> None:
            for one in bytes_of(home)[:count]:
                for data in out.add(Kind.ONE, one):
                    put(data)

        return forged(home, "alice's node", BOB, fill)

    few, more = with_(3), with_(90)
    assert few.size == more.size
    assert len(few.slots) == LEAST
    names = [secrets(BOB).keys.sealing, secrets(BOB).keys.id, secrets("alice's node").keys.signing]
    for name in [*names, bytes(home.realm), *home.operations]:
        assert bytes(name) not in few.data
    assert few.slots == sorted(few.slots), "their order says nothing"
    assert [rounded(n, 1) for n in (1, 15, 16, 17, 33, 1000)] == [1, 15, 16, 18, 36, 1024]
    assert [rounded(n, LEAST) for n in (1, 16, 17, 200, 300)] == [16, 16, 32, 208, 320]
    assert all(n <= rounded(n, 1) <= n * 9 // 8 + 1 for n in range(1, 5000))


def test_each_device_has_a_slot_and_nobody_else() -> None:
    people = [secrets(f"device {n}") for n in range(20)]
    small = bytes(32)  # of small order: nothing can be sealed to it
    slots, count = make_slots(b"k" * 32, [*(p.keys.sealing for p in people), small], chance())
    assert (count, len(slots)) == (20, 32 * SLOT)
    for who in people:
        assert open_slots(slots, [who.sealing]) == (b"k" * 32, 0)
    assert open_slots(slots, [secrets("eve").sealing]) is None
    assert open_slots(slots, [secrets("eve").sealing, people[3].sealing]) == (b"k" * 32, 1)
    assert len({slots[at : at + 32] for at in range(0, len(slots), SLOT)}) == 32, "no key twice"


def test_a_community_with_more_devices_than_there_is_room_is_told_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("commons_protocol.bundles.slots.MAX_SLOTS", 3)
    with pytest.raises(BadBundle, match="more devices than the 3") as caught:
        make_slots(b"k" * 32, [secrets(BOB).keys.sealing] * 4, chance())
    assert caught.value.way_out


@pytest.mark.parametrize(
    ("begin", "code"),
    [
        (b"", "bundle_magic"),
        (b"commons-archive\x01\x00\x10", "bundle_magic"),
        (b"commons-bundle\x01", "bundle_truncated"),
        (b"commons-bundle\x02\x00\x10", "bundle_version"),
        (b"commons-bundle\x01\x00\x00", "bundle_format"),
        (b"commons-bundle\x01" + (MAX_SLOTS + 1).to_bytes(2), "bundle_format"),
    ],
)
def test_a_header_is_bounded_before_it_is_read(begin: bytes, code: str) -> None:
    with pytest.raises(BadBundle) as caught:
        head_length(begin)
    assert caught.value.code == code
    assert caught.value.way_out


def _claims_much(out: Writer, _put: Put) -> None:
    out._payload += bytes([Kind.ONE]) + b"\xff\xff\xff\xff"


def _goes_back(out: Writer, _put: Put) -> None:
    out._payload += bytes([Kind.ENDS]) + b"\0\0\0\x01\x80"


def _has_two_manifests(out: Writer, _put: Put) -> None:
    out._payload += bytes(out._payload)


def _unknown(out: Writer, _put: Put) -> None:
    out._payload += b"\x0a\0\0\0\x01\x80"


def _nothing_in_a_chunk(out: Writer, put: Put) -> None:
    put(out._seal())
    put(out._seal())


def _miscounts(out: Writer, _put: Put) -> None:
    out.counts[Kind.ONE] = 5


def _of_somebody(out: Writer, _put: Put) -> None:
    from commons_node.standing import signer

    out._sign = signer(secrets("eve's node"))


HOSTILE: dict[Callable[[Writer, Put], None], str] = {
    _claims_much: "bundle_format",
    _goes_back: "bundle_format",
    _has_two_manifests: "bundle_order",
    _unknown: "bundle_format",
    _nothing_in_a_chunk: "bundle_order",
    _miscounts: "bundle_order",
    _of_somebody: "bundle_signature",
}


@pytest.mark.parametrize("how", HOSTILE, ids=lambda how: how.__name__.strip("_"))
def test_a_member_who_keeps_no_rule_is_refused_within_a_chunk(
    home: Replica, how: Callable[[Writer, Put], None]
) -> None:
    _, fault = taken(forged(home, "alice's node", BOB, how))
    assert fault is not None
    assert fault.code == HOSTILE[how]


def test_a_chunk_holds_the_largest_operation_and_nothing_grows() -> None:
    assert ROOM > 5 + (1 << 16)
    with pytest.raises(BadBundle, match="longer than its chunk"):
        reader._cut(b"\x04" + (ROOM + 1).to_bytes(4) + b"x", 0)


def test_sections_stand_in_their_order(home: Replica) -> None:
    made = Writer(frames(forged(home, "alice's node", BOB, lambda *_: None), BOB)[0][1],
                  [], lambda d: d + d, chance())  # fmt: skip
    first = bytes_of(home)[0]
    list(made.add(Kind.ONE, first))
    with pytest.raises(ValueError, match="order"):
        list(made.add(Kind.ZERO, first))
    with pytest.raises(ValueError, match="section"):
        list(made.add(Kind.ENDS, first))


def test_ends_are_many_frames_and_as_they_were(home: Replica) -> None:
    ends = [end(n.to_bytes(32), n) for n in range(1, 700)]

    def fill(out: Writer, put: Put) -> None:
        for data in out.ends(ends):
            put(data)

    stick = forged(home, "alice's node", BOB, fill)
    found = [one for _, one in frames(stick, BOB) if isinstance(one, tuple) and one]
    assert [e for some in found for e in some if isinstance(e, ChainEnd)] == ends
    assert len(list(encode_ends(ends))) == 3


def end(device: bytes, seq: int, ident: int = 0, **more: Any) -> ChainEnd:
    return ChainEnd(DeviceId(device), 1, seq, OperationId((ident or seq).to_bytes(32)), **more)


A, B = DeviceId(b"a" * 32), DeviceId(b"b" * 32)


@pytest.mark.parametrize(
    ("mine", "theirs", "first"),
    [
        (end(A, 9), [], 1),
        (end(A, 9), [end(A, 4)], 5),
        (end(A, 9), [end(A, 4), end(A, 7)], 5),
        (end(A, 9), [end(A, 4), None], 1),
        (end(A, 9), [end(A, 4), end(A, 4, 77)], 1),
        (end(A, 9), [end(A, 9)], None),
        (end(A, 9), [end(A, 9, 77)], 1),
        (end(A, 9, fork=7), [end(A, 9)], 1),
        (end(A, 9, fork=7), [end(A, 9, fork=7)], 7),
        (end(A, 9), [end(A, 4, hollow=2)], 1),
        (end(A, 9, more=b"m" * 32), [end(A, 4)], 1),
        (end(A, 5), [end(A, 5)], 6),
        (None, [None], 1),
    ],
)
def test_what_is_left_out_is_a_beginning_that_they_have(
    mine: ChainEnd | None, theirs: list[ChainEnd | None], first: int | None
) -> None:
    tips = {(A, 1): 9}
    given_ = [by_chain([one] if one else []) for one in theirs]
    begin = starts(given_, by_chain([mine] if mine else []), tips)
    here = [one.id for one in theirs if one and one.id == OperationId(one.seq.to_bytes(32))]
    found = ranges(begin, tips, here)
    assert [one.first for one in found] == ([first] if first else [])
    assert all(one.last == 9 for one in found)


def test_an_end_that_is_not_on_the_chain_here_is_no_reason_to_leave_anything_out() -> None:
    tips = {(A, 1): 9}
    begin = starts([by_chain([end(A, 4, 77)])], by_chain([end(A, 9)]), tips)
    assert [one.first for one in ranges(begin, tips, [])] == [1]


def test_what_others_have_and_is_not_here() -> None:
    theirs = [end(A, 9), end(B, 3)]
    assert [(r.device, r.first, r.last) for r in lacking(theirs, {(A, 1): 4}, [])] == [
        (A, 5, 9),
        (B, 1, 3),
    ]
    assert lacking(theirs, {(A, 1): 9}, [(B, 1)]) == []
    assert end(A, 1).more == ZERO


def test_the_same_chance_makes_the_same_file(home: Replica, whole: Stick) -> None:
    assert forged(home, "alice's node", BOB, everything(home)).data == whole.data


def _behind(kind: Kind, *values: Any) -> Callable[[Writer, Put], None]:
    """Frames behind the end, written by no rule."""

    def fill(out: Writer, put: Put) -> None:
        genesis = Operation(b"\x80", bytes(64), b"", ())
        for data in (*out.announce(genesis), *out.end()):
            put(data)
        for value in values:
            for data in out._frame(kind, canonical.encode(value)):
                put(data)
        out.end = lambda: out.last(0, 0)  # type: ignore[method-assign]

    return fill


@pytest.mark.parametrize(
    ("how", "code"),
    [
        (_behind(Kind.PIECE, [bytes(32), bytes(32), 0, bytes(MAX_PIECE)]), None),
        (_behind(Kind.PIECE, [bytes(32), bytes(32), 0, bytes(MAX_PIECE + 1)]), "bundle_format"),
        (_behind(Kind.WANTED, [[bytes(32), bytes(32)]] * 256), None),
        (_behind(Kind.WANTED, [[bytes(32), bytes(32)]] * 257), "bundle_format"),
        (_behind(Kind.WANTED, *([[[bytes(32), bytes(32)]]] * 17)), "bundle_size"),
        (_behind(Kind.END, [0, 0, 1]), "bundle_order"),
        (_behind(Kind.LAST, [0, 0]), "bundle_order"),
    ],
)
def test_what_stands_behind_the_end_is_bounded_and_in_order(
    home: Replica, how: Callable[[Writer, Put], None], code: str | None
) -> None:
    _, fault = taken(forged(home, "alice's node", BOB, how))
    assert (fault.code if fault else None) == code


def _the_same(signature: bytes, _claim: bytes) -> bytes:
    return signature


def test_the_vectors_are_read_and_refused_as_they_say() -> None:
    found = vectors("bundle")
    header, key = bytes.fromhex(found["header"]), bytes.fromhex(found["file_key"])
    seed = bytes.fromhex(found["sealing_seed"])
    data = header
    for chunk in found["chunks"]:
        payload, signature = bytes.fromhex(chunk["payload"]), bytes.fromhex(chunk["signature"])
        name = bytes.fromhex(found["name"])
        claimed = partial(_the_same, signature)
        sealed = seal_chunk(key, name, chunk["number"], chunk["before"], payload, claimed)
        assert hashlib.blake2b(sealed, digest_size=32).hexdigest() == chunk["hash"]
        data += sealed
    frames_, fault = taken_by(data, seed)
    assert fault is None
    ids = [operation_id(f.operation.header).hex() for f in frames_ if isinstance(f, Filed)]
    assert ids == found["operations"]
    assert (frames_[0].realm.hex(), frames_[0].signer.id.hex()) == (found["realm"], found["signer"])
    for bad in found["bad"]:
        edit, at = bytes.fromhex(bad["bytes"]), bad.get("set", bad.get("cut"))
        broken = data[:at] + (edit + data[at + len(edit) :] if "set" in bad else b"")
        _, fault = taken_by(broken, seed)
        assert fault is not None, bad["name"]
        assert fault.code == bad["code"], bad["name"]


def _payload(frames_: list[dict[str, Any]], content: bytes, part: dict[str, str]) -> bytes:
    """A chunk's frames, as the vectors list them."""
    packed = b""
    for one in frames_:
        if "frame" in one:
            frame = bytes.fromhex(one["frame"])
        else:
            at = one["offset"]
            data = content[at : at + one["length"]]
            key = bytes.fromhex(part["operation"]), bytes.fromhex(part["hash"])
            frame = encode_behind(Piece(*key, at, data))
        packed += bytes([one["kind"]]) + len(frame).to_bytes(4) + frame
    return packed


def test_the_vectors_of_large_parts_are_read_and_refused_as_they_say() -> None:
    found = vectors("bundle-parts")
    header, key, name = (bytes.fromhex(found[one]) for one in ("header", "file_key", "name"))
    part = found["part"]
    content = hashlib.shake_128(bytes.fromhex(part["shake_128"])).digest(part["length"])
    assert part_hash(content).hex() == part["hash"]
    data = header
    for chunk in found["chunks"]:
        claimed = partial(_the_same, bytes.fromhex(chunk["signature"]))
        payload = _payload(chunk["frames"], content, part)
        sealed = seal_chunk(key, name, chunk["number"], chunk["before"], payload, claimed)
        assert hashlib.blake2b(sealed, digest_size=32).hexdigest() == chunk["hash"]
        data += sealed
    frames_, fault = taken_by(data, bytes.fromhex(found["sealing_seed"]))
    assert fault is None
    pieces = [one for one in frames_ if isinstance(one, Piece)]
    assert b"".join(one.data for one in pieces) == content
    (wanted,) = (one for one in frames_ if isinstance(one, Wanted))
    assert [[bytes(half).hex() for half in one] for one in wanted.parts] == found["wanted"]
    ids = [operation_id(f.operation.header).hex() for f in frames_ if isinstance(f, Filed)]
    assert ids == [*found["operations"], found["operations"][0]], "the announcement comes last"
    assert isinstance(frames_[-1], Last)
    _, fault = taken_by(data[: len(header) + CHUNK], bytes.fromhex(found["sealing_seed"]))
    assert fault is not None
    assert fault.code == "bundle_truncated", "what was announced is missing"
    for bad in found["bad"]:
        with pytest.raises(BadBundle) as caught:
            decode_frame(bad["kind"], bytes.fromhex(bad["frame"]))
        assert caught.value.code == bad["code"], bad["name"]


@given(data=st.data())
@settings(deadline=None, max_examples=15)
def test_large_parts_come_out_as_they_went_in_or_not_at_all(
    home: Replica, data: st.DataObject
) -> None:
    sizes = data.draw(st.lists(st.integers(1, 200_000), min_size=1, max_size=4))
    contents = [Random(n).randbytes(size) for n, size in enumerate(sizes)]

    def fill(out: Writer, put: Put) -> None:
        first = bytes_of(home)[0]
        for one in (*out.add(Kind.ZERO, first), *out.announce(first), *out.end()):
            put(one)
        for content in contents:
            for at in range(0, len(content), MAX_PIECE):
                piece = Piece(b"o" * 32, part_hash(content), at, content[at : at + MAX_PIECE])
                for one in out.piece(piece):
                    put(one)
        out.end = lambda: out.last(0, len(contents))  # type: ignore[method-assign]

    stick = forged(home, "alice's node", BOB, fill)
    cut = data.draw(st.integers(stick.at_chunk(0), stick.size))
    frames_, fault = taken_by(bytes(stick.data[:cut]), secrets(BOB).sealing)
    came = b"".join(one.data for one in frames_ if isinstance(one, Piece))
    assert b"".join(contents).startswith(came)
    last = bool(frames_) and frames_[-1] == Last(0, len(contents))
    assert last == (fault is None)
    assert not last or came == b"".join(contents)
