"""The two evaluators never disagree: not after the last operation, nor on the way there.

The incremental judge hears random sets in random causal orders and is compared with the oracle,
which judges from nothing, after every few operations. On a disagreement AUTHORITY decides who is
wrong: keep the seed as a story in `test_counterexamples` or `test_disagreements`.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.authority.dice import random_set
from tests.authority.evaluators import Keeper, word
from tests.authority.oracle import Answer
from tests.authority.sets import causal_order, judged, some_part, told
from tests.authority.village import Village

from commons_crdt.ids import OperationId


def compare(village: Village, keeper: Keeper, answer: Answer, seed: int) -> None:
    """Everything that both evaluators say, and the same words."""
    verdicts = keeper.verdicts
    wrong = [
        f"{word(verdicts[x])} but from nothing {word(j)}: {told(village, [x], answer)}"
        for x, j in answer.verdicts.items()
        if verdicts[x] != j
    ]
    assert not wrong, f"seed {seed}, after {len(verdicts)}: {wrong}"
    if answer.world is None:
        return
    authority = keeper.judge.authority
    council = authority.council
    assert (council.base, council.seats, council.split) == (
        answer.base,
        answer.coordinators,
        answer.split,
    ), seed
    assert authority.members() == answer.members, seed
    here = [i for m in authority.identities for i in authority.identities_of(m)]
    assert {i.root: (i.base, frozenset(i.devices), i.frozen) for i in here} == answer.identities, (
        seed
    )
    compare_ends(village, keeper, answer, seed)


def compare_ends(village: Village, keeper: Keeper, answer: Answer, seed: int) -> None:
    """In log 0, `Judge.end` names the last operation of a chain that is inside; so does nobody."""
    chains = {keeper.chain(x) for x in answer.verdicts if village.all[x].header.log == 0}
    for device, log in chains:
        end = keeper.judge.end(device, log)
        mine = [x for x in answer.verdicts if keeper.chain(x) == (device, log)]
        inside = [x for x in mine if x in answer.inside]
        if end.seq is None:
            assert answer.world is not None
            archive, sealed = answer.world.archive, answer.world.chains.anchors((device, log))
            losers = [x for x in mine if sealed and not archive.upto(sealed[-1], x)]
            assert sorted({*inside, *losers}) == sorted(mine), (seed, "it goes on")
        else:
            top = max(inside, key=lambda x: village.all[x].header.seq, default=None)
            assert (end.id, end.seq) == (
                top,
                village.all[top].header.seq if top is not None else 0,
            ), (seed, end)


def differ(seed: int, every: int = 4, pin: OperationId | None = None) -> int:
    """Hear one random set and compare on the way; how many verdicts flipped."""
    village, dice = random_set(seed), random.Random(seed)
    keeper = Keeper.of(village, pin)
    order = causal_order(village, village.all, dice)
    for count, x in enumerate(order, 1):
        keeper.hear(x)
        if count % every == 0 or count == len(order):
            compare(village, keeper, judged(village, order[:count], pin), seed)
    return keeper.flipped


@given(seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=40)
def test_the_judge_and_the_oracle_say_the_same(seed: int) -> None:
    differ(seed)


@given(seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=40)
def test_they_say_the_same_under_a_pin(seed: int) -> None:
    """The pin is the newest act of the chain, or anything at all."""
    village, dice = random_set(seed), random.Random(seed)
    answer = judged(village)
    pins = [answer.base, dice.choice(sorted(village.all))]
    differ(seed, 6, dice.choice([p for p in pins if p is not None]))


def test_verdicts_flip_on_the_way() -> None:
    """The comparison means something: what is heard late changes what was judged before."""
    assert sum(differ(seed, 1000) for seed in range(30)) >= 20


def test_a_restored_judge_says_the_same() -> None:
    """A daemon that starts again learns log 0 as it was stored, and goes on from there."""
    for seed in range(15):
        village, dice = random_set(seed), random.Random(seed)
        order = causal_order(village, village.all, dice)
        keeper = Keeper.of(village)
        part = some_part(village, dice)
        for x in [x for x in order if x in part]:
            keeper.hear(x)
        again = keeper.restored()
        for x in [x for x in order if x not in part]:
            again.hear(x)
        compare(village, again, judged(village), seed)


@pytest.mark.long
@pytest.mark.parametrize("tenth", range(10))
def test_ten_thousand_random_sets(tenth: int) -> None:
    for seed in range(tenth * 1000, (tenth + 1) * 1000):
        differ(seed, 5)
