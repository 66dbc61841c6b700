"""Whatever log 0 does to what is stored, rooms that have the same operations say the same.

The histories are those of `tests.authority.dice`: forks, cuts at right and wrong places, mutual
removals, councils that change and lift and seal, recoveries. The oracle has the last word.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.authority.dice import random_set
from tests.authority.sets import causal_order, judged
from tests.authority.village import DAY_MS, Village
from tests.authority.village import RULES as VERSIONS
from tests.unit.rooms import Facts, Room, Rooms, Run, working
from tests.unit.town import LOAN, PAGE
from tests.unit.town import RULES as TOWN

from commons_crdt.kinds import Rules
from commons_crdt.operation import Operation
from commons_node.store.reading import VOID
from commons_node.verifier.pool import VerifierPool

RULES = Rules.of(1, (*VERSIONS[1].kinds.values(), TOWN.kinds[LOAN], TOWN.kinds[PAGE]))
BOUNDED = settings(max_examples=12, deadline=None)
SEEDS = st.integers(0, 2**32)


@pytest.fixture(scope="module")
def bench() -> Iterator[tuple[Run, VerifierPool]]:
    with working() as made:
        yield made


def everything(village: Village) -> list[Operation]:
    return [signed.operation for signed in village.all.values()]


async def opened(rooms: Rooms, name: str, village: Village, *operations: Operation) -> Room:
    return await rooms.told(name, village.realm, village.now_ms + 30 * DAY_MS, operations)


async def offered(room: Room, operations: list[Operation]) -> None:
    """A peer offers again what was not taken, as anti-entropy does."""
    for _ in range(30):
        if not (await room.take(*operations)).new:
            return
    raise AssertionError("everything is known after some rounds")


async def decided_alike(told: Room, other: Room) -> Facts:
    """What ``told`` says, once its people follow the act that ``other`` has pinned, if that split.

    A set is judged given a pin. A founder alone who forks can put two acts in force on one base:
    who had one of them sealed before the other came keeps to it, who had not is split, and asks.
    """
    pin, split = other.realm.judge.pin, told.realm.judge.authority.council.split
    if pin != told.realm.judge.pin:
        (act,) = split & set(other.realm.judge.authority.council.chain)
        assert await told.realm.pinning.follow(act), "one of the two, as people say"
        assert told.realm.judge.pin == pin
        await offered(told, await other.everything())
    return await told.facts()


def agree(one: Facts, other: Facts, why: str) -> None:
    assert one.verdicts == other.verdicts, why
    assert one == other, why


@given(seed=SEEDS)
@example(seed=732)  # alice alone puts two acts in force: one room has pinned a seal, one is split
@example(seed=1397)  # a seal decides the fork of a log 0, which goes on behind the sealed tip
@BOUNDED
def test_any_causal_order_in_batches_of_any_size(
    bench: tuple[Run, VerifierPool], seed: int
) -> None:
    run, pool = bench
    village, dice = random_set(seed), random.Random(seed)

    async def live(folder: Path) -> None:
        async with Rooms(folder, pool, rules=RULES) as rooms:
            told = await opened(rooms, "told", village, *everything(village))
            await offered(told, everything(village))
            order = [village.all[x].operation for x in causal_order(village, village.all, dice)]
            room = await opened(rooms, "other", village)
            done = 0
            while done < len(order):
                size = dice.choice([1, 1, 2, 5, 20])
                await room.take(*order[done : done + size])
                done += size
            await offered(room, order)
            expected = await decided_alike(told, room)
            agree(await room.facts(), expected, f"seed {seed}: the order changes nothing")
            await room.realm.fold_again()
            agree(await room.facts(), expected, f"seed {seed}: nor folding again")
            room = await rooms.again(room)
            agree(await room.facts(), expected, f"seed {seed}: nor a start")
            assert not room.realm.judge.flips().operations, "nothing is judged otherwise after it"

    with tempfile.TemporaryDirectory() as folder:
        run(live(Path(folder)))


@given(seed=SEEDS)
@example(seed=356)  # an act of (C) beyond a cut of (C), which ends no such act
@example(seed=1879)  # a removal that counts, behind a fork of log 0 that a seal has decided
@BOUNDED
def test_what_counts_is_what_the_oracle_says(bench: tuple[Run, VerifierPool], seed: int) -> None:
    run, pool = bench
    village = random_set(seed)

    async def live(folder: Path) -> None:
        async with Rooms(folder, pool, rules=RULES) as rooms:
            room = await opened(rooms, "told", village, *everything(village))
            await offered(room, everything(village))
            answer = judged(village, village.all)
            said = (await room.facts()).verdicts
            if "rules" in room.realm.store.waiting.counts:
                return  # written under rules that this room lacks: so is what builds on it
            for x, judgement in answer.verdicts.items():
                if judgement.reason in VOID and judgement.verdict.final:
                    continue  # a room need not have it
                assert said[x] == (int(judgement.verdict), judgement.reason), f"seed {seed}"

    with tempfile.TemporaryDirectory() as folder:
        run(live(Path(folder)))


@given(seed=SEEDS)
@BOUNDED
def test_gossip_in_any_order_with_contents_that_come_late(
    bench: tuple[Run, VerifierPool], seed: int
) -> None:
    run, pool = bench
    village, dice = random_set(seed), random.Random(seed)

    async def gossip(folder: Path) -> None:
        async with Rooms(folder, pool, rules=RULES) as rooms:
            told = await opened(rooms, "told", village, *everything(village))
            await offered(told, everything(village))
            room = await opened(rooms, "other", village)
            heard = everything(village)
            dice.shuffle(heard)
            for operation in heard:
                hollow = dice.random() < 0.2
                await room.take(replace(operation, body=None, parts=()) if hollow else operation)
            await offered(room, heard)
            expected = await decided_alike(told, room)
            agree(await room.facts(), expected, f"seed {seed}")

    with tempfile.TemporaryDirectory() as folder:
        run(gossip(Path(folder)))
