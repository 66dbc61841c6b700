"""Targets of whole streams: bytes into frames, and frames into the machines that answer them.

The input of a machine is a row of frames, each behind its length in two bytes; the first byte
chooses how far the conversation has come. Whatever arrives, a machine answers with effects, and
with few of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import trio
from libp2p.network.stream.exceptions import StreamEOF
from tests.fuzz.messages import NODE_ADDRESS
from tests.fuzz.target import Target, hold
from tests.fuzz.vectors import operations
from tests.simulation.meeting import Home, Meeting, neighbourhood
from tests.unit.test_joining import BOBS, IDENTITY, INVITATION, NODE, Door, consent, known

from commons_crdt.operation import Operation
from commons_protocol import carriage, wire
from commons_protocol.effects import Close, Effect, Send
from commons_protocol.frame import encode
from commons_protocol.joining import Admit, Host, Newcomer
from commons_protocol.libp2p_host.gate import Limits, Tally
from commons_protocol.libp2p_host.streams import TrioHalf
from commons_protocol.limits import Bucket
from commons_protocol.network import MAX_FRAME, FrameTooLarge, PeerId
from commons_protocol.replica import Ingested

MOST_FRAMES = 64
MOST_ANSWERS = 2_000
"""Effects of one input: far above what these few frames may cost."""


def framed(frames: Sequence[bytes]) -> bytes:
    """Frames in a row, as the targets of machines take them."""
    return b"".join(len(frame).to_bytes(2, "big") + frame for frame in frames)


def unframed(data: bytes) -> Iterator[bytes]:
    """What `framed` put together; the last frame may be cut off."""
    for _ in range(MOST_FRAMES):
        if len(data) < 2:
            return
        size = int.from_bytes(data[:2], "big")
        yield data[2 : 2 + size]
        data = data[2 + size :]


# --- bytes into frames ---------------------------------------------------------------------------


class _Pipe:
    """A libp2p stream that gives these bytes, some at a time."""

    def __init__(self, data: bytes) -> None:
        self._step = 1 + data[0] % 16 * 600 if data else 1
        self._data = data[1:]

    async def read(self, most: int | None = None) -> bytes:
        if not self._data:
            raise StreamEOF
        chunk, self._data = self._data[: self._step], self._data[self._step :]
        return chunk

    async def reset(self) -> None:
        self._data = b""


class _Bridge:
    """The way to the asyncio side, which is on this side here: frames are taken at once."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.ends: list[Exception] = []

    def tell(self, act: object, value: object) -> None:
        if isinstance(value, bytes):
            self.frames.append(value)
        elif isinstance(value, Exception):
            self.ends.append(value)


def _stream(data: bytes) -> bool:
    """The first byte says how many bytes come at a time; the rest is what a peer writes."""
    bridge, refused = _Bridge(), Counter[str]()
    limits = Limits(inbox_frames=len(data) + 1, inbox_bytes=len(data) + 1)

    async def live() -> None:
        half = TrioHalf(
            _Pipe(data),  # type: ignore[arg-type]  # as much of a stream as is read
            PeerId("bob"),
            bridge,  # type: ignore[arg-type]  # likewise
            limits,
            Tally(refused),
            Bucket(len(data) + 1, 1),
        )
        half.reset = half._drop  # type: ignore[method-assign]  # nobody waits for `live`
        await half._pump()

    trio.run(live)
    hold(len(bridge.ends) == 1, "a stream ends once")
    written = b"".join(len(one).to_bytes(4, "big") + one for one in bridge.frames)
    hold(data[1:].startswith(written), "frames are what was written, in its order")
    hold(all(len(one) <= MAX_FRAME for one in bridge.frames), "no frame is too large")
    hold(bool(refused) == isinstance(bridge.ends[0], FrameTooLarge), "what is too large is counted")
    return not refused


def _stream_seeds() -> Mapping[str, bytes]:
    frames = [b"one", b"", b"x" * 700]
    good = b"".join(len(one).to_bytes(4, "big") + one for one in frames)
    return {
        "in one go": b"\x0f" + good,
        "byte by byte": b"\x00" + good,
        "cut off": b"\x01" + good[:-1],
        "bad too large": b"\x01" + good + b"\x00\x01\x00\x01",
    }


# --- a stream of /commons/sync/1 -----------------------------------------------------------------


class _Shelf(Home):
    """A home that reads and judges, and keeps nothing: each input finds the same."""

    def take(self, operations: Sequence[Operation]) -> Ingested:
        fresh = [one for one in operations if one not in self.copy.operations.values()]
        return Ingested(0, len(operations) - len(fresh), {"signature": len(fresh)})


@lru_cache
def _homes() -> tuple[Home, Home]:
    bob, alice = (_Shelf(home.copy, home.device) for home in neighbourhood("bob"))
    return bob, alice


def _meeting(*, met: bool) -> Meeting:
    bob, alice = _homes()
    meeting = Meeting([bob], [alice], seed=7)
    meeting.deliver(meeting.d)  # so that chance, which both share, gives the same to alice
    return _talked(meeting) if met else meeting


