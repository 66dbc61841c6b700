"""Frames over one libp2p stream: the half in the trio thread, and the half the daemon holds.

The trio half reads all the time, so that Yamux's fixed 5 s write timeout never strikes a peer
because our own reader pauses; what it reads waits in a bounded inbox. A reader that leaves the
inbox full for `Limits.consumer_s` loses the stream (`flow`): credit between the peers, one layer
up, keeps honest ones from it. Nothing here interprets a frame.
"""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Any

import trio
from libp2p.abc import INetStream
from libp2p.network.stream.exceptions import StreamEOF

from commons_crdt.texts import N_
from commons_protocol.libp2p_host.bridge import Bridge, shielded
from commons_protocol.libp2p_host.gate import Limits, Tally
from commons_protocol.limits import Bucket
from commons_protocol.network import (
    MAX_FRAME,
    FrameTooLarge,
    NetworkDown,
    NetworkError,
    PeerId,
    StreamClosed,
)

_HEADER = 4
_RESET_S = 1.0
_REST_MS = 50
"""A peer that is ahead of its pace is read later: not after every frame, for less is not worth it,
and far shorter than Yamux's 5 s."""


class TrioHalf:
    """Reads and writes. All methods run in the trio thread."""

    def __init__(
        self,
        stream: INetStream,
        peer: PeerId,
        bridge: Bridge,
        limits: Limits,
        refuse: Tally,
        pace: Bucket,
    ) -> None:
        self.peer = peer
        self._stream = stream
        self._bridge = bridge
        self._limits = limits
        self._refuse = refuse
        self._pace = pace
        self._writing = trio.Lock()
        self._frames = 0
        self._bytes = 0
        self._taken = trio.Event()
        self._discarding = False
        self._read_ended = trio.Event()
        self._done = trio.Event()
        self.front = FrameStream(self, bridge)

    async def live(self) -> None:
        """Read until both sides are done with the stream."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._pump)
                await self._done.wait()
                nursery.cancel_scope.cancel()
        finally:
            self._bridge.tell(self.front.finish, StreamClosed(N_("the connection has gone")))
            if not self._done.is_set():
                await self._drop()

    async def _pump(self) -> None:
        try:
            await self._read_frames()
        except StreamEOF:
            self._bridge.tell(self.front.finish, StreamClosed(N_("the peer closed it")))
        except NetworkError as error:
            self._bridge.tell(self.front.finish, error)
            await self.reset()
        except Exception as error:
            # StreamReset, StreamError, or whatever a closing socket raises.
            self._bridge.tell(self.front.finish, _broken(error))
            await self.reset()
        finally:
            self._read_ended.set()

    async def _read_frames(self) -> None:
        buffer = bytearray()
        while True:
            chunk = await self._stream.read(MAX_FRAME)
            if not chunk:
                raise StreamEOF
            buffer += chunk
            while len(buffer) >= _HEADER:
                size = int.from_bytes(buffer[:_HEADER], "big")
                if size > MAX_FRAME:
                    self._refuse("frame_too_large")
                    raise FrameTooLarge(N_("{size} bytes announced"), size=size)
                if len(buffer) < _HEADER + size:
                    break
                frame = bytes(buffer[_HEADER : _HEADER + size])
                del buffer[: _HEADER + size]
                early = self._pace.wait(round(trio.current_time() * 1000))
                if early >= _REST_MS:
                    await trio.sleep(early / 1000)
                await self._deliver(frame)

    async def _deliver(self, frame: bytes) -> None:
        if self._discarding:
            return
        with trio.move_on_after(self._limits.consumer_s) as waiting:
            while (
                self._frames >= self._limits.inbox_frames
                or self._bytes + len(frame) > self._limits.inbox_bytes
            ) and not self._discarding:
                self._taken = trio.Event()
                await self._taken.wait()
        if waiting.cancelled_caught:
            self._refuse("flow")
            raise StreamClosed(N_("our side read too slowly"))
        self._frames += 1
        self._bytes += len(frame)
        self._bridge.tell(self.front.deliver, frame)

    def taken(self, frames: int, size: int) -> None:
        """The reader took this many frames of together `size` bytes out of the inbox."""
        self._frames -= frames
        self._bytes -= size
        self._taken.set()

    async def write(self, data: bytes) -> None:
        try:
            async with self._writing:
                await self._stream.write(data)
        except Exception as error:
            await self.reset()
            raise _broken(error) from error
        except trio.Cancelled:
            # Part of the frame may be out: nothing that follows would make sense.
            await self.reset()
            raise

    async def close(self) -> None:
        """Send the end, give the peer a while for its own, then forget the stream."""
        self._discarding = True
        self._taken.set()
        with suppress(Exception):
            async with self._writing:
                await self._stream.close_write()  # type: ignore[attr-defined]  # NetStream has it
            with trio.move_on_after(self._limits.close_s):
                await self._read_ended.wait()
        # Sends nothing when both ends are closed; else it frees what a silent peer would hold.
        await self.reset()

    async def reset(self) -> None:
        self._done.set()
        await self._drop()

    async def _drop(self) -> None:
        with shielded(_RESET_S), suppress(Exception):
            await self._stream.reset()


def _broken(error: Exception) -> StreamClosed:
    return StreamClosed(N_("broken off: {kind}"), kind=type(error).__name__)


class FrameStream:
    """A `commons_protocol.network.Stream`; all methods run in the asyncio loop."""

    def __init__(self, half: TrioHalf, bridge: Bridge) -> None:
        self._half = half
        self._bridge = bridge
        self._inbox: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self._end: NetworkError | None = None
        self._closed = False
        self._owed_frames = 0
        self._owed_bytes = 0

    @property
    def peer(self) -> PeerId:
        return self._half.peer

    def deliver(self, frame: bytes) -> None:
        """A frame has arrived. Called by the trio half."""
        if not self._closed:
            self._inbox.append(frame)
            self._arrived.set()

    def finish(self, error: NetworkError) -> None:
        """No frame will follow; the first reason stays. Called by the trio half."""
        if self._end is None:
            self._end = error
            self._arrived.set()

    async def send(self, frame: bytes) -> None:
        if len(frame) > MAX_FRAME:
            raise FrameTooLarge(N_("{size} bytes, at most {most}"), size=len(frame), most=MAX_FRAME)
        if self._closed:
            raise StreamClosed(N_("this side closed it"))
        data = len(frame).to_bytes(_HEADER, "big") + frame
        await self._ask(self._half.write, data)

    async def receive(self) -> bytes:
        while not self._inbox:
            if self._closed:
                raise StreamClosed(N_("this side closed it"))
            if self._end is not None:
                raise self._end
            self._arrived.clear()
            await self._arrived.wait()
        frame = self._inbox.popleft()
        self._owed_frames += 1
        self._owed_bytes += len(frame)
        if not self._inbox or self._owed_frames >= 16:
            self._bridge.post(self._half.taken, self._owed_frames, self._owed_bytes)
            self._owed_frames = self._owed_bytes = 0
        return frame

    async def close(self) -> None:
        if not self._closed:
            self._stop_reading()
            self._bridge.spawn(self._half.close)

    def abandon(self) -> None:
        """Nobody took this stream: whoever opened it was cancelled meanwhile."""
        self._bridge.spawn(self._half.reset)

    async def reset(self) -> None:
        self._stop_reading()
        self._bridge.spawn(self._half.reset)

    def _stop_reading(self) -> None:
        self._closed = True
        self._inbox.clear()
        self._arrived.set()

    async def _ask(self, fn: Any, *args: Any) -> None:
        try:
            await self._bridge.call(fn, *args, seconds=self._half._limits.send_s)
        except trio.TooSlowError:
            raise StreamClosed(N_("the peer does not read")) from None
        except NetworkDown as error:
            self.finish(error)
            raise
