"""Two islands whose nodes have no place left: do they find together when the sea dries up?

Each island is one node larger than a node has places, and everybody on it is connected with
everybody. Then two of them, one from each, are told of each other by a person. The daemon's limit
is `libp2p_host.gate.Limits.connections`; fewer places are the same story in less time.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from commons_node.peering import places
from commons_node.testing.scale.crowd import Crowd, LightNode
from commons_protocol.network import NetworkError


@dataclass(frozen=True, slots=True)
class Plan:
    """Times in virtual seconds."""

    places: int = 8
    spare: int = 0
    """By how many nodes each island is smaller than it may be."""
    grow_s: float = 120.0
    patience_s: float = 1800.0
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a plan."""

    plan: Plan
    nodes: int
    full: int
    """Nodes that kept as many peers as they keep before the islands met."""
    connected: bool
    """The person's `peer connect` got through."""
    converged: bool
    settled_s: float | None


@dataclass(slots=True)
class Islands:
    """One run of a plan."""

    plan: Plan
    crowd: Crowd = field(init=False)
    _groups: tuple[list[LightNode], list[LightNode]] = field(init=False)

    def __post_init__(self) -> None:
        """Nobody is there."""
        self.crowd = Crowd(self.plan.seed)

    def run(self) -> Outcome:
        """All of it."""
        return self.crowd.play(self._tell)

    async def _tell(self) -> Outcome:
        plan, crowd = self.plan, self.crowd
        self._found()
        await crowd.start(crowd.nodes, plan.grow_s / 4)
        await asyncio.sleep(plan.grow_s)
        full = sum(len(node.host.peers()) >= plan.places - places.SPARE for node in crowd.nodes)
        one, two = (group[0] for group in self._groups)
        for node in (one, two):
            await node.write(node.replicas[0])
        began = crowd.now
        connected = await self._connect(one, two)
        whole = await crowd.until(
            lambda: all(node.replicas[0].whole for node in crowd.nodes), plan.patience_s
        )
        settled = crowd.now - began if whole else None
        return Outcome(plan, len(crowd.nodes), full, connected, whole, settled)

    def _found(self) -> None:
        plan, crowd = self.plan, self.crowd
        annals = crowd.community(0)
        size = plan.places + 1 - plan.spare
        inbound = plan.places * 3 // 4
        nodes = [crowd.node(plan.places, inbound) for _ in range(2 * size)]
        for node in nodes:
            for log in (0, 1):
                annals.write((log, node.device(annals.realm).keys.id))
        for node in nodes:
            node.enter(annals)
        self._groups = nodes[:size], nodes[size:]
        for group in self._groups:
            for n, node in enumerate(group):
                node.knows(group[n - 1])

    async def _connect(self, node: LightNode, other: LightNode) -> bool:
        async def connect() -> bool:
            try:
                await node.peering.connect(other.host.address)
            except NetworkError:
                return False
            return True

        assert node.life is not None
        context = node.life.context.copy()
        return await asyncio.get_running_loop().create_task(connect(), context=context)
