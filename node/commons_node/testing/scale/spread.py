"""One community of very many nodes: how an operation gets to all of them, and what that costs.

start ─ connect ─ idle ─┬─ writes, with loss and churn ─ until nobody misses anything ─ count ─┬─
                        └────────────────────────── next phase ───────────────────────────────┘
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from commons_crdt.ids import OperationId
from commons_node.testing.scale.crowd import Crowd, LightNode
from commons_node.testing.scale.figures import mean, rank, shares
from commons_node.testing.scale.host import mesh_of
from commons_node.testing.scale.ledger import by_message
from commons_node.testing.scale.light import Annals
from commons_node.testing.weather import CALM, Faults, Weather

_PATIENCE_S = 900.0
_LOCKED_OUT_S = 120.0
"""Who speaks with nobody so long after coming back is counted as locked out."""
_GOSSIP_S = 12.0
"""After the last write nothing is announced or kept for IWANT any more."""
_AWAY_S = (20.0, 60.0)
_WAYS = ("gossip", "push", "pull")


@dataclass(frozen=True, slots=True)
class Phase:
    """``lost``: the share of gossip packets that a full queue loses; as many frames come late.

    ``churn``: the share of nodes that lose their power once while others write, and come back.
    """

    lost: float = 0.0
    churn: float = 0.0


PHASES = (Phase(), Phase(lost=0.05), Phase(lost=0.2), Phase(lost=0.05, churn=0.1))


@dataclass(frozen=True, slots=True)
class Plan:
    """``known``: other nodes in each book at the start. Times in virtual seconds."""

    nodes: int = 1000
    places: int = 14
    known: int = 4
    chains: int = 2
    """Of each member, before the first write: log 0 and log 1."""
    writes: int = 10
    """In each phase."""
    every_s: float = 2.0
    phases: tuple[Phase, ...] = PHASES
    connect_s: float = 40.0
    idle_s: float = 60.0
    anti_entropy: bool = True
    """False: gossip alone, the mutant that must miss something."""
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Spent:
    """What came of one phase. Seconds are virtual; bytes are TCP's payload."""

    phase: Phase
    missed: int
    """(Node, operation) pairs that were missing at the end, at nodes that speak with somebody."""
    locked_out: int
    """Nodes that speak with nobody: whomever they dial has no place left ..."""
    missed_outside: int
    """... and what is missing at them."""
    pairs: int
    settled_s: float | None
    """From the last write (or restart) until nobody missed anything."""
    seconds: dict[str, float]
    """From a write until so many of the nodes that never went away held it: medians over the
    writes, and the worst; ``inf`` for never.
    """
    hops: dict[str, float]
    copies: dict[str, float]
    """Bodies that came to a node for each operation, by way, and ``all``."""
    first_by: dict[str, float]
    """By which way an operation came first: shares of all that came."""
    bytes: dict[str, float]
    """That came to a node for each operation, by message, and ``all``."""
    faults: dict[str, int]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a plan."""

    plan: Plan
    connections: float
    """Of a node, mean."""
    mesh: float
    idle: dict[str, float]
    """Bytes that come to a node in an hour in which nothing is written, by message."""
    refused_dials: float
    """Of each node, while all of them found each other."""
    phases: tuple[Spent, ...]

    @property
    def missed(self) -> int:
        """In all phases together, at everybody."""
        return sum(phase.missed + phase.missed_outside for phase in self.phases)


@dataclass(slots=True)
class Spread:
    """One run of a plan."""

    plan: Plan
    crowd: Crowd = field(init=False)
    annals: Annals = field(init=False)
    _churned: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Nobody is there."""
        self.crowd = Crowd(self.plan.seed, streams=self.plan.anti_entropy)
        self.annals = self.crowd.community(0)

    def run(self) -> Outcome:
        """All of it."""
        return self.crowd.play(self._tell)

    async def _tell(self) -> Outcome:
        plan, crowd = self.plan, self.crowd
        self._found()
        await crowd.start(crowd.nodes, plan.connect_s / 2)
        await asyncio.sleep(plan.connect_s)
        crowd.ledger.begin()
        await asyncio.sleep(plan.idle_s)
        hours = plan.idle_s / 3600 * plan.nodes
        idle = shares(by_message(crowd.ledger.came), hours)
        hosts = [node.host for node in crowd.nodes]
        connections, mesh = mean(len(host.peers()) for host in hosts), mesh_of(hosts)
        refused = mean(host.refused_dials for host in hosts)
        phases = [await self._phase(phase) for phase in plan.phases]
        return Outcome(plan, connections, mesh, idle, refused, tuple(phases))

    def _found(self) -> None:
        plan, crowd = self.plan, self.crowd
        nodes = [crowd.node(plan.places, plan.places * 3 // 4) for _ in range(plan.nodes)]
        for device in [node.device(self.annals.realm).keys.id for node in nodes]:
            for log in range(plan.chains):
                self.annals.write((log, device))
        for n, node in enumerate(nodes):
            node.enter(self.annals)
            node.knows(nodes[n - 1])  # a ring holds all of them together
            for other in crowd.rng.sample(nodes, min(plan.known, len(nodes))):
                if other is not node:
                    node.knows(other)

    # --- one phase ---

    async def _phase(self, phase: Phase) -> Spent:
        plan, crowd = self.plan, self.crowd
        crowd.ledger.begin()
        before = Counter(crowd.faults)
        crowd.air.weather = Weather(lost=phase.lost, resent=phase.lost)
        away = crowd.rng.sample(crowd.nodes, round(phase.churn * plan.nodes))
        churn = [asyncio.ensure_future(self._churn(node)) for node in away]
        written = [await self._write() for _ in range(plan.writes)]
        await asyncio.gather(*churn)
        last = crowd.now
        if plan.anti_entropy:
            whole = await crowd.until(lambda: self._whole(last), _PATIENCE_S)
        else:
            await asyncio.sleep(_GOSSIP_S)
            whole = False
        settled = crowd.now - last if whole else None
        faults: Faults = crowd.faults - before
        crowd.air.weather = CALM
        return self._spent(phase, written, away, settled, faults)

    async def _write(self) -> OperationId:
        crowd = self.crowd
        author = crowd.rng.choice([node for node in crowd.nodes if node.alive])
        ident = await author.write(author.replicas[0])
        await asyncio.sleep(crowd.rng.uniform(0.5, 1.5) * self.plan.every_s)
        return ident

    async def _churn(self, node: LightNode) -> None:
        plan, crowd = self.plan, self.crowd
        await asyncio.sleep(crowd.rng.uniform(0, plan.writes * plan.every_s))
        node.crash()
        await asyncio.sleep(crowd.rng.uniform(*_AWAY_S))
        await node.start()
        crowd.faults["restarts"] += 1

    def _whole(self, since: float) -> bool:
        lacking = [node for node in self.crowd.nodes if not node.replicas[0].whole]
        if self.crowd.now - since < _LOCKED_OUT_S:
            return not lacking
        return not any(self._speaks(node) for node in lacking)

    def _speaks(self, node: LightNode) -> bool:
        """With anybody; gossip alone speaks with nobody, and nobody is locked out of it."""
        return bool(node.peering.talks.now) or not self.plan.anti_entropy

    # --- counting ---

    def _spent(
        self,
        phase: Phase,
        written: list[OperationId],
        away: list[LightNode],
        settled: float | None,
        faults: Faults,
    ) -> Spent:
        plan, ledger = self.plan, self.crowd.ledger
        reached = [
            one
            for ident in written
            for one in ledger.operations[ident].values()
            if one.way != "own"
        ]
        pairs = len(written) * (plan.nodes - 1)
        missed: Counter[bool] = Counter()
        for node in self.crowd.nodes:
            found = [ledger.operations[ident].get(node.number) for ident in written]
            missed[self._speaks(node)] += sum(one is None or one.stored is None for one in found)
        hops = [one.hops for one in reached]
        return Spent(
            phase,
            missed[True],
            sum(not self._speaks(node) for node in self.crowd.nodes),
            missed[False],
            pairs,
            settled,
            self._seconds(written, {node.number for node in away}),
            {"p50": rank(hops, 50), "p99": rank(hops, 99), "max": max(hops)},
            shares({way: ledger.count[f"bodies by {way}"] for way in _WAYS}, pairs),
            {way: mean(one.way == way for one in reached) for way in _WAYS},
            shares(by_message(ledger.came), len(written) * plan.nodes),
            dict(sorted(faults.items())),
        )

    def _seconds(self, written: list[OperationId], away: set[int]) -> dict[str, float]:
        """Percentiles over the nodes; of these the median and the worst over the operations."""
        stayed = self.plan.nodes - len(away)
        found: dict[str, list[float]] = {"50 %": [], "99 %": [], "100 %": []}
        for ident in written:
            reached = self.crowd.ledger.operations[ident]
            began = next(one.at for one in reached.values() if one.way == "own")
            took = [
                one.stored - began
                for number, one in reached.items()
                if one.stored is not None and number not in away
            ]
            took += [float("inf")] * (stayed - len(took))
            for name, percent in (("50 %", 50), ("99 %", 99), ("100 %", 100)):
                found[name].append(rank(took, percent))
        return {
            **{name: rank(values, 50) for name, values in found.items()},
            "worst": max(found["100 %"]),
        }
