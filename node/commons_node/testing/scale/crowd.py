"""Many light nodes in one process and one seed: started, connected, crashed, looked at.

Each runs the daemon's own `Peering`, and so its sessions, its hints and its policy. ``Crowd`` is
what an experiment acts on; it does not know which one.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from nacl.signing import SigningKey

from commons_crdt.device import DeviceSecrets
from commons_crdt.ids import OperationId, RealmId, digest
from commons_crdt.operation import operation_id
from commons_node.peering.peering import Peering
from commons_node.peering.types import KnownPeer
from commons_node.peering.types import Settings as PeeringSettings
from commons_node.testing.air import Air
from commons_node.testing.chance import governed
from commons_node.testing.life import Life, Shelf
from commons_node.testing.loop import WHO, VirtualLoop
from commons_node.testing.scale.host import MeshHost
from commons_node.testing.scale.ledger import Ledger
from commons_node.testing.scale.light import Annals, LightReplica
from commons_node.testing.trace import Trace
from commons_node.testing.weather import CALM, Faults, Weather
from commons_protocol import gossip
from commons_protocol.names import node_id, peer_of_key
from commons_protocol.network import Address

Result = TypeVar("Result")

_BEGIN_MS = 1_750_000_000_000
PLACES = 64
INBOUND = 48
"""Connections of one node: those of `libp2p_host.gate.Limits`."""


class LightNode:
    """One node over all of its lives."""

    def __init__(self, crowd: Crowd, number: int, places: int, inbound: int) -> None:
        """All keys follow from the crowd's seed and the number."""
        self.crowd = crowd
        self.number = number
        self.places = places
        self.inbound = inbound
        seed = self._key("network")
        self.key = bytes(SigningKey(seed).verify_key)
        self.peer = peer_of_key(self.key)
        self.address = Address(
            f"/ip4/10.{number >> 16}.{number >> 8 & 255}.{number & 255}/tcp/4001"
        )
        self.replicas: list[LightReplica] = []
        self.shelf = Shelf()
        self.refusals: Counter[str] = Counter()
        self.life: Life | None = None
        self.peering: Peering
        self.host: MeshHost

    def _key(self, use: str) -> bytes:
        crowd, name = self.crowd.seed.to_bytes(8, "big"), self.number.to_bytes(8, "big")
        return digest("crowd", crowd, name, use.encode())

    @property
    def alive(self) -> bool:
        """True while it runs."""
        return self.life is not None and self.life.alive

    @property
    def name(self) -> str:
        """For what a person reads."""
        return f"node{self.number}"

    def device(self, realm: RealmId) -> DeviceSecrets:
        """This node's device in a community."""
        name = realm.hex()
        return DeviceSecrets(self._key(f"{name}.signing"), self._key(f"{name}.sealing"))

    def enter(self, annals: Annals) -> LightReplica:
        """Be a node of this community, before the first start."""
        replica = LightReplica(annals, self.device(annals.realm), self._stored)
        self.replicas.append(replica)
        self.crowd.ledger.members[annals.topic].add(self.number)
        return replica

    def _stored(self, _replica: LightReplica, ids: Sequence[OperationId]) -> None:
        self.crowd.ledger.stored(ids, self.number)

    def knows(self, other: LightNode) -> None:
        """Where another node is stands in the book."""
        address = Address(f"{other.address}/p2p/{other.peer}")
        known = KnownPeer(node_id(other.peer), (address,))
        self.shelf.durable[known.node] = known

    # --- living ---

    async def start(self) -> None:
        """Begin a life."""
        self.life = life = Life(self.name, 0, self.crash)
        task = asyncio.get_running_loop().create_task(self._start(life), context=life.context)
        await asyncio.wait({task})
        task.result()

    async def _start(self, life: Life) -> None:
        crowd = self.crowd

        def network(handlers: Any, on_event: Any) -> MeshHost:
            rng = random.Random(f"{crowd.seed} {self.number} {crowd.lives}")  # noqa: S311
            self.host = MeshHost(
                crowd.air, self.number, self.key, self.address, handlers, on_event, life.context,
                ledger=crowd.ledger, places=self.places, inbound=self.inbound,
                streams=crowd.streams, rng=rng,
            )  # fmt: skip
            return self.host

        crowd.lives += 1
        self.peering = Peering(
            network,
            lambda: self.replicas,
            self.shelf,
            refusals=self.refusals,
            settings=replace(
                crowd.settings, connections=self.places, inbound_connections=self.inbound
            ),
        )
        await self.peering.start()

    def crash(self) -> None:
        """Be gone at once; what is stored stays."""
        if self.life is not None and self.life.alive:
            self.life.end()
            self.host.vanish("crashed")
            self.crowd.faults["crashes"] += 1

    async def write(self, replica: LightReplica) -> OperationId:
        """Write one operation and tell it, as the daemon does after a commit."""
        assert self.life is not None
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._write(replica), context=self.life.context.copy())
        await asyncio.wait({task})
        return task.result()

    async def _write(self, replica: LightReplica) -> OperationId:
        ledger = self.crowd.ledger
        operation = await replica.write(
            lambda ident: ledger.wrote(ident, self.number, replica.annals.topic)
        )
        self.peering.spawn(self.peering.written(replica.realm, [operation]), "tell")
        return operation_id(operation.header)


