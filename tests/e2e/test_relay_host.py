"""A real relay between real hosts over loopback: what it carries, what it refuses, what it sees."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from libp2p.exceptions import BaseLibp2pError
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.relay.circuit_v2.pb.circuit_pb2 import HopMessage, Status
from libp2p.relay.circuit_v2.pb.dcutr_pb2 import HolePunch
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # ships no types
from tests.e2e.hosts import ECHO, Node, assert_echoes, node, until

from commons_protocol.circuit import by_check, through
from commons_protocol.codes import node_check
from commons_protocol.libp2p_host import RelayLimits
from commons_protocol.libp2p_host.circuits import HOP, read_message, write_message
from commons_protocol.libp2p_host.connections import is_circuit
from commons_protocol.libp2p_host.host import Host
from commons_protocol.libp2p_host.punching import DCUTR, public
from commons_protocol.network import (
    MAX_FRAME,
    Address,
    Disconnected,
    NotAtRelay,
    RelayRefuses,
    RelayUnreachable,
    Stream,
    StreamClosed,
    Unreachable,
)

pytestmark = pytest.mark.anyio

Three = tuple[Node, Node, Node]


@asynccontextmanager
async def three(limits: RelayLimits | None = None) -> AsyncIterator[Three]:
    """Alice, bob, and a relay that belongs to neither."""
    async with node(relay=limits or RelayLimits()) as relay, node() as alice, node() as bob:
        yield relay, alice, bob


def at(relay: Node, alice: Node) -> Address:
    address = through(relay.addresses[0], alice.id)
    assert address is not None
    return address


async def test_alice_is_reached_through_a_relay_that_both_only_dialled() -> None:
    async with three() as (relay, alice, bob):
        place = await alice.network.reserve(relay.addresses[0])
        assert place.relay == relay.id
        assert 3500 < place.seconds <= 3600, "a place for an hour"
        assert await bob.network.connect(at(relay, alice)) == alice.id
        seen = bob.network.peers()[alice.id]
        assert (seen.relayed, seen.direction) == (True, "out")
        assert seen.addresses == (at(relay, alice),), "so it is found again"
        await until(lambda: bob.id in alice.network.peers())
        assert alice.network.peers()[bob.id].relayed
        await assert_echoes(bob, alice.id, os.urandom(MAX_FRAME))
        await assert_echoes(alice, bob.id)
        assert alice.network.peers()[bob.id].addresses == (
            Address(f"/p2p/{relay.id}/p2p-circuit/p2p/{bob.id}"),
        )
        use = relay.network.relay_use
        assert use is not None
        assert (use.reservations, use.circuits) == (1, 1)
        assert use.carried > 2 * MAX_FRAME
        assert not relay.refusals
        await bob.network.disconnect(alice.id)
        await until(lambda: alice.heard(Disconnected))
        await until(lambda: relay.id not in bob.network.peers())
        assert relay.id in alice.network.peers(), "she has a place there, he went through"
        await until(lambda: relay.network.relay_use and not relay.network.relay_use.circuits)


async def test_a_code_names_her_by_a_check_and_another_is_not_taken_for_her() -> None:
    async with three() as (relay, alice, bob):
        await alice.network.reserve(relay.addresses[0])
        bare = Address(relay.addresses[0].partition("/p2p/")[0])
        for size in (16, 10):
            where = by_check(bare, node_check(alice.id, size))
            assert await bob.network.connect(where) == alice.id
            assert bob.network.peers()[alice.id].addresses == (at(relay, alice),)
            await bob.network.disconnect(alice.id)
        with pytest.raises(NotAtRelay):
            await bob.network.connect(by_check(bare, node_check(bob.id, 16)))


async def test_what_is_not_to_be_had_is_told_apart() -> None:
    async with three() as (relay, alice, bob):
        with pytest.raises(NotAtRelay, match="no reservation"):
            await bob.network.connect(at(relay, alice))
        with pytest.raises(RelayRefuses, match="not a relay"):
            await bob.network.reserve(alice.addresses[0])
        await bob.network.disconnect(alice.id)
        with pytest.raises(RelayUnreachable):
            await bob.network.reserve(Address("/ip4/127.0.0.1/tcp/9"))
        dead = through(Address("/ip4/127.0.0.1/tcp/9"), alice.id)
        assert dead is not None
        with pytest.raises(RelayUnreachable):
            await bob.network.connect(dead)
        await alice.network.reserve(relay.addresses[0])
        await alice.network.release(relay.id)
        with pytest.raises(NotAtRelay, match="does not answer"):
            await bob.network.connect(at(relay, alice))
        assert alice.refusals["circuits"] == 1, "who has no place there takes nobody from there"
        await alice.network.disconnect(relay.id)
        await until(lambda: relay.heard(Disconnected))
        with pytest.raises(NotAtRelay, match="no reservation"):
            await bob.network.connect(at(relay, alice))


async def much(stream: Stream) -> None:
    for _ in range(20):
        await stream.send(os.urandom(MAX_FRAME))
        await stream.receive()


async def test_a_relay_keeps_to_its_limits() -> None:
    limits = RelayLimits(reservations=1, circuits_from_one=1, circuit_bytes=300_000, circuit_s=60)
    async with three(limits) as (relay, alice, bob), node() as eve:
        await alice.network.reserve(relay.addresses[0])
        with pytest.raises(RelayRefuses, match="no place"):
            await eve.network.reserve(relay.addresses[0])
        await bob.network.connect(at(relay, alice))
        stream = await bob.network.open(alice.id, ECHO)
        with pytest.raises(StreamClosed):
            await much(stream)
        assert relay.refusals["relay_bytes"] >= 1
        await until(lambda: alice.id not in bob.network.peers())
        places = relay.insides.relay._places
        for peer, place in list(places.items()):
            places[peer] = replace(place, until=0.0)  # its hour is over
        with pytest.raises(NotAtRelay):
            await bob.network.connect(at(relay, alice))
        await eve.network.reserve(relay.addresses[0])


async def test_a_direct_way_takes_the_place_of_a_relayed_one() -> None:
    async with three() as (relay, alice, bob):
        await alice.network.reserve(relay.addresses[0])
        await bob.network.connect(at(relay, alice))
        await bob.network.connect(alice.addresses[0])
        await until(lambda: not bob.network.peers()[alice.id].relayed)
        await until(lambda: relay.network.relay_use and not relay.network.relay_use.circuits)
        await assert_echoes(bob, alice.id)
        assert await bob.network.connect(at(relay, alice)) == alice.id, "there is no need"
        assert not bob.network.peers()[alice.id].relayed


async def test_a_relay_that_goes_takes_its_circuits_along_and_nothing_else() -> None:
    async with node() as alice, node() as bob:
        async with node(relay=RelayLimits()) as relay:
            await alice.network.reserve(relay.addresses[0])
            await bob.network.connect(at(relay, alice))
            stream = await bob.network.open(alice.id, ECHO)
            gone = at(relay, alice)
        with pytest.raises(StreamClosed):
            await stream.receive()
        await until(lambda: not alice.network.peers())
        await until(lambda: not bob.network.peers())
        with pytest.raises(RelayUnreachable):
            await bob.network.connect(gone)
        await bob.network.connect(alice.addresses[0])
        await assert_echoes(bob, alice.id)


async def test_bob_cannot_be_at_alices_place() -> None:
    """The relay decides who is called, and no more: Noise says who answers."""
    async with three() as (relay, alice, bob), node() as eve:
        await alice.network.reserve(relay.addresses[0])
        await eve.network.reserve(relay.addresses[0])
        desk = relay.insides.relay

        def swap() -> None:
            places = desk._places
            (hers,) = [one for one in places if str(one) == alice.id]
            (others,) = [one for one in places if str(one) == eve.id]
            desk._called = lambda target: others if target == hers.to_bytes() else hers

        swap()
        with pytest.raises(Unreachable):
            await bob.network.connect(at(relay, alice))
        assert alice.id not in bob.network.peers()
        assert eve.id not in bob.network.peers()


async def test_the_relay_carries_nothing_that_it_can_read() -> None:
    async with three() as (relay, alice, bob):
        carried: list[bytes] = []
        await alice.network.reserve(relay.addresses[0])
        desk = relay.insides.relay
        pump = desk._pump

        async def listening(source, sink, budget, circuit):  # type: ignore[no-untyped-def]
            read = source.read

            async def overheard(n: int) -> bytes:
                data: bytes = await read(n)
                carried.append(data)
                return data

            source.read = overheard
            await pump(source, sink, budget, circuit)

        desk._pump = listening
        await bob.network.connect(at(relay, alice))
        secret = b"the drill is with carol" * 20
        await assert_echoes(bob, alice.id, secret)
        overheard = b"".join(carried)
        assert len(overheard) > 2 * len(secret), "it passed there"
        assert b"carol" not in overheard
        assert b"commons" not in overheard, "nor the names of protocols"


async def test_a_relay_serves_nobody_who_comes_by_a_relay() -> None:
    async with three() as (relay, alice, bob), node(relay=RelayLimits()) as second:
        await second.network.reserve(relay.addresses[0])
        await alice.network.reserve(second.addresses[0])
        await bob.network.connect(at(relay, second))
        assert bob.network.peers()[second.id].relayed

        async def ask_by_relay(host: Host) -> int:
            (circuit,) = filter(is_circuit, host._swarm.get_connections())
            assert isinstance(circuit, SwarmConn)
            stream = await host._open_on(circuit, HOP)
            question = HopMessage(type=HopMessage.RESERVE)
            await write_message(stream, question)
            answer = await read_message(stream, HopMessage)
            await stream.reset()
            return int(answer.status)

        said = await bob.network._call(ask_by_relay)
        assert said == Status.PERMISSION_DENIED
        assert second.refusals["relay"] == 1


async def test_nobody_makes_a_node_dial_that_it_did_not_call() -> None:
    async with three() as (relay, alice, bob):
        await alice.network.reserve(relay.addresses[0])
        await bob.network.connect(at(relay, alice))
        asked = HolePunch(type=HolePunch.CONNECT)

        async def answered(host: Host) -> bool:
            (circuit,) = filter(is_circuit, host._swarm.get_connections())
            assert isinstance(circuit, SwarmConn)
            try:  # whoever is refused may be so at any of these
                stream = await host._open_on(circuit, DCUTR)
                await write_message(stream, asked)
                return bool(await read_message(stream, HolePunch))
            except BaseLibp2pError:
                return False

        await until(lambda: bob.id in alice.network.peers())
        assert not await bob.network._call(answered), "alice did not call bob"
        assert alice.refusals["punch"] == 1
        assert await alice.network._call(answered), "bob called alice, and she may"
        with pytest.raises(Unreachable):
            await alice.network.punch(bob.id)
        assert alice.network.peers()[bob.id].relayed, "on loopback there is nothing public to dial"


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("/ip4/203.0.113.5/tcp/4001", True),
        ("/ip4/192.168.1.1/tcp/4001", False),
        ("/ip4/127.0.0.1/tcp/4001", False),
        ("/ip4/224.0.0.251/tcp/5353", False),
        ("/ip4/203.0.113.5/tcp/25", False),
        ("/ip4/203.0.113.5/udp/4001", False),
        ("/dns/oak.example/tcp/4001", False),
    ],
)
async def test_a_peer_is_dialled_at_public_addresses_only(given: str, taken: bool) -> None:
    assert (public(Multiaddr(given).to_bytes()) is not None) is taken
    assert public(b"garbage") is None
