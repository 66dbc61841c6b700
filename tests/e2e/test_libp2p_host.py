"""Two real libp2p hosts, and strangers who do not keep the rules, over loopback.

Run as a program, `python test_libp2p_host.py SEED PORT`, this file is a peer that echoes.
"""

import asyncio
import os
import random
import signal
import socket
import struct
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio

from commons_protocol.libp2p_host import Libp2pNetwork, Limits, RelayLimits, peer_id_of
from commons_protocol.libp2p_host.gate import Tally
from commons_protocol.libp2p_host.gossip import Mailbox
from commons_protocol.network import (
    MAX_FRAME,
    MAX_GOSSIP,
    Address,
    Blocked,
    Connected,
    Disconnected,
    Event,
    FrameTooLarge,
    Network,
    NetworkDown,
    PeerId,
    ProtocolName,
    StateChanged,
    Stream,
    StreamClosed,
    Unreachable,
)

pytestmark = pytest.mark.anyio

ECHO = ProtocolName("/commons/echo/1")
FAIL = ProtocolName("/commons/fail/1")
SINK = ProtocolName("/commons/sink/1")
ANYWHERE = [Address("/ip4/127.0.0.1/tcp/0")]
ALICE, BOB = bytes([1]) * 32, bytes([2]) * 32
E = TypeVar("E")


async def echo(stream: Stream) -> None:
    with suppress(StreamClosed):
        while True:
            await stream.send(await stream.receive())


async def fail(stream: Stream) -> None:
    await stream.receive()
    raise RuntimeError("a fault in a handler")


async def sink(stream: Stream) -> None:
    """Reads nothing until the other side is gone for long."""
    del stream
    await asyncio.sleep(60)


