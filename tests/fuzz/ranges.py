"""A target of comparisons: turns of `Ranges` into either side of one, whatever was opened before.

The first byte chooses the side (odd: the leader, who has spoken) and how many ends it holds.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.fuzz.streams import framed, unframed
from tests.fuzz.target import Target, hold, only

from commons_crdt.errors import Refused
from commons_crdt.ids import DeviceId, OperationId, digest
from commons_protocol import ranges, wire
from commons_protocol.ends import ChainEnd, Vector
from commons_protocol.frame import encode
from commons_protocol.ranges import Comparison

KEY = digest("f-ranges")
MOST_SENT = 1 << 18
"""Bytes that all answers of a few turns may take: far above what these ends are worth."""


def _end(n: int, seq: int) -> ChainEnd:
    device = DeviceId(digest("f-dev", bytes([n])))
    return ChainEnd(device, 1, seq, OperationId(digest("f-op", device, seq.to_bytes(8))))


FEW = Vector.of(_end(n, 3) for n in range(5))
MANY = Vector.of(_end(n, 3) for n in range(150))
OTHERS = Vector.of(_end(n, 4 if n % 40 == 7 else 3) for n in range(2, 152))


def _ranges(data: bytes) -> bool:
    chosen = data[0] if data else 0
    one = Comparison(MANY if chosen & 2 else FEW, 1, KEY, 0)
    sent = len(b"".join(one.opening())) if chosen & 1 else 0
    for frame in unframed(data[1:]):
        try:
            with only("size", "encoding", "message", "ranges"):
                message = wire.unpack_sync(frame)
                if not isinstance(message, wire.Ranges):
                    return False
                answers = one.on_frame(message)
        except Refused:
            return False
        sent += len(b"".join(answers))
        hold(all(wire.unpack_sync(answer) for answer in answers), "what is said can be read")
        hold(sent <= MOST_SENT, "few frames cost little")
        hold(len(one.theirs) <= ranges.MOST_LISTED, "no more is kept than may be listed")
        hold(len(one.absent) <= len(MANY), "nor is an own end lacked twice")
    return True


def _seeds() -> Mapping[str, bytes]:
    leader, follower = Comparison(MANY, 1, KEY, 0), Comparison(OTHERS, 1, KEY, 0)
    said: dict[str, list[bytes]] = {"leader": [], "follower": []}
    who, frames = "leader", leader.opening()
    while frames:
        said[who] += frames
        who = "follower" if who == "leader" else "leader"
        answers: list[bytes] = []
        for frame in frames:
            message = wire.unpack_sync(frame)
            assert isinstance(message, wire.Ranges)
            answers += (leader if who == "leader" else follower).on_frame(message)
        frames = answers
    inverted = encode([11, 0, 1, True, [[0, [b"\x80", b"\x40"], b"f" * 48]], []])
    return {
        "a leader's turns": b"\x02" + framed(said["leader"][:1]),
        "a follower's turns": b"\x03" + framed(said["follower"]),
        "to a few": b"\x00" + framed(said["leader"][:1]),
        "bad turns again": b"\x03" + framed(said["follower"] * 3),
        "bad bounds": b"\x02" + framed([inverted]),
        "bad no ranges": b"\x00" + framed([wire.pack(wire.Done(0))]),
    }


TARGETS = (Target("ranges", _ranges, _seeds, recorded=True),)
