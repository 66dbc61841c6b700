"""Members who lie about what they hold: comparisons end, nothing false is called in sync."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulation.meeting import Home, Meeting, neighbourhood
from tests.simulation.test_sync_rounds import ALICE, BOB, notes
from tests.simulation.test_sync_truth import of
from tests.unit import town

from commons_crdt.ids import DeviceId, OperationId, digest
from commons_protocol import ranges, wire
from commons_protocol.ends import ChainEnd, Vector

CROWD = tuple(f"neighbour {n}" for n in range(12))
"""Enough for a log that is split, not listed at once."""


class Boaster(Home):
    """Says that it holds chains which nobody has ever written."""

    invented: int = 0

    def ends(self) -> list[ChainEnd]:
        names = (digest("t-dev", n.to_bytes(8)) for n in range(self.invented))
        false = [ChainEnd(DeviceId(n), 1, 9, OperationId(digest("t-op", n))) for n in names]
        return [*Home.ends(self), *false]


def boaster(honest: Home, count: int) -> Boaster:
    made = Boaster(honest.copy, honest.device)
    made.invented = count
    return made


def wants(meeting: Meeting, side: str) -> list[wire.Want]:
    return [m for m in meeting.sent(side) if isinstance(m, wire.Want)]


def test_invented_chains_cost_a_round_and_are_forgotten() -> None:
    alice, bob = neighbourhood("bob")
    eve = boaster(bob, 100)
    meeting = Meeting([eve], [alice]).run()
    asked = len(wants(meeting, "listener"))
    assert asked, "how should alice know"
    meeting.poke(meeting.l)
    meeting.run()
    status = of(meeting, "listener")
    assert (status.state, status.refused) == ("refused", 900), "it is said what does not come"
    for _ in range(3):
        meeting.poke(meeting.l)
        meeting.run()
    assert len(wants(meeting, "listener")) == asked, "and not asked for again and again"
    eve.invented = 1
    meeting.poke(meeting.l)
    meeting.run()
    (sync,) = meeting.l.session.realms.values()
    assert len(sync.memory.asked) == 1, "what is not listed any more is forgotten"
    eve.invented = 0
    meeting.poke(meeting.l)
    meeting.run()
    assert meeting.converged


def test_who_invents_without_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    alice, bob = neighbourhood("bob")
    meeting = Meeting([boaster(bob, 90)], [alice])
    (listed,) = {ranges.MOST_LISTED}
    monkeypatch.setattr(ranges, "MOST_LISTED", 50)
    plain = ranges.Comparison.__init__

    def boundless(one: ranges.Comparison, vector: Vector, *rest: object) -> None:
        plain(one, vector, *rest)  # type: ignore[arg-type]
        if len(vector) > 80:
            one._to_list = listed

    monkeypatch.setattr(ranges.Comparison, "__init__", boundless)
    meeting.run()
    assert meeting.l.session.closed == "ranges"


def test_a_range_that_is_passed_over_is_never_called_in_sync(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As if somebody had found chains that look alike, under a key that they do not know."""
    alice, bob, *_ = neighbourhood("bob", *CROWD)
    for name in CROWD:
        notes(alice, town.person(name), 1)
    assert Meeting([alice], [bob]).run().converged
    notes(alice, ALICE, 2)
    notes(bob, BOB, 2)
    monkeypatch.setattr(ranges, "fingerprint", lambda *_: bytes(wire.FINGERPRINT))
    meeting = Meeting([alice], [bob]).run()
    assert not meeting.converged
    assert {of(meeting, side).state for side in ("dialler", "listener")} == {"behind"}
    assert len(meeting.frames) < 40, "and nobody tries for ever"
    monkeypatch.undo()
    assert Meeting([alice], [bob]).run().converged, "the next stream has another key"


Twist = Callable[[wire.Ranges, random.Random], wire.Ranges]


def otherwise(message: wire.Ranges, chance: random.Random) -> wire.Ranges:
    """Everything differs, always."""
    splits = tuple((n, b, chance.randbytes(len(prints))) for n, b, prints in message.splits)
    return _with(message, splits, message.lists)


def nothing(message: wire.Ranges, _chance: random.Random) -> wire.Ranges:
    """Nothing of what was asked is answered."""
    return _with(message, (), ())


def backwards(message: wire.Ranges, _chance: random.Random) -> wire.Ranges:
    """From the end to the beginning."""
    splits = tuple((n, bounds[::-1], prints) for n, bounds, prints in message.splits)
    lists = tuple((n, ends[::-1], lacks) for n, ends, lacks in message.lists)
    return _with(message, splits, lists)


def elsewhere(message: wire.Ranges, chance: random.Random) -> wire.Ranges:
    """Of ranges that nobody has opened."""
    splits = tuple((n + chance.randrange(3), *rest) for n, *rest in message.splits)
    lists = tuple((n + chance.randrange(3), *rest) for n, *rest in message.lists)
    return _with(message, splits, lists)  # type: ignore[arg-type]  # by shape


def doubled(message: wire.Ranges, _chance: random.Random) -> wire.Ranges:
    """Everything twice."""
    return _with(message, (*message.splits, *message.splits), (*message.lists, *message.lists))


def _with(
    message: wire.Ranges, splits: Sequence[wire.Split], lists: Sequence[wire.Listing]
) -> wire.Ranges:
    return wire.Ranges(message.slot, message.log, message.last, tuple(splits), tuple(lists))


@settings(max_examples=40, deadline=None)
@given(
    twist=st.sampled_from([otherwise, nothing, backwards, elsewhere, doubled]),
    seed=st.integers(0, 2**32),
    theirs=st.integers(0, 5),
)
def test_twisted_ranges_end_and_harm_no_copy(twist: Twist, seed: int, theirs: int) -> None:
    alice, bob, *_ = CROWDED
    written = notes(alice, ALICE, 2), notes(bob, BOB, theirs)
    meeting = Meeting([bob], [alice], seed=seed)
    chance = random.Random(seed)
    steps = twisted = 0
    while meeting.step():
        steps += 1
        assert steps < 2_000, "it ends"
        for n, frame in enumerate(meeting.l.inbox):
            if frame[:2] == b"\x86\x0b":  # Ranges, as they are packed
                message = wire.unpack_sync(frame)
                assert isinstance(message, wire.Ranges)
                meeting.l.inbox[n] = wire.pack(twist(message, chance))
                twisted += 1
    assert twisted
    assert meeting.l.session.closed in {"", "ranges", "order"}
    if alice.digest() != bob.digest():
        assert not meeting.converged
    assert Meeting([alice], [bob], seed=seed).run().converged, "the next session heals it"
    assert {s.id for some in written for s in some} <= set(alice.copy.operations)


CROWDED = neighbourhood("bob", *CROWD)
