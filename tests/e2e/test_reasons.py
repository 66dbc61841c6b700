"""Reasons that stand between two real nodes, on loopback: each is made to come true, and undone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from tests.e2e.test_peering import BOB, QUICK, network, running, until, written
from tests.simulation.meeting import Home, home, neighbourhood
from tests.unit import town

from commons_crdt.operation import Operation, decode_header
from commons_crdt.roles import Role
from commons_node.health.overview import of_peers
from commons_node.peering import KnownPeer, MemoryBook, Peering, penalties
from commons_node.peering.records import MemoryRecords
from commons_node.peering.types import PeerState
from commons_protocol.effects import Send
from commons_protocol.names import node_id, peer_id
from commons_protocol.network import Address, Blocked
from commons_protocol.replica import Ingested
from commons_protocol.session import SYNC


@asynccontextmanager
async def remembering(
    home: Home, book: MemoryBook, records: MemoryRecords
) -> AsyncIterator[Peering]:
    """A node whose book and records outlive it."""
    peering = Peering(
        network(home.name, {}),  # type: ignore[arg-type]  # counts are counts
        lambda: [home], book, refusals={}, settings=QUICK, records=records,
    )  # fmt: skip
    await peering.start()
    try:
        yield peering
    finally:
        await peering.stop()


def said(one: Peering, other: Peering) -> PeerState:
    return next(peer for peer in one.peers() if peer.node == other.node)


def code(one: Peering, other: Peering) -> str:
    found = [peer.sync.code for peer in one.peers() if peer.node == other.node]
    return found[0] if found else ""


async def together(alice: Peering, bob: Peering) -> None:
    await alice.connect(bob.addresses[0])
    assert (await alice.wait_converged([bob.node], timeout=30)).converged
    await until(lambda: code(bob, alice) == "synced")


async def test_a_node_that_is_off_is_not_alone() -> None:
    a, b = neighbourhood("bob")
    async with running(a) as alice:
        async with running(b) as bob:
            await together(alice, bob)
            found = of_peers(a.realm, alice.peers())
            assert (found.state, list(found.causes)) == ("synced", [])
            assert said(alice, bob).way == "direct"
            assert said(bob, alice).way == "direct"
            assert said(alice, bob).compared[a.realm] is not None
        await until(lambda: code(alice, bob) == "unreachable")
        found = of_peers(a.realm, alice.peers())
        assert found.state == "unreachable"
        assert [cause.code for cause in found.causes] == ["nobody_here"]
        (row,) = found.rows
        assert row.compared is not None, "it is remembered when they last agreed"
        assert "peer connect" in row.sync.next_action


async def test_blocked_by_a_person_and_let_in_again() -> None:
    a, b = neighbourhood("bob")
    async with running(a) as alice, running(b) as bob:
        await together(alice, bob)
        await alice.block(bob.node)
        assert code(alice, bob) == "blocked"
        assert f"peer unblock {bob.node[:12]}" in said(alice, bob).sync.action(bob.node)
        await until(lambda: code(bob, alice) in {"unreachable", "unproven"})
        await alice.unblock(bob.node)
        await until(lambda: code(alice, bob) == "synced", 20)


async def misbehave(bob: Peering, alice: Peering) -> None:
    """Bob's program says what is no message, again and again."""
    for _ in range(penalties.PATIENCE):
        await until(lambda: code(bob, alice) == "synced", 20)
        talk = bob.talks.now[peer_id(alice.node)]
        talk.perform([Send(b"\xff\xff\xff")])
        await asyncio.wait_for(talk.ended.wait(), 10)


async def test_who_breaks_rules_is_kept_out_and_let_in_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a, b, c = neighbourhood("bob", "cia")
    book, records = MemoryBook(), MemoryRecords()
    async with running(b) as bob, running(c) as cia:
        async with remembering(a, book, records) as alice:
            await together(alice, bob)
            await together(alice, cia)
            await misbehave(bob, alice)
            await until(lambda: code(alice, bob) == "abuse")
            found = said(alice, bob)
            assert found.blocked
            assert found.penalty is not None
            assert (found.penalty.times, found.penalty.why) == (1, "encoding")
            assert "it broke rules (encoding)" in found.sync.reason
            assert code(alice, cia) == "synced", "nobody else is"
            with pytest.raises(Blocked):
                await alice.connect(bob.addresses[0])
            subjects = {one.subject for one in await records.offenders()}
            assert subjects == {bob.node, b.device.keys.id.hex(), b.whose(b.device.keys.id).hex()}
        async with remembering(a, book, records) as alice:
            assert code(alice, bob) == "abuse", "it is remembered over a restart"
            await alice.unblock(bob.node)
            await until(lambda: code(alice, bob) == "synced", 20)
            assert not await records.offenders(), "and forgotten when a person lifts it"
            monkeypatch.setattr(penalties, "FIRST_MS", 1500)
            await misbehave(bob, alice)
            await until(lambda: code(alice, bob) == "abuse")
            await until(lambda: code(alice, bob) == "synced", 30)  # its time is over


