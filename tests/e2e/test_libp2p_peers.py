"""Peers of a real libp2p host come, go, answer no more, are somebody else, or are blocked."""

import asyncio
import os
import signal
import socket

import pytest
from tests.e2e.hosts import (
    ECHO,
    assert_echoes,
    node,
    other_process,
    receive_all,
    send_many,
    until,
)
from tests.ports import own_port

from commons_protocol.libp2p_host import Limits, peer_id_of
from commons_protocol.network import (
    MAX_FRAME,
    Address,
    Blocked,
    Connected,
    Disconnected,
    NetworkDown,
    PeerId,
    StreamClosed,
    Unreachable,
)

pytestmark = pytest.mark.anyio


# --- peers that come and go ---------------------------------------------------------------------


async def test_a_peer_killed_in_mid_transfer_leaves_and_comes_back_with_its_key() -> None:
    seed, port = os.urandom(32), own_port()
    async with node() as alice:
        async with other_process(seed, port) as (process, address):
            peer = await alice.network.connect(address)
            assert peer == peer_id_of(seed)
            await assert_echoes(alice, peer, bytes(MAX_FRAME))
            stream = await alice.network.open(peer, ECHO)
            sending = asyncio.create_task(send_many(stream, 100_000))
            for _ in range(20):
                await stream.receive()
            process.send_signal(signal.SIGKILL)
            with pytest.raises(StreamClosed):
                await receive_all(stream)
            with pytest.raises(StreamClosed):
                await sending
            await until(lambda: Disconnected(peer) in alice.events)
            assert peer not in alice.network.peers(), "a dead peer leaves the table"
            with pytest.raises(Unreachable):
                await alice.network.connect(address, timeout=3)
        assert alice.network.state == "up"
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
