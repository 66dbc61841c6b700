"""The vectors of `/commons/sync/1`: read from the file alone, as another program would."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from nacl.signing import SigningKey
from tests.unit.test_vectors import load, shown

from commons_crdt.errors import Refused
from commons_crdt.ids import DeviceId, OperationId, digest
from commons_protocol import wire
from commons_protocol.ends import ChainEnd, Vector, packed
from commons_protocol.ranges import Comparison, fingerprint
from commons_protocol.transcript import Ends, Sealer, Side, claim_parts

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


def test_there_is_a_message_of_every_type() -> None:
    named = {entry["name"] for entry in SYNC["messages"]}
    assert named == {one.__name__ for one in wire.SyncMessage.__args__}
