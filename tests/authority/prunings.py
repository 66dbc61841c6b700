"""Random histories that give pruning something to do, and the pruned set as a node would make it.

First people speak, fork and close their devices; then the council seals, some know more than the
seal; `early` is what a node holds when it prunes. What comes later may cite, cut, lift and seal
anything, pruned or not.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.authority.dice import Dice, settled
from tests.authority.evaluators import Keeper
from tests.authority.sets import Ids, causal_order, closure
from tests.authority.village import ALICE, BOB, DAN, ERIN, EVE, PEOPLE, Island, Village

from commons_crdt.authority.council_facts import Lift, Members, Seal
from commons_crdt.authority.pruning import Link, Pruning, names
from commons_crdt.device import DeviceSecrets
from commons_crdt.ids import OperationId

_SPEAKERS = (EVE, DAN, ERIN)


@dataclass
class History:
    """A random history; ``pin`` is the seal, ``early`` what was held when it was pruned."""

    village: Village
    pin: OperationId
    early: Ids

    def keeper(self, ids: Ids, seed: int = 0) -> Keeper:
        """A node that heard these."""
        keeper = Keeper.of(self.village)
        for x in causal_order(self.village, ids, random.Random(seed)):
            keeper.hear(x)
        return keeper

    def later(self, gone: Ids) -> Ids:
        """What comes after pruning: with what it builds on, and what it names.

        Whoever cites or names what was pruned has it, so that it comes again.
        """
        new = frozenset(self.village.all) - self.early
        named = {y for x in new for y in names(self.village.all[x].body)}
        return closure(self.village, new | (named & gone))


def superfluous(keeper: Keeper) -> Ids:
    """What a node may delete, as its store finds it: the chains, then whatever builds on them."""
    final = keeper.judge.branches.finality()
    if final is None:
        return frozenset()
    headers = {x: keeper.village.all[x].header for x in keeper.standings}
    round_ = Pruning(final)
    for one in final.chains:
        links = [
            Link(h.seq, x, OperationId(h.prev))
            for x, h in headers.items()
            if (h.device, h.log) == (one.device, 1)
        ]
        round_.add(one, sorted(links))
    for x, header in headers.items():
        round_.look(x, header.antecedents)
    return frozenset(round_.superfluous)


class Teller(Dice):
    """Dice that fork, close and seal more than people do."""

    def branch_off(self) -> None:
        """A second, or third, branch of somebody's log 1, some operations long."""
        who = self.dice.choice(_SPEAKERS)
        island = self.dice.choice(self.islands)
        chain = self.chain(island, who.device, 1)
        if not chain:
            return self.talk()
        after = self.dice.choice(chain)
        if self.dice.random() < 0.3:
            before = OperationId(self.village.all[after].header.prev)
            after = before if before in self.village.all else after
        island.note(who.device, after=after, aware=self.dice.random() < 0.5)
        for _ in range(self.dice.randrange(3)):
            island.note(who.device, aware=False)
        return None

    def talk(self) -> None:
        who = self.dice.choice(_SPEAKERS)
        island = self.dice.choice(self.islands)
        device = self.device(who, island)
        for _ in range(self.dice.randrange(1, 4)):
            island.note(device, aware=self.dice.random() < 0.5)

    def cite(self) -> None:
        """Somebody else builds on what they heard, of whatever branch."""
        island = self.dice.choice(self.islands)
        ones = sorted(i for i in island.known if self.village.all[i].header.log)
        who = self.dice.choice([ALICE, BOB, DAN])
        if ones:
            island.note(who.device, refs=[self.dice.choice(ones)])

    def shut(self) -> None:
        """A device of somebody closes, most often where its log 1 was some time ago."""
        who = self.dice.choice(_SPEAKERS)
        island = self.dice.choice(self.islands)
        device = self.device(who, island)
        place = self.place(island, device, 1)
        island.close(device, who.member, place)

    def undo(self) -> None:
        """The council lifts a cut."""
        cuts = [
            *self.known(self.islands[0], "membership.removal"),
            *self.known(self.islands[0], "membership.branch"),
            *self.known(self.islands[0], "identity.recover"),
        ]
        if cuts:
            self.decide(Lift(self.dice.choice(cuts)))

    def oust(self) -> None:
        island = self.at(self.council[0])
        self.decide(Members((self.dismissal(island, self.subject()),)))

    def seal_now(self) -> OperationId | None:
        """Everybody meets, and the council seals most of what there is; None if it failed."""
        home = self.at(self.council[0])
        for island in self.islands:
            home.meet(island)
        base = self.village.base
        self.decide(self.some_seal(home))
        return self.village.base if self.village.base != base else None

    def before(self) -> None:
        acts = [
            (5, self.branch_off), (4, self.talk), (3, self.cite), (3, self.shut), (1, self.remove),
            (1, self.branch), (1, self.demote), (2, self.meet), (1, self.add_device),
            (1, self.oust), (1, self.recover),
        ]  # fmt: skip
        (act,) = self.dice.choices([a for _, a in acts], [w for w, _ in acts])
        act()

    def after(self) -> None:
        acts = [
            (4, self.branch_off), (3, self.talk), (3, self.cite), (2, self.shut), (2, self.undo),
            (2, self.remove), (2, self.branch), (1, self.oust), (2, self.seal_now), (1, self.meet),
            (1, self.recover), (1, self.prove), (1, self.revoke), (1, self.readmit),
        ]  # fmt: skip
        (act,) = self.dice.choices([a for _, a in acts], [w for w, _ in acts])
        act()


def history(seed: int) -> History | None:
    """One random history; None if its council did not come to seal anything."""
    dice = random.Random(seed)
    council = dice.choice([(ALICE,), (ALICE, BOB)])
    village, home = settled(council)
    islands = [home, village.island("left", home.known)]
    told = Teller(dice, village, islands, council)
    for _ in range(dice.randrange(4, 12)):
        told.before()
    seal = told.seal_now()
    if seal is None or not isinstance(village.all[seal].body.act, Seal):
        return None
    for _ in range(dice.randrange(3)):
        told.before()
    early = frozenset(village.all)
    for _ in range(dice.randrange(7)):
        told.after()
    return History(village, seal, early)


def device_of(name: str) -> DeviceSecrets:
    """The device of somebody of the village."""
    return next(p for p in PEOPLE if p.name == name).device


__all__ = ["History", "Island", "device_of", "history", "superfluous"]