async def test_another_transport_key_does_not_help(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = neighbourhood("bob")
    async with running(a) as alice:
        async with running(b) as bob:
            await together(alice, bob)
            await misbehave(bob, alice)
            await until(lambda: code(alice, bob) == "abuse")
        async with running(b, name="bob by another name") as again:
            assert again.node != bob.node
            await again.connect(alice.addresses[0])
            await until(lambda: code(alice, again) == "abuse", 20)
            assert said(alice, again).blocked, "the device is the same"
            await alice.unblock(again.node)
            await until(lambda: code(alice, again) == "synced", 20)
            assert not alice.guard.penalties(), "lifted is lifted, whatever it was called"


async def test_a_members_other_machine_goes_on_until_it_breaks_a_rule_itself() -> None:
    street = town.town()
    bob = street.welcome("bob", Role.MEMBER)
    a = home(street, town.person("alice"))
    devices = [town.secrets(f"bob's {name}") for name in ("computer", "laptop")]
    for device in devices:
        street.grant_node(bob, device)
    b, c = (Home(street.island(f"bob {n}"), device) for n, device in enumerate(devices))
    async with running(a) as alice, running(b) as computer, running(c) as laptop:
        await together(alice, computer)
        await together(alice, laptop)
        await misbehave(computer, alice)
        await until(lambda: code(alice, computer) == "abuse")
        assert code(alice, laptop) == "synced", "a thief with the one does not shut out the other"
        talk = laptop.talks.now[peer_id(alice.node)]
        talk.perform([Send(b"\xff\xff\xff")])
        await until(lambda: code(alice, laptop) == "abuse")
        assert alice.refusals["penalty"] == 2, "yet it has no patience of its own"


async def test_a_node_whose_address_nobody_knows() -> None:
    a, b = neighbourhood("bob")
    book = MemoryBook({node_id(b.peer): KnownPeer(node_id(b.peer))})
    async with running(a, book=book) as alice:
        await until(lambda: alice.peers()[0].sync.code == "no_address")
        assert of_peers(a.realm, alice.peers()).state == "unreachable", "it may be of ours"


async def test_before_the_first_answer_it_is_being_dialled() -> None:
    a, b = neighbourhood("bob")
    nowhere = (Address(f"/ip4/127.0.0.1/tcp/1/p2p/{b.peer}"),)
    book = MemoryBook({node_id(b.peer): KnownPeer(node_id(b.peer), nowhere)})
    async with running(a, book=book) as alice:
        assert alice.peers()[0].sync.code == "dialling"
        await until(lambda: alice.peers()[0].sync.code == "unreachable")


async def test_a_stranger_is_one_and_is_asked_no_more() -> None:
    (a,) = neighbourhood()
    (e,) = neighbourhood()
    e.keys[:] = [(e.keys[0][0], bytes(32))]
    async with running(a) as alice, running(e, name="eve") as eve:
        await alice.connect(eve.addresses[0])
        await until(lambda: code(alice, eve) == "stranger", 20)
        assert of_peers(a.realm, alice.peers()).state == "alone", "a stranger is no neighbour"


async def test_who_is_connected_and_proves_nothing() -> None:
    (a,) = neighbourhood()
    async with running(a) as alice:
        mute = network("mute", {}, 0)({SYNC: lambda _stream: asyncio.sleep(30)}, lambda _e: None)  # type: ignore[arg-type]  # as above
        (address, *_) = await mute.start()
        try:
            node = await alice.connect(address)
            await until(lambda: any(p.sync.code == "unproven" for p in alice.peers()))
            (known,) = alice.peers()
            assert (known.node, known.connected) == (node, True)
            assert of_peers(a.realm, alice.peers()).state == "unknown", "it may hold anything"
        finally:
            await mute.stop()


async def test_a_full_disk_is_said_and_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = neighbourhood("bob")
    short = [True]
    ingest = Home.ingest

    async def without_room(home: Home, ops: Sequence[Operation], source: str) -> Ingested:
        if home is not a or not short[0]:
            return await ingest(home, ops, source)
        return Ingested(held={"disk": sum(decode_header(o.header).log for o in ops)})

    monkeypatch.setattr(Home, "ingest", without_room)
    written(b, BOB, 5)
    async with running(a) as alice, running(b) as bob:
        await alice.connect(bob.addresses[0])
        await until(lambda: code(alice, bob) == "held_disk")
        await until(lambda: code(bob, alice) == "untaken")
        short[0] = False
        alice.talks.room_again()
        await until(lambda: code(alice, bob) == "synced", 5)
        assert a.digest() == b.digest(), "without waiting for the next try"
