"""Frames and streams between two real libp2p hosts: whole, in order, bounded, given back."""

import asyncio
import random
import struct
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from tests.e2e.hosts import (
    ALICE,
    BOB,
    ECHO,
    FAIL,
    SINK,
    assert_echoes,
    node,
    send_many,
    until,
)

from commons_protocol.libp2p_host import Limits, peer_id_of
from commons_protocol.network import (
    MAX_FRAME,
    Disconnected,
    FrameTooLarge,
    Network,
    ProtocolName,
    Stream,
    StreamClosed,
    Unreachable,
)

pytestmark = pytest.mark.anyio


# --- frames -------------------------------------------------------------------------------------


async def test_frames_of_every_size_come_back() -> None:
    async with node(ALICE) as alice, node(BOB) as bob:
        network: Network = bob.network
        assert await network.connect(alice.addresses[0]) == alice.id == peer_id_of(ALICE)
        assert isinstance(await bob.network.open(alice.id, ECHO), Stream)
        stream = await bob.network.open(alice.id, ECHO)
        for size in (0, 1, 4, 1000, MAX_FRAME - 1, MAX_FRAME):
            frame = random.Random(size).randbytes(size)
            await stream.send(frame)
            assert await stream.receive() == frame, f"a frame of {size} bytes survives"
        with pytest.raises(FrameTooLarge):
            await stream.send(bytes(MAX_FRAME + 1))
        await stream.send(b"still")
        assert await stream.receive() == b"still", "a refused frame leaves the stream as it was"
        await stream.close()
        with pytest.raises(StreamClosed):
            await stream.send(b"after the end")
        with pytest.raises(StreamClosed):
            await stream.receive()
        assert not alice.refusals, "honest use is never refused"


async def test_five_hundred_frames_arrive_in_order_each_way_at_once() -> None:
    async with node() as alice, node() as bob:
        await bob.network.connect(alice.addresses[0])
        stream = await bob.network.open(alice.id, ECHO)
        frames = [struct.pack(">I", at) + bytes(at * 16) for at in range(500)]

        async def send() -> None:
            for frame in frames:
                await stream.send(frame)

        sending = asyncio.create_task(send())
        for at, frame in enumerate(frames):
            assert await stream.receive() == frame, f"frame {at} is whole and in its place"
        await sending
        assert not alice.refusals
        assert not bob.refusals


async def test_an_oversize_announcement_is_refused_before_it_is_allocated() -> None:
    async with node() as alice, node() as bob:
        await bob.network.connect(alice.addresses[0])
        stream = await bob.network.open(alice.id, ECHO)
        await stream._bridge.call(stream._half.write, b"\xff\xff\xff\xff", seconds=5)
        with pytest.raises(StreamClosed):
            await stream.receive()
        await until(lambda: alice.refusals["frame_too_large"] == 1)
        assert alice.refusals["handler"] == 0, "a peer's fault is not counted as our handler's"
        await assert_echoes(bob, alice.id)


# --- handlers that fail, readers that stall -----------------------------------------------------


async def test_a_handler_that_raises_costs_its_stream_only() -> None:
    async with node() as alice, node() as bob:
        await bob.network.connect(alice.addresses[0])
        for _ in range(3):
            stream = await bob.network.open(alice.id, FAIL)
            await stream.send(b"go")
            with pytest.raises(StreamClosed):
                await stream.receive()
        await until(lambda: alice.refusals["handler"] == 3)
        await assert_echoes(bob, alice.id)
        assert alice.network.state == "up"
        with pytest.raises(Unreachable):
            await bob.network.open(alice.id, ProtocolName("/commons/unknown/1"))
        await assert_echoes(bob, alice.id)


async def test_a_reader_that_stalls_loses_its_stream_and_nobody_else_waits() -> None:
    limits = Limits(consumer_s=0.5)
    async with node(limits=limits) as alice, node() as bob:
        await bob.network.connect(alice.addresses[0])
        stream = await bob.network.open(alice.id, SINK)
        with pytest.raises(StreamClosed):
            await send_many(stream, 2000)  # 8 MB: more than inbox and window together
        await until(lambda: alice.refusals["flow"] == 1)
        await assert_echoes(bob, alice.id)


async def test_a_slow_reader_within_the_bounds_loses_nothing() -> None:
    async with node() as alice, node() as bob:
        await bob.network.connect(alice.addresses[0])
        stream = await bob.network.open(alice.id, ECHO)
        sending = asyncio.create_task(send_many(stream, 300))
        await asyncio.sleep(1.0)  # echoes pile up on both sides meanwhile
        for at in range(300):
            assert await stream.receive() == struct.pack(">I", at) * 1024, "nothing is lost"
        await sending
        assert bob.refusals["flow"] == alice.refusals["flow"] == 0


def _has_few_streams(muxed: Any) -> bool:
    return len(muxed.streams) <= 4


async def test_streams_of_one_peer_are_bounded_and_places_come_back() -> None:
    async with node(limits=Limits(streams_per_peer=4)) as alice, node() as bob:
        await bob.network.connect(alice.addresses[0])
        held = [await bob.network.open(alice.id, ECHO) for _ in range(4)]
        for stream in held:
            await stream.send(b"x")
            assert await stream.receive() == b"x"
        with pytest.raises((Unreachable, StreamClosed)):
            await (await bob.network.open(alice.id, ECHO)).receive()
        assert alice.refusals["streams"] >= 1
        for stream in held:
            await stream.close()

        async def again() -> bool:
            with suppress(StreamClosed, Unreachable):
                await assert_echoes(bob, alice.id)
                return True
            return False

        async with asyncio.timeout(5):
            while not await again():  # noqa: ASYNC110 - the end has to travel
                await asyncio.sleep(0.05)


async def test_hundreds_of_short_streams_leave_nothing_behind() -> None:
    async with node() as alice, node() as bob:
        await bob.network.connect(alice.addresses[0])
        for _ in range(300):  # libp2p blocks for ever at 256 streams that are not closed
            await assert_echoes(bob, alice.id)
        for one in (alice, bob):
            (conn,) = one.insides._swarm.get_connections()
            await until(partial(_has_few_streams, conn.muxed_conn))


async def test_an_open_that_is_cancelled_leaves_no_stream() -> None:
    async with node() as alice, node() as bob:
        await bob.network.connect(alice.addresses[0])
        for at in range(60):
            opening = asyncio.create_task(bob.network.open(alice.id, ECHO))
            await asyncio.sleep(at / 10_000)  # up to 6 ms: before, during and after the answer
            opening.cancel()
            with suppress(asyncio.CancelledError):
                await (await opening).reset()
        for one in (alice, bob):
            (conn,) = one.insides._swarm.get_connections()
            await until(partial(_has_few_streams, conn.muxed_conn))
        await assert_echoes(bob, alice.id)


async def test_a_send_that_is_cancelled_costs_its_stream_only() -> None:
    """Noise counts its frames: one encrypted and not sent would end the whole connection."""
    async with node() as alice, node() as bob:
        await bob.network.connect(alice.addresses[0])
        other = await bob.network.open(alice.id, ECHO)
        for at in range(20):
            stream = await bob.network.open(alice.id, ECHO)
            sending = asyncio.create_task(send_many(stream, 1000))
            await asyncio.sleep(at / 2000)
            sending.cancel()
            await asyncio.wait([sending])
            await stream.reset()
            await other.send(b"x")
            assert await other.receive() == b"x", "the other stream of the connection lives on"
        assert not bob.heard(Disconnected)
