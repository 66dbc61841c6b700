"""What is wanted of a chain, operations in pieces, and frames that are refused."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from typing import Any

from commons_crdt.ids import ZERO, DeviceId, OperationId, RealmId, digest
from commons_crdt.operation import MAX_BODY, MAX_COUNTER, MAX_PARTS, SMALL_PART, Operation
from commons_protocol import carriage, wire
from commons_protocol.effects import Close, Effect, Ingest, Send
from commons_protocol.ends import ChainEnd
from commons_protocol.frame import encode
from commons_protocol.pull import Pull
from commons_protocol.replica import Ingested, Range
from commons_protocol.wants import wanted
from making.judge_story import story
from making.names import code_of, shown

SLOT = 3
REALM = RealmId(digest("v-realm", b"town"))


def shake(name: bytes, length: int) -> bytes:
    """Bytes that everybody can make."""
    return hashlib.shake_128(name).digest(length)


# --- what is wanted -----------------------------------------------------------------------------


def _end(seq: int, log: int = 1, branch: bytes = b"", **more: Any) -> ChainEnd:
    device = DeviceId(digest("v-dev", b"\x01"))
    ident = OperationId(digest("v-op", device, bytes([log]), seq.to_bytes(8), branch))
    return ChainEnd(device, log, seq, ident if seq else OperationId(ZERO), **more)


def wanting() -> list[dict[str, Any]]:
    """Two ends of one chain, and what follows: each rule alone, at its edges, and together."""
    holes, others = digest("hollow", (4).to_bytes(8)), digest("hollow", (9).to_bytes(8))
    beyond = digest("beyond", b"v")
    cases: dict[str, tuple[ChainEnd | None, ChainEnd]] = {
        "equal ends": (_end(9), _end(9)),
        "a chain that is not here": (None, _end(9)),
        "theirs ends higher": (_end(5), _end(9)),
        "mine ends higher": (_end(9), _end(5)),
        "theirs has a fork, and mine none": (_end(9), _end(9, fork=4)),
        "theirs has a lower fork": (_end(9, fork=7), _end(9, fork=4)),
        "theirs has a higher fork": (_end(9, fork=4), _end(9, fork=7)),
        "theirs is higher, and has a fork": (_end(5), _end(9, fork=6)),
        "theirs is higher behind a fork that only mine has": (_end(5, fork=6), _end(9)),
        "theirs is higher, below a fork that only mine has": (_end(5, fork=8), _end(7)),
        "theirs is higher behind a fork that both have": (_end(5, fork=6), _end(9, fork=6)),
        "the same seq with another id": (_end(9), _end(9, branch=b"other")),
        "the same seq with another id, high up": (_end(200), _end(200, branch=b"other")),
        "contents are absent here": (_end(9, hollow=4, more=holes), _end(9)),
        "contents are absent there": (_end(9), _end(9, hollow=4, more=holes)),
        "other contents are absent here": (
            _end(9, hollow=4, more=holes), _end(9, hollow=9, more=others),
        ),
        "contents are absent here, and theirs is higher": (
            _end(9, hollow=4, more=holes), _end(12),
        ),
        "something counts behind their end in log 0": (_end(9, 0), _end(9, 0, more=beyond)),
        "something counts behind my end in log 0": (_end(9, 0, more=beyond), _end(9, 0)),
        "what counts behind the ends in log 0 differs": (
            _end(9, 0, more=others), _end(7, 0, more=beyond),
        ),
    }  # fmt: skip
    return [
        {
            "name": name,
            "mine": None if mine is None else _listed(mine),
            "theirs": _listed(theirs),
            "wanted": [[one.first, one.last] for one in wanted(mine, theirs)],
        }
        for name, (mine, theirs) in cases.items()
    ]


def _listed(one: ChainEnd) -> dict[str, Any]:
    return {name: shown(value) for name, value in one._asdict().items()}


# --- pieces -------------------------------------------------------------------------------------


def pieces() -> dict[str, Any]:
    """The largest operation that nodes send, in pieces; and pieces that end the stream.

    Its body and parts are not those of the header: who joins pieces looks at none of them.
    """
    told = story().operations["bob writes a note"]
    parts = tuple(shake(b"part %d" % n, SMALL_PART) for n in range(MAX_PARTS))
    large = Operation(told.header, told.signature, shake(b"body", MAX_BODY), parts)
    frames = [frame for frame, _count in carriage.frames(SLOT, [large])]
    most = carriage.MAX_OPERATION + 64
    room = len(_data(frames[0]))
    some = [room] * (most // room)
    refused: dict[str, tuple[list[int], bytes]] = {
        "as much as may be, of zeroes": ([*some, most - sum(some)], b"\0"),
        "a byte more than may be": ([*some, most - sum(some) + 1], b"\0"),
        "no end of it": ([room] * 6, b"\0"),
        "no operation": ([10], b"\x80"),
    }
    return {
        "slot": SLOT,
        "header": told.header.hex(),
        "signature": told.signature.hex(),
        "body": {"shake_128": b"body".hex(), "length": MAX_BODY},
        "parts": [
            {"shake_128": (b"part %d" % n).hex(), "length": SMALL_PART} for n in range(MAX_PARTS)
        ],
        "frames": [
            {
                "last": bool(_message(frame).last),
                "length": len(_data(frame)),
                "hash": hashlib.blake2b(frame, digest_size=32).hexdigest(),
            }
            for frame in frames
        ],
        "refused": [
            {"name": name, "lengths": lengths, "byte": byte.hex(),
             "code": _ended(lengths, byte)}
            for name, (lengths, byte) in refused.items()
        ],
    }  # fmt: skip


def _message(frame: bytes) -> wire.Piece:
    message = wire.unpack_sync(frame)
    assert isinstance(message, wire.Piece)
    return message


def _data(frame: bytes) -> bytes:
    return _message(frame).data


def _ended(lengths: Sequence[int], byte: bytes) -> str:
    """Why a stream ends on which these pieces come, the last of them marked so."""
    pull = Pull(REALM, SLOT)
    pull.begin([Range(DeviceId(bytes(32)), 1, 1, 1)])
    for n, length in enumerate(lengths, 1):
        for effect in pull.on_piece(wire.Piece(SLOT, n == len(lengths), byte * length)):
            if isinstance(effect, Close):
                return effect.code
    return ""


# --- credit -------------------------------------------------------------------------------------


def credit() -> list[dict[str, Any]]:
    """What who wants says while frames come, each stored before the next: credit, then nothing."""
    note = story().operations["bob writes a note"]
    frame = wire.unpack_sync(next(carriage.frames(SLOT, [note]))[0])
    assert isinstance(frame, wire.Operations)
    pull = Pull(REALM, SLOT)
    wants = Range(DeviceId(bytes(32)), 1, 1, 40)
    told = [{"said": "Want", "frames": _sent(pull.begin([wants]))}]
    for _ in range(40):
        effects = pull.on_operations(frame)
        while any(isinstance(effect, Ingest) for effect in effects):
            told += [{"said": "stored", "frames": _sent(effects)}]
            effects = pull.on_ingested(Ingested(1))
        told += [{"said": "Operations", "frames": _sent(effects)}]
    told += [{"said": "Served", "frames": _sent(pull.on_served())}]
    return told


def _sent(effects: Sequence[Effect]) -> list[str]:
    return [effect.frame.hex() for effect in effects if isinstance(effect, Send)]


# --- frames that are refused --------------------------------------------------------------------


def bad_messages() -> list[dict[str, Any]]:
    """Frames of which each is no message of this version."""
    told = story().operations["bob writes a note"]
    packed = carriage.pack_operation(told)
    device, ident = digest("v-dev", b"\x01"), digest("v-op", b"named")
    cases: dict[str, bytes] = {
        "nothing": b"",
        "no array": encode(b"x"),
        "a number of no message": encode([99, SLOT]),
        "a message of another protocol": encode([40, SLOT, ident, ident, 0, 1]),
        "bytes behind the message": encode([17, SLOT]) + b"\0",
        "an array without end": b"\x9f\x11\x03\xff",
        "one field too few": encode([17]),
        "one field too many": encode([17, SLOT, 0]),
        "a slot that is none": encode([17, 16]),
        "a slot below zero": encode([17, -1]),
        "tags of another length": encode([2, b"t" * 255]),
        "a digest of another length": encode([10, SLOT, True, ident[:31], ident[:16]]),
        "no truth": encode([10, SLOT, 1, ident, ident[:16]]),
        "a log that is none": encode([12, SLOT, 32, [[device, 2, 1, 9]], []]),
        "no credit": encode([12, SLOT, 0, [[device, 1, 1, 9]], []]),
        "more credit than a want gives": encode([12, SLOT, 65, [[device, 1, 1, 9]], []]),
        "credit for nothing": encode([15, SLOT, 0]),
        "more ids than a want names": encode(
            [12, SLOT, 32, [], [n.to_bytes(32) for n in range(257)]]
        ),
        "a seq beyond all": encode([12, SLOT, 32, [[device, 1, 1, MAX_COUNTER + 1]], []]),
        "an operation without its signature": encode([13, SLOT, [packed[:1] + packed[2:]]]),
        "a signature of another length": encode([13, SLOT, [[packed[0], b"s" * 63, *packed[2:]]]]),
        "more parts than there may be": encode(
            [13, SLOT, [[*packed[:3], [None] * (MAX_PARTS + 1)]]]
        ),
    }
    return [
        {"name": name, "frame": frame.hex(), "code": code_of(partial(wire.unpack_sync, frame))}
        for name, frame in cases.items()
    ]
