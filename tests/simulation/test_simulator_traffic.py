"""How much a small mesh says: nobody is told a thing again and again, and idle nodes are quiet."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from commons_crdt.errors import Refused
from commons_crdt.ids import OperationId
from commons_crdt.operation import operation_id
from commons_crdt.roles import Role
from commons_node.testing.checks import MOST_ON_WAY
from commons_node.testing.deeds import any_deed
from commons_node.testing.node import Node
from commons_node.testing.town import Town
from commons_protocol import gossip, wire
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
        packed: list[wire.WireOperation] = []
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
    """Operations written, and bodies that came to nodes, over all nodes."""
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


def test_a_body_reaches_a_node_fewer_than_two_times_in_a_mesh_of_five() -> None:
    written = came = 0
    for seed in range(1, 4):
        operations, bodies = Town(seed).play(_busy)
        written += operations * len(MESH)
        came += bodies
    each = came / written
    assert 1 <= each < 2, f"a body reaches a node {each:.2f} times"


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
