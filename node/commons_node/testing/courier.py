"""A town without any network: somebody goes from house to house with a stick, and things go wrong.

Sticks are lost, torn, an old one is brought again, the power goes while one is read. Where a story
takes months, one turns up when its time is over; machines are off between two trips then. A fault
that was asked for counts only with what was seen of it.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise

from commons_crdt.roles import Role
from commons_node.bundles.carried import ends_of
from commons_node.bundles.exporting import LIFETIME_MS
from commons_node.bundles.importing import Import, Report, header_of
from commons_node.testing.checks import Watch
from commons_node.testing.deeds import any_deed
from commons_node.testing.disk import PowerLost
from commons_node.testing.errands import any_errand
from commons_node.testing.measures import any_measure
from commons_node.testing.node import Node
from commons_node.testing.residents import Resident
from commons_node.testing.sticks import Stick, written
from commons_node.testing.town import Town
from commons_node.testing.weather import Faults
from commons_protocol.bundles.errors import BadBundle
from commons_protocol.bundles.reader import unlock

_ROLES = (Role.STEWARD, Role.MEMBER, Role.STEWARD, Role.NEWCOMER, Role.MEMBER)
_DAY_S = 90.0
"""From one trip to the next, where nothing has to wait for a date."""
_NIGHTS = (1, 21)
"""From one trip to the next in a story of months, days: loans fall due, invites, promises and
sticks run out, budgets fill up."""
DAY_S = 86_400.0
_ROUNDS = 6
"""Of going to everybody and back in which all must have met, once nothing goes wrong any more."""
SEEN = {
    "sticks_lost": "still_behind",
    "sticks_torn": "torn_and_told",
    "old_sticks": "nothing_twice",
    "cut_imports": "went_on",
}
"""What goes wrong, each with what is seen of it elsewhere."""
LATE = {"expired_sticks": "told_expired"}
"""What goes wrong besides, where a story takes months."""


@dataclass(slots=True)
class Courier:
    """Carries bundles between the houses of one town."""

    town: Town
    rng: random.Random
    taken: dict[str, list[Stick]] = field(default_factory=dict)
    """What each house has taken in, whole."""
    months: bool = False
    drawer: dict[str, list[tuple[Stick, int]]] = field(default_factory=dict)
    """Sticks for each house that were forgotten somewhere, and when (ms) their time is over."""
    trips: int = 0
    deltas: int = 0

    async def trip(self, giver: Node, taker: Node, *, luck: bool = False) -> None:
        """From house to house once; with ``luck`` nothing goes wrong."""
        self.trips += 1
        stick = await giver.run(self._fetch(giver, taker))
        if stick is None:
            return
        self.town.note("stick", giver, f"to {taker.name}, {stick.size} bytes")
        late = None if luck else self._late(taker)
        fault = None if luck else self.rng.choice([None, None, *SEEN, *(LATE if late else ())])
        match fault:
            case "expired_sticks":
                assert late is not None
                await self._after_its_time(taker, late)
                return
            case "sticks_lost":
                self.town.faults[fault] += 1
                self.town.faults["still_behind"] += giver.realm.digest() != taker.realm.digest()
                return
            case "sticks_torn":
                stick = Stick(stick.data[: self.rng.randrange(stick.size)])
                self.town.faults[fault] += 1
                report = await taker.run(self._bring(taker, stick))
                told = report is None or report.damage is not None
                self.town.faults["torn_and_told"] += told
                return
            case "old_sticks" if self.taken.get(taker.name):
                stick = self.rng.choice(self.taken[taker.name])
                self.town.faults[fault] += 1
                report = await taker.run(self._bring(taker, stick))
                self.town.faults["nothing_twice"] += report is not None and report.new == 0
                return
            case "cut_imports":
                await self._without_power(taker, stick)
        await self._whole(taker, stick)

    def _late(self, taker: Node) -> Stick | None:
        """A stick for a house that was never brought, and whose time is over by now."""
        over = [one for one, until in self.drawer.get(taker.name, ()) if until < taker.now_ms()]
        return over[0] if over else None

    async def _after_its_time(self, taker: Node, stick: Stick) -> None:
        """It is refused with its reason, and nothing has changed; asked twice, it is taken."""
        faults = self.town.faults
        drawer = self.drawer[taker.name]
        self.drawer[taker.name] = [one for one in drawer if one[0] is not stick]
        before = taker.realm.digest()
        refusals: list[str] = []
        if await taker.run(self._bring(taker, stick, refusals=refusals)) is not None:
            raise AssertionError("a stick whose time is over was taken without a question")
        if refusals != ["bundle_expired"]:
            return  # its reader's device came later, or its maker's has ended
        faults["expired_sticks"] += 1
        faults["told_expired"] += taker.realm.digest() == before
        report = await taker.run(self._bring(taker, stick, even_expired=True))
        faults["taken_when_asked_twice"] += report is not None and report.damage is None

    async def _fetch(self, giver: Node, taker: Node) -> Stick | None:
        """What the giver writes: everything, or what the taker was last known to lack."""
        device = taker.standing.device(taker.realm.realm)
        known = await ends_of(giver.realm, device.keys.id) if device else []
        if (
            self.months
            and self.rng.random() < 0.5
            and (forgotten := await written(giver, self.rng))
        ):
            until = giver.now_ms() + LIFETIME_MS
            self.drawer.setdefault(taker.name, []).append((forgotten, until))
        if device is not None and known and self.rng.random() < 0.6:
            self.deltas += 1
            return await written(giver, self.rng, {device.keys.id: known})
        return await written(giver, self.rng)

    async def _bring(
        self,
        taker: Node,
        stick: Stick,
        *,
        even_expired: bool = False,
        refusals: list[str] | None = None,
    ) -> Report | None:
        """What came of it; None if it is not even a bundle, not for this house, or too old.

        ``refusals`` hears why.
        """
        device = taker.standing.device(taker.realm.realm)
        assert device is not None
        now = taker.now_ms()
        try:
            unlocked = unlock(await header_of(stick), [device.sealing])
            return await Import(
                taker.realm, stick, unlocked, now, taker.parts, even_expired=even_expired
            ).run()
        except BadBundle as bad:
            if refusals is not None:
                refusals.append(bad.code)
            return None

    async def _without_power(self, taker: Node, stick: Stick) -> None:
        """The power goes in the middle of the import; whoever comes home switches it on again."""
        taker.crash_in(self.rng.randrange(1, 9))
        with suppress(PowerLost):
            await taker.run(self._bring(taker, stick))
        if taker.alive:
            assert taker.life is not None
            taker.life.power.fuse = None
            return
        self.town.faults["cut_imports"] += 1
        await taker.start()
        report = await taker.run(self._bring(taker, stick))
        self.town.faults["went_on"] += report is not None and report.damage is None

    async def _whole(self, taker: Node, stick: Stick) -> None:
        report = await taker.run(self._bring(taker, stick))
        if report is not None and report.damage is None:
            self.taken.setdefault(taker.name, []).append(stick)
            self.taken[taker.name] = self.taken[taker.name][-4:]


@dataclass(frozen=True, slots=True)
class Carried:
    """What came of a town without a network."""

    seed: int
    wrong: tuple[str, ...]
    faults: Faults
    trips: int
    deltas: int
    operations: int
    days: float
    """How long it took there."""
    rounds: int | None
    """Of going to everybody once, until all had the same; None: not in the end either."""

    def idle(self) -> list[str]:
        """Faults that never struck, or of which nothing was seen."""
        return [f for f in SEEN if not self.faults[f]] + [
            f"{f} without {seen}"
            for f, seen in SEEN.items()
            if self.faults[f] and not self.faults[seen]
        ]


async def story(town: Town, houses: int, days: int, *, months: bool = False) -> Carried:
    """``days`` of deeds, decisions and trips; then trips alone until all have the same.

    ``months``: days pass between two such days, in which the machines are off.
    """
    rng = random.Random(f"courier {town.seed}")  # noqa: S311 - a seeded run is the point
    people = [Resident(town.seed, name, Role.MEMBER) for name in ("fay", "gus")]
    town.residents += people
    await town.found([_ROLES[n % len(_ROLES)] for n in range(houses - 1)], people)
    for one in people:
        one.home = town.nodes[0]
    town.air.split([[node.peer] for node in town.nodes])
    for node in town.nodes:
        await node.start()
    courier, watch = Courier(town, rng, months=months), Watch(town)
    for _ in range(days):
        for node in town.nodes:
            if node.alive and rng.random() < 0.7:
                await node.run(any_errand(node, rng))
                await node.write(await any_deed(node, rng))
        await any_measure(town, rng)
        giver, taker = rng.sample(town.nodes, 2)
        await courier.trip(giver, taker)
        await asyncio.sleep(_DAY_S)
        await watch.look()
        if months:
            await _off(town, DAY_S * rng.randint(*_NIGHTS))
    rounds = await _round_and_round(town, courier)
    if rounds is None:
        watch.fail(f"after {_ROUNDS} rounds without a fault the houses still differ")
    for node in town.nodes:
        if town.air.wires_of(node.host):
            watch.fail(f"{node.name} has met somebody by network")
    await watch.alike()
    return Carried(
        town.seed, tuple(watch.wrong), town.faults, courier.trips, courier.deltas,
        len(town.arrivals), town.now / DAY_S, rounds,
    )  # fmt: skip


async def _off(town: Town, seconds: float) -> None:
    """All machines are switched off for so long: nothing happens but that time passes."""
    for node in town.nodes:
        if node.alive:
            await node.stop()
    await asyncio.sleep(seconds)
    for node in town.nodes:
        await node.start()


async def _round_and_round(town: Town, courier: Courier) -> int | None:
    """There and back through all houses, until their digests are equal."""
    nodes = town.nodes
    for n in range(_ROUNDS):
        if len({node.realm.digest() for node in nodes}) == 1:
            return n
        for giver, taker in (*pairwise(nodes), *pairwise(nodes[::-1])):
            await courier.trip(giver, taker, luck=True)
    return _ROUNDS if len({node.realm.digest() for node in nodes}) == 1 else None


def carry(seed: int, houses: int = 5, days: int = 40, *, months: bool = False) -> Carried:
    """One seed."""
    return Town(seed).play(lambda town: story(town, houses, days, months=months))
