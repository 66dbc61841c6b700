"""Two sets of chain ends: exactly what differs is found, in few turns, whatever the other says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, log
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commons_crdt.errors import Refused
from commons_crdt.ids import DeviceId, OperationId, digest
from commons_protocol import ranges, wire
from commons_protocol.ends import ChainEnd, EndSet, Vector, key_of, packed
from commons_protocol.network import MAX_FRAME
from commons_protocol.ranges import LISTED, Comparison, fingerprint, parts_of

KEY = digest("t-key", b"both nonces")
OTHER_KEY = digest("t-key", b"those of another stream")


def device(n: int, near: bytes = b"") -> DeviceId:
    """Devices spread like hashes, or side by side behind ``near``, as somebody can grind them."""
    return DeviceId((near + digest("t-dev", n.to_bytes(8)))[:32])


def end(who: DeviceId, seq: int, *, log: int = 1, branch: bytes = b"", fork: int = 0) -> ChainEnd:
    ident = OperationId(digest("t-op", who, bytes([log]), seq.to_bytes(8), branch))
    return ChainEnd(who, log, seq, ident, fork)


@dataclass
class Talked:
    """What a comparison came to, and what it cost."""

    leader: Comparison
    follower: Comparison
    frames: list[tuple[str, bytes]]

    @property
    def turns(self) -> int:
        return self.leader.turns

    @property
    def size(self) -> int:
        return sum(len(frame) for _, frame in self.frames)


def talk(
    mine: Vector, theirs: Vector, log: int = 1, keys: tuple[bytes, bytes] = (KEY, KEY)
) -> Talked:
    leader, follower = (
        Comparison(vector, log, key, 0) for vector, key in zip((mine, theirs), keys, strict=True)
    )
    found = Talked(leader, follower, [])
    side, frames = "leader", leader.opening()
    while frames:
        found.frames += [(side, frame) for frame in frames]
        side = "follower" if side == "leader" else "leader"
        to = leader if side == "leader" else follower
        answers: list[bytes] = []
        for frame in frames:
            assert len(frame) <= MAX_FRAME
            assert not answers, "nobody answers before a turn is whole"
            message = wire.unpack_sync(frame)
            assert isinstance(message, wire.Ranges)
            said = sum(len(bounds) + 1 for _, bounds, _ in message.splits) + len(message.lists)
            assert said <= wire.MOST_ANSWERED
            answers = to.on_frame(message)
        frames = answers
    assert leader.finished
    assert follower.finished, "both know that it is over"
    return found


def of_log(ends: Iterable[ChainEnd], log: int = 1) -> set[ChainEnd]:
    return {one for one in ends if one.log == log}


def holds_exactly_what_differs(found: Talked, mine: Vector, theirs: Vector, log: int = 1) -> None:
    own, other = of_log(mine, log), of_log(theirs, log)
    for here, there, one in ((own, other, found.leader), (other, own, found.follower)):
        assert len(one.theirs) == len(set(one.theirs)), "each is told once"
        assert set(one.theirs) == there - here
        devices = {e.device for e in there}
        assert set(one.absent) == {e for e in here if e.device not in devices}
        assert len(one.absent) == len(set(one.absent))


positions = st.integers(1, 4)
sides = st.lists(
    st.tuples(st.integers(0, 400), positions, positions, st.sampled_from("bmt"), st.booleans()),
    max_size=300,
    unique_by=lambda row: row[0],
)
"""Device, seq on either side, whether both, only mine or only theirs have it, a branch or not."""


@settings(max_examples=80, deadline=None)
@given(rows=sides, near=st.sampled_from([b"", b"\x00" * 20, b"\xff" * 29]), other_log=st.booleans())
def test_two_sets_of_ends_learn_exactly_in_what_they_differ(
    rows: list[tuple[int, int, int, str, bool]], near: bytes, other_log: bool
) -> None:
    mine, theirs = [], []
    for n, here, there, who, branch in rows:
        name = device(n, near)
        if who != "t":
            mine.append(end(name, here))
        if who != "m":
            theirs.append(end(name, there, branch=b"other" if branch else b""))
        if other_log:
            mine.append(end(name, here, log=0))
    one, two = Vector.of(mine), Vector.of({e.device: e for e in theirs}.values())
    holds_exactly_what_differs(talk(one, two), one, two)


@settings(max_examples=25, deadline=None)
@given(
    count=st.sampled_from([0, 1, LISTED, LISTED + 1, 100, 1_000, 3_000]),
    behind=st.sets(st.integers(0, 2_999), max_size=12),
    lost=st.sets(st.integers(0, 2_999), max_size=6),
)
def test_what_it_costs_follows_what_differs_and_not_what_is_held(
    count: int, behind: set[int], lost: set[int]
) -> None:
    every = Vector.of(end(device(n), 9) for n in range(count))
    less = Vector.of(end(device(n), 4 if n in behind else 9) for n in range(count) if n not in lost)
    found = talk(every, less)
    holds_exactly_what_differs(found, every, less)
    differing = len([n for n in behind | lost if n < count])
    splits: list[int] = []
    held = count
    while held > LISTED:
        splits.append(parts_of(held))
        held = -(-held // splits[-1])
    assert found.turns <= len(splits) + 3, "a split a level, a list, the last word, and its end"
    # The first split is always told; each that differs costs one a level, and a list of neighbours.
    first, deeper = sum(splits[:1]) * 22, sum(splits[1:]) * 22
    assert found.size <= 400 + LISTED * 85 + first + differing * (deeper + (LISTED + 2) * 85)


def test_ten_tips_of_a_thousand_devices_cost_a_few_kilobytes() -> None:
    here = Vector.of(end(device(n), 100) for n in range(1_000))
    there = Vector.of(end(device(n), 101 if n % 100 == 7 else 100) for n in range(1_000))
    found = talk(here, there)
    holds_exactly_what_differs(found, here, there)
    assert found.size < 10_000
    assert found.turns <= 4, "a split, its lists, the last word, and its end"


def test_nothing_against_much_is_told_in_one_go() -> None:
    much, nothing = Vector.of(end(device(n), 1) for n in range(2_000)), Vector.of([])
    for one, two in ((much, nothing), (nothing, much)):
        found = talk(one, two)
        holds_exactly_what_differs(found, one, two)
        assert found.turns <= 4
        assert found.size < 2_000 * 85


def test_equal_sets_cost_one_turn_each() -> None:
    both = Vector.of(end(device(n), 1) for n in range(500))
    found = talk(both, both)
    assert found.turns == 2
    assert found.size < 2_500, "a split that nobody has to answer"


def test_more_than_may_be_listed_is_found_in_several_rounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ranges, "MOST_LISTED", 100)
    monkeypatch.setattr(wire, "MOST_OPEN", 256)
    here, there = (EndSet() for _ in range(2))
    for n in range(700):
        (here if n % 2 else there).put(end(device(n), 1))
    rounds = 0
    while here.digest() != there.digest():
        rounds += 1
        assert rounds < 40, "every round gets on"
        found = talk(here.vector(), there.vector())
        assert max(len(found.leader.theirs), len(found.follower.theirs)) <= 100
        for one in found.leader.theirs:
            here.put(one)
        for one in found.follower.theirs:
            there.put(one)
    assert rounds > 3


def test_a_fingerprint_is_of_one_stream_only() -> None:
    here = Vector.of(end(device(n), 1) for n in range(100))
    assert fingerprint(here, 0, 100, KEY) != fingerprint(here, 0, 100, OTHER_KEY)
    assert fingerprint(here, 0, 0, KEY) != fingerprint(here, 0, 1, KEY)


@pytest.mark.parametrize("field", range(2, 7))
def test_no_field_of_an_end_may_differ_unseen(field: int) -> None:
    one = end(device(1), 5)
    other = ChainEnd(
        *(*one[:field], *((9,) if field in {2, 4, 5} else (b"x" * 32,)), *one[field + 1 :])
    )
    assert packed(one) != packed(other)
    mine, theirs = Vector.of([one]), Vector.of([other])
    assert mine.digest() != theirs.digest()
    holds_exactly_what_differs(talk(mine, theirs), mine, theirs)


def test_an_end_set_is_what_was_put_into_it_last() -> None:
    moving = EndSet()
    for seq in (1, 2, 3):
        for n in range(50):
            moving.put(end(device(n), seq, log=n % 2))
    seen = moving.vector()
    moving.put(end(device(3), 3, log=1))
    assert moving.vector() is seen, "nothing has moved"
    moving.drop(device(4), 0)
    moving.drop(device(4), 0)
    assert len(seen) == 50, "a vector never changes"
    assert seen.get(device(4), 0) == end(device(4), 3, log=0)
    now = moving.vector()
    assert now.get(device(4), 0) is None
    assert moving.size() == sum(e.seq for e in now) == 49 * 3
    assert all(a < b for a, b in pairwise(now.keys))
    assert now.digest() == Vector.of(reversed(tuple(now))).digest() != seen.digest()


# --- whoever does not play fair ---

SMALL = Vector.of(end(device(n), 3) for n in range(40))


def follower(vector: Vector = SMALL) -> Comparison:
    return Comparison(vector, 1, KEY, 0)


def said(*, last: bool = True, splits: object = (), lists: object = ()) -> wire.Ranges:
    return wire.Ranges(0, 1, last, splits, lists)  # type: ignore[arg-type]  # by shape


def listed(*ends: ChainEnd) -> tuple[wire.End, ...]:
    return tuple((e.device, e.seq, e.id, e.fork, e.hollow, b"") for e in ends)


TWO = b"f" * 32
A, B, C = sorted((end(device(n), 7) for n in (1000, 1001, 1002)), key=lambda e: e.device)
UNFAIR = {
    "a range that nobody opened": said(splits=[(1, (b"\x80",), TWO)]),
    "a list of such a range": said(lists=[(5, (), ())]),
    "bounds that go backwards": said(splits=[(0, (b"\x80", b"\x40"), b"f" * 48)]),
    "the same bound twice": said(splits=[(0, (b"\x80", b"\x80"), b"f" * 48)]),
    "too few fingerprints": said(splits=[(0, (b"\x80", b"\x90"), TWO)]),
    "too many fingerprints": said(splits=[(0, (b"\x80",), b"f" * 48)]),
    "one range split twice": said(splits=[(0, (b"\x80",), TWO), (0, (b"\x80",), TWO)]),
    "one range split and listed": said(splits=[(0, (b"\x80",), TWO)], lists=[(0, (), ())]),
    "one range listed twice": said(lists=[(0, listed(A), ()), (0, listed(B), ())]),
    "ends that go backwards": said(lists=[(0, listed(B, A), ())]),
    "an end twice": said(lists=[(0, listed(A, A), ())]),
    "what it lacks, of nothing listed": said(lists=[(0, listed(A), (0,))]),
    "half a hash": said(lists=[(0, ((A.device, 7, A.id, 0, 0, b"x"),), ())]),
    "more than fits": said(splits=[(0, tuple(bytes([n]) for n in range(1, 15)), b"f" * 240)] * 20),
    "nothing, and more to come": said(last=False),
}  # fmt: skip


@pytest.mark.parametrize("name", UNFAIR)
def test_an_answer_that_no_honest_node_gives_is_refused(name: str) -> None:
    with pytest.raises(Refused) as caught:
        follower().on_frame(UNFAIR[name])
    assert caught.value.why == "ranges"


def opened(vector: Vector = SMALL) -> tuple[Comparison, wire.Ranges]:
    """A leader that has said its first turn."""
    one = follower(vector)
    (frame,) = one.opening()
    message = wire.unpack_sync(frame)
    assert isinstance(message, wire.Ranges)
    return one, message


def test_an_end_outside_the_range_that_it_answers_is_refused() -> None:
    one, message = opened()
    ((_, bounds, _),) = message.splits
    outside = next(e for e in (A, B, C) if e.device >= bounds[0])
    with pytest.raises(Refused):
        one.on_frame(said(lists=[(0, listed(outside), ())]))


LAST_WORDS = {
    "an end that was listed to it": [(0, listed(A), ())],
    "a place that was not listed": [(0, (), (3,))],
    "a place twice": [(0, (), (0, 0))],
    "nothing": [(0, (), ())],
    "what it lacks, twice": [(0, (), (0,)), (0, (), (0,))],
    "a split of what was listed": None,
}  # fmt: skip


@pytest.mark.parametrize("name", LAST_WORDS)
def test_a_last_word_that_says_nothing_or_too_much_is_refused(name: str) -> None:
    one, message = opened(Vector.of([A, B, C]))
    assert message.lists[0][1] == listed(A, B, C)
    found = LAST_WORDS[name]
    answer = said(lists=found) if found else said(splits=[(0, (b"\x80",), TWO)])
    with pytest.raises(Refused):
        one.on_frame(answer)


def test_who_lists_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "MOST_LISTED", 5)
    invented = sorted((end(device(n), 1) for n in range(6)), key=lambda e: e.device)
    with pytest.raises(Refused):
        follower(Vector.of([])).on_frame(said(lists=[(0, listed(*invented), ())]))


def test_who_opens_ranges_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MOST_OPEN", 8)
    bounds = tuple(bytes([n]) for n in range(1, 10))
    with pytest.raises(Refused):
        follower().on_frame(said(splits=[(0, bounds, b"f" * 160)]))


def test_after_its_end_nothing_more_is_heard() -> None:
    one, _ = opened()
    assert one.on_frame(said()) == []
    assert one.finished
    with pytest.raises(Refused):
        one.on_frame(said())


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.sampled_from([0, 5, 30, 400]))
def test_a_peer_that_never_agrees_comes_to_an_end(seed: int, count: int) -> None:
    """It splits wherever it may, at any bounds, and calls everything different."""
    chance = Random(seed)
    one, _ = opened(Vector.of(end(device(n), 3) for n in range(count)))
    turns = sent = 0
    while not one.finished:
        turns += 1
        assert turns <= 2 * (ceil(log(max(count, 2), 16)) + 2), "each range holds fewer ends"
        sent += sum(map(len, one.on_frame(_quarrel(one, chance))))
    assert turns > 1 or count <= LISTED, "it had its way for a while"
    assert len(one.theirs) <= ranges.MOST_LISTED
    assert len(one.absent) <= count
    assert sent <= 4_000 + count * 400 + turns * wire.MOST_ANSWERED * 30


def _quarrel(one: Comparison, chance: Random) -> wire.Ranges:
    """The most that fits into a message, all of it within the rules."""
    splits, lists, room = [], [], wire.MOST_ANSWERED
    for number, open_ in enumerate(one._open):
        some = {chance.randbytes(32) for _ in range(chance.randrange(16))}
        some |= {open_.lower[1:] + b"\x00", open_.lower[1:] + b"\x01" + chance.randbytes(4)}
        inside = sorted(b for b in some if b and open_.lower < key_of(b, 1) < open_.upper)[:15]
        if open_.listed:
            ends = tuple((b, 3, bytes(32), 0, 0, b"") for b in inside if len(b) == 32)
            lacked = tuple(range(open_.last - open_.first))
            if room and (ends or lacked):
                lists.append((number, ends, lacked))
                room -= 1
        elif inside and room > len(inside):
            splits.append((number, tuple(inside), chance.randbytes(16 * (len(inside) + 1))))
            room -= len(inside) + 1
    return said(splits=splits, lists=lists)


def test_two_empty_logs_are_equal() -> None:
    nobody = Vector.of([])
    assert nobody.digest() == digest("ends")
    assert nobody.get(device(1), 0) is None
    assert talk(nobody, nobody).turns == 2, "an empty list, and the end"
