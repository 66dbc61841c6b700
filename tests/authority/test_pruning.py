"""Pruning changes nothing: not now, and not after whatever comes later."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.authority.evaluators import word
from tests.authority.oracle import Answer
from tests.authority.prunings import History, history, superfluous
from tests.authority.sets import Ids, closure, judged, told

from commons_crdt.ids import OperationId
from commons_node.realm.ends import lies_beyond

SEEDS = st.integers(0, 2**32)
VOID = {"contested(fork)", "rejected(cut)", "rejected(closed)"}


def same(one: History, whole: Ids, rest: Ids, seed: int) -> None:
    """What the oracle says of the rest alone is what it says of it in the whole; the rest counts.

    Nothing that counts is missing: equal verdicts and an equal set, hence equal hashes.
    """
    all_of_it = judged(one.village, whole, one.pin)
    alone = judged(one.village, rest, one.pin)
    assert alone.verdicts.keys() == rest, seed
    wrong = [
        x
        for x in rest
        if alone.verdicts[x] != all_of_it.verdicts[x]
        and (whole == one.early or not behind_a_closing(one, x, all_of_it, alone))
    ]
    said = [(word(all_of_it.verdicts[x]), word(alone.verdicts[x])) for x in wrong]
    assert not wrong, (seed, said, told(one.village, whole, all_of_it))
    revived = [x for x in whole - rest if word(all_of_it.verdicts[x]) not in VOID]
    assert not revived, (seed, "revived", told(one.village, revived, all_of_it))
    assert (alone.base, alone.members, alone.identities) == (
        all_of_it.base,
        all_of_it.members,
        all_of_it.identities,
    ), seed


def behind_a_closing(one: History, x: OperationId, whole: Answer, rest: Answer) -> bool:
    """Void either way, by another word: the sibling is gone that came before it, and its fork."""
    header, world = one.village.all[x].header, whole.world
    assert world is not None
    return (
        x not in one.early
        and header.log == 1
        and {word(answer.verdicts[x]) for answer in (whole, rest)} <= VOID
        and any(world.chains.closed(x, c) == "closed" for c in world.chains.closings(x, ()))
    )


def ends(one: History, whole: Ids, rest: Ids, seed: int) -> None:
    """Two judges, one of which pruned, tell their peers the same ends of every chain."""
    here, there = one.keeper(whole, seed), one.keeper(rest, seed)
    for keeper in (here, there):
        for device, log in {keeper.chain(x) for x in rest}:
            end = here.judge.end(device, log)
            assert there.judge.end(device, log) == end, (seed, device.hex()[:4], log)


def changes_nothing(seed: int) -> int:
    """How much of one random history is pruned; -1 if nothing was sealed."""
    one = history(seed)
    if one is None:
        return -1
    keeper = one.keeper(one.early, seed)
    if keeper.judge.branches.newest_seal() != one.pin:
        return -1
    keeper.judge.pin = one.pin
    gone = superfluous(keeper)
    if gone:
        same(one, one.early, one.early - gone, seed)
        whole = frozenset(one.village.all)
        same(one, whole, (one.early - gone) | one.later(gone), seed)
        ends(one, one.early, one.early - gone, seed)
    return len(gone)


@given(seed=SEEDS)
@settings(deadline=None, max_examples=60)
@example(3814123015)  # beyond a closing, the fork lies higher where its first sibling is gone
def test_pruning_changes_nothing_now_or_later(seed: int) -> None:
    changes_nothing(seed)


def test_enough_is_pruned_for_this_to_mean_something() -> None:
    found = [changes_nothing(seed) for seed in range(150)]
    assert sum(n > 0 for n in found) >= 20, found


@pytest.mark.long
@pytest.mark.parametrize("tenth", range(10))
def test_two_thousand_histories(tenth: int) -> None:
    for seed in range(tenth * 200, (tenth + 1) * 200):
        changes_nothing(seed)


def nothing_beyond_an_end_counts(seed: int) -> int:
    """What a node would refuse as beyond its chain's end; how much that is.

    It is void for the oracle, unless a seal settled it for the sake of others, who build on it:
    then a node takes it because they need it.
    """
    one = history(seed)
    if one is None:
        return 0
    whole = frozenset(one.village.all)
    keeper, answer = one.keeper(whole, seed), judged(one.village, whole)
    refused = {
        x
        for x in whole
        if (header := one.village.all[x].header).log and lies_beyond(keeper.judge, header, x)
    }
    needed = closure(one.village, whole - refused)
    for x in refused - needed:
        assert word(answer.verdicts[x]) in VOID, (seed, told(one.village, [x], answer))
    return len(refused - needed)


@given(seed=SEEDS)
@settings(deadline=None, max_examples=60)
@example(1157139577)  # a proof about a branch that lost to a seal
@example(3569986351)
@example(790076715)
@example(1589968860)  # two seals list tips on different branches
@example(1388019662)
@example(460747502)  # a device stands under two grants
def test_nothing_that_counts_is_refused_as_beyond_its_end(seed: int) -> None:
    nothing_beyond_an_end_counts(seed)


def test_enough_lies_beyond_an_end_for_this_to_mean_something() -> None:
    assert sum(nothing_beyond_an_end_counts(seed) for seed in range(60)) >= 30
