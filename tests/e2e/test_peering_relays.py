"""Peering with relays and with a machine that moves, over real hosts on loopback."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest
from tests.e2e.hosts import node
from tests.e2e.test_peering import ALICE, QUICK, network, running, until, written
from tests.simulation.meeting import Home, neighbourhood

from commons_node.peering import MemoryBook, Peering, relays
from commons_node.peering.relays import MOST, NoRelayAddress, TooManyRelays, UnknownRelay
from commons_protocol.circuit import is_relayed
from commons_protocol.libp2p_host import RelayLimits
from commons_protocol.names import node_id
from commons_protocol.network import Address

NOBODY = Address("/ip4/127.0.0.1/tcp/9")


@dataclass
class Laptop:
    """A machine whose addresses change when the test says so."""

    now: tuple[str, ...] = ("192.0.2.7",)
    near: set[str] = field(default_factory=set)

    def addresses(self) -> tuple[str, ...]:
        return self.now

    def is_near(self, ip: str) -> bool:
        return ip in self.near


@asynccontextmanager
async def moving(home: Home, machine: Laptop, book: MemoryBook) -> AsyncIterator[Peering]:
    refusals: Counter[str] = Counter()
    peering = Peering(
        network(home.name, refusals),
        lambda: [home],
        book,
        refusals=refusals,
        settings=QUICK,
        machine=machine,
        relays=book,
    )
    await peering.start()
    try:
        yield peering
    finally:
        await peering.stop()


async def test_a_machine_that_moves_says_where_it_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = neighbourhood("bob")
    written(a, ALICE, 3)
    laptop = Laptop(near={"127.0.0.1"})
    async with running(a) as alice, moving(b, laptop, MemoryBook()) as bob:
        await bob.connect(alice.addresses[0])
        assert (await bob.wait_converged(timeout=20)).converged
        (peer,) = bob.peers()
        assert peer.way == "lan", "on a network of this machine"
        laptop.near.clear()
        assert bob.peers()[0].way == "direct"
        new = Address(f"/ip4/198.51.100.7/tcp/4001/p2p/{bob.peer}")

        async def elsewhere() -> tuple[Address, ...]:
            return (new,)

        monkeypatch.setattr(bob.network, "refresh", elsewhere)
        laptop.now = ("198.51.100.7",)
        await until(lambda: bob.addresses == (new,))
        await until(lambda: new in alice.peers()[0].addresses)


async def test_a_place_at_a_relay_is_told_to_peers_and_kept_over_a_restart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is asked for again after the longest jitter: the time without it can be seen."""
    monkeypatch.setattr(relays, "random", SimpleNamespace(random=lambda: 1.0))
    a, b = neighbourhood("bob")
    written(a, ALICE, 3)
    book = MemoryBook()
    async with node(relay=RelayLimits()) as oak, running(a) as alice:
        where = Address(oak.addresses[0].partition("/p2p/")[0])
        async with moving(b, Laptop(), book) as bob:
            await bob.connect(alice.addresses[0])
            assert (await bob.wait_converged(timeout=20)).converged
            state = await bob.relays.add(where, 5)
            assert (state.phase, state.address) == ("reserved", oak.addresses[0]), "named from now"
            assert state.until_ms is not None
            assert is_relayed(bob.addresses[0]), "it goes into codes"
            await until(lambda: bob.addresses[0] in alice.peers()[0].addresses)
            again = await bob.relays.add(where, 5)
            assert again.address == state.address
            assert len(bob.relays.all()) == 1, "once"
            assert book.relays == [oak.addresses[0]]
        async with moving(b, Laptop(), book) as bob:
            await until(lambda: any(map(is_relayed, bob.addresses)))
            await oak.network.disconnect(bob.peer)
            await until(lambda: bob.relays.all()[0].phase == "unreachable")
            await until(lambda: bob.relays.all()[0].phase == "reserved")
            assert await bob.relays.drop(oak.id) == oak.addresses[0]
            assert not any(map(is_relayed, bob.addresses))
            assert book.relays == []
            await until(lambda: not oak.network.peers())


async def test_a_relay_that_is_not_there_is_said_so_and_asked_again() -> None:
    a, _ = neighbourhood("bob")
    async with moving(a, Laptop(), MemoryBook()) as alice:
        state = await alice.relays.add(NOBODY, 5)
        assert state.phase == "unreachable"
        assert state.reason
        assert state.next_action
        assert not any(map(is_relayed, alice.addresses))
        for number in range(1, MOST):
            await alice.relays.add(Address(f"/ip4/127.0.0.1/tcp/{number}"), 0.01)
        with pytest.raises(TooManyRelays):
            await alice.relays.add(Address("/ip4/127.0.0.1/tcp/11"), 0.01)
        with pytest.raises(UnknownRelay):
            await alice.relays.drop("/ip4/127.0.0.1")
        for bad in (alice.bound[0] + "/p2p-circuit/p2p/" + alice.peer, "/dns/" + "x" * 200):
            with pytest.raises(NoRelayAddress):
                await alice.relays.add(Address(bad), 1)


async def test_what_fails_at_a_relay_is_said_with_the_next_command() -> None:
    a, b = neighbourhood("bob")
    async with node(relay=RelayLimits()) as oak, running(a) as alice, running(b) as bob:
        gone = Address(f"{oak.addresses[0]}/p2p-circuit/p2p/{alice.peer}")
        known = await bob.connect(alice.addresses[0])
        assert known == node_id(alice.peer)
        found = bob.book.get(known)
        assert found is not None
        await bob.book.save(replace(found, addresses=(gone,)))
        await alice.stop()
        bob.wake()
        await until(lambda: "peer relay list" in bob.peers()[0].sync.next_action, 20)
        (peer,) = bob.peers()
        assert peer.sync.code == "not_at_relay"
        assert peer.sync.state == "unreachable"
        await until(lambda: bob.peer not in oak.network.peers(), 10)
