"""Routers alone, in their own time: what GossipSub by itself does with some messages.

No node stands on them. `bench/mesh.py` runs the same with real hosts and compares.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from commons_node.testing.scale.packets import HEADERS, Message, MessageId, Packet
from commons_node.testing.scale.router import Out, Router, Settings
from commons_protocol.network import PeerId

TOPIC = "a" * 48
_AFTER_S = 6.0


@dataclass(frozen=True, slots=True)
class Plan:
    """``neighbours``: of each node on a ring; ``nodes`` - 1: everybody. Times in seconds.

    ``scattered``: neighbours by chance instead, so many on average.
    """

    nodes: int
    neighbours: int
    messages: int = 40
    pause_s: float = 0.7
    size: int = 512
    warm_s: float = 10.0
    """From the last connection until the first message."""
    latency: tuple[float, float] = (0.001, 0.006)
    lost: float = 0.0
    scattered: bool = False
    settings: Settings = field(default_factory=Settings)
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Figures:
    """Means over all messages and all nodes but their authors."""

    copies: float
    hops: float
    most_hops: int
    missed: int
    mesh: float
    """Mesh peers of a node, over the time of the messages."""
    bytes: float
    """That came to a node for each message, everything of TCP's payload included."""
    control: float = 0.0
    """Bytes in an hour that come to a node to keep the mesh: GRAFT and PRUNE."""


def edges(nodes: int, neighbours: int) -> list[tuple[int, int]]:
    """Who dials whom."""
    if neighbours >= nodes - 1:
        return [(i, j) for i in range(nodes) for j in range(i)]
    half = range(1, neighbours // 2 + 1)
    return [(i, (i + step) % nodes) for i in range(nodes) for step in half]


@dataclass(slots=True)
class Mesh:
    """One run."""

    plan: Plan
    arrivals: int = 0
    hops: dict[MessageId, dict[PeerId, int]] = field(default_factory=dict)
    _bytes: int = 0
    _control: int = 0
    _sizes: list[int] = field(default_factory=list)
    _todo: list[tuple[float, int, PeerId, PeerId | None, Packet | None]] = field(
        default_factory=list
    )
    _rng: random.Random = field(init=False)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        """Nobody is there."""
        self._rng = random.Random(f"mesh {self.plan.seed}")  # noqa: S311 - a seeded run

    def run(self) -> Figures:
        """All of it."""
        plan, rng = self.plan, self._rng
        names = [PeerId(f"node{n:05d}") for n in range(plan.nodes)]
        routers = {
            name: Router(name, random.Random(f"{plan.seed} {name}"), plan.settings)  # noqa: S311
            for name in names
        }
        for router in routers.values():
            router.subscribe(TOPIC, 0.0)
        for i, j in self._edges():
            for near, far in ((names[i], names[j]), (names[j], names[i])):
                self._send(near, routers[near].connected(far), rng.random())
        for name in names:
            self._at(rng.random(), name)
        begin = 1.0 + plan.warm_s
        authors = {begin + n * plan.pause_s: rng.choice(names) for n in range(plan.messages)}
        for at, name in authors.items():
            self._at(at, name, name)
        self._play(routers, begin, begin + plan.messages * plan.pause_s + _AFTER_S)
        return self._figures()

    def _edges(self) -> list[tuple[int, int]]:
        plan = self.plan
        if not plan.scattered:
            return edges(plan.nodes, plan.neighbours)
        found: dict[tuple[int, int], None] = {}
        while len(found) < plan.nodes * plan.neighbours // 2:
            i, j = self._rng.sample(range(plan.nodes), 2)
            found[min(i, j), max(i, j)] = None
        return list(found)

    def _at(self, at: float, name: PeerId, author: PeerId | None = None) -> None:
        heapq.heappush(self._todo, (at, next(self._numbers), name, author, None))

    def _send(self, source: PeerId, out: Out, now: float) -> None:
        for peer, packet in out:
            if not packet.kept and self._rng.random() < self.plan.lost:
                continue
            at = now + self._rng.uniform(*self.plan.latency)
            heapq.heappush(self._todo, (at, next(self._numbers), peer, source, packet))

    def _play(self, routers: dict[PeerId, Router], begin: float, end: float) -> None:
        while self._todo[0][0] < end:
            now, _, name, source, packet = heapq.heappop(self._todo)
            router = routers[name]
            if packet is not None and source is not None:
                if now >= begin:
                    self._count(packet)
                out, fresh = router.on_packet(source, packet, now)
                self._note(name, source, fresh)
            elif source is not None:
                out = router.publish(TOPIC, bytes(self.plan.size), now)
                self.hops[name, router.published] = {name: 0}
            else:
                out = router.heartbeat(now)
                self._at(now + router.settings.heartbeat_s, name)
                if now >= begin:
                    self._sizes.append(len(router.mesh[TOPIC]))
            self._send(name, out, now)

    def _count(self, packet: Packet) -> None:
        size = packet.size() + HEADERS
        self._bytes += size
        self._control += size if packet.kind == "mesh" else 0
        self.arrivals += len(packet.publish)

    def _note(self, name: PeerId, source: PeerId, fresh: list[Message]) -> None:
        for message in fresh:
            reached = self.hops[message.id]
            reached[name] = reached[source] + 1

    @property
    def _hours(self) -> float:
        """That were looked at."""
        return (self.plan.messages * self.plan.pause_s + _AFTER_S) / 3600

    def _figures(self) -> Figures:
        plan = self.plan
        hops = [n for reached in self.hops.values() for n in reached.values() if n]
        pairs = plan.messages * (plan.nodes - 1)
        return Figures(
            self.arrivals / pairs,
            sum(hops) / len(hops),
            max(hops),
            pairs - len(hops),
            sum(self._sizes) / len(self._sizes),
            self._bytes / plan.messages / plan.nodes,
            self._control / plan.nodes / self._hours,
        )
