"""What the simulator has found, each as small as it can be told.

A clock that is set back by minutes (a phone that meets its network again) made every limit and
every deadline of the running conversations wait for the old time to come again: honest neighbours
were closed as a flood, and silent ones were kept.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.simulation.meeting import Meeting, neighbourhood
from tests.simulation.test_simulator_seeds import told

from commons_crdt.ids import DeviceId, OperationId, digest
from commons_node.testing.plan import SMALL
from commons_node.testing.storm import run
from commons_node.testing.weather import ROUGH
from commons_protocol.effects import Close
from commons_protocol.ends import ChainEnd
from commons_protocol.limits import Bucket
from commons_protocol.replica import Range
from commons_protocol.wants import Memory

HOUR_MS = 3_600_000


def test_a_bucket_fills_again_after_the_clock_was_set_back() -> None:
    bucket = Bucket(burst=2, per_second=1)
    now = 10 * HOUR_MS
    assert bucket.take(now)
    assert bucket.take(now)
    assert not bucket.take(now), "it is empty"
    back = now - HOUR_MS
    assert not bucket.take(back), "the jump itself gives nothing"
    assert bucket.take(back + 1000), "a second later there is one more, as always"


def test_a_neighbour_who_compares_now_and_then_is_no_flood_whatever_the_clock_does() -> None:
    alices, bobs = neighbourhood("bob")
    meeting = Meeting([alices], [bobs]).run()
    meeting.now -= HOUR_MS
    for _ in range(60):
        meeting.wait(2000)
        meeting.poke(meeting.d)
        meeting.run()
    assert not meeting.of("listener", Close), "thirty comparisons a minute harm nobody"
    assert meeting.converged


def test_a_neighbour_who_falls_silent_is_given_up_although_the_clock_was_set_back() -> None:
    alices, bobs = neighbourhood("bob")
    meeting = Meeting([alices], [bobs]).run()
    meeting.poke(meeting.d)
    meeting.wait(-HOUR_MS)
    for _ in range(120):
        meeting.wait(1000)
    assert Close("silent") in meeting.of("dialler", Close), "two minutes are enough"


def test_what_was_refused_is_asked_for_again_although_the_clock_was_set_back() -> None:
    memory, now = Memory(), 10 * HOUR_MS
    device = DeviceId(digest("t-dev", b"eve"))
    theirs = [(None, ChainEnd(device, 1, 5, OperationId(digest("t-op", b"5"))))]
    asked = memory.plan(1, theirs, now)
    assert asked == [Range(device, 1, 1, 5)]
    memory.served(asked, theirs, now)
    assert not memory.plan(1, theirs, now + 1000), "not at once"
    assert memory.plan(1, theirs, now - HOUR_MS), "but not only in an hour and more"


@pytest.mark.long
def test_honest_neighbours_never_refuse_each_other_as_a_flood() -> None:
    honest = replace(SMALL, liars=0, jumps=6, writes=500, weather=replace(ROUGH, mangled=0.0))
    for seed in range(1, 4):
        outcome, _ = run(seed, honest)
        assert not outcome.wrong, told(outcome)
        assert outcome.faults["clock_jumps"] == 6
        unkind = {"flood", "order", "message", "signature", "chain", "lamport", "time", "budget"}
        refused = {why: n for why, n in outcome.refusals.items() if why in unkind}
        assert not refused, f"nobody here breaks a rule: {refused}"
