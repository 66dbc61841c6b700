"""Two neighbours' nodes make their copies equal, whatever the order of things."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulation.meeting import Home, Meeting, neighbourhood
from tests.unit import town

from commons_crdt.author import Draft
from commons_crdt.authority.judge import Standing
from commons_crdt.operation import (
    MAX_BODY,
    SALT_BYTES,
    SMALL_PART,
    decode_header,
    operation_id,
)
from commons_crdt.roles import Role
from commons_protocol import wire
from commons_protocol.effects import Compared, Ingest, Met
from commons_protocol.names import peer_key
from commons_protocol.wants import Memory

ALICE, BOB, CAROL = town.person("alice"), town.person("bob"), town.person("carol")

seeds = st.integers(0, 2**32)


def notes(home: Home, who: town.Person, count: int, size: int = 0) -> list[Standing]:
    """Somebody writes at this node; ``size``: bytes of a body that no kind allows."""
    if not size:
        return [home.copy.note(who, n) for n in range(count)]
    draft = Draft(town.NOTE, b"x" * size)
    return [home.copy.write(who.device, draft) for _ in range(count)]


def operations_sent(meeting: Meeting) -> Counter[bytes]:
    """How often each operation was sent because it was wanted."""
    return Counter(
        operation_id(packed[0])
        for _, frame in meeting.frames
        if isinstance(message := wire.unpack_sync(frame), wire.Operations)
        for packed in message.operations
    )


def test_equal_copies_cost_one_small_message_each_way() -> None:
    alice, bob = neighbourhood("bob")
    meeting = Meeting([alice], [bob]).run()
    assert meeting.converged
    before = len(meeting.frames)
    meeting.poke(meeting.d)
    meeting.run()
    round_trip = meeting.frames[before:]
    assert [side for side, _ in round_trip] == ["dialler", "listener"], "one round trip"
    # 4 bytes of length, 12 of Yamux, 18 of Noise come on top.
    assert all(len(frame) + 34 <= 100 for _, frame in round_trip)
    assert meeting.converged


@pytest.mark.parametrize("asks", ["dialler", "listener"])
def test_who_answers_opens_the_log_that_differs_at_once(asks: str) -> None:
    alice, bob = neighbourhood("bob")
    meeting = Meeting([alice], [bob]).run()
    notes(alice, ALICE, 2)
    before = len(meeting.frames)
    meeting.poke(meeting.d if asks == "dialler" else meeting.l)
    meeting.run()
    told = [(side, wire.unpack_sync(frame)) for side, frame in meeting.frames[before:]]
    answer, opening, *_ = [said for side, said in told if side != asks]
    assert isinstance(answer, wire.Digest)
    assert answer.answers
    assert isinstance(opening, wire.Ranges), "without another question"
    ranges = [said for _, said in told if isinstance(said, wire.Ranges)]
    assert {said.log for said in ranges} == {1}, "that log 0 is equal was said already"
    assert meeting.converged


def test_of_two_digests_that_cross_the_dialler_opens() -> None:
    alice, bob = neighbourhood("bob")
    meeting = Meeting([alice], [bob]).run()
    notes(bob, BOB, 2)
    before = len(meeting.frames)
    meeting.poke(meeting.d)
    meeting.poke(meeting.l)
    meeting.run()
    told = [(side, wire.unpack_sync(frame)) for side, frame in meeting.frames[before:]]
    assert not any(isinstance(said, wire.Digest) and said.answers for _, said in told[:2])
    openers = [side for side, said in told if isinstance(said, wire.Ranges)]
    assert openers[0] == "dialler"
    assert meeting.converged


@settings(max_examples=60, deadline=None)
@given(seed=seeds, alices=st.integers(0, 40), bobs=st.integers(0, 40))
def test_whatever_both_wrote_apart_both_have_in_the_end(seed: int, alices: int, bobs: int) -> None:
    alice, bob = neighbourhood("bob")
    notes(alice, ALICE, alices)
    notes(bob, BOB, bobs)
    meeting = Meeting([alice], [bob], seed=seed).run()
    assert meeting.converged
    assert alice.digest() == bob.digest()
    assert alice.copy.set_hash() == bob.copy.set_hash(), "the same verdicts, too"
    assert all(n == 1 for n in operations_sent(meeting).values()), "no body travels twice"


@settings(max_examples=40, deadline=None)
@given(seed=seeds, cuts=st.lists(st.integers(1, 60), max_size=6))
def test_a_cut_connection_loses_nothing_that_was_stored(seed: int, cuts: list[int]) -> None:
    alice, bob = neighbourhood("bob")
    notes(alice, ALICE, 60, size=500)
    notes(bob, BOB, 60, size=500)
    memories: dict[object, Memory] = {}
    for cut in cuts:
        meeting = Meeting([alice], [bob], seed=seed, memories=memories)  # type: ignore[arg-type]
        held = len(bob.copy.operations)
        for _ in range(cut):
            meeting.step()
        assert len(bob.copy.operations) >= held
    done = Meeting([alice], [bob], seed=seed, memories=memories).run()  # type: ignore[arg-type]
    assert done.converged
    assert alice.digest() == bob.digest(), "the next session goes on from what is stored"


@settings(max_examples=30, deadline=None)
@given(seed=seeds)
def test_three_neighbours_agree_although_two_of_them_never_meet(seed: int) -> None:
    alice, bob, carol = neighbourhood("bob", "carol")
    notes(alice, ALICE, 10)
    notes(bob, BOB, 20)
    notes(carol, CAROL, 15)
    left = Meeting([bob], [alice], seed=seed)
    right = Meeting([alice], [carol], seed=seed + 1)
    busy = True
    while busy:
        busy = left.step() | right.step()
    for meeting, end in ((left, left.l), (right, right.d), (left, left.l)):
        meeting.poke(end)
        meeting.run()
    assert alice.digest() == bob.digest() == carol.digest()


@settings(max_examples=30, deadline=None)
@given(seed=seeds, when=st.integers(0, 40))
def test_what_is_written_during_a_round_comes_with_a_later_one(seed: int, when: int) -> None:
    alice, bob = neighbourhood("bob")
    notes(alice, ALICE, 20)
    meeting = Meeting([alice], [bob], seed=seed)
    for _ in range(when):
        meeting.step()
    notes(alice, ALICE, 3)
    notes(bob, BOB, 3)
    meeting.poke(meeting.d)
    meeting.poke(meeting.l)
    meeting.run()
    for end in (meeting.d, meeting.l):
        meeting.poke(end)
    meeting.run()
    assert meeting.converged
    assert alice.digest() == bob.digest()


@settings(max_examples=30, deadline=None)
@given(seed=seeds)
def test_rounds_that_both_begin_at_once_are_one_round(seed: int) -> None:
    alice, bob = neighbourhood("bob")
    meeting = Meeting([alice], [bob], seed=seed).run()
    before = len(meeting.frames)
    meeting.poke(meeting.d)
    meeting.poke(meeting.l)
    meeting.run()
    assert len(meeting.frames) == before + 2, "a digest each"
    assert meeting.converged


def test_the_first_frame_is_stored_before_the_rest_has_come() -> None:
    alice, bob = neighbourhood("bob")
    notes(alice, ALICE, 1500)
    alice.copy.give_role(ALICE, BOB, Role.STEWARD)
    meeting = Meeting([alice], [bob]).run()
    ingests = meeting.of("listener", Ingest)
    assert isinstance(ingests[0], Ingest)
    first = decode_header(ingests[0].operations[0].header)
    assert first.log == 0, "authority comes first"
    assert len(ingests[0].operations) < 400, "and is judged before what comes behind it"
    assert bob.copy.role(BOB) is Role.STEWARD


def test_credit_is_never_exceeded_and_large_batches_are_stored_at_once() -> None:
    alice, bob = neighbourhood("bob")
    notes(alice, ALICE, 2500, size=500)
    meeting = Meeting([alice], [bob])
    credit = 0
    seen = 0
    while meeting.step():
        for side, frame in meeting.frames[seen:]:
            message = wire.unpack_sync(frame)
            if isinstance(message, wire.Want | wire.Credit) and side == "listener":
                credit += message.credit if isinstance(message, wire.Want) else message.frames
            if isinstance(message, wire.Operations) and side == "dialler":
                credit -= 1
            assert 0 <= credit <= wire.MAX_CREDIT
        seen = len(meeting.frames)
    assert meeting.converged
    ingests = [e for e in meeting.of("listener", Ingest) if isinstance(e, Ingest)]
    assert len(ingests) < 2500 / 200, "a transaction is worth its price"


def test_a_large_operation_travels_in_pieces() -> None:
    alice, bob = neighbourhood("bob")
    # Larger than their kind allows: rejected on every node alike, stored, and sent on.
    texts = [("text", b"y" * (SMALL_PART - SALT_BYTES))] * 8
    for size in (1_000, 30_000, MAX_BODY - SALT_BYTES):
        alice.copy.write(ALICE.device, Draft(town.NOTE, b"x" * size, parts=texts))
    large = Draft.fact(town.NOTE, town.Number(1), parts=[("text", b"z" * SMALL_PART)])
    last = alice.copy.write(ALICE.device, large)
    meeting = Meeting([alice], [bob]).run()
    assert meeting.converged
    pieces = [m for m in meeting.sent("dialler") if isinstance(m, wire.Piece)]
    assert len(pieces) == 2, "one of them did not fit a frame"
    assert bob.copy.operations[last.id].parts == (None,), "a large part stays behind"
    held = [o for i, o in bob.copy.operations.items() if o != alice.copy.operations[i]]
    assert len(held) == 1, "everything else came whole"


def test_a_new_operation_is_pushed_at_once_and_only_a_round_makes_it_synced() -> None:
    alice, bob = neighbourhood("bob")
    meeting = Meeting([alice], [bob]).run()
    written = alice.copy.note(ALICE, 1)
    meeting.push(meeting.d, [alice.copy.operations[written.id]])
    assert not meeting.converged
    meeting.run()
    assert written.id in bob.copy.operations, "it is there without a round"
    status = meeting.d.session.status(alice.realm)
    assert status is not None
    assert status.state == "behind", "nothing is called synced before it was compared"
    assert status.unknown_since is not None
    assert status.next_action
    meeting.poke(meeting.l)
    meeting.run()
    status = meeting.d.session.status(alice.realm)
    assert status is not None
    assert (status.state, status.missing, status.unknown_since) == ("synced", 0, None)
    assert status.have == len(alice.copy.operations)


def test_a_pushed_operation_that_lacks_its_past_leads_to_a_round() -> None:
    alice, bob = neighbourhood("bob")
    meeting = Meeting([alice], [bob]).run()
    standings = notes(alice, ALICE, 3)
    meeting.push(meeting.d, [alice.copy.operations[standings[-1].id]])
    meeting.run()
    assert meeting.converged
    assert alice.digest() == bob.digest()


def test_a_flood_of_pushes_is_counted_and_turned_into_a_comparison() -> None:
    alice, bob = neighbourhood("bob")
    meeting = Meeting([alice], [bob]).run()
    for standing in notes(alice, ALICE, 500):
        meeting.push(meeting.d, [alice.copy.operations[standing.id]])
    meeting.run()
    assert "push_flood" in {getattr(e, "code", "") for e in meeting.log["listener"]}
    meeting.poke(meeting.l)
    meeting.run()
    assert alice.digest() == bob.digest(), "nothing is lost by it"


def test_a_peer_that_falls_silent_in_a_round_is_left() -> None:
    alice, bob = neighbourhood("bob")
    meeting = Meeting([alice], [bob]).run()
    meeting.poke(meeting.d)
    meeting.l.inbox.clear()
    meeting.wait(15_000)
    assert not meeting.d.closed
    meeting.wait(6_000)
    assert meeting.d.session.closed == "silent", "a digest takes no time to answer"


def test_a_peer_that_falls_silent_while_it_serves_has_more_time() -> None:
    alice, bob = neighbourhood("bob")
    meeting = Meeting([alice], [bob]).run()
    notes(bob, BOB, 3)
    meeting.poke(meeting.d)
    while not [m for m in meeting.sent("dialler") if isinstance(m, wire.Want)]:
        meeting.step()
    meeting.l.inbox.clear()
    meeting.l.todo.clear()
    meeting.wait(30_000)
    assert not meeting.d.closed, "it may have much to read"
    meeting.wait(31_000)
    assert meeting.d.session.closed == "silent"


def test_a_peer_that_compares_without_end_is_left() -> None:
    alice, bob = neighbourhood("bob")
    meeting = Meeting([alice], [bob]).run()
    for _ in range(100):
        meeting.now -= 4  # the clock of the story stands still
        meeting.poke(meeting.d)
        meeting.run()
    assert meeting.l.session.closed == "flood"


def test_members_tell_each_other_where_nodes_are() -> None:
    alice, bob = neighbourhood("bob")
    meeting = Meeting([alice], [bob]).run()
    key = peer_key(alice.peer)
    effects = meeting.d.session.introduce(alice.realm, [(key, ["/ip4/10.0.0.1/tcp/4001"])])
    meeting._do(meeting.d, effects)
    meeting.run()
    (met,) = meeting.of("listener", Met)
    assert isinstance(met, Met)
    assert met.nodes == ((key, ("/ip4/10.0.0.1/tcp/4001",)),)


@pytest.mark.parametrize("much", [3, 400])
def test_what_others_bring_while_the_peer_tells_what_it_has_is_not_fetched_again(much: int) -> None:
    """Two peers held the same thousand; under load one in ten fetched most of them twice."""
    alice, bob = neighbourhood("bob")
    meeting = Meeting([alice], [bob]).run()
    written = notes(alice, ALICE, much)
    meeting.poke(meeting.d)
    while not meeting.l.todo:
        meeting.deliver(meeting.l if meeting.l.inbox else meeting.d)
    meeting.answer(meeting.l)  # bob has looked at what he holds, alice has not said what she does
    for standing in written[:-1]:
        bob.copy.receive(alice.copy.operations[standing.id])  # from carol
    meeting.run()
    assert meeting.converged
    sent = operations_sent(meeting)
    assert sent == Counter([written[-1].id]), "only what nobody had brought"
    assert all(phase == "idle" for phase in _phases(meeting))


def test_what_goes_on_coming_from_others_does_not_keep_a_round_from_its_end() -> None:
    alice, bob, carol = neighbourhood("bob", "carol")
    meeting = Meeting([alice], [bob]).run()
    notes(alice, ALICE, 5)
    meeting.poke(meeting.d)
    steps = 0
    while meeting.step():
        steps += 1
        if steps < 60:  # with every step carol's node brings bob something new
            fresh = carol.copy.note(CAROL)
            bob.copy.receive(carol.copy.operations[fresh.id])
    rounds = [e for e in meeting.of("listener", Compared) if isinstance(e, Compared)]
    assert len(rounds) > 2
    meeting.poke(meeting.d)
    meeting.run()
    assert meeting.converged
    assert alice.digest() == bob.digest()


def _phases(meeting: Meeting) -> list[str]:
    return [s.phase for end in (meeting.d, meeting.l) for s in end.session.realms.values()]


@pytest.mark.parametrize("side", ["dialler", "listener"])
def test_both_sides_hear_how_a_round_ended(side: str) -> None:
    alice, bob = neighbourhood("bob")
    notes(alice, ALICE, 2)
    meeting = Meeting([alice], [bob]).run()
    ends = [e for e in meeting.of(side, Compared) if isinstance(e, Compared)]
    assert [e.equal for e in ends] == [False, True]
    assert [e.round for e in ends] == [1, 2]
