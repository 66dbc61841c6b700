"""All nodes of a member have together what one node has, however often they come anew."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from tests.simulation.meeting import Home, Meeting
from tests.unit import town

from commons_crdt.operation import Operation
from commons_crdt.roles import Role
from commons_protocol import carriage, wire
from commons_protocol.allowances import (
    COMPARISONS,
    COMPARISONS_PER_SECOND,
    INTRODUCTIONS,
    PUSHES,
    STREAMS,
    STREAMS_PER_SECOND,
    Allowances,
)
from commons_protocol.effects import Ingest, Met
from commons_protocol.limits import Bucket, Buckets

BOB = town.person("bob")


@dataclass
class Porch:
    """Alice's node, and who comes to it: three nodes of bob's, and one of carol's."""

    alice: Home
    bobs: list[Home]
    carol: Home
    allowances: Allowances = field(default_factory=Allowances)
    now: int = town.START_MS

    def comes(self, home: Home, allowances: Allowances | None = None) -> Meeting:
        """One more stream, proven. No time passes."""
        meeting = Meeting(
            [home], [self.alice], now=self.now, allowances=allowances or self.allowances
        ).run()
        assert meeting.d.session.proven
        return meeting


def porch() -> Porch:
    alices = town.town()
    bob, carol = (alices.welcome(name, Role.MEMBER) for name in ("bob", "carol"))
    bobs = [town.secrets(f"bob's {name}") for name in ("computer", "laptop", "telephone")]
    for device in bobs:
        alices.grant_node(bob, device)
    hers = town.secrets("carol's node")
    alices.grant_node(carol, hers)
    alice = town.secrets("alice's node")
    alices.grant_node(town.person("alice"), alice)
    return Porch(
        Home(alices, alice),
        [Home(alices.island(f"bob {n}"), device) for n, device in enumerate(bobs)],
        Home(alices.island("carol"), hers),
    )


def says(meeting: Meeting, frame: bytes) -> list[object]:
    """The dialler says it once more, whatever its own program would do."""
    return list(meeting.l.session.on_frame(frame, meeting.now))


def slot(meeting: Meeting) -> int:
    return next(iter(meeting.l.session._slots))


def pushed(meeting: Meeting, noted: list[Operation]) -> int:
    """Of so many operations alice looks at."""
    found = says(meeting, carriage.pack_push(slot(meeting), noted))
    return sum(len(e.operations) for e in found if isinstance(e, Ingest))


def test_two_nodes_that_reconnect_in_a_loop_push_no_more_than_one() -> None:
    street = porch()
    noted = [street.bobs[0].copy.operations[street.bobs[0].copy.note(BOB, n).id] for n in range(20)]
    taken = sum(
        pushed(street.comes(street.bobs[turn % 2]), noted) for turn in range(2 * int(PUSHES) // 20)
    )
    assert PUSHES - 20 < taken <= PUSHES
    assert not pushed(street.comes(street.bobs[2]), noted), "nor does a third one"
    assert pushed(street.comes(street.carol), noted) == 20, "who is not bob has her own"
    assert pushed(street.comes(street.bobs[2], Allowances()), noted) == 20, "it was the share"
    street.now += 1000
    assert pushed(street.comes(street.bobs[1]), noted) == 20, "and it flows in again"


def test_nor_do_they_introduce_more_nodes() -> None:
    street = porch()
    met = 0
    for turn in range(40):
        meeting = street.comes(street.bobs[turn % 3])
        frame = wire.pack(wire.Members(slot(meeting), ((bytes(32), ("/ip4/1.2.3.4/tcp/1",)),)))
        met += sum(isinstance(e, Met) for _ in range(5) for e in says(meeting, frame))
    assert met == INTRODUCTIONS


def test_rounds_that_a_member_begins_wait_for_the_members_share_and_nobody_is_blamed() -> None:
    street = porch()
    at_once = put_off = crowded = 0
    waiting: list[Meeting] = []
    for turn in range(100):
        meeting = street.comes(street.bobs[turn % 3])  # comes, and compares, as any node does
        code, answered = meeting.l.session.closed, meeting.converged
        assert code in {"", "crowded"}, "that is no broken rule"
        at_once += answered
        crowded += code == "crowded"
        if not code and not answered:
            put_off += 1
            waiting.append(meeting)
    assert at_once == COMPARISONS
    assert put_off == 10 * COMPARISONS_PER_SECOND, "in the order in which they came, 10 s long"
    assert crowded == 100 - at_once - put_off, "and no longer: the other side would take it amiss"
    last = waiting[-1]
    last.poke(last.l)
    assert not last.converged, "what alice wants to know meanwhile is answered by the same round"
    for meeting in waiting:
        meeting.wait(5_000)
    late = sum(not meeting.run().converged for meeting in waiting)
    assert 24 <= late <= 26, "half of them still wait"
    for meeting in waiting:
        meeting.wait(6_000)
        assert meeting.run().converged
    assert street.comes(street.carol).converged, "and nobody else waits at all"


def test_what_alice_begins_herself_is_not_counted() -> None:
    street = porch()
    meeting = street.comes(street.bobs[0])
    mine = meeting.l.session._allowed[street.alice.realm].comparisons.member
    before = mine.due(meeting.now, COMPARISONS - 1)
    for _ in range(30):
        meeting.poke(meeting.l)
        meeting.run()
    assert mine.due(meeting.now, COMPARISONS - 1) <= before


def test_a_peer_that_goes_on_after_its_own_share_has_its_stream_ended() -> None:
    street = porch()
    codes = [street.comes(street.bobs[0]).l.session.closed for _ in range(int(COMPARISONS) + 1)]
    assert codes == [""] * int(COMPARISONS) + ["flood"], "another stream does not make it less"


def test_streams_are_opened_at_a_pace_each_peer_for_itself() -> None:
    allowances, (one, two) = Allowances(), porch().bobs[:2]
    assert sum(allowances.opens(one.peer, 0) for _ in range(200)) == STREAMS
    assert allowances.opens(two.peer, 0)
    assert sum(allowances.opens(one.peer, 10_000) for _ in range(200)) == 10 * STREAMS_PER_SECOND


@given(
    st.lists(st.tuples(st.integers(0, 3000), st.floats(0.5, 9), st.booleans()), max_size=60),
)
def test_nobody_gets_more_than_has_flowed_in(asks: list[tuple[int, float, bool]]) -> None:
    bucket, now, taken, owed = Bucket(burst=10, per_second=2), 0, 0.0, 0
    for pause, tokens, patient in asks:
        now += pause
        if patient:
            owed = now + bucket.wait(now, tokens)
            taken += tokens
        else:
            taken += tokens * bucket.take(now, tokens)
        assert taken <= 10 + 2 * max(now, owed) / 1000 + 0.01


def test_of_many_buckets_those_go_that_nobody_asked_for_longest() -> None:
    buckets: Buckets[str] = Buckets(1, 1, most=2)
    assert buckets.of("a").take(0)
    assert buckets.of("b").take(0)
    assert not buckets.of("a").take(0)
    assert buckets.of("c").take(0)
    assert len(buckets) == 2
    assert not buckets.of("a").take(0), "b went"
    assert buckets.of("b").take(0)