def _talked(meeting: Meeting) -> Meeting:
    """Until nothing is left to happen, always in the same order."""
    for _ in range(MOST_ANSWERS):
        if not meeting.step(lambda _choices: 0):
            return meeting
    raise AssertionError("the two never come to rest")


def _session(data: bytes) -> bool:
    """Alice's node listens: first byte even, from the beginning; odd, Bob's has proven itself."""
    meeting = _meeting(met=bool(data[:1] and data[0] & 1))
    alice = meeting.l
    hold(not alice.closed, "the honest beginning is good")
    alice.inbox.clear()
    alice.inbox.extend(unframed(data[1:]))
    before = len(meeting.log["listener"])
    while (alice.inbox or alice.todo) and not alice.closed:
        (meeting.answer if alice.todo else meeting.deliver)(alice)
        meeting.now += 1
        hold(len(meeting.log["listener"]) - before < MOST_ANSWERS, "few frames cost little")
    return not alice.closed


def _session_seeds() -> Mapping[str, bytes]:
    meeting = _talked(_meeting(met=False))
    said = [frame for side, frame in meeting.frames if side == "dialler"]
    meeting.poke(meeting.d)
    again = [frame for side, frame in meeting.frames if side == "dialler"][len(said) :]
    digest = wire.unpack_sync(again[0])
    assert isinstance(digest, wire.Digest)
    slot = digest.slot
    more = [wire.pack(one) for one in _round(slot)]
    return {
        "a whole conversation": b"\x00" + framed(said),
        "a round with news": b"\x01" + framed(more),
        "introductions": b"\x01" + framed([wire.pack(one) for one in _asides(slot)]),
        "its proof": b"\x00" + framed(said[:3]),
        "another round": b"\x01" + framed(again),
        "nothing": b"\x01",
        "bad order": b"\x00" + framed(said[1:]),
        "bad hello again": b"\x01" + framed(said[:1]),
    }


def _round(slot: int) -> Iterator[wire._Message]:
    """Bob's side of a round in which both have something that the other has not."""
    bob, _ = _homes()
    ends = bob.ends()
    yield wire.Digest(slot, False, b"d" * 32, b"z" * 16)
    invented = (b"n" * 32, 3, b"i" * 32, 0, 0, b"")
    yield wire.Ranges(slot, 0, True, (), ((0, (invented,), (0,)),))  # she has listed hers
    spans = tuple((end.device, end.log, 1, end.seq) for end in ends[:2])
    yield wire.Want(slot, 4, spans, ())
    yield wire.Credit(slot, 4)
    (frame, _), *_ = carriage.frames(slot, list(bob.copy.operations.values())[:2])
    yield wire.unpack_sync(frame)
    yield wire.Piece(slot, True, encode(carriage.pack_operation(operations()["genesis"])))
    yield wire.Served(slot)
    yield wire.Done(slot)
    yield wire.Ranges(slot, 1, True, (), ())
    yield wire.Done(slot)


def _asides(slot: int) -> Iterator[wire._Message]:
    """What may come at any time."""
    yield wire.Members(slot, ((b"k" * 32, (NODE_ADDRESS,)),))
    yield wire.unpack_sync(carriage.pack_push(slot, [operations()["alice invites once"]]))


# --- a stream of /commons/join/1 -----------------------------------------------------------------


def _joining(data: bytes) -> bool:
    """First byte even: at the node's door; odd: at the newcomer's side."""
    effects: list[Effect | Admit | object] = []
    if data[:1] and data[0] & 1:
        machine: Host | Newcomer = Newcomer(BOBS, NODE, INVITATION, IDENTITY, consent)
    else:
        machine = Host(NODE, BOBS, known, Door.nonce)
    for frame in unframed(data[1:]):
        effects += machine.on_frame(frame)
        if any(isinstance(effect, Close) for effect in effects):
            break
    hold(len(effects) < MOST_ANSWERS, "few frames cost little")
    sent = sum(len(effect.frame) for effect in effects if isinstance(effect, Send))
    hold(sent <= MAX_FRAME, "nobody is told much before they are in")
    return not any(isinstance(effect, Close) for effect in effects)


def _joining_seeds() -> Mapping[str, bytes]:
    door = Door()
    door.talk()
    node, newcomer = (
        [frame for side, frame in door.frames if side == name] for name in ("node", "newcomer")
    )
    return {
        "knock and enter": b"\x00" + framed(newcomer),
        "welcome and realm": b"\x01" + framed(node[:2]),
        "bad order": b"\x00" + framed(newcomer[::-1]),
        "bad realm twice": b"\x01" + framed([*node[:2], node[1]]),
    }


TARGETS = (
    Target("stream", _stream, _stream_seeds),
    Target("session", _session, _session_seeds, recorded=True, memory=8 << 20),
    Target("joining", _joining, _joining_seeds, recorded=True),
)
