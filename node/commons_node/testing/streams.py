"""One stream between two nodes: frames in order, late, stalled or cut, as the weather has it."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from commons_node.testing.weather import CUT
from commons_protocol.network import MAX_FRAME, FrameTooLarge, PeerId, StreamClosed

if TYPE_CHECKING:
    from commons_node.testing.air import Wire
    from commons_node.testing.host import Host

_WINDOW = 512 * 1024
"""Bytes on their way in one direction before a sender has to wait."""
_LOOK_S = 0.25
_TOGETHER_S = 1e-4
"""Frames this near to each other arrive at once."""
_HELD_UP_S = 0.2


class _Parcel(NamedTuple):
    """A frame on its way, the ``number``-th of its stream; ``frame`` None: the end."""

    when: float
    frame: bytes | None
    number: int
    sent: float


class SimStream:
    """One end of a stream; implements ``network.Stream``."""

    def __init__(self, wire: Wire, host: Host, far: Host) -> None:
        """``Wire.stream`` makes both ends and joins them."""
        self.host = host
        self.ended = False
        """The far end says no more, or the wire is cut."""
        self._wire = wire
        self._far_host = far
        self._far: SimStream
        self._said_all = False
        self._inbox: deque[bytes] = deque()
        self._on_way: deque[_Parcel] = deque()
        self._weight = 0
        self._sailing = False
        self._numbers = 0
        self._came = 0
        self._stalled = False
        self._stalled_at: float | None = None
        self._waiting: list[asyncio.Future[None]] = []

    def join(self, far: SimStream) -> None:
        """Know the other end."""
        self._far = far

    @property
    def peer(self) -> PeerId:
        """Who is at the far end."""
        return self._far_host.peer_id

    async def send(self, frame: bytes) -> None:
        """See ``network.Stream``."""
        if len(frame) > MAX_FRAME:
            raise FrameTooLarge
        while self._weight > _WINDOW and not self._gone:
            await self._moves()
        if self._gone or self._said_all:
            raise StreamClosed
        self.host.sent(len(frame), self._weight + len(frame))
        air, loop = self._wire.air, asyncio.get_running_loop()
        when = loop.time() + air.delay(self.host, self._far_host)
        weather = air.weather
        if air.strikes("resent", weather.resent):
            when += air.rng.uniform(*weather.resend)
        if air.strikes("cut", weather.cut):
            self._wire.cut(CUT)
            raise StreamClosed
        self._numbers += 1
        parcel = _Parcel(when, frame, self._numbers, loop.time())
        if weather.mangled and air.rng.random() < weather.mangled:
            self._mangle(parcel)
        else:
            self._queue(parcel)

    def _mangle(self, parcel: _Parcel) -> None:
        air = self._wire.air
        how = air.rng.choice(("frame_lost", "frame_doubled", "frames_swapped"))
        if how == "frames_swapped" and (not self._on_way or self._on_way[-1].frame is None):
            how = "frame_doubled"
        air.faults[how] += 1
        if how == "frame_doubled":
            self._queue(parcel)
            self._queue(parcel)
        elif how == "frames_swapped":
            last = self._on_way.pop()
            self._weight -= len(last.frame or b"")
            self._queue(parcel._replace(when=last.when))
            self._queue(last._replace(when=parcel.when))

    def _queue(self, parcel: _Parcel) -> None:
        if self._on_way:
            parcel = parcel._replace(when=max(parcel.when, self._on_way[-1].when))
        self._on_way.append(parcel)
        self._weight += len(parcel.frame or b"")
        if not self._sailing:
            self._sail(parcel.when)

    def _sail(self, when: float) -> None:
        self._sailing = True
        asyncio.get_running_loop().call_at(when, self._arrive, context=self._far_host.context)

    def _arrive(self) -> None:
        self._sailing = False
        if not self._wire.up or not self._on_way:
            return
        now, air = asyncio.get_running_loop().time(), self._wire.air
        if not air.passes(self.host, self._far_host):
            if self._stalled_at is None:
                self._stalled_at, self._stalled = now, True
                air.faults["stalled"] += 1
            if now - self._stalled_at > self._wire.patience:
                self._wire.cut("silence")
            else:
                self._sail(now + _LOOK_S)
            return
        self._stalled_at = None
        while self._on_way and self._on_way[0].when <= now + _TOGETHER_S:
            parcel = self._on_way.popleft()
            self._weight -= len(parcel.frame or b"")
            self._see(parcel, now)
            self._far.take(parcel.frame)
        self.wake()
        if self._on_way:
            self._sail(self._on_way[0].when)

    def _see(self, parcel: _Parcel, now: float) -> None:
        """Count what is unusual about the order and the time in which frames come."""
        faults, last = self._wire.air.faults, self._came
        if parcel.frame is None:
            return
        self._came = max(last, parcel.number)
        faults["frame_gaps"] += parcel.number > last + 1
        faults["frame_repeats"] += parcel.number == last
        faults["frame_swaps"] += parcel.number < last
        faults["held_up"] += now - parcel.sent >= _HELD_UP_S and not self._stalled

    def take(self, frame: bytes | None) -> None:
        """A frame, or the end, has arrived here."""
        if frame is None:
            self.ended = True
        elif not self.ended:
            loop, trace = asyncio.get_running_loop(), self._wire.air.trace
            trace.heard(loop.time(), "frame", self.host.name, self._far_host.name, frame)
            self.host.received(frame, self._far_host)
            self._inbox.append(frame)
        self.wake()

    @property
    def _gone(self) -> bool:
        return self.ended or not self._wire.up

    async def receive(self) -> bytes:
        """See ``network.Stream``."""
        while not self._inbox:
            if self._gone:
                raise StreamClosed
            await self._moves()
        return self._inbox.popleft()

    async def close(self) -> None:
        """See ``network.Stream``."""
        if not self._said_all and self._wire.up:
            self._said_all = True
            loop = asyncio.get_running_loop()
            when = loop.time() + self._wire.air.delay(self.host, self._far_host)
            self._queue(_Parcel(when, None, self._numbers, loop.time()))

    async def reset(self) -> None:
        """See ``network.Stream``."""
        self.ended = True
        self._inbox.clear()
        self.wake()
        await self.close()

    def wake(self) -> None:
        """Let whoever waits here look again."""
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.done():
                one.set_result(None)

    async def _moves(self) -> None:
        """Wait for the next change."""
        moved = asyncio.get_running_loop().create_future()
        self._waiting.append(moved)
        await moved
