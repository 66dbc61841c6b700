"""Honest coordinators who follow ``ballots`` decide one thing, however they hear of each other."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.authority.village import ALICE, BOB, CAROL, DAN, RULES, Island, Person, Village, prologue

from commons_crdt.authority.ballots import Step, Waiting, answer, open_at, propose
from commons_crdt.authority.book import Book
from commons_crdt.authority.council import Council
from commons_crdt.authority.council_facts import CouncilAct, Promise, Settings
from commons_crdt.authority.judge import Judge, Standing
from commons_crdt.authority.kinds_council import ACT, BALLOT, ENDORSE, PROMISE
from commons_crdt.ids import OperationId

THREE = (ALICE, BOB, CAROL)
_KINDS = {"CouncilAct": ACT, "Promise": PROMISE, "Ballot": BALLOT, "Endorse": ENDORSE}


class Here:
    """An island with a judge that learns along."""

    def __init__(self, island: Island) -> None:
        self.island = island
        self.judge = Judge(island.village.realm, RULES[1])
        self.standings: dict[OperationId, Standing] = {}

    def council(self) -> tuple[Council, list[int], Book]:
        """The council as it is known here now."""
        every = self.island.village.all
        new = self.island.known - self.standings.keys()
        for ident in sorted(new, key=lambda i: (every[i].header.lamport, i)):
            standing = self.judge.judge(every[ident].candidate, self.standings.get)
            assert isinstance(standing, Standing)
            self.standings[ident] = standing
        polity = self.judge.authority.polity
        assert polity is not None
        return polity.council, list(polity.acts), polity.book


def council_at(island: Island) -> tuple[Council, list[int], Book]:
    return Here(island).council()


def write(island: Island, who: Person, step: Step) -> OperationId:
    kind = _KINDS[type(step.body).__name__]
    return island.write(who.device, kind, step.body, refs=step.refs)


def setting(value: int) -> Settings:
    return Settings((("epoch.days", value),))


def three() -> tuple[Village, Island]:
    return prologue(THREE)


def test_the_first_listed_needs_one_other() -> None:
    _, home = three()
    council, acts, _ = council_at(home)
    step = propose(council, acts[-1], ALICE.device.keys.id, setting(30))
    assert isinstance(step, Step)
    act = write(home, ALICE, step)
    council, acts, _ = council_at(home)
    (row,) = open_at(council, acts[-1], BOB.device.keys.id)
    assert (row.act, row.needed, len(row.said), row.answerable) == (act, 2, 1, True)
    mine = answer(council, acts[-1], ALICE.device.keys.id, act)
    assert mine is None, "alice has endorsed her own act by writing it"
    nobody = answer(council, acts[-1], DAN.device.keys.id, act)
    assert nobody is None, "dan is no coordinator"
    agreed = answer(council, acts[-1], BOB.device.keys.id, act)
    assert agreed is not None
    write(home, BOB, agreed)
    council, acts, book = council_at(home)
    assert book.entries[acts[-1]].id == act


def test_another_asks_for_promises_first() -> None:
    _, home = three()
    council, acts, _ = council_at(home)
    wish = propose(council, acts[-1], CAROL.device.keys.id, setting(30))
    assert isinstance(wish, Step)
    assert isinstance(wish.body, Promise)
    asked = write(home, CAROL, wish)
    council, acts, _ = council_at(home)
    waiting = propose(council, acts[-1], CAROL.device.keys.id, setting(30))
    assert isinstance(waiting, Waiting)
    assert waiting.more == 1
    (row,) = open_at(council, acts[-1], ALICE.device.keys.id)
    assert (row.operation, row.act) == (asked, None)
    promise = answer(council, acts[-1], ALICE.device.keys.id, asked)
    assert promise is not None
    write(home, ALICE, promise)
    council, acts, _ = council_at(home)
    put = propose(council, acts[-1], CAROL.device.keys.id, setting(30))
    assert isinstance(put, Step)
    assert isinstance(put.body, CouncilAct)
    act = write(home, CAROL, put)
    council, acts, _ = council_at(home)
    agreed = answer(council, acts[-1], ALICE.device.keys.id, act)
    assert agreed is not None
    write(home, ALICE, agreed)
    council, acts, book = council_at(home)
    assert book.entries[acts[-1]].id == act


def test_what_somebody_may_have_decided_is_put_again() -> None:
    """Alice's act got her own voice; bob and carol go on without her, but carol heard of it."""
    village, home = three()
    council, acts, _ = council_at(home)
    first = propose(council, acts[-1], ALICE.device.keys.id, setting(30))
    assert isinstance(first, Step)
    act = write(home, ALICE, first)
    wish = propose(*council_at(home)[:1], acts[-1], CAROL.device.keys.id, setting(60))
    assert isinstance(wish, Step)
    asked = write(home, CAROL, wish)
    council, _, _ = council_at(home)
    promise = answer(council, acts[-1], ALICE.device.keys.id, asked)
    assert promise is not None
    write(home, ALICE, promise)
    council, _, _ = council_at(home)
    put = propose(council, acts[-1], CAROL.device.keys.id, setting(60))
    assert isinstance(put, Step)
    assert getattr(put.body, "act", None) == act, "alice's log shows it: carol must repeat it"
    write(home, CAROL, put)
    assert village.all[act].header.kind == ACT


@settings(max_examples=40, deadline=None)
@given(st.integers(min_value=0, max_value=2**32))
def test_honest_keys_never_split_however_they_hear_of_each_other(seed: int) -> None:
    play(seed)


def test_honest_keys_do_decide() -> None:
    assert sum(play(seed) for seed in range(12)) > 0


def play(seed: int) -> int:
    """Three keys that hear of each other by chance; how many acts came in force."""
    dice = random.Random(seed)
    village, home = three()
    heres = {who.name: Here(village.island(who.name, home.known)) for who in THREE}
    for turn in range(24):
        who = dice.choice(THREE)
        here, device = heres[who.name], who.device.keys.id
        if dice.random() < 0.5:
            other = dice.choice([one.name for one in THREE if one is not who])
            here.island.meet(heres[other].island)
        council, acts, _ = here.council()
        choices = [one for one in open_at(council, acts[-1], device) if one.answerable]
        if choices and dice.random() < 0.7:
            step = answer(council, acts[-1], device, dice.choice(choices).operation)
        else:
            found = propose(council, acts[-1], device, setting(turn + 1))
            step = found if isinstance(found, Step) else None
        if step is not None:
            written = write(here.island, who, step)
            council, _, book = here.council()
            assert council.messages[book.numbers[written]].counts, "an honest step counts"
    for one in heres.values():
        home.meet(one.island)
    council, acts, _ = council_at(home)
    assert len(council.in_force(acts[-1])) == 0, "one act in force at most, at every base"
    return len(acts) - 2