@dataclass
class Node:
    network: Libp2pNetwork
    events: list[Event] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    addresses: tuple[Address, ...] = ()

    @property
    def id(self) -> PeerId:
        return self.network.peer_id

    @property
    def port(self) -> int:
        return int(self.addresses[0].split("/")[4])

    def heard(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def insides(self) -> Any:
        """The trio side, for looking only."""
        assert self.network._life is not None
        return self.network._life[1]


@asynccontextmanager
async def node(
    seed: bytes | None = None,
    limits: Limits | None = None,
    listen: list[Address] = ANYWHERE,
    relay: RelayLimits | None = None,
) -> AsyncIterator[Node]:
    events: list[Event] = []
    refusals: Counter[str] = Counter()
    handlers = {ECHO: echo, FAIL: fail, SINK: sink}
    network = Libp2pNetwork(
        seed or os.urandom(32), listen, handlers, events.append, refusals, limits, relay
    )
    made = Node(network, events, refusals)
    made.addresses = await network.start()
    try:
        yield made
    finally:
        await network.stop()


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what changes has no event
            await asyncio.sleep(0.01)


async def assert_echoes(client: Node, server: PeerId, what: bytes = b"hello") -> None:
    stream = await client.network.open(server, ECHO)
    await stream.send(what)
    assert await stream.receive() == what, "the host is healthy: it echoes"
    await stream.close()


def fds() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0


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
            await _send_many(stream, 2000)  # 8 MB: more than inbox and window together
        await until(lambda: alice.refusals["flow"] == 1)
        await assert_echoes(bob, alice.id)


async def test_a_slow_reader_within_the_bounds_loses_nothing() -> None:
    async with node() as alice, node() as bob:
        await bob.network.connect(alice.addresses[0])
        stream = await bob.network.open(alice.id, ECHO)
        sending = asyncio.create_task(_send_many(stream, 300))
        await asyncio.sleep(1.0)  # echoes pile up on both sides meanwhile
        for at in range(300):
            assert await stream.receive() == struct.pack(">I", at) * 1024, "nothing is lost"
        await sending
        assert bob.refusals["flow"] == alice.refusals["flow"] == 0


def _has_few_streams(muxed: Any) -> bool:
    return len(muxed.streams) <= 4


async def _receive_all(stream: Stream) -> None:
    while True:
        await stream.receive()


async def _send_many(stream: Stream, count: int) -> None:
    for at in range(count):
        await stream.send(struct.pack(">I", at) * 1024)


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
            sending = asyncio.create_task(_send_many(stream, 1000))
            await asyncio.sleep(at / 2000)
            sending.cancel()
            await asyncio.wait([sending])
            await stream.reset()
            await other.send(b"x")
            assert await other.receive() == b"x", "the other stream of the connection lives on"
        assert not bob.heard(Disconnected)


# --- peers that come and go ---------------------------------------------------------------------


@asynccontextmanager
async def other_process(seed: bytes, port: int) -> AsyncIterator[tuple[Any, Address]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, seed.hex(), str(port), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            line = await process.stdout.readline()
        yield process, Address(line.decode().strip())
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        # The pipe's transport, or its destructor warns.
        process._transport.close()  # type: ignore[attr-defined]  # asyncio gives no other way


async def test_a_peer_killed_in_mid_transfer_leaves_and_comes_back_with_its_key() -> None:
    seed = os.urandom(32)
    async with node() as alice:
        async with other_process(seed, 0) as (process, address):
            peer = await alice.network.connect(address)
            assert peer == peer_id_of(seed)
            await assert_echoes(alice, peer, bytes(MAX_FRAME))
            stream = await alice.network.open(peer, ECHO)
            sending = asyncio.create_task(_send_many(stream, 100_000))
            for _ in range(20):
                await stream.receive()
            process.send_signal(signal.SIGKILL)
            with pytest.raises(StreamClosed):
                await _receive_all(stream)
            with pytest.raises(StreamClosed):
                await sending
            await until(lambda: Disconnected(peer) in alice.events)
            assert peer not in alice.network.peers(), "a dead peer leaves the table"
            with pytest.raises(Unreachable):
                await alice.network.connect(address, timeout=3)
        assert alice.network.state == "up"
        port = int(address.split("/")[4])
        async with other_process(seed, port) as (_, again):
            assert again == address, "same key, same port: same address"
            assert await alice.network.connect(again) == peer
            await assert_echoes(alice, peer)
            assert len(alice.heard(Connected)) == 2


async def test_a_dead_address_before_a_good_one_does_not_hide_it() -> None:
    async with node() as alice, node() as bob:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            dead = Address(f"/ip4/127.0.0.1/tcp/{unused.getsockname()[1]}/p2p/{alice.id}")
            silent = Address(f"/ip4/203.0.113.1/tcp/9/p2p/{alice.id}")
            good = alice.addresses[0]
            assert await bob.network.connect_any([dead, silent, good], timeout=6) == alice.id
            await assert_echoes(bob, alice.id)
            await bob.network.disconnect(alice.id)
            await until(lambda: alice.id not in bob.network.peers())
            with pytest.raises(Unreachable) as refused:
                await bob.network.connect_any([dead, Address("nonsense")], timeout=4)
            assert "refused" in refused.value.reason, "each address gives its reason"
            assert "not an address" in refused.value.reason
            assert await bob.network.connect(good) == alice.id, "a failure is not held against it"


async def test_connecting_again_keeps_a_live_connection() -> None:
    async with node() as alice, node() as bob:
        plain = Address(alice.addresses[0].split("/p2p/")[0])
        assert await bob.network.connect(plain) == alice.id, "who answers says who it is"
        for address in (plain, alice.addresses[0]):
            assert await bob.network.connect(address) == alice.id
        assert len(bob.insides._swarm.get_connections()) == 1, "no second connection is made"
        assert bob.network.peers()[alice.id].direction == "out"
        assert alice.network.peers()[bob.id].direction == "in"
        assert bob.heard(Connected) == [Connected(alice.id, plain)]


async def test_names_and_ipv6_addresses_can_be_dialled() -> None:
    listen = [Address("/ip4/127.0.0.1/tcp/0"), Address("/ip6/::1/tcp/0")]
    async with node(listen=listen) as alice, node() as bob:
        six = next(address for address in alice.addresses if "/ip6/" in address)
        name = alice.addresses[0].replace("/ip4/127.0.0.1/", "/dns4/localhost/")
        for address in (six, Address(name)):
            assert await bob.network.connect(address) == alice.id
            assert bob.network.peers()[alice.id].addresses == (
                Address((six if address == six else alice.addresses[0]).split("/p2p/")[0]),
            )
            await assert_echoes(bob, alice.id)
            await bob.network.disconnect(alice.id)
            await until(lambda: not bob.network.peers())
        with pytest.raises(Unreachable, match="not known"):
            await bob.network.connect(Address("/dns4/no-such-name.invalid/tcp/1"), timeout=5)


async def test_connecting_twice_at_once_makes_one_connection() -> None:
    async with node() as alice, node() as bob:
        address = alice.addresses[0]
        peers = await asyncio.gather(*(bob.network.connect(address) for _ in range(8)))
        assert set(peers) == {alice.id}
        assert len(bob.insides._swarm.get_connections()) == 1
        await asyncio.gather(
            alice.network.connect(bob.addresses[0]), bob.network.connect(alice.addresses[0])
        )
        await assert_echoes(alice, bob.id)
        await assert_echoes(bob, alice.id)


async def test_a_connection_whose_peer_answers_no_more_is_not_taken_for_alive() -> None:
    async with (
        node(limits=Limits(alive_s=0.5, handshake_s=1.0)) as alice,
        other_process(os.urandom(32), 0) as (process, address),
    ):
        peer = await alice.network.connect(address)
        process.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(Unreachable):
                await alice.network.connect(address, timeout=2)
        finally:
            process.send_signal(signal.SIGCONT)
        await until(lambda: Disconnected(peer) in alice.events)
        assert await alice.network.connect(address) == peer
        await assert_echoes(alice, peer)


async def test_somebody_else_at_the_address_is_not_taken_for_the_peer() -> None:
    async with node() as alice, node() as bob:
        plain = alice.addresses[0].split("/p2p/")[0]
        with pytest.raises(Unreachable):
            await bob.network.connect(Address(f"{plain}/p2p/{peer_id_of(os.urandom(32))}"))
        own = bob.addresses[0]
        for address in (own, Address(own.split("/p2p/")[0])):
            with pytest.raises(Unreachable, match="own address"):
                await bob.network.connect(address)
        assert not bob.network.peers()
        with pytest.raises(Unreachable, match="not connected"):
            await bob.network.open(alice.id, ECHO)


async def test_places_of_inbound_connections_come_back_when_they_end() -> None:
    """libp2p alone keeps them until it stops: its node is deaf after its 250th caller."""
    limits = Limits(connections=2)
    async with node(limits=limits) as alice, node() as bob:
        for _ in range(6):
            await bob.network.connect(alice.addresses[0])
            await assert_echoes(bob, alice.id)
            await bob.network.disconnect(alice.id)
            await until(lambda: not alice.network.peers())


async def test_a_port_in_use_is_an_error_and_not_a_shared_port() -> None:
    async with node() as alice:
        taken = Address(alice.addresses[0].split("/p2p/")[0])
        with pytest.raises(NetworkDown, match="in use"):
            async with node(listen=[taken]):
                pass


async def test_listening_everywhere_names_real_addresses() -> None:
    async with node(listen=[Address("/ip4/0.0.0.0/tcp/0")]) as alice, node() as bob:
        assert not any("0.0.0.0" in address for address in alice.addresses)  # noqa: S104
        assert all(address.endswith(f"/p2p/{alice.id}") for address in alice.addresses)
        assert await bob.network.connect(alice.addresses[-1]) == alice.id


# --- blocking -----------------------------------------------------------------------------------


async def test_a_blocked_peer_is_cut_off_in_both_directions_until_it_is_unblocked() -> None:
    async with node() as alice, node() as bob:
        await bob.network.connect(alice.addresses[0])
        stream = await bob.network.open(alice.id, ECHO)
        await alice.network.block(bob.id)
        with pytest.raises(StreamClosed):
            await stream.receive()
        await until(lambda: not bob.network.peers() and not alice.network.peers())
        assert alice.network.blocked == {bob.id}

        async with asyncio.timeout(3):
            with pytest.raises(Unreachable):
                await bob.network.connect(alice.addresses[0])
        assert alice.refusals["refused_dials_in"] == 1, "the blocked peer came as far as its name"

        with pytest.raises(Blocked):
            await alice.network.connect(bob.addresses[0])
        with pytest.raises(Blocked):
            await alice.network.connect(Address(bob.addresses[0].split("/p2p/")[0]))
        with pytest.raises(Blocked):
            await alice.network.open(bob.id, ECHO)
        assert alice.refusals["refused_dials_out"] == 3
        assert alice.refusals["refused_dials"] == 4
        assert not alice.network.peers()

        await alice.network.unblock(bob.id)
        await bob.network.connect(alice.addresses[0])
        await assert_echoes(bob, alice.id)
        await assert_echoes(alice, bob.id)


async def test_of_two_blocks_at_once_none_is_forgotten() -> None:
    async with node() as alice:
        eves = [peer_id_of(os.urandom(32)) for _ in range(6)]
        await asyncio.gather(*(alice.network.block(eve) for eve in eves))
        assert alice.insides._gate.blocked == alice.network.blocked == set(eves)
        await asyncio.gather(*(alice.network.unblock(eve) for eve in eves[1:]))
        await alice.network.publish("nowhere", b"")  # comes after what was posted before
        assert alice.insides._gate.blocked == {eves[0]}
        with pytest.raises(Unreachable, match="no peer id"):
            await alice.network.block(PeerId("not a peer"))
        assert alice.network.state == "up", "a name that cannot be is refused on this side"


# --- gossip -------------------------------------------------------------------------------------


async def _publish_until_heard(
    sender: Node, topic: str, data: bytes, heard: list[tuple[PeerId, bytes]]
) -> None:
    """Gossip is a hint: it may be lost while a mesh forms, so it is said again."""
    async with asyncio.timeout(15):
        while (sender.id, data) not in heard:
            await sender.network.publish(topic, data)
            await asyncio.sleep(0.2)


async def test_gossip_travels_both_ways_whoever_joined_first() -> None:
    at_alice: list[tuple[PeerId, bytes]] = []
    at_bob: list[tuple[PeerId, bytes]] = []
    async with node() as alice, node() as bob:
        alice.network.subscribe("hall", lambda peer, data: at_alice.append((peer, data)))
        await bob.network.connect(alice.addresses[0])
        await asyncio.sleep(0.3)  # bob hears of the topic before it is his
        bob.network.subscribe("hall", lambda peer, data: at_bob.append((peer, data)))
        await _publish_until_heard(alice, "hall", b"from alice", at_bob)
        await _publish_until_heard(bob, "hall", b"from bob", at_alice)
        await _publish_until_heard(bob, "hall", bytes(MAX_GOSSIP), at_alice)
        assert {peer for peer, _ in at_alice} == {bob.id}, "nobody hears itself"
        with pytest.raises(FrameTooLarge):
            await bob.network.publish("hall", bytes(MAX_GOSSIP + 1))
        with pytest.raises(ValueError, match="64"):
            bob.network.subscribe("t" * 65, lambda *_: None)
        alice.network.unsubscribe("hall")
        before = len(at_alice)
        await asyncio.sleep(0.2)
        await bob.network.publish("hall", b"alone")
        await asyncio.sleep(0.3)
        assert len(at_alice) == before, "who has left hears no more"


async def test_gossip_that_is_too_large_or_breaks_the_rules_is_dropped_and_counted() -> None:
    at_alice: list[tuple[PeerId, bytes]] = []
    async with node() as alice, node() as bob:
        alice.network.subscribe("hall", lambda peer, data: at_alice.append((peer, data)))

        def failing(peer: PeerId, data: bytes) -> None:
            raise RuntimeError("a fault in a callback")

        bob.network.subscribe("hall", failing)
        await bob.network.connect(alice.addresses[0])
        await _publish_until_heard(bob, "hall", b"warm", at_alice)

        async def bypass() -> None:
            await bob.insides._pubsub.publish("hall", bytes(MAX_GOSSIP + 1))

        await bob.network._life[0].call(bypass, seconds=5)  # type: ignore[index]  # it is up
        await until(lambda: alice.refusals["gossip_too_large"] >= 1)

        await alice.network.publish("hall", b"to a callback that fails")
        await until(lambda: bob.refusals["handler"] >= 1)
        await _publish_until_heard(bob, "hall", b"after", at_alice)
        assert all(len(data) <= MAX_GOSSIP for _, data in at_alice)


async def test_a_full_mailbox_drops_counts_and_goes_on() -> None:
    refusals: Counter[str] = Counter()
    wakes: list[bool] = []
    mail = Mailbox(Limits(gossip_inbox=4), Tally(refusals), lambda: wakes.append(True))
    for at in range(10):
        mail.put("hall", PeerId("bob"), bytes([at]))
    assert refusals["gossip_dropped"] == 6, "the newest are dropped: sync brings what they hint at"
    assert wakes == [True], "one wake for many messages"
    assert [data for _, _, data in mail.take(3)] == [b"\0", b"\1", b"\2"]
    assert [data for _, _, data in mail.take(3)] == [b"\3"]
    mail.put("hall", PeerId("bob"), b"more")
    assert wakes == [True, True], "an emptied mailbox wakes again"


# --- strangers ----------------------------------------------------------------------------------


def _stranger(
    talk: Callable[[Any, Any], Any], security: str = "noise", identity: str = "ed25519"
) -> Any:
    """Run a plain libp2p host, as libp2p makes it, in a Trio run of its own."""
    from libp2p import new_host
    from libp2p.crypto import ed25519, rsa, secp256k1
    from libp2p.crypto.x25519 import create_new_key_pair
    from libp2p.security.insecure.transport import PLAINTEXT_PROTOCOL_ID, InsecureTransport
    from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
    from libp2p.security.noise.transport import Transport as Noise
    from libp2p.security.secio import transport as secio
    from libp2p.security.tls.transport import PROTOCOL_ID as TLS
    from libp2p.security.tls.transport import TLSTransport

    identities: dict[str, Callable[[], Any]] = {
        "ed25519": ed25519.create_new_key_pair,
        "rsa": lambda: rsa.create_new_key_pair(2048),
        "secp256k1": secp256k1.create_new_key_pair,
    }
    keys = identities[identity]()
    offers: dict[str, Callable[[], dict[Any, Any]]] = {
        "noise": lambda: {NOISE: Noise(keys, noise_privkey=create_new_key_pair().private_key)},
        "plaintext": lambda: {PLAINTEXT_PROTOCOL_ID: InsecureTransport(keys)},
        "secio": lambda: {secio.ID: secio.Transport(keys)},
        "tls": lambda: {TLS: TLSTransport(keys)},
    }

    async def main() -> Any:
        host = new_host(key_pair=keys, sec_opt=offers[security]())
        with trio.fail_after(15):
            async with host.run(listen_addrs=[]):
                try:
                    return await talk(host, trio)
                finally:
                    await host.close()

    return trio.run(main)


def _connect_to(address: Address) -> Callable[[Any, Any], Any]:
    from libp2p.peer.peerinfo import info_from_p2p_addr
    from multiaddr import Multiaddr  # type: ignore[import-untyped]  # ships no types

    async def talk(host: Any, _: Any) -> bool:
        with suppress(Exception):
            await host.connect(info_from_p2p_addr(Multiaddr(address)))
            return True
        return False

    return talk


@pytest.mark.parametrize("security", ["plaintext", "secio", "tls"])
async def test_a_client_without_noise_is_refused(security: str) -> None:
    async with node() as alice, node() as bob:
        talk = _connect_to(alice.addresses[0])
        assert not await asyncio.to_thread(_stranger, talk, security), f"{security} is not taken"
        assert alice.refusals["handshake"] >= 1
        assert not alice.network.peers()
        await bob.network.connect(alice.addresses[0])
        await assert_echoes(bob, alice.id)


async def test_a_plain_libp2p_client_with_noise_is_taken() -> None:
    async with node() as alice:
        assert await asyncio.to_thread(_stranger, _connect_to(alice.addresses[0]))
        assert len(alice.heard(Connected)) == 1, "what refuses the others lets this one in"
        await until(lambda: len(alice.heard(Disconnected)) == 1)


@pytest.mark.parametrize("identity", ["rsa", "secp256k1"])
async def test_a_client_with_another_kind_of_key_is_refused(identity: str) -> None:
    async with node() as alice, node() as bob:
        talk = _connect_to(alice.addresses[0])
        await asyncio.to_thread(_stranger, talk, "noise", identity)
        await until(lambda: alice.refusals["handshake"])
        assert not alice.heard(Connected), "it has no name among nodes, so nobody hears of it"
        await bob.network.connect(alice.addresses[0])
        await assert_echoes(bob, alice.id)


async def test_only_noise_is_offered_and_noise_is_what_is_used() -> None:
    async with node() as alice, node() as bob:

        async def ask(protocol: bytes) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", alice.port)
            try:
                for line in (b"/multistream/1.0.0\n", protocol + b"\n"):
                    writer.write(bytes([len(line)]) + line)
                async with asyncio.timeout(5):
                    await reader.readexactly(1 + len(b"/multistream/1.0.0\n"))
                    return await reader.readexactly((await reader.readexactly(1))[0])
            finally:
                writer.close()
                await writer.wait_closed()

        assert await ask(b"/noise") == b"/noise\n"
        for other in (b"/plaintext/2.0.0", b"/secio/1.0.0", b"/tls/1.0.0", b"/tls/1.0"):
            assert await ask(other) == b"na\n", f"{other!r} is not offered"
        await bob.network.connect(alice.addresses[0])
        await until(alice.network.peers)  # the dialler is through first
        for one in (alice, bob):
            conn = one.insides._swarm.get_connections()[0]
            assert conn.get_negotiated_security_protocol() == "/noise"
            assert conn.get_negotiated_muxer_protocol() == "/yamux/1.0.0"


async def test_identify_tells_a_stranger_constant_names_only() -> None:
    async with node() as alice:
        alice.network.subscribe("a-derived-topic", lambda *_: None)

        def talk_of(address: Address) -> Callable[[Any, Any], Any]:
            connect = _connect_to(address)

            async def talk(host: Any, trio_: Any) -> Any:
                from libp2p.identity.identify.identify import ID as IDENTIFY
                from libp2p.identity.identify.identify import parse_identify_response
                from libp2p.peer.id import ID

                assert await connect(host, trio_)
                stream = await host.new_stream(ID.from_base58(alice.id), [IDENTIFY])
                raw = b""
                with suppress(Exception):
                    while True:
                        raw += await stream.read(4096)
                return parse_identify_response(raw), raw

            return talk

        told, raw = await asyncio.to_thread(_stranger, talk_of(alice.addresses[0]))
        assert set(told.protocols) == {
            "/ipfs/id/1.0.0",
            "/ipfs/ping/1.0.0",
            "/libp2p/circuit/relay/0.2.0/stop",
            "/libp2p/dcutr",
            "/meshsub/1.1.0",
            "/meshsub/1.0.0",
            ECHO,
            FAIL,
            SINK,
        }
        assert told.agent_version == "py-libp2p/0.8.1"
        assert b"a-derived-topic" not in raw, "topics are for gossip, not for identify"


async def test_a_hundred_garbage_connections_leave_the_host_healthy() -> None:
    async with node() as alice, node() as bob:
        rng = random.Random(7)
        before = fds()
        for at in range(100):
            with socket.create_connection(("127.0.0.1", alice.port)) as stranger:
                with suppress(OSError):
                    stranger.sendall(rng.randbytes(rng.randrange(0, 300)))
                if at % 2:
                    stranger.setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                    )
        await until(lambda: alice.refusals["handshake"] == 100)
        await bob.network.connect(alice.addresses[0])
        await assert_echoes(bob, alice.id)
        await bob.network.disconnect(alice.id)
        await until(lambda: fds() <= before + 2)
        assert alice.network.state == "up"
        assert alice.refusals["network_restart"] == 0


async def test_idle_strangers_do_not_keep_members_out() -> None:
    limits = Limits(handshake_s=1.0, handshakes_per_host=8)
    async with node(limits=limits) as alice, node() as bob:
        idle = [socket.create_connection(("127.0.0.1", alice.port)) for _ in range(12)]
        try:
            await until(lambda: alice.refusals["handshake"] >= 4)
            await until(lambda: alice.refusals["handshake"] == 12)
            await bob.network.connect(alice.addresses[0])
            await assert_echoes(bob, alice.id)
        finally:
            for stranger in idle:
                stranger.close()


async def test_gossip_made_to_crash_libp2p_does_not() -> None:
    async with node() as alice, node() as bob:
        alice.network.subscribe("hall", lambda *_: None)

        async def hurt(host: Any, trio_: Any) -> None:
            from libp2p.peer.id import ID
            from libp2p.pubsub.pb import rpc_pb2
            from libp2p.utils import encode_varint_prefixed

            assert await _connect_to(alice.addresses[0])(host, trio_)
            bad_key = rpc_pb2.Message(
                data=b"x",
                topicIDs=["hall"],
                from_id=b"nobody",
                seqno=b"1",
                key=b"\xff",
                signature=b"s",
            )
            packets = [
                encode_varint_prefixed(rpc_pb2.RPC(publish=[bad_key]).SerializeToString()),
                encode_varint_prefixed(b"\xff\xff\xff no packet"),
                b"\xff" * 32,
            ]
            for packet in packets:
                stream = await host.new_stream(ID.from_base58(alice.id), ["/meshsub/1.1.0"])
                with suppress(Exception):
                    await stream.write(packet)
                await trio_.sleep(0.2)

        await asyncio.to_thread(_stranger, hurt)
        assert alice.refusals["gossip_invalid"] == 1, "a key that does not parse"
        assert alice.refusals["stream"] >= 1, "a packet that does not parse"
        assert alice.refusals["network_restart"] == 0
        assert alice.network.state == "up"
        await bob.network.connect(alice.addresses[0])
        await assert_echoes(bob, alice.id)


async def test_a_peer_that_ignores_its_window_loses_the_connection() -> None:
    async with node(limits=Limits(consumer_s=30)) as alice, node() as bob:

        async def flood(host: Any, trio_: Any) -> bool:
            from libp2p.peer.id import ID

            assert await _connect_to(alice.addresses[0])(host, trio_)
            stream = await host.new_stream(ID.from_base58(alice.id), [SINK])
            stream.muxed_stream.send_window = 1 << 30
            try:
                for _ in range(200):
                    await stream.write((MAX_FRAME).to_bytes(4, "big") + bytes(MAX_FRAME))
            except Exception:
                return True
            return False

        assert await asyncio.to_thread(_stranger, flood), "13 MB do not pass an inbox of 1 MB"
        assert alice.refusals["flow"] >= 1
        await bob.network.connect(alice.addresses[0])
        await assert_echoes(bob, alice.id)


async def test_streams_without_end_are_refused() -> None:
    async with node() as alice, node() as bob:

        async def flood(host: Any, trio_: Any) -> None:
            from libp2p.peer.id import ID

            assert await _connect_to(alice.addresses[0])(host, trio_)
            conn = host.get_network().get_connections(ID.from_base58(alice.id))[0]
            for _ in range(200):
                await conn.muxed_conn.open_stream()
            await trio_.sleep(0.5)

        await asyncio.to_thread(_stranger, flood)
        assert alice.refusals["streams"] >= 100, "64 at once are enough for anybody"
        await bob.network.connect(alice.addresses[0])
        await assert_echoes(bob, alice.id)


# --- life and death -----------------------------------------------------------------------------


async def test_a_dead_trio_run_is_replaced_and_nothing_waits_for_it() -> None:
    at_alice: list[tuple[PeerId, bytes]] = []
    async with node() as alice, node() as bob:
        alice.network.subscribe("hall", lambda peer, data: at_alice.append((peer, data)))
        bob.network.subscribe("hall", lambda *_: None)
        eve = peer_id_of(os.urandom(32))
        await alice.network.block(eve)
        await bob.network.connect(alice.addresses[0])
        stream = await bob.network.open(alice.id, ECHO)
        await stream.send(b"x")
        await stream.receive()
        (inbound,) = alice.network._serving

        assert alice.network._life is not None
        bridge = alice.network._life[0]

        async def crash() -> None:
            raise RuntimeError("injected")

        waiting = asyncio.create_task(bridge.call(trio.sleep, 60, seconds=90))
        await asyncio.sleep(0.1)
        bridge.post(lambda: bridge._nursery.start_soon(crash))  # type: ignore[union-attr]  # it runs
        with pytest.raises(NetworkDown):
            await waiting
        await until(lambda: alice.network.state == "restarting")
        with pytest.raises(NetworkDown):
            await alice.network.connect(bob.addresses[0])
        with pytest.raises(NetworkDown):
            await bridge.call(trio.sleep, 0, seconds=5)
        await until(inbound.done)
        assert Disconnected(bob.id) in alice.events
        with pytest.raises(StreamClosed):
            await stream.receive()

        await until(lambda: alice.network.state == "up")
        states = [event.state for event in alice.heard(StateChanged)]
        assert states == ["up", "restarting", "up"]
        assert "injected" in alice.heard(StateChanged)[1].reason, "the event says why"
        await until(lambda: not bob.network.peers())
        assert await bob.network.connect(alice.addresses[0]) == alice.id, "address and id stay"
        await assert_echoes(bob, alice.id)
        await _publish_until_heard(bob, "hall", b"topics stay", at_alice)
        assert alice.insides._gate.blocked == {eve}, "blocks stay"


async def test_a_call_that_is_cancelled_here_is_cancelled_there() -> None:
    async with node() as alice:
        assert alice.network._life is not None
        bridge = alice.network._life[0]
        seen: list[str] = []

        async def wait() -> None:
            try:
                await trio.sleep(60)
            except trio.Cancelled:
                seen.append("cancelled")
                raise

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await bridge.call(wait, seconds=60)
        await until(lambda: seen)
        with pytest.raises(trio.TooSlowError):
            await bridge.call(wait, seconds=0.1)


async def test_stopping_leaves_no_thread_and_no_socket() -> None:
    async with node() as warm, node() as up:
        await up.network.connect(warm.addresses[0])
    before, threads = fds(), set(threading.enumerate())
    for _ in range(3):
        async with node() as alice, node() as bob:
            await bob.network.connect(alice.addresses[0])
            stream = await bob.network.open(alice.id, ECHO)
            await stream.send(b"open at the end")
            async with asyncio.timeout(8):
                await alice.network.stop()
            with pytest.raises((StreamClosed, NetworkDown)):
                await _receive_all(stream)
            with pytest.raises(NetworkDown):
                await alice.network.connect(bob.addresses[0])
            assert alice.network.state == "down"
    assert set(threading.enumerate()) <= threads, "every thread is gone"
    assert fds() <= before, "every socket is closed"


# --- the other process --------------------------------------------------------------------------


async def _peer(seed: bytes, port: int) -> None:
    network = Libp2pNetwork(
        seed, [Address(f"/ip4/127.0.0.1/tcp/{port}")], {ECHO: echo}, lambda _: None, Counter()
    )
    addresses = await network.start()
    sys.stdout.write(f"{addresses[0]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_peer(bytes.fromhex(sys.argv[1]), int(sys.argv[2])))
