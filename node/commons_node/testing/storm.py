"""The one long story: a neighbourhood lives through everything at once, and is looked at after it.

found ─ everybody starts ─ writing begins ─┬─ three islands ─┬─ heal ─┬─ writing ends ─ calm ─ rest
          one joins, one leaves ───────────┘  crashes, jumps, one-way links, lies  ───┘
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from commons_crdt.roles import Role
from commons_node.peering.penalties import PATIENCE
from commons_node.testing.checks import Watch
from commons_node.testing.deeds import any_deed
from commons_node.testing.errands import any_errand
from commons_node.testing.lies import SCHEMES, cast_of, chosen, count_met, tell
from commons_node.testing.measures import any_measure, count_seen
from commons_node.testing.node import Node
from commons_node.testing.plan import Plan
from commons_node.testing.residents import Resident
from commons_node.testing.schemes import SEAT
from commons_node.testing.town import Town
from commons_node.testing.trace import Trace
from commons_node.testing.weather import CALM, Faults, idle

_ROLES = (
    Role.STEWARD, Role.MEMBER, Role.STEWARD, Role.NEWCOMER, Role.MEMBER, Role.STEWARD, Role.MEMBER,
)  # fmt: skip
_LONGEST_REST_S = 1800.0
_MOST_SKEW_MS = 7 * 60_000
_BY_VERB = 0.6
"""How much of what members do goes by the product's verbs; the rest is drafted past them."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one seed. ``wrong`` is empty if every invariant held."""

    seed: int
    wrong: tuple[str, ...]
    faults: Faults
    refusals: Faults
    operations: int
    acknowledged: int
    claims: int
    converged: int
    """How often `sync wait` said yes, and was right."""
    ways: Mapping[str, int]
    """By which other ways the operations came to the same."""
    cuts: int
    """How often the islands were looked at long after the cut."""
    rest_s: float | None
    events: int
    trace: str
    seconds: float = 0.0
    """Virtual."""

    def idle(self) -> list[str]:
        """What of the faults proves nothing here; see ``weather.idle``."""
        return idle(self.faults)