@dataclass(slots=True)
class Crowd:
    """See the module. All of it follows from ``seed``."""

    seed: int
    weather: Weather = CALM
    streams: bool = True
    """False: gossip alone, nobody ever compares."""
    settings: PeeringSettings = field(default_factory=PeeringSettings)
    nodes: list[LightNode] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)
    lives: int = 0
    errors: list[str] = field(default_factory=list)
    rng: random.Random = field(init=False)
    air: Air = field(init=False)
    ledger: Ledger = field(init=False)
    _loop: VirtualLoop = field(init=False)

    def __post_init__(self) -> None:
        """Nobody is there."""
        self.rng = random.Random(f"crowd {self.seed}")  # noqa: S311 - a seeded run is the point
        air_rng = random.Random(f"air {self.seed}")  # noqa: S311 - likewise
        self.air = Air(air_rng, self.weather, self.faults, Trace())
        self._loop = VirtualLoop()
        self.ledger = Ledger(self._loop.time)

    def play(self, story: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Run a story in virtual time; raises ``RuntimeError`` if a node failed in it."""
        loop = self._loop

        def steady() -> int:
            return round(loop.time() * 1e9)

        def wall() -> int:
            return _BEGIN_MS * 1_000_000 + steady()

        loop.set_exception_handler(self._unheard)
        with governed(self.seed, wall, steady):
            result = loop.play(self._whole(story))
        if self.errors:
            raise RuntimeError("; ".join(self.errors[:3]))
        return result

    def _unheard(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        who = WHO.get()
        if not isinstance(who, Life) or who.alive:
            self.errors.append(f"{context.get('message')}: {context.get('exception')!r}")

    async def _whole(self, story: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        try:
            return await story()
        finally:
            for node in self.nodes:
                self.errors += [f"{node.name}: {node.refusals['task']} tasks failed"] * bool(
                    node.refusals["task"]
                )
                if node.life is not None:
                    node.life.end()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await asyncio.sleep(1)

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return self._loop.time()

    # --- making it ---

    def community(self, number: int) -> Annals:
        """A community that nobody is in yet."""
        realm = RealmId(digest("l-realm", self.seed.to_bytes(8, "big"), number.to_bytes(8, "big")))
        annals = Annals(realm)
        self.ledger.channels[annals.topic] = gossip.Channel.of(annals.epoch[1])
        self.ledger.members[annals.topic] = set()
        return annals

    def node(self, places: int = PLACES, inbound: int = INBOUND) -> LightNode:
        """One node more; it belongs to no community yet."""
        node = LightNode(self, len(self.nodes), places, inbound)
        self.nodes.append(node)
        return node

    async def start(self, nodes: Iterable[LightNode], over_s: float) -> None:
        """Start nodes one after the other."""
        chosen = list(nodes)
        for node in chosen:
            await node.start()
            await asyncio.sleep(over_s / len(chosen))

    async def until(self, condition: Callable[[], bool], seconds: float, step: float = 1.0) -> bool:
        """Let time pass until something holds; False if it does not in time."""
        end = self.now + seconds
        while not condition():
            if self.now >= end:
                return False
            await asyncio.sleep(step)
        return True
