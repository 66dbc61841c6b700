"""What must hold for every random set (AUTHORITY "What tests must show"), by the oracle.

The seeds are hypothesis's, the sets those of `dice.random_set`: a failing seed is printed, and
`sets.shrink` with `sets.told` makes a short story of it.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.authority.dice import random_set
from tests.authority.sets import judged, pruned, some_part, told
from tests.authority.village import BOB, DAN, Village

from commons_crdt.ids import OperationId

SEEDS = st.integers(0, 2**32)
LONG = 2_000
"""The evaluator itself is held to the oracle on 10,000 (`test_differential`)."""


def order(village: Village, seed: int) -> None:
    """The candidates in any order: one answer."""
    ids = sorted(village.all)
    random.Random(seed).shuffle(ids)
    one, other = judged(village), judged(village, ids)
    assert other.verdicts == one.verdicts, seed
    assert (other.base, other.split, other.members, other.identities) == (
        one.base,
        one.split,
        one.members,
        one.identities,
    ), seed


def log_0_alone(village: Village, seed: int) -> None:
    """Log 1 changes nothing of log 0: a removal never waits behind an import."""
    whole = judged(village)
    ids = [x for x, signed in village.all.items() if signed.header.log == 0]
    alone = judged(village, ids)
    assert alone.verdicts == {x: whole.verdicts[x] for x in ids}, seed
    assert (alone.base, alone.members, alone.identities) == (
        whole.base,
        whole.members,
        whole.identities,
    ), seed


def pending(village: Village, seed: int) -> None:
    """What lacks an antecedent changes nothing of what does not."""
    dice = random.Random(seed)
    part = some_part(village, dice)
    gap = dice.choice(sorted(village.all))
    rest = {x for x in village.all if x in part or x != gap}
    closed = judged(village, rest)
    assert judged(village, closed.verdicts).verdicts == closed.verdicts, seed
    assert judged(village, part).verdicts.keys() == part, seed


def unrelated(village: Village, seed: int) -> None:
    """A later note and a later invite of two people change no verdict there was."""
    before = judged(village)
    island = village.island("later", village.all)
    later = {
        island.note(DAN.device, aware=False),
        island.invite(BOB.device, f"unrelated {seed}", aware=False),
    }
    after = judged(village)
    changed = [x for x, j in before.verdicts.items() if after.verdicts[x] != j]
    assert not changed, (seed, told(village, [*changed, *later], after))
    assert after.members == before.members, seed


def pruning(village: Village, seed: int) -> None:
    """Dropping what AUTHORITY lets a node drop changes nothing of what it keeps."""
    whole = judged(village)
    kept = pruned(village, whole)
    rest = judged(village, kept)
    changed = [x for x in kept if rest.verdicts[x] != whole.verdicts[x]]
    assert not changed, (seed, told(village, village.all, whole))
    assert (rest.base, rest.members, rest.identities) == (
        whole.base,
        whole.members,
        whole.identities,
    ), seed


def sealed(village: Village, seed: int) -> int:
    """A sealed verdict that was final in a part is the same in the whole, under the pin."""
    part = some_part(village, random.Random(seed))
    early = judged(village, part)
    if early.world is None or not early.world.seals:
        return 0
    pin = early.world.seals[-1]
    early, late = judged(village, part, pin), judged(village, None, pin)
    final = [x for x in early.sealed if early.verdicts[x].verdict.final]
    for x in final:
        assert late.verdicts[x] == early.verdicts[x], (seed, told(village, village.all, late))
    return len(final)


PROPERTIES = {f.__name__: f for f in (order, log_0_alone, pending, pruning, sealed, unrelated)}
"""The last one adds to the set."""


@pytest.mark.parametrize("name", PROPERTIES)
@given(seed=SEEDS)
@settings(deadline=None, max_examples=30)
def test_every_random_set(name: str, seed: int) -> None:
    PROPERTIES[name](random_set(seed), seed)


def test_enough_sets_are_sealed_and_pruned_for_these_properties_to_mean_something() -> None:
    """A property that never meets its subject proves nothing."""
    settled = dropped = 0
    for seed in range(90):
        village = random_set(seed)
        settled += bool(sealed(village, seed))
        answer = judged(village)
        dropped += len(pruned(village, answer)) < len(answer.verdicts)
    assert settled >= 6, settled
    assert dropped >= 12, dropped


@pytest.mark.long
@pytest.mark.parametrize("tenth", range(10))
def test_two_thousand_random_sets(tenth: int) -> None:
    for seed in range(tenth * LONG // 10, (tenth + 1) * LONG // 10):
        village = random_set(seed)
        for check in PROPERTIES.values():
            check(village, seed)


def test_the_oracle_gives_an_answer_for_anything_at_all() -> None:
    """Even for sets without their beginning, and for a pin that is nothing of the kind."""
    for seed in range(20):
        village = random_set(seed)
        dice = random.Random(seed)
        some = dice.sample(sorted(village.all), len(village.all) // 2)
        judged(village, some)
        for pin in (dice.choice(sorted(village.all)), OperationId(bytes(32))):
            answer = judged(village, None, pin)
            assert answer.verdicts.keys() == village.all.keys(), seed