@dataclass(slots=True)
class Storm:
    """One run of a plan."""

    plan: Plan
    town: Town
    watch: Watch = field(init=False)
    writing: bool = True
    schemes: list[str] = field(default_factory=list)
    """The lies about authority that are told in this story."""
    _others: list[asyncio.Future[None]] = field(default_factory=list)
    _left: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Nothing has happened."""
        self.watch = Watch(self.town)

    async def tell(self) -> Outcome:
        """The whole story."""
        plan, town = self.plan, self.town
        if not plan.leaving:
            self._left.set()
        await self._begin()
        watching = asyncio.ensure_future(self.watch.stand())
        work = [asyncio.ensure_future(part) for part in self._parts()]
        await self._partition()
        await asyncio.sleep(plan.settle_s)
        self.writing = False
        await asyncio.wait(work)
        for part in work:
            part.result()
        await self._calm()
        rest = await self.watch.rest(_LONGEST_REST_S)
        watching.cancel()
        await self.watch.after()
        refusals: Faults = Faults()
        for node in town.honest:
            refusals.update(node.refusals)
            refusals.update(node.refused())
            town.faults["forks_found"] += len(node.realm.judge.forks) if node.communities else 0
        count_met(town)
        count_seen(town)
        return Outcome(
            town.seed, tuple(self.watch.wrong), town.faults, refusals,
            len(town.arrivals), len(town.acks), self.watch.claims, self.watch.converged,
            dict(self.watch.ways), self.watch.cuts, rest,
            town.trace.events, town.trace.digest(), town.now,
        )  # fmt: skip

    def _parts(self) -> list[Coroutine[Any, Any, None]]:
        plan = self.plan
        return [
            self._write(),
            self._crash(plan.crashes),
            self._jump(plan.jumps),
            self._mute(plan.one_way),
            self._lie(),
            self._scheme(),
            self._govern(plan.measures),
            self._ask(plan.asks),
            *(self._join(n) for n in range(plan.joining)),
            *(self._leave() for _ in range(plan.leaving)),
        ]

    async def _begin(self) -> None:
        plan, town = self.plan, self.town
        town.seals = plan.seals
        if not plan.weather.mangled:
            town.settings = replace(town.settings, offences=PATIENCE)
        founding = plan.nodes - plan.joining
        guests = self._guests()
        honest = plan.seats - (SEAT in town.puppets)
        seats = max(1, min(honest, founding - plan.leaving - plan.liars - 1))
        roles = [_ROLES[n % len(_ROLES)] for n in range(founding - seats)]
        await town.found([Role.COORDINATOR] * (seats - 1) + roles, guests)
        liars = town.rng.sample(town.nodes[seats:], plan.liars)
        for node in liars:
            node.liar = True
        for n, one in enumerate(town.residents):
            one.home = town.nodes[n % 2 % seats]  # these stay
        for one in town.puppets.values():
            one.home = liars[0]
        town.air.weather = plan.weather
        for n, node in enumerate(town.nodes):
            node.knows(town.nodes[n - 1])
            for other in town.rng.sample(town.nodes, min(3, len(town.nodes))):
                if other is not node:
                    node.knows(other)
        for node in town.nodes:
            await node.start()
        await asyncio.sleep(5)

    def _guests(self) -> list[Resident]:
        """Members without a node: some are honest, some have a part in a lie."""
        plan, town = self.plan, self.town
        if plan.measures:
            dora, cleo = (Resident(town.seed, n, Role.STEWARD) for n in ("dora", "cleo"))
            ben = Resident(town.seed, "ben", Role.MEMBER, (dora,), 1)
            ann = Resident(town.seed, "ann", Role.MEMBER, (dora, ben), 2)
            town.residents += [dora, cleo, ben, Resident(town.seed, "fay", Role.MEMBER), ann]
            # who is a guardian sits at the machine of those who may need one
        self.schemes = chosen(plan.lies, plan.schemes, town.seed) if plan.liars else []
        town.puppets = cast_of(self.schemes, town.seed)
        return [*town.residents, *town.puppets.values()]

    # --- what happens at the same time ---

    async def _write(self) -> None:
        town, plan = self.town, self.plan
        pause = (20 + plan.apart_s + plan.settle_s) / plan.writes
        while self.writing:
            await asyncio.sleep(town.rng.uniform(0, 2 * pause))
            node = town.rng.choice(town.nodes)
            if node.alive and node.communities and not node.liar:
                await node.run(self._deed(node))

    async def _deed(self, node: Node) -> None:
        if self.town.rng.random() < _BY_VERB:
            await any_errand(node, self.town.rng)
        else:
            await node.write(await any_deed(node, self.town.rng))

    async def _ask(self, times: int) -> None:
        """Now and then somebody waits for everybody, and is told whether that came true."""
        rng = random.Random(f"asks {self.town.seed}")  # noqa: S311 - a seeded run is the point
        for _ in range(times):
            await asyncio.sleep(rng.uniform(5, 30))
            living = [n for n in self.town.honest if n.alive and n.communities]
            if living:
                await self.watch.asked(rng.choice(living), living, rng.uniform(5, 30))

    async def _partition(self) -> None:
        town, plan = self.town, self.plan
        await asyncio.sleep(20)
        nodes = [node for node in town.nodes if not node.gone]
        town.rng.shuffle(nodes)
        islands = [nodes[n :: plan.islands] for n in range(plan.islands)]
        town.air.split([[node.peer for node in island] for island in islands])
        town.note("split", None, " / ".join(" ".join(n.name for n in i) for i in islands))
        await asyncio.sleep(plan.apart_s)
        self.watch.islands(islands, plan.apart_s)
        town.air.heal()
        town.note("heal")

    async def _crash(self, times: int) -> None:
        town = self.town
        for _ in range(times):
            await asyncio.sleep(town.rng.uniform(3, 18))
            living = [n for n in town.nodes if n.alive and not n.gone and n.communities]
            if not living:
                continue
            node = town.rng.choice(living)
            if town.rng.random() < 0.6:
                await self._tear(node)
            node.crash()
            await asyncio.sleep(town.rng.uniform(1, 8))
            await self._again(node)

    async def _tear(self, node: Node) -> None:
        """Cut the power in the middle of the next write, if there is one soon."""
        node.crash_in(self.town.rng.randrange(1, 6))
        if not node.liar:
            self._others.append(asyncio.ensure_future(node.run(self._deed(node))))
        for _ in range(40):
            if not node.alive:
                return
            await asyncio.sleep(0.1)

    async def _again(self, node: Node) -> None:
        if not node.alive and not node.gone:
            self.watch.survived(node)
            await node.start()
            self.town.faults["restarts"] += 1
            self.town.note("restart", node)

    async def _jump(self, times: int) -> None:
        town = self.town
        for _ in range(times):
            await asyncio.sleep(town.rng.uniform(5, 30))
            node = town.rng.choice(town.nodes)
            node.skew_ms = town.rng.randrange(-_MOST_SKEW_MS, _MOST_SKEW_MS)
            if node.life is not None:
                node.life.skew_ms = node.skew_ms
            town.faults["clock_jumps"] += 1
            town.note("clock", node, f"{node.skew_ms / 1000:+.0f} s")

    async def _mute(self, times: int) -> None:
        town = self.town
        for _ in range(times):
            await asyncio.sleep(town.rng.uniform(2, 12))
            one, two = town.rng.sample(town.nodes, 2)
            link = (one.peer, two.peer)
            town.air.mute.add(link)
            town.faults["one_way_links"] += 1
            town.note("mute", one, f"towards {two.name}")
            await asyncio.sleep(town.rng.uniform(10, 30))
            town.air.mute.discard(link)

    async def _lie(self) -> None:
        town, liars = self.town, [node for node in self.town.nodes if node.liar]
        lies = [(liar, name) for liar in liars for name in self.plan.lies if name not in SCHEMES]
        town.rng.shuffle(lies)
        for liar, name in lies:
            await asyncio.sleep(town.rng.uniform(3, 10))
            self.watch.forbidden |= set(await tell(town, liar, name))

    async def _scheme(self) -> None:
        """Meanwhile a liar tells the others, with puppets of its own."""
        liars = [node for node in self.town.nodes if node.liar]
        rng = random.Random(f"schemes {self.town.seed}")  # noqa: S311 - a seeded run is the point
        for name in self.schemes:
            await asyncio.sleep(rng.uniform(5, 20))
            self.watch.forbidden |= set(await tell(self.town, liars[0], name))

    async def _govern(self, steps: int) -> None:
        """What is decided about who may do what."""
        rng = random.Random(f"measures {self.town.seed}")  # noqa: S311 - a seeded run is the point
        pause = (15 + self.plan.apart_s + self.plan.settle_s) / max(1, steps)
        for _ in range(steps):
            await asyncio.sleep(rng.uniform(0, 2 * pause))
            await any_measure(self.town, rng)

    async def _join(self, n: int) -> None:
        town = self.town
        await asyncio.sleep(town.rng.uniform(2, 10) + 30 * n)
        await self._left.wait()  # whoever lets a newcomer in is not gone before they are known
        hosts = [node for node in town.honest if node.alive and node.role >= Role.MEMBER]
        newcomer = town.newcomer(Role.NEWCOMER)
        host = town.rng.choice(hosts)
        invitation = await host.run(town.invite(host, newcomer.name))
        if invitation is None or not await town.join(newcomer, invitation, host):
            newcomer.gone = True
            return
        newcomer.joined = True
        town.faults["joins"] += 1

    async def _leave(self) -> None:
        town = self.town
        await asyncio.sleep(town.rng.uniform(5, 15))
        while not (  # noqa: ASYNC110 - nobody sets an event where the power comes back
            able := [n for n in town.honest if n.alive and n.role < Role.COORDINATOR]
        ):
            await asyncio.sleep(1.0)  # who could leave has no power just now
        node = town.rng.choice(able)
        node.gone = True
        self._left.set()
        await node.stop()
        town.faults["leaves"] += 1
        town.note("leave", node)

    # --- the end ---

    async def _calm(self) -> None:
        town = self.town
        town.air.weather = CALM
        for node in town.nodes:
            if node.life is not None:
                node.life.power.fuse = None
            await self._again(node)
        town.note("calm")


def run(seed: int, plan: Plan | None = None, trace: Trace | None = None) -> tuple[Outcome, Town]:
    """Run one seed."""
    chosen = plan or Plan()
    town = Town(seed, trace=trace or Trace())
    return town.play(lambda town: Storm(chosen, town).tell()), town
