"""One verdict on every path: whatever way operations come, rooms that have them agree."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.rooms import Facts, Room, Rooms, Run, Village, bytes_of, causal, working
from tests.unit.tales import TALES, branched, erased, forked, plain, removed, split
from tests.unit.town import PAGE, Replica

from commons_crdt.operation import Operation
from commons_crdt.verdict import Verdict
from commons_node.store.reading import VOID
from commons_node.verifier.pool import VerifierPool

Tale = Callable[[], tuple[Replica, Village]]
REVIVING = (split, removed, branched)
"""In these an erasure falls: who was quick has lost the bytes."""
BOUNDED = settings(max_examples=8, deadline=None)


@pytest.fixture(scope="module")
def bench() -> Iterator[tuple[Run, VerifierPool]]:
    with working() as made:
        yield made


async def told(rooms: Rooms, home: Replica) -> Facts:
    """What a room says that got everything in the order in which it was written, at once."""
    room = await rooms.open("told", home)
    await room.take(*bytes_of(home))
    return await room.facts()


async def offered(room: Room, operations: list[Operation]) -> None:
    """A peer offers again what was not taken, as anti-entropy does."""
    for _ in range(20):
        if not (await room.take(*operations)).new:
            return
    raise AssertionError("everything is known after some rounds")


def test_the_tales_have_everything_in_them(bench: tuple[Run, VerifierPool], tmp_path: Path) -> None:
    run, pool = bench

    async def tell() -> None:
        seen: set[str] = set()
        for tale in TALES:
            home, _ = tale()
            (tmp_path / tale.__name__).mkdir()
            async with Rooms(tmp_path / tale.__name__, pool) as rooms:
                facts = await told(rooms, home)
                expected = {
                    i: (int(s.judgement.verdict), s.judgement.reason)
                    for i, s in home.standings.items()
                    if s.kind != PAGE  # the town does not read changes
                    and s.judgement.reason not in VOID
                }
                assert {i: v for i, v in facts.verdicts.items() if i in expected} == expected, (
                    "the room judges as the town does"
                )
                seen |= {reason for _, reason in facts.verdicts.values()}
                seen |= {f"applied: {reason}" for reason in facts.applied.values()}
        assert seen == {
            "", "terms", "role", "oversize", "malformed", "unlisted",
            "applied: ", "applied: root", "applied: duplicate", "applied: dependency",
            "applied: verdict",
        }, "a case that no tale tells is not tested"  # fmt: skip

    run(tell())


@pytest.mark.parametrize("tale", TALES)
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(1, 25), min_size=1, max_size=8))
@BOUNDED
def test_causal_batches_of_any_size_with_repeats(
    bench: tuple[Run, VerifierPool], tale: Tale, seed: int, cuts: list[int]
) -> None:
    run, pool = bench
    home, _ = tale()
    rng = random.Random(seed)
    order = causal(bytes_of(home), rng.randrange)

    async def live(folder: Path) -> None:
        async with Rooms(folder, pool) as rooms:
            expected = await told(rooms, home)
            room = await rooms.open("other", home)
            done = turn = 0
            while done < len(order):
                size = cuts[turn % len(cuts)]
                repeats = rng.sample(order[:done], min(done, 3))
                await room.take(*order[done : done + size], *repeats)
                done, turn = done + size, turn + 1
            if room.realm.digest() != expected.digest:
                # what was erased by an act that no longer counts is fetched again
                assert tale in REVIVING
                await offered(room, order)
            assert await room.facts() == expected, "batches change nothing"
            await room.realm.fold_again()
            assert await room.facts() == expected, "folding again changes nothing"
            room = await rooms.again(room)
            assert await room.facts() == expected, "opening again changes nothing"
            replay = await rooms.open("replay", home)
            await offered(replay, await room.everything(4096))
            assert await replay.facts() == expected, "a replay into a new store changes nothing"

    with tempfile.TemporaryDirectory() as folder:
        run(live(Path(folder)))


@pytest.mark.parametrize("tale", TALES)
@given(seed=st.integers(0, 2**32))
@BOUNDED
def test_gossip_in_any_order_with_contents_that_come_late(
    bench: tuple[Run, VerifierPool], tale: Tale, seed: int
) -> None:
    run, pool = bench
    home, _ = tale()
    rng = random.Random(seed)

    async def gossip(folder: Path) -> None:
        async with Rooms(folder, pool) as rooms:
            expected = await told(rooms, home)
            room = await rooms.open("other", home)
            heard = bytes_of(home)
            rng.shuffle(heard)
            for operation in heard:
                hollow = rng.random() < 0.2
                await room.take(replace(operation, body=None, parts=()) if hollow else operation)
            await offered(room, heard)
            assert await room.facts() == expected, (
                "what came early waited, what came late was filled"
            )
            assert not room.realm.store.waiting.counts, "nothing waits any more"

    with tempfile.TemporaryDirectory() as folder:
        run(gossip(Path(folder)))


@given(seed=st.integers(0, 2**32))
@BOUNDED
def test_acts_written_here_are_judged_as_those_that_come(
    bench: tuple[Run, VerifierPool], seed: int
) -> None:
    from tests.unit.town import LOAN, NOTE, NOTICE, Number, person

    from commons_crdt.author import Draft

    run, pool = bench
    home, town = plain()
    rng = random.Random(seed)

    async def write(folder: Path) -> None:
        async with Rooms(folder, pool) as rooms:
            room = await rooms.open("author", home, *bytes_of(home))
            for _ in range(4):
                who = rng.choice([town.bob, town.cia, person("alice")])
                grant = room.realm.judge.authority.devices[who.device.keys.id].id
                drafts = [
                    Draft.fact(rng.choice([NOTE, LOAN, NOTICE]), Number(rng.choice([-1, 0, 9])))
                    for _ in range(rng.randrange(1, 4))
                ]
                written = await room.realm.write(drafts, who.device, grant)
                assert len(written) == len(drafts)
                assert all(one.judgement.verdict is not Verdict.PENDING for one in written)
            reader = await rooms.open("reader", home)
            await offered(reader, await room.everything())
            assert await reader.facts() == await room.facts(), "own acts go the same way in"

    with tempfile.TemporaryDirectory() as folder:
        run(write(Path(folder)))


def test_what_is_known_of_forks_and_erasures_survives_a_start(
    bench: tuple[Run, VerifierPool], tmp_path: Path
) -> None:
    run, pool = bench

    async def start() -> None:
        for tale, forks in ((erased, 0), (forked, 2)):
            home, town = tale()
            (tmp_path / tale.__name__).mkdir()
            async with Rooms(tmp_path / tale.__name__, pool) as rooms:
                room = await rooms.open("told", home, *bytes_of(home))
                before = dict(room.realm.judge.forks), set(room.realm.judge.erased)
                room = await rooms.again(room)
                assert (room.realm.judge.forks, room.realm.judge.erased) == before
                assert len(room.realm.judge.forks) == forks, f"{town.eve.name} forked both logs"

    run(start())
