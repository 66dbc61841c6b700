"""More comes than a node can store: hints are shed, gossip first; comparing and fetching never is.

Real libp2p on loopback, real floods; the disk is as slow as a disk that others keep busy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest
from tests.e2e.test_peering import BOB, running, until, written
from tests.simulation.meeting import EPOCH_KEY, Home, neighbourhood
from tests.unit import town

from commons_crdt.operation import Operation
from commons_node.peering import Peering
from commons_node.peering.load import GOSSIP_AT, PUSHES_AT, Load
from commons_protocol import carriage, gossip
from commons_protocol.effects import Send
from commons_protocol.names import peer_id
from commons_protocol.network import NetworkError
from commons_protocol.replica import Ingested

CIA = town.person("cia")


def busy(patch: pytest.MonkeyPatch, home: Home, free: asyncio.Event) -> None:
    """Its disk takes one batch after the other, and none before others have let it go."""
    ingest, disk = Home.ingest, asyncio.Lock()

    async def slowly(one: Home, operations: Sequence[Operation], source: str) -> Ingested:
        if one is not home:
            return await ingest(one, operations, source)
        async with disk:
            await free.wait()
            return await ingest(one, operations, source)

    patch.setattr(Home, "ingest", slowly)


def flood_with_pushes(eve: Peering, target: Peering, junk: Sequence[Operation]) -> None:
    """As fast as she can, over the stream on which she has proven herself."""
    talk = eve.talks.now[peer_id(target.node)]
    slot = next(iter(talk.session._slots))
    talk.perform([Send(carriage.pack_push(slot, [operation])) for operation in junk])


async def flood_with_gossip(eve: Peering, junk: Sequence[Operation]) -> None:
    """As fast as she can, on the community's own topic."""
    channel = gossip.Channel.of(EPOCH_KEY)
    for n, operation in enumerate(junk):
        for plain in gossip.hints([operation], bytes(32), whole=True):
            with suppress(NetworkError):
                await eve.network.publish(channel.topic, channel.seal(plain, n.to_bytes(12, "big")))


@pytest.mark.long
async def test_under_a_real_flood_gossip_goes_first_and_what_is_fetched_all_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a, b, c = neighbourhood("bob", "cia")
    theirs = {operation.header for operation in written(b, BOB, 60)}
    junk = written(c, CIA, 300)
    free = asyncio.Event()
    async with running(a) as alice, running(b) as bob, running(c) as cia:
        await alice.connect(cia.addresses[0])
        busy(monkeypatch, a, free)
        await until(lambda: cia.node in {p.node for p in alice.peers() if p.realms})
        load = alice.load
        flood_with_pushes(cia, alice, junk[:200])
        await until(lambda: load.waiting["push"] >= GOSSIP_AT, 20)
        await until(lambda: alice.refusals["push_flood"] > 0, 20)
        flood = asyncio.create_task(flood_with_gossip(cia, junk[200:]))
        await until(lambda: load.shed["gossip"] > 0, 30)
        assert alice.refusals["shed_gossip"] == load.shed["gossip"]
        await alice.connect(bob.addresses[0])
        await until(lambda: load.waiting["pull"] > 0, 20)
        states = {p.node: p.sync.state for p in alice.peers()}
        assert "synced" not in states.values(), "nobody claims what is not so"
        free.set()
        await until(lambda: theirs <= {o.header for o in a.copy.operations.values()}, 30)
        await flood
        assert not load.shed["pull"] + load.shed["path"], "what is fetched is never shed"
        assert not alice.guard.penalties(), "and nobody is kept out for having much to say"
        found = await alice.wait_converged([bob.node, cia.node], timeout=60)
        assert found.converged, "whatever was shed comes by comparing"
        assert a.digest() == b.digest() == c.digest()
        await until(lambda: not load.waiting.total())


def test_gossip_is_shed_before_pushes_and_what_is_fetched_never() -> None:
    load = Load()
    taking = [load.taking("pull") for _ in range(PUSHES_AT)]
    when: dict[str, int] = {}
    for n, one in enumerate(taking):
        for kind in ("gossip", "push", "pull", "path"):
            if load.sheds(kind):
                when.setdefault(kind, n)
        one.__enter__()
    assert when == {"gossip": GOSSIP_AT}, "gossip first"
    assert load.sheds("push"), "pushes next"
    assert not load.sheds("pull")
    assert not load.sheds("path")
    for one in taking:
        one.__exit__(None, None, None)
    assert not load.sheds("gossip"), "and all is taken again when the rush is over"
    assert not load.waiting.total()


async def test_a_push_that_is_shed_ends_the_claim_to_be_in_sync_and_comes_anyway() -> None:
    a, b = neighbourhood("bob")
    async with running(a) as alice, running(b) as bob:
        await alice.connect(bob.addresses[0])
        await alice.wait_converged(timeout=20)
        alice.load.waiting["push"] = PUSHES_AT  # others keep the disk busy
        noted = [b.copy.operations[b.copy.note(BOB, 7).id]]
        await bob.written(b.realm, noted)
        await until(lambda: alice.refusals.get("shed_push", 0) > 0)
        assert noted[0].header not in {o.header for o in a.copy.operations.values()}
        assert alice.peers()[0].sync.state != "synced"
        await until(lambda: a.digest() == b.digest(), 10)
        assert noted[0].header in {o.header for o in a.copy.operations.values()}
