"""A real libp2p host as a whole: its gossip, its death and its end."""

import asyncio
import os
import threading
from collections import Counter

import pytest
import trio
from tests.e2e.hosts import (
    ECHO,
    Node,
    assert_echoes,
    fds,
    node,
    receive_all,
    until,
)
from tests.ports import own_port

from commons_protocol.libp2p_host import Limits, peer_id_of
from commons_protocol.libp2p_host.gate import Tally
from commons_protocol.libp2p_host.gossip import Mailbox
from commons_protocol.network import (
    MAX_GOSSIP,
    Address,
    Disconnected,
    FrameTooLarge,
    NetworkDown,
    PeerId,
    StateChanged,
    StreamClosed,
)

pytestmark = pytest.mark.anyio


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


# --- life and death -----------------------------------------------------------------------------


async def test_a_dead_trio_run_is_replaced_and_nothing_waits_for_it() -> None:
    at_alice: list[tuple[PeerId, bytes]] = []
    listen = [Address(f"/ip4/127.0.0.1/tcp/{own_port()}")]
    async with node(listen=listen) as alice, node() as bob:
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
                await receive_all(stream)
            with pytest.raises(NetworkDown):
                await alice.network.connect(bob.addresses[0])
            assert alice.network.state == "down"
    assert set(threading.enumerate()) <= threads, "every thread is gone"
    assert fds() <= before, "every socket is closed"
