"""The vectors of `/commons/sync/1`: read from the file alone, as another program would."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest
from nacl.signing import SigningKey
from tests.unit.test_vectors import load, operation_of, script, shown

from commons_crdt.errors import Refused
from commons_crdt.ids import DeviceId, OperationId, RealmId, digest
from commons_crdt.operation import Operation, operation_id
from commons_protocol import carriage, wire
from commons_protocol.about import about_in
from commons_protocol.effects import Close
from commons_protocol.ends import ChainEnd, Vector, packed
from commons_protocol.pull import WINDOW, Pull
from commons_protocol.ranges import Comparison, fingerprint
from commons_protocol.replica import Range
from commons_protocol.transcript import Ends, Sealer, Side, claim_parts
from commons_protocol.wants import wanted

SYNC: dict[str, Any] = load("sync")


def unpacked(text: str) -> ChainEnd:
    """An end from its 121 bytes."""
    data = bytes.fromhex(text)
    assert len(data) == 121
    seq, fork, hollow = (int.from_bytes(data[at : at + 8]) for at in (33, 73, 81))
    device, ident = DeviceId(data[1:33]), OperationId(data[41:73])
    return ChainEnd(device, data[0], seq, ident, fork, hollow, data[89:])


def stream() -> Ends:
    proof = SYNC["proof"]
    names = ("nonce_dialler", "nonce_listener", "key_dialler", "key_listener")
    return Ends(*(bytes.fromhex(proof[name]) for name in names))


def ranges(text: str) -> wire.Ranges:
    message = wire.unpack_sync(bytes.fromhex(text))
    assert isinstance(message, wire.Ranges)
    return message


KEY = bytes.fromhex(SYNC["proof"]["range_key"])


def test_everything_of_a_stream_follows_from_its_nonces_and_keys() -> None:
    proof = {k: bytes.fromhex(v) for k, v in SYNC["proof"].items() if isinstance(v, str)}
    slot: int = SYNC["proof"]["slot"]
    ends, epoch = stream(), proof["epoch_key"]
    sides: tuple[Side, ...] = ("dialler", "listener")
    for side in sides:
        tag = ends.tag(epoch, side)
        assert tag == proof[f"tag_{side}"]
        tags = proof[f"tags_{side}"]
        assert tag in {tags[at : at + 16] for at in range(0, 256, 16)}
    transcript = ends.transcript(proof["tags_dialler"], proof["tags_listener"])
    assert transcript == proof["transcript"]
    assert ends.range_key(proof["realm"]) == KEY
    opened = Sealer(epoch, transcript, slot, "dialler")
    claim = opened.open(proof["sealed_claim"], b"proof")
    assert claim == proof["claim"] == proof["device"] + proof["grant"] + proof["claim"][64:]
    assert opened.open(proof["sealed_ask"], b"ask") == b""
    assert opened.open(proof["sealed_path"], b"path") == b"a piece"
    parts = claim_parts(
        transcript, slot, "dialler", proof["realm"], proof["device"], proof["grant"]
    )
    signing = SigningKey(proof["device_seed"])
    assert signing.sign(digest("proof", *parts)).signature == proof["claim"][64:]


@pytest.mark.parametrize("entry", SYNC["ends"])
def test_ends_are_packed_and_hashed_as_listed(entry: dict[str, Any]) -> None:
    ends = [unpacked(one["packed"]) for one in entry["ends"]]
    for one, written in zip(ends, entry["ends"], strict=True):
        named = {name: shown(value) for name, value in one._asdict().items()}
        assert {**named, "packed": packed(one).hex()} == written
    assert Vector.of(reversed(ends)).digest().hex() == entry["digest"]


def test_fingerprints_are_as_listed() -> None:
    vector = Vector.of(unpacked(one["packed"]) for one in SYNC["ends"][3]["ends"])
    for entry in SYNC["fingerprints"]:
        found = fingerprint(vector, entry["first"], entry["last"], KEY)
        assert found.hex() == entry["fingerprint"]


@pytest.mark.parametrize("entry", SYNC["comparisons"], ids=lambda e: str(e["name"]))
def test_two_logs_are_compared_in_the_frames_that_are_listed(entry: dict[str, Any]) -> None:
    sides = {
        who: Comparison(Vector.of(map(unpacked, entry[who])), entry["log"], KEY, entry["slot"])
        for who in ("leader", "follower")
    }
    due = sides["leader"].opening()
    for frame in entry["frames"]:
        assert due.pop(0).hex() == frame["frame"]
        other = "follower" if frame["from"] == "leader" else "leader"
        answers = sides[other].on_frame(ranges(frame["frame"]))
        assert not (due and answers), "a turn is answered when it is whole"
        due = due or answers
    assert not due
    for who, side in sides.items():
        assert side.finished
        learned = entry["learned"][who]
        assert sorted(one.device.hex() for one in side.theirs) == learned["differing"]
        assert sorted(one.device.hex() for one in side.absent) == learned["absent"]


@pytest.mark.parametrize("entry", SYNC["refused"], ids=lambda e: str(e["name"]))
def test_ranges_are_refused_with_the_listed_code(entry: dict[str, Any]) -> None:
    many = next(one for one in SYNC["comparisons"] if one["name"].startswith("many"))
    follower = Comparison(Vector.of(map(unpacked, many["leader"])), 1, KEY, 3)
    with pytest.raises(Refused) as caught:
        follower.on_frame(ranges(entry["frame"]))
    assert caught.value.why == entry["code"]


@pytest.mark.parametrize("entry", SYNC["messages"], ids=lambda e: str(e["name"]))
def test_a_message_is_read_and_written_as_listed(entry: dict[str, Any]) -> None:
    message = wire.unpack_sync(bytes.fromhex(entry["frame"]))
    assert type(message).__name__ == entry["name"]
    assert wire.pack(message).hex() == entry["frame"]
    assert shown(msgspec.to_builtins(message, builtin_types=(bytes,))) == entry["fields"]


@pytest.mark.parametrize("entry", SYNC["programs"], ids=lambda e: str(e["addresses"][0])[:40])
def test_a_program_is_read_as_listed(entry: dict[str, Any]) -> None:
    told = about_in(entry["addresses"])
    assert (told and told.version, told and told.rules) == (entry["version"], entry["rules"])


def test_there_is_a_message_of_every_type() -> None:
    named = {entry["name"] for entry in SYNC["messages"]}
    assert named == {one.__name__ for one in wire.SyncMessage.__args__}


# --- wanting and giving -------------------------------------------------------------------------


def listed(fields: dict[str, Any] | None) -> ChainEnd | None:
    """An end from its fields by name."""
    if fields is None:
        return None
    raw: dict[str, Any] = {
        k: bytes.fromhex(v) if isinstance(v, str) else v for k, v in fields.items()
    }
    return ChainEnd(**raw)


@pytest.mark.parametrize("case", SYNC["wanting"], ids=lambda case: str(case["name"]))
def test_what_is_wanted_follows_from_both_ends(case: dict[str, Any]) -> None:
    theirs = listed(case["theirs"])
    assert theirs is not None
    found = wanted(listed(case["mine"]), theirs)
    assert [[one.first, one.last] for one in found] == case["wanted"]
    assert {(one.device, one.log) for one in found} <= {(theirs.device, theirs.log)}


def made(one: dict[str, Any]) -> bytes:
    data = hashlib.shake_128(bytes.fromhex(one["shake_128"]))
    return data.digest(one["length"])


def test_a_large_operation_is_cut_and_joined() -> None:
    told = SYNC["pieces"]
    header, signature = bytes.fromhex(told["header"]), bytes.fromhex(told["signature"])
    parts = tuple(made(part) for part in told["parts"])
    large = Operation(header, signature, made(told["body"]), parts)
    frames = [frame for frame, _count in carriage.frames(told["slot"], [large])]
    joined = b""
    for frame, as_said in zip(frames, told["frames"], strict=True):
        message = wire.unpack_sync(frame)
        assert isinstance(message, wire.Piece)
        assert hashlib.blake2b(frame, digest_size=32).hexdigest() == as_said["hash"]
        assert (message.last, len(message.data)) == (as_said["last"], as_said["length"])
        joined += message.data
    assert carriage.unpack_pieces(joined) == large


@pytest.mark.parametrize("case", SYNC["pieces"]["refused"], ids=lambda case: str(case["name"]))
def test_pieces_that_are_no_operation_end_the_stream(case: dict[str, Any]) -> None:
    pull = Pull(RealmId(bytes(32)), 0)
    pull.begin([Range(DeviceId(bytes(32)), 1, 1, 1)])
    codes = []
    for n, length in enumerate(case["lengths"], 1):
        piece = wire.Piece(0, n == len(case["lengths"]), bytes.fromhex(case["byte"]) * length)
        codes += [e.code for e in pull.on_piece(piece) if isinstance(e, Close)]
        if codes:
            break
    assert codes == [case["code"]]


def test_who_wants_gives_credit_when_it_is_stored() -> None:
    told = SYNC["credit"]
    assert [one["said"] for one in told[:4]] == ["Want", "stored", "Operations", "Operations"]
    said = [wire.unpack_sync(bytes.fromhex(frame)) for one in told for frame in one["frames"]]
    want, *credits_ = said
    assert isinstance(want, wire.Want)
    assert want.credit == WINDOW
    came, given = 0, want.credit
    for one in told[1:]:
        came += one["said"] == "Operations"
        assert came <= given, "nobody sends beyond the credit"
        for frame in one["frames"]:
            message = wire.unpack_sync(bytes.fromhex(frame))
            assert isinstance(message, wire.Credit)
            given += message.frames
            assert given - came <= WINDOW, "no more is open than at the beginning"
    assert credits_
    assert told[-1] == {"said": "Served", "frames": []}


@pytest.mark.parametrize("case", SYNC["bad_messages"], ids=lambda case: str(case["name"]))
def test_what_is_no_message_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        wire.unpack_sync(bytes.fromhex(case["frame"]))
    assert caught.value.why == case["code"]


@pytest.mark.parametrize("case", SYNC["rounds"], ids=lambda case: str(case["name"]))
def test_a_whole_round_is_said_frame_by_frame(case: dict[str, Any]) -> None:
    """What each frame is, and that the sets are equal by what was given alone."""
    known = {
        operation_id(one.header): one for one in map(operation_of, load("judge")["operations"])
    }
    making = script().syncing.rounds
    sides: tuple[Side, ...] = ("dialler", "listener")
    shelves: dict[Side, Any] = {}
    for side in sides:
        shelf = shelves[side] = making.Shelf(RealmId(digest("v-realm", b"town")))
        shelf.put(known[OperationId(bytes.fromhex(one))] for one in case["operations"][side])
        assert [packed(end).hex() for end in shelf.ends()] == case["begin"][side]
    given = {side: dict(shelf.held) for side, shelf in shelves.items()}
    said = making.play(shelves, bytes.fromhex(case["range_key"]))
    assert [{"from": side, "frame": frame.hex()} for side, frame in said] == case["frames"]
    for shelf in shelves.values():
        assert shelf.digest().hex() == case["digest"]
    messages = [(side, wire.unpack_sync(frame)) for side, frame in said]
    for sender, taker in (sides, sides[::-1]):
        came: dict[OperationId, Operation] = {}
        for side, message in messages:
            if side == sender and isinstance(message, wire.Operations):
                found = carriage.unpack_operations(message.operations)
                came.update({operation_id(one.header): one for one in found})
        assert not came.keys() & given[taker].keys(), "nothing is given that was there"
        assert {**given[taker], **came}.keys() == shelves[sender].held.keys()
    names = [type(message).__name__ for _, message in messages]
    assert names[:2] == names[-2:] == ["Digest", "Digest"], "it begins and ends with both digests"
    wants, done = names.count("Want"), names.count("Done")
    assert names.count("Served") == wants
    assert done % 2 == 0, "each says Done once in each log"
    assert bool(wants) == bool(done) == (len(names) > 2)
