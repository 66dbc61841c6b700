"""Without a forked key the council never splits, whatever its keys write and whoever hears it.

Every key writes what it likes on its own island: promises, acts and ballots in any round, and
endorsements of whatever it has heard of. Nobody forks. The rules leave uncounted what would be
unsafe; the dice follow them often enough for decisions to be reached.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.authority.evaluators import Keeper
from tests.authority.sets import causal_order, closure, judged, told
from tests.authority.village import (
    ALICE,
    BOB,
    CAROL,
    DAN,
    ERIN,
    Island,
    Person,
    Village,
    prologue,
)

from commons_crdt.authority.council_facts import Ballot, CouncilAct, Endorse, Settings
from commons_crdt.ids import OperationId

COUNCIL = (ALICE, BOB, CAROL, DAN, ERIN)
BEGINNING = {size: prologue(COUNCIL[:size]) for size in (2, 3, 4, 5)}


@dataclass
class Chamber:
    """Keys on islands of their own."""

    village: Village
    islands: dict[Person, Island]
    dice: random.Random
    clock: int = 0

    def step(self) -> None:
        who = self.dice.choice(list(self.islands))
        weights: dict[Callable[[Person], object], int] = {
            self.hear: 10,
            self.endorse: 6,
            self.promise: 4,
            self.propose: 1,
            self.repeat: 6,
            self.open: 1,
        }
        (what,) = self.dice.choices(list(weights), list(weights.values()))
        what(who)

    def hear(self, who: Person) -> None:
        """All that somebody else knows, or one operation of it with its past."""
        other = self.dice.choice(list(self.islands.values()))
        if self.dice.random() < 0.6:
            self.islands[who].learn(other.known)
        else:
            one = self.dice.choice(sorted(other.known))
            self.islands[who].learn(closure(self.village, [one]))

    def ballots(self, who: Person) -> list[OperationId]:
        known = self.islands[who].known
        kinds = CouncilAct | Ballot
        return sorted(
            x
            for x in known
            if isinstance(self.village.all[x].body, kinds)
            and self.village.all[x].body.base == self.village.base
        )

    def turn(self) -> int:
        """Rounds rise as the sitting goes on, with some stragglers."""
        self.clock += self.dice.random() < 0.3
        return max(0, self.clock + self.dice.choice([-1, 0, 0, 1]))

    def endorse(self, who: Person) -> None:
        ballots = self.ballots(who)
        if ballots:
            newest = max(ballots, key=lambda x: self.village.all[x].header.lamport)
            chosen = newest if self.dice.random() < 0.7 else self.dice.choice(ballots)
            self.islands[who].endorse(who, chosen)

    def promise(self, who: Person) -> None:
        index = self.dice.randrange(len(self.islands))
        self.islands[who].promise(who, self.turn(), index)

    def propose(self, who: Person, turn: int | None = None) -> OperationId:
        content = Settings((("epoch.days", self.dice.randrange(1, 90)),))
        return self.islands[who].act(who, content, turn=self.turn() if turn is None else turn)

    def open(self, who: Person) -> None:
        """The first on the list opens in round 0, if nobody heard of anything."""
        first = next(iter(self.islands))
        self.rally(self.propose(first, 0))

    def repeat(self, who: Person) -> None:
        """A round as it should be: promises of some, then a ballot that repeats what they show."""
        index, turn = list(self.islands).index(who), max(1, self.turn())
        mine = self.islands[who]
        for other in self.some():
            promise = self.islands[other].promise(other, turn, index)
            mine.learn(closure(self.village, [promise]))
        every = self.village.all
        votes = sorted(
            (x for x in mine.known if isinstance(every[x].body, Endorse | CouncilAct | Ballot)),
            key=lambda x: (every[x].header.lamport, x),
        )
        acts = [
            x
            for x in self.ballots(who)
            if isinstance(every[x].body, CouncilAct) and every[x].body.base == self.village.base
        ]
        if acts and self.dice.random() < 0.85:
            named = every[votes[-1]].body
            while isinstance(named, Endorse):
                voted = OperationId(named.ballot)
                named = every[voted].body
            likely = OperationId(named.act) if isinstance(named, Ballot) else acts[-1]
            honest = likely in acts and self.dice.random() < 0.6
            self.rally(mine.ballot(who, turn, likely if honest else self.dice.choice(acts)))
        else:
            self.rally(self.propose(who, turn))

    def some(self) -> list[Person]:
        size = self.dice.randrange(1, len(self.islands) + 1)
        return self.dice.sample(list(self.islands), max(size, len(self.islands) // 2))

    def rally(self, ballot: OperationId) -> None:
        """Some hear of a ballot and endorse it, some only hear."""
        for other in self.some():
            self.islands[other].learn(closure(self.village, [ballot]))
            if self.dice.random() < 0.75:
                self.islands[other].endorse(other, ballot)


def chamber(seed: int) -> Chamber:
    """One random sitting."""
    dice = random.Random(seed)
    size = dice.choice([2, 3, 3, 3, 4, 5])
    village, home = BEGINNING[size]
    village = Village(
        village.realm, {**village.all}, village.now_ms, village.salts, {}, village.base
    )
    islands = {who: village.island(who.name, home.known) for who in COUNCIL[:size]}
    sitting = Chamber(village, islands, dice)
    if dice.random() < 0.5:
        sitting.open(ALICE)
    for _ in range(dice.randrange(3, 16)):
        sitting.step()
    return sitting


def sit(seed: int) -> bool:
    """No part of what was said decides two things; True if anything was decided."""
    sitting = chamber(seed)
    village = sitting.village
    decided = set()
    parts = [village.all.keys(), *(i.known for i in sitting.islands.values())]
    for known in {frozenset(part) for part in parts}:
        answer = judged(village, known)
        assert answer.split == frozenset(), (seed, told(village, known, answer))
        assert answer.base is not None
        if answer.base != village.base:
            decided.add(answer.base)
    assert len(decided) <= 1, (seed, told(village, village.all, judged(village)))
    return bool(decided)


@given(seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=80)
def test_no_part_of_the_council_decides_what_another_part_does_not(seed: int) -> None:
    sit(seed)


def test_the_dice_reach_decisions_and_the_judge_reaches_the_same() -> None:
    """Otherwise nothing would have been shown."""
    decisions = 0
    for seed in range(60):
        decisions += sit(seed)
        sitting = chamber(seed)
        keeper = Keeper.of(sitting.village)
        for x in causal_order(sitting.village, sitting.village.all, sitting.dice):
            keeper.hear(x)
        answer = judged(sitting.village)
        council = keeper.judge.authority.council
        assert (council.base, council.split) == (answer.base, answer.split), seed
        assert keeper.verdicts == answer.verdicts, seed
    assert decisions >= 15, decisions


@pytest.mark.long
def test_ten_thousand_sittings() -> None:
    assert sum(sit(seed) for seed in range(10_000)) > 2_000
