"""How much a small mesh says: nobody is told a thing again and again, and idle nodes are quiet."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from commons_crdt.author import Draft
from commons_crdt.errors import Refused
from commons_crdt.ids import DocumentId, OperationId
from commons_crdt.operation import operation_id
from commons_crdt.roles import Role
from commons_node.domains.membership.facts import NAME, PROFILE, Profile
from commons_node.peering.hints import Hints
from commons_node.testing.bounds import MOST_ON_WAY
from commons_node.testing.deeds import any_deed
from commons_node.testing.node import SETTINGS, Node
from commons_node.testing.town import Town
from commons_node.testing.weather import CALM, ROUGH, Weather
from commons_protocol import carriage, gossip
from commons_protocol.frame import decode

MESH = [Role.STEWARD, Role.MEMBER, Role.STEWARD, Role.MEMBER]
WRITES = 40
IDLE_S = 600.0


async def _mesh(town: Town) -> None:
    """Five nodes, each connected with every other, all equal."""
    await town.found(MESH)
    for node in town.nodes:
        for other in town.nodes:
            if other is not node:
                node.knows(other)
    for node in town.nodes:
        await node.start()
    await asyncio.sleep(30)
    assert all(
        state.sync.state == "synced" for node in town.nodes for state in node.peering.peers()
    ), "a mesh that has come to rest is in sync, and says so"


def _meter(node: Node, bodies: Counter[OperationId]) -> Callable[[str, bytes], None]:
    """Counts the bodies in every message that comes to a node."""
    channel = gossip.Channel.of(node.realm.epochs()[0][1])

    def count(kind: str, data: bytes) -> None:
        packed: list[carriage.WireOperation] = []
        if kind == "gossip":
            try:
                hint = channel.open(data)
            except Refused:
                return
            packed = list(hint.operations) if isinstance(hint, gossip.Said) else []
        elif isinstance(message := decode(data), list) and message[0] in {13, 18}:
            packed = [tuple(one) for one in message[2]]
        for header, _, body, _ in packed:
            if body is not None:
                bodies[operation_id(header)] += 1

    return count


async def _write(town: Town, node: Node) -> None:
    await node.write(await any_deed(node, town.rng))


async def _busy(town: Town) -> tuple[int, int]:
    """Operations written, and copies of their bodies that came to nodes, over all nodes."""
    await _mesh(town)
    bodies: dict[str, Counter[OperationId]] = {node.name: Counter() for node in town.nodes}
    for node in town.nodes:
        node.host.meter = _meter(node, bodies[node.name])
    before = set(town.acks)
    for _ in range(WRITES):
        node = town.rng.choice(town.nodes)
        await node.run(_write(town, node))
        await asyncio.sleep(town.rng.uniform(0.1, 3))
    await asyncio.sleep(30)
    new = town.acks.keys() - before
    assert len(new) >= WRITES // 2, "there was something to tell"
    for node in town.nodes:
        assert new <= {ident for ident, _, _ in node.stored()}, "and everybody was told"
    return len(new), sum(count[ident] for count in bodies.values() for ident in new)


def _copies(weather: Weather = CALM, seeds: range = range(1, 4)) -> float:
    """How often a body comes to a node that did not write it, the copies that gossip makes too."""
    written = came = 0
    for seed in seeds:
        operations, bodies = Town(seed, weather).play(_busy)
        written += operations * len(MESH)
        came += bodies
    return came / written


def test_a_body_reaches_a_node_hardly_more_than_once_in_a_mesh_of_five() -> None:
    assert 1 <= _copies() <= 1.1, "a push is enough: who was told is not told again"


def test_a_body_reaches_a_node_fewer_than_two_times_in_bad_weather() -> None:
    assert 1 <= _copies(replace(ROUGH, worker_death=0.0)) <= 1.5, "what is lost is fetched once"


def test_whole_operations_in_gossip_are_what_the_bound_is_about(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Hints, "_others", lambda _hints, _realm: True)
    assert _copies(seeds=range(1, 2)) > 2, "every neighbour passes each of them on"


@pytest.mark.parametrize("count", [20, 100, 400])
def test_many_at_once_come_once(count: int) -> None:
    async def story(town: Town) -> float:
        await _mesh(town)
        bodies: dict[str, Counter[OperationId]] = {node.name: Counter() for node in town.nodes}
        for node in town.nodes:
            node.host.meter = _meter(node, bodies[node.name])
        before = set(town.acks)
        await town.nodes[0].run(_names(town.nodes[0], count))
        await asyncio.sleep(30)
        new = town.acks.keys() - before
        assert len(new) == count
        return sum(came[ident] for came in bodies.values() for ident in new) / (count * len(MESH))

    assert Town(1).play(story) == 1, "nobody fetches from two what one of them has sent"


async def _names(node: Node, count: int) -> None:
    document = DocumentId(node.member)
    await node.write([
        Draft.fact(PROFILE, Profile(), document=document, parts=[(NAME, b"%d" % n)])
        for n in range(count)
    ])  # fmt: skip


# --- whom no push reaches ---


async def _star(town: Town) -> float:
    """Alice and carol reach bob, and never each other; how long alice's word takes to carol."""
    await town.found([Role.MEMBER, Role.MEMBER])
    alice, bob, carol = town.nodes
    town.air.mute |= {(alice.peer, carol.peer), (carol.peer, alice.peer)}
    for node in (alice, carol):
        node.knows(bob)
    for node in town.nodes:
        await node.start()
    await asyncio.sleep(120)
    assert not {alice.peer, carol.peer} & alice.host.peers().keys(), "they do not talk"
    began = town.now
    await alice.run(_names(alice, 1))
    (new,) = (ident for ident, who in town.acks.items() if who == "alice" and ident in town.arrivals
              and town.arrivals[ident][0].seconds >= began)  # fmt: skip
    await asyncio.sleep(10)
    return next(a.seconds for a in town.arrivals[new] if a.node == "carol") - began


def test_who_is_out_of_reach_hears_of_it_by_gossip_before_anybody_compares() -> None:
    for seed in range(1, 4):
        assert Town(seed).play(_star) < SETTINGS.settle, "bob passes the hint on"


def test_who_is_overlooked_hears_of_it_by_the_next_comparison(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Hints, "_others", lambda _hints, _realm: False)
    took = Town(1).play(_star)
    assert SETTINGS.settle <= took < 3 * SETTINGS.settle, "a hint is for speed, not for truth"


# --- at rest ---


async def _idle(town: Town) -> tuple[int, int]:
    await _mesh(town)
    before = {node.name: node.host.traffic["bytes_in"] for node in town.nodes}
    await asyncio.sleep(IDLE_S)
    came = [node.host.traffic["bytes_in"] - before[node.name] for node in town.nodes]
    return max(came), max(node.host.traffic["most"] for node in town.nodes)


def test_a_mesh_at_rest_says_little() -> None:
    came, most = Town(1).play(_idle)
    rounds = IDLE_S / 60 * len(MESH) * 2  # either side may begin one
    assert came <= rounds * 200, "a comparison of equals takes less than 100 bytes each way"
    assert most <= MOST_ON_WAY, "no stream holds much back"
