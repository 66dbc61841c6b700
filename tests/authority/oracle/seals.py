"""Seals: what they settle, what waits for their tips, and which tips are beyond a cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.authority.oracle.archive import Archive, Id, remembered
from tests.authority.oracle.council import Council
from tests.authority.oracle.cuts import Cut

from commons_crdt.authority.council_facts import Tip
from commons_crdt.authority.endings import Position
from commons_crdt.verdict import Judgement

if TYPE_CHECKING:
    from tests.authority.oracle.strata import World


@dataclass(frozen=True)
class Layer:
    """What one seal settles, and the world of that set alone."""

    within: frozenset[Id]
    world: World


class Sealed:
    """The seals of one world's chain."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.memo: dict[Any, Any] = {}

    @remembered
    def layers(self) -> list[Layer]:
        world = self.world
        found: list[Layer] = []
        settled: frozenset[Id] = frozenset()
        for seal in world.seals:
            tips = listed(world.archive, seal)
            log0, log1 = self._closure(tips)
            settled |= log0 if self._missing(tips) else log0 | log1
            chain = world.chain[: world.chain.index(seal)]
            alone = type(world)(
                world.archive, world.council, settled, chain, tips=tips, whole=world.whole
            )
            found.append(Layer(settled, alone))
        return found

    def _here(self, tip: Tip) -> bool:
        position = Position(tip.seq, tip.id)
        known = self.world.archive.at(tip.device, tip.log, position)
        return known is not None and known in self.world.set

    def _missing(self, tips: tuple[Tip, ...]) -> bool:
        """Some tip of log 1 is not here: in the whole set, though this may be a sealed part."""
        here = self.world.whole.set
        return any(
            self.world.archive.at(tip.device, tip.log, Position(tip.seq, tip.id)) not in here
            for tip in tips
            if tip.log
        )

    def _closure(self, tips: tuple[Tip, ...]) -> tuple[frozenset[Id], frozenset[Id]]:
        """The sealed operations of log 0, and those of log 1 that see nothing beyond them."""
        archive = self.world.archive
        here = [Id(tip.id) for tip in tips if self._here(tip)]
        closed = {log: [x for x in here if archive.log(x) == log] for log in (0, 1)}
        log0 = frozenset(closed[0]).union(*(archive.past(x) for x in closed[0]))
        under = frozenset(closed[1]).union(*(archive.past(x) for x in closed[1]))
        log1 = frozenset(x for x in under if archive.log(x) == 1 and archive.view(x) <= log0)
        return log0, log1

    @property
    def waiting(self) -> bool:
        """A listed tip of log 1 is not here."""
        archive = self.world.archive
        return any(self._missing(listed(archive, seal)) for seal in self.world.seals)

    @remembered
    def verdict(self, x: Id) -> Judgement | None:
        """The sealed verdict, None if no seal settles x."""
        for layer in self.layers():
            if x in layer.within:
                return layer.world.verdict(x)
        return None


def listed(archive: Archive, seal: Id) -> tuple[Tip, ...]:
    """What a seal lists: of log 0 nothing that is not in its past."""
    tips = archive.body(seal).act.tips
    return tuple(tip for tip in tips if tip.log or Id(tip.id) in archive.view(seal))


def bad_tip(council: Council, seal: Id, chain: tuple[Id, ...]) -> bool:
    """A tip of log 0 is not in the seal's view, or some tip lies beyond a cut that stands there."""
    from tests.authority.oracle.strata import World

    archive = council.archive
    view = archive.view(seal)
    world = World(archive, council, view, chain)
    for tip in archive.body(seal).act.tips:
        position = Position(tip.seq, tip.id)
        known = archive.at(tip.device, tip.log, position)
        if tip.log == 0 and known not in view:
            return True
        grants = [
            g for g in view if (keys := archive.granted(g)) is not None and keys.id == tip.device
        ]
        if tip.log == 0 and known is not None:
            grants = [archive.grant(known)]
        for grant in grants:
            if any(beyond(world, cut, tip) for cut in covering(world, tip, grant)):
                return True
    return False


def covering(world: World, tip: Tip, grant: Id) -> list[Cut]:
    """The standing cuts that cover what a device with this grant writes."""
    archive, root = world.archive, world.archive.root_of(grant)
    cuts = [c for c in world.cuts_before("B'") if c.form == "grant" and c.subject == grant]
    if root is None:
        return cuts
    member = archive.member_of(root)
    for cut in [*world.cuts_before("B'"), *world.chain_of(root, "B'").newest.cuts]:
        mine = cut.subject == member and not archive.before(cut.op, root)
        listed = tip.device in cut.table
        if (
            (cut.form == "member" and mine)
            or (cut.form == "branch" and mine and listed)
            or (cut.form == "recovery" and cut.subject == root and listed)
        ):
            cuts.append(cut)
    return cuts


def beyond(world: World, cut: Cut, tip: Tip) -> bool:
    ending = cut.table.get(tip.device)
    if ending is None:
        return True
    if tip.log:
        end = ending.record
        return tip.seq > end.seq or (tip.seq == end.seq and tip.id != end.id)
    return world.chains.beyond(Id(tip.id), world.chains.named(cut, Id(tip.id)))
