"""Very many communities, bridged by nodes that are in several: what each of them costs its nodes.

    community 0        community 1        community 2        ...    back to community 0
    own own ─ bridge ─ own own ─ bridge ─ own own ─ bridge ─

Every community has some nodes of its own; each bridge is in two of them, and joins all of them to
a ring. A hub may be in many. Nothing of one community may reach a node that is not in it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from commons_crdt.ids import OperationId
from commons_node.peering.types import PeerState
from commons_node.testing.scale.crowd import INBOUND, PLACES, Crowd, LightNode
from commons_node.testing.scale.figures import mean
from commons_node.testing.scale.light import Annals, LightReplica
from commons_protocol.names import node_id

_PATIENCE_S = 300.0


@dataclass(frozen=True, slots=True)
class Plan:
    """``own``: nodes of each community that are in no other. ``hub``: communities of one node.

    ``ring``: False without the bridges, for a hub alone. Times in virtual seconds.
    """

    communities: int = 100
    own: int = 2
    ring: bool = True
    hub: int = 0
    places: int = PLACES
    inbound: int = INBOUND
    connect_s: float = 60.0
    idle_s: float = 120.0
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one node, means over all nodes that are in so many communities."""

    communities: int
    nodes: int
    connections: float
    topics: float
    rounds: float
    """Comparisons in an hour."""
    idle: float
    """Bytes that come to a node in an hour in which nothing is written."""
    written: float
    """Bytes that come to it when every one of its communities writes one operation."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a plan."""

    plan: Plan
    nodes: int
    costs: tuple[Cost, ...]
    converged: int
    """Communities whose nodes all held everything in the end."""
    settled_s: float | None
    trespasses: int
    """Messages or bodies of a community that came to a node outside it: must be 0."""
    strangers: int
    """Nodes that dialled one with which they share nothing, and were told nothing."""
    refused_topics: int
    """Announcements that a neighbour did not take."""
    hub_talks: int
    """Communities that the hub speaks with at least one node about."""
    hub_lacks: int
    """Communities in which the hub misses something."""


@dataclass(slots=True)
class Bridges:
    """One run of a plan."""

    plan: Plan
    crowd: Crowd = field(init=False)
    annals: list[Annals] = field(init=False)
    members: list[list[LightNode]] = field(init=False)
    hub: LightNode | None = None
    eve: LightNode | None = None
    known: LightNode | None = None
    """Whom eve dials."""

    def __post_init__(self) -> None:
        """Nobody is there."""
        self.crowd = Crowd(self.plan.seed)
        self.annals = [self.crowd.community(n) for n in range(self.plan.communities)]
        self.members = [[] for _ in self.annals]

    def run(self) -> Outcome:
        """All of it."""
        return self.crowd.play(self._tell)

    async def _tell(self) -> Outcome:
        plan, crowd = self.plan, self.crowd
        self._found()
        await crowd.start(crowd.nodes, plan.connect_s / 3)
        await asyncio.sleep(plan.connect_s)
        crowd.ledger.begin()
        await asyncio.sleep(plan.idle_s)
        idle, rounds = dict(crowd.ledger.incoming), dict(crowd.ledger.rounds)
        crowd.ledger.begin()
        written = await self._write()
        last = crowd.now
        whole = await crowd.until(lambda: self._converged() == plan.communities, _PATIENCE_S)
        settled = crowd.now - last if whole else None
        await asyncio.sleep(5)
        assert len(written) == plan.communities
        costs = self._costs(idle, rounds)
        return Outcome(
            plan, len(crowd.nodes), costs, self._converged(), settled, crowd.ledger.trespasses,
            self._strangers(), sum(node.host.router.refused_topics for node in crowd.nodes),
            *self._of_hub(),
        )  # fmt: skip

    def _found(self) -> None:
        plan, crowd = self.plan, self.crowd
        for members in self.members:
            members += [self._node() for _ in range(plan.own)]
        if plan.ring:
            for n in range(plan.communities):
                bridge = self._node()
                self.members[n].append(bridge)
                self.members[(n + 1) % plan.communities].append(bridge)
        if plan.hub:
            self.hub = crowd.node(plan.places, plan.inbound)
            for members in self.members[: plan.hub]:
                members.append(self.hub)
        self._enter()
        if plan.communities > 2:  # she shares nothing with the first community
            self.eve, self.known = self.members[plan.communities // 2][0], self.members[0][0]
            self.eve.knows(self.known)

    def _node(self) -> LightNode:
        return self.crowd.node(self.plan.places, self.plan.inbound)

    def _enter(self) -> None:
        for annals, members in zip(self.annals, self.members, strict=True):
            for node in members:
                for log in (0, 1):
                    annals.write((log, node.device(annals.realm).keys.id))
            for node in members:
                node.enter(annals)
                for other in members:
                    if other is not node:
                        node.knows(other)

    async def _write(self) -> list[OperationId]:
        """One operation in each community, by one of its own nodes."""
        crowd = self.crowd
        written: list[OperationId] = []
        for members in self.members:
            author = crowd.rng.choice(members[: self.plan.own])
            written.append(await author.write(author.replicas[0]))
            await asyncio.sleep(10 / self.plan.communities)
        return written

    def _replicas(self, n: int) -> list[LightReplica]:
        return [
            replica
            for node in self.members[n]
            for replica in node.replicas
            if replica.annals is self.annals[n]
        ]

    def _converged(self) -> int:
        return sum(
            all(replica.whole for replica in self._replicas(n)) for n in range(len(self.annals))
        )

    # --- counting ---

    def _costs(self, idle: dict[int, int], rounds: dict[int, int]) -> tuple[Cost, ...]:
        plan, incoming = self.plan, self.crowd.ledger.incoming
        kinds: dict[int, list[LightNode]] = {}
        for node in self.crowd.nodes:
            if node not in {self.eve, self.known}:
                kinds.setdefault(len(node.replicas), []).append(node)
        hours = plan.idle_s / 3600
        return tuple(
            Cost(
                communities,
                len(nodes),
                mean(len(node.host.peers()) for node in nodes),
                mean(len(node.host.router.mesh) for node in nodes),
                mean(rounds.get(node.number, 0) / hours for node in nodes),
                mean(idle.get(node.number, 0) / hours for node in nodes),
                mean(incoming[node.number] for node in nodes),
            )
            for communities, nodes in sorted(kinds.items())
        )

    def _strangers(self) -> int:
        if self.eve is None or self.known is None:
            return 0
        return sum(state.sync.state == "stranger" for state in self._seen(self.eve, self.known))

    def _seen(self, node: LightNode, other: LightNode) -> list[PeerState]:
        return [one for one in node.peering.peers() if one.node == node_id(other.peer)]

    def _of_hub(self) -> tuple[int, int]:
        if self.hub is None:
            return 0, 0
        talks = self.hub.peering.talks.now.values()
        spoken = {realm for talk in talks for realm in talk.session.realms}
        return len(spoken), sum(not replica.whole for replica in self.hub.replicas)
