"""Peering over real libp2p on loopback, in one process, with replicas in memory."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import pytest
from tests.ports import own_port
from tests.simulation.meeting import EPOCH, Home, neighbourhood
from tests.unit import town

from commons_crdt.ids import OperationId, digest
from commons_crdt.operation import Operation, operation_id
from commons_node.peering import (
    Admissions,
    KnownPeer,
    MemoryBook,
    Peering,
    Settings,
    UnknownPeer,
)
from commons_node.peering.tokens import Take
from commons_protocol import gossip
from commons_protocol.joining import JOIN
from commons_protocol.lan.found import FoundPeer
from commons_protocol.libp2p_host import Libp2pNetwork
from commons_protocol.names import NodeId
from commons_protocol.network import (
    Address,
    Event,
    Network,
    NetworkError,
    ProtocolName,
    Stream,
    StreamClosed,
    StreamHandler,
    Unreachable,
)
from commons_protocol.replica import Ingested
from commons_protocol.session import SYNC

ALICE, BOB = town.person("alice"), town.person("bob")
QUICK = Settings(
    sync_interval=30, settle=0.1, first_retry=0.1, last_retry=0.5, dial_timeout=3, join_timeout=10
)


def network(name: str, refusals: Counter[str], port: int = 0) -> Callable[..., Network]:
    def make(
        handlers: Mapping[ProtocolName, StreamHandler], on_event: Callable[[Event], None]
    ) -> Network:
        seed = digest("t-net", name.encode())
        listen = [Address(f"/ip4/127.0.0.1/tcp/{port}")]
        return Libp2pNetwork(seed, listen, handlers, on_event, refusals)

    return make


@asynccontextmanager
async def running(
    *homes: Home,
    book: MemoryBook | None = None,
    port: int = 0,
    admissions: Admissions | None = None,
    lan: FakeLan | None = None,
    name: str = "",
    attend: Take | None = None,
) -> AsyncIterator[Peering]:
    refusals: Counter[str] = Counter()
    peering = Peering(
        network(name or homes[0].name, refusals, port),
        lambda: homes,
        book or MemoryBook(),
        refusals=refusals,
        settings=QUICK,
        admissions=admissions,
        lan=lan,
        attend=attend,
    )
    await peering.start()
    try:
        yield peering
    finally:
        began = time.monotonic()
        await peering.stop()
        assert time.monotonic() - began < 12, "a node stops in bounded time"


async def until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - looks at what no event tells
            await asyncio.sleep(0.01)


async def ended(stream: Stream) -> None:
    """Read until the other side has ended it."""
    with suppress(StreamClosed):
        while True:
            await stream.receive()


def written(home: Home, who: town.Person, count: int = 1) -> list[Operation]:
    return [home.copy.operations[home.copy.note(who, n).id] for n in range(count)]


def port_of(peering: Peering) -> int:
    return int(peering.addresses[0].split("/")[4])


async def test_two_nodes_that_wrote_apart_agree_after_one_connects_to_the_other() -> None:
    a, b = neighbourhood("bob")
    written(a, ALICE, 50)
    written(b, BOB, 50)
    async with running(a) as alice, running(b) as bob:
        assert await alice.connect(bob.addresses[0]) == bob.node
        found = await alice.wait_converged(timeout=40)
        assert found.converged
        assert found.peers == {bob.node: "synced"}
        assert a.digest() == b.digest()
        await until(lambda: bool(bob.peers()) and bob.peers()[0].sync.state == "synced")
        (seen,) = bob.peers()
        assert seen.node == alice.node
        assert seen.connected
        assert seen.last_seen_ms
        await until(lambda: bool(bob.peers()[0].addresses), 5)
        assert bob.peers()[0].addresses == alice.addresses, "it says itself where it listens"
        assert alice.find(bob.node[:8]) == bob.node
        with pytest.raises(UnknownPeer):
            alice.find("00000000")
        (state,) = alice.peers()
        assert state.sync.have == len(a.copy.operations)


async def test_what_is_written_is_at_the_other_node_long_before_they_compare() -> None:
    a, b = neighbourhood("bob")
    arrived: dict[OperationId, float] = {}

    class Watched(Home):
        async def ingest(self, operations: Sequence[Operation], source: str) -> Ingested:
            for operation in operations:
                arrived.setdefault(operation_id(operation.header), time.perf_counter())
            return await super().ingest(operations, source)

    b = Watched(b.copy, b.device)
    async with running(a) as alice, running(b) as bob:
        await alice.connect(bob.addresses[0])
        await alice.wait_converged(timeout=40)
        took = []
        for _ in range(20):
            (operation,) = written(a, ALICE)
            began = time.perf_counter()
            await alice.written(a.realm, [operation])
            ident = operation_id(operation.header)
            await until(lambda ident=ident: ident in arrived)  # type: ignore[misc]
            took.append(arrived[ident] - began)
        assert max(took) < QUICK.sync_interval / 2, took
        await until(lambda: alice.peers()[0].sync.state == "synced", 5)


async def test_gossip_alone_delivers_too() -> None:
    a, b = neighbourhood("bob")
    async with running(a) as alice, running(b) as bob:
        await alice.connect(bob.addresses[0])
        await alice.wait_converged(timeout=40)
        alice.book.hear(NodeId("f" * 64), ())  # somebody is out of reach: it is said whole
        (operation,) = written(a, ALICE)
        ident = operation_id(operation.header)
        for _ in range(30):  # a mesh takes a heartbeat to form, and may lose what it likes
            alice._hints.written(a.realm, [operation])
            await asyncio.sleep(0.1)
            if ident in b.copy.operations:
                break
        assert ident in b.copy.operations


async def test_gossip_that_nobody_of_us_sealed_is_counted_and_dropped() -> None:
    a, b = neighbourhood("bob")
    async with running(a) as alice, running(b) as bob:
        await alice.connect(bob.addresses[0])
        await alice.wait_converged(timeout=40)
        topic = gossip.Channel.of(a.keys[0][1]).topic
        for _ in range(40):
            await alice.network.publish(topic, b"x" * 256)
            await asyncio.sleep(0.05)
            if bob.refusals["gossip_seal"]:
                break
        assert bob.refusals["gossip_seal"]
        assert (await alice.wait_converged(timeout=5)).converged, "and harms nobody"


async def test_a_blocked_node_is_refused_both_ways_until_it_is_let_in_again() -> None:
    a, b = neighbourhood("bob")
    book = MemoryBook()
    async with running(a, book=book) as alice, running(b) as bob:
        await bob.connect(alice.addresses[0])
        assert (await bob.wait_converged(timeout=40)).converged
        await alice.block(bob.node)
        await until(lambda: not bob.network.peers())
        assert book.known[bob.node].blocked, "it survives a restart"
        (state,) = alice.peers()
        assert (state.blocked, state.connected, state.sync.state) == (True, False, "blocked")
        assert "unblock" in state.sync.next_action
        written(a, ALICE, 3)
        with pytest.raises(NetworkError):
            await alice.connect(bob.addresses[0])
        await until(lambda: alice.refusals["refused_dials"] > 1)
        refused = await bob.wait_converged(timeout=1)
        assert not refused.converged
        assert refused.peers[alice.node] in {"unreachable", "unknown"}
        assert a.digest() != b.digest()
        await alice.unblock(bob.node)
        found = await alice.wait_converged(timeout=40)
        assert found.converged, "and everything comes at once"
        assert a.digest() == b.digest()


async def test_a_node_that_was_killed_is_found_again() -> None:
    a, b = neighbourhood("bob")
    async with running(a) as alice:
        port = own_port()
        async with running(b, port=port) as bob:
            await alice.connect(bob.addresses[0])
            assert (await alice.wait_converged(timeout=40)).converged
        await until(lambda: not alice.network.peers())
        written(a, ALICE, 5)
        written(b, BOB, 5)
        assert not (await alice.wait_converged(timeout=0.5)).converged
        await until(lambda: alice.peers()[0].sync.state == "unreachable")
        (state,) = alice.peers()
        assert state.sync.unknown_since is not None
        async with running(b, port=port):
            assert (await alice.wait_converged(timeout=40)).converged
            assert a.digest() == b.digest()


async def test_a_peer_from_the_book_is_dialled_after_a_restart() -> None:
    a, b = neighbourhood("bob")
    async with running(b) as bob:
        book = MemoryBook({bob.node: KnownPeer(bob.node, bob.addresses)})
        async with running(a, book=book) as alice:
            assert (await alice.wait_converged(timeout=40)).converged


async def test_two_that_dial_each_other_at_once_keep_one_conversation() -> None:
    a, b = neighbourhood("bob")
    written(a, ALICE, 20)
    async with running(a) as alice, running(b) as bob:
        await asyncio.gather(alice.connect(bob.addresses[0]), bob.connect(alice.addresses[0]))
        both = await asyncio.gather(
            alice.wait_converged(timeout=40), bob.wait_converged(timeout=40)
        )
        assert all(found.converged for found in both)
        await asyncio.sleep(0.5)
        assert alice.talks.now[bob.peer].opened_here != bob.talks.now[alice.peer].opened_here
        for one, other in ((alice, bob), (bob, alice)):
            (known,) = one.peers()
            assert known.addresses == other.addresses, "and no socket's passing address"
        assert (await alice.wait_converged(timeout=5)).converged


async def test_neighbours_are_introduced_to_each_other() -> None:
    a, b, c = neighbourhood("bob", "carol")
    async with running(a) as alice, running(b) as bob, running(c) as carol:
        await bob.connect(alice.addresses[0])
        await carol.connect(alice.addresses[0])
        await until(lambda: carol.peer in bob.talks.now and bob.peer in carol.talks.now)
        written(b, BOB, 3)
        for peering in (bob, carol):
            assert (await peering.wait_converged(timeout=40)).converged
        assert b.digest() == c.digest()
        assert {state.node for state in bob.peers()} == {alice.node, carol.node}


async def test_a_stranger_is_told_nothing_and_stays_a_stranger() -> None:
    a, _ = neighbourhood("bob")
    other = Home(
        town.town(salt=lambda: digest("t-salt", b"o")),
        town.secrets("alice's node"),
        keys=[(EPOCH, digest("t-key", b"o"))],
    )
    async with running(a) as alice, running(other, name="eve") as eve:
        await eve.connect(alice.addresses[0])
        await until(lambda: alice.refusals["stranger"] > 0)
        await until(lambda: eve.peers()[0].sync.state == "stranger")
        assert alice.peers() == (), "nobody to remember"
        assert not (await eve.wait_converged(timeout=0.5)).converged


async def test_garbage_on_a_stream_is_counted_and_the_node_is_well() -> None:
    a, b = neighbourhood("bob")
    async with running(a) as alice, running(b, name="eve") as eve:
        peer = await eve.network.connect(alice.addresses[0])
        for protocol in (SYNC, JOIN):
            stream = await eve.network.open(peer, protocol)
            await stream.send(b"\xff" * 100)
            await ended(stream)
        await until(lambda: bool(alice.refusals["encoding"] and alice.refusals["join_encoding"]))
        async with running(b) as bob:
            await bob.connect(alice.addresses[0])
            assert (await bob.wait_converged(timeout=40)).converged


# --- the LAN ---


@dataclass
class FakeLan:
    """A LAN of one process: everybody hears everybody."""

    others: list[FakeLan]
    txt: Callable[[], Mapping[str, bytes]] = dict
    found: Callable[[FoundPeer], None] = lambda _found: None
    port: int = 0

    async def start(
        self,
        interfaces: Sequence[str] | None,
        port: int,
        txt: Callable[[], Mapping[str, bytes]],
        on_found: Callable[[FoundPeer], None],
        rotate_s: float = 3600,
    ) -> None:
        self.port, self.txt, self.found = port, txt, on_found
        for other in self.others:
            if other.port:
                other.found(FoundPeer(("127.0.0.1",), port, txt()))
                on_found(FoundPeer(("127.0.0.1",), other.port, other.txt()))
        self.others.append(self)

    async def rotate(self) -> None: ...

    async def stop(self) -> None: ...


async def test_neighbours_on_one_lan_meet_without_an_address() -> None:
    a, b = neighbourhood("bob")
    written(a, ALICE, 3)
    lan: list[FakeLan] = []
    async with running(a, lan=FakeLan(lan)) as alice, running(b, lan=FakeLan(lan)) as bob:
        await until(lambda: bool(alice.peers()) and bool(bob.peers()))
        assert (await bob.wait_converged(timeout=40)).converged


async def test_an_address_where_nobody_answers_is_said_so() -> None:
    a, _ = neighbourhood("bob")
    async with running(a) as alice:
        with pytest.raises(Unreachable):
            await alice.connect(Address("/ip4/127.0.0.1/tcp/9"))
        assert (await alice.wait_converged(timeout=1)).converged, "nobody to wait for"


async def test_what_two_peers_hold_is_fetched_from_one_of_them() -> None:
    a, b, c = neighbourhood("bob", "carol")
    written(a, ALICE, 1200)
    for operation in a.copy.operations.values():
        b.copy.receive(operation)
    async with running(a) as alice, running(b) as bob, running(c) as carol:
        await asyncio.gather(carol.connect(alice.addresses[0]), carol.connect(bob.addresses[0]))
        assert (await carol.wait_converged(timeout=20)).converged
        assert a.digest() == c.digest()
        assert sum(c.bodies.values()) < 1.3 * len(a.copy.operations), "and not from both"
