"""What a node says of a neighbour: never in sync when it is not; otherwise why, and what next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.simulation.meeting import Home, Meeting, neighbourhood
from tests.simulation.test_sync_rounds import ALICE, BOB, notes

from commons_crdt.operation import Operation, decode_header, operation_id
from commons_crdt.roles import Role
from commons_protocol.effects import Close
from commons_protocol.reasons import CATALOGUE, HELD
from commons_protocol.replica import Ingested
from commons_protocol.status import SyncStatus


def of(meeting: Meeting, side: str) -> SyncStatus:
    end = meeting.d if side == "dialler" else meeting.l
    status = end.session.status(end.home.realm)
    assert status is not None
    return status


def test_a_routine_comparison_does_not_make_who_is_in_sync_doubt_it() -> None:
    alice, bob = neighbourhood("bob")
    meeting = Meeting([alice], [bob]).run()
    meeting.poke(meeting.d)
    assert of(meeting, "dialler").state == "synced", "the last comparison still holds"
    assert not meeting.d.session.realms[alice.realm].equal_now, "whoever waits for a new one waits"
    for _ in range(6):
        meeting.wait(1000)
    assert of(meeting, "dialler").state == "behind", "but not while the other says nothing"
    assert "not answered" in of(meeting, "dialler").reason
    meeting.run()
    assert of(meeting, "dialler").state == "synced"


def test_before_the_first_comparison_has_ended_nothing_is_said_to_have_changed() -> None:
    alice, bob = neighbourhood("bob")
    alice.copy.note(ALICE, 1)
    meeting = Meeting([alice], [bob])
    seen = set()
    while meeting.step():
        for side in ("dialler", "listener"):
            end = meeting.d if side == "dialler" else meeting.l
            if end.session.proven:
                seen.add((of(meeting, side).state, of(meeting, side).reason))
    assert ("unknown", CATALOGUE["uncompared"].sentence) in seen
    assert not [reason for state, reason in seen if "changed" in reason and state == "unknown"]
    assert {state for state, _ in seen} == {"unknown", "syncing", "behind", "synced"}


@pytest.mark.parametrize("why", sorted(HELD))
def test_what_is_held_is_named_with_its_reason_and_a_way_out(why: str) -> None:
    alice, bob = neighbourhood("bob")
    notes(alice, ALICE, 3)
    bob.holds = lambda operation: why if decode_header(operation.header).log else ""
    meeting = Meeting([alice], [bob]).run()
    said = of(meeting, "listener")
    assert (said.state, said.missing, said.refused) == ("held", 3, 0)
    assert said.code == HELD[why]
    assert said.reason == CATALOGUE[said.code].sentence.format(count=3)
    assert said.next_action == CATALOGUE[said.code].action
    assert of(meeting, "dialler").state == "ahead"
    assert of(meeting, "dialler").reason.endswith("what is here: 3 operations.")
    bob.holds = lambda _operation: ""
    meeting.now += 600_000
    meeting.poke(meeting.l)
    meeting.run()
    assert of(meeting, "listener").state == of(meeting, "dialler").state == "synced"


def test_what_is_held_and_what_is_refused_are_both_named() -> None:
    alice, bob = neighbourhood("bob")
    ones = notes(alice, ALICE, 4)
    bob.refuses = lambda operation: operation_id(operation.header) == ones[0].id
    bob.holds = lambda operation: "clock" if decode_header(operation.header).log else ""
    said = of(Meeting([alice], [bob]).run(), "listener")
    assert said.state == "refused"
    assert "budget" in said.reason
    assert "clock" in said.reason


def test_a_push_that_is_held_ends_the_claim_to_be_in_sync() -> None:
    alice, bob = neighbourhood("bob")
    meeting = Meeting([alice], [bob]).run()
    (one,) = notes(alice, ALICE, 1)
    bob.holds = lambda operation: "clock" if decode_header(operation.header).log else ""
    meeting.push(meeting.d, [alice.copy.operations[one.id]])
    meeting.run()
    assert of(meeting, "listener").state == "behind", "alice holds what bob does not"


def test_a_digest_that_is_lost_does_not_leave_the_two_out_of_step_for_ever() -> None:
    alice, bob = neighbourhood("bob")
    meeting = Meeting([alice], [bob]).run()
    meeting.poke(meeting.d)
    meeting.l.inbox.clear()  # no transport does this; no session may be harmed by it
    closed: list[int] = []
    for second in range(60):
        meeting.wait(1000)
        if second == 10:
            meeting.poke(meeting.l)  # alice takes it for her answer, and bob waits for his
            meeting.run()
        if second == 30:
            meeting.poke(meeting.d)
            meeting.run()
        if meeting.l.closed or meeting.d.closed:
            closed.append(second)
    assert closed[0] <= 32, "whoever gets no answer begins anew"
    assert Close("silent") in [*meeting.of("dialler", Close), *meeting.of("listener", Close)]


def test_what_is_missing_is_said_as_far_as_it_is_known_of_either_log() -> None:
    alice, bob = neighbourhood("bob")
    notes(alice, ALICE, 5)
    alice.copy.give_role(ALICE, BOB, Role.STEWARD)
    meeting = Meeting([alice], [bob])
    seen = []
    while meeting.step():
        if meeting.l.session.proven:
            said = of(meeting, "listener")
            seen.append((said.state, said.missing))
            there = len(set(alice.copy.operations) - set(bob.copy.operations))
            assert said.missing <= there, "never more than there is"
    syncing = [missing for state, missing in seen if state == "syncing"]
    assert list(dict.fromkeys(syncing)) == [0, 1, 5], "first that of log 0, then that of log 1"
    assert seen[-1] == ("synced", 0)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("signature", "refused_forged"),
        ("budget", "refused_budget"),
        ("stranger", "refused_stranger"),
        ("limit", "deferred"),
        ("lamport", "refused"),
    ],
)
def test_what_is_refused_is_named_with_its_reason_and_a_way_out(
    monkeypatch: pytest.MonkeyPatch, code: str, reason: str
) -> None:
    alice, bob = neighbourhood("bob")
    notes(alice, ALICE, 3)
    bob.refuses = lambda operation: decode_header(operation.header).log == 1
    take = Home.take

    def refused_as(home: Home, operations: Sequence[Operation]) -> Ingested:
        found = take(home, operations)
        return replace(found, refused={code: sum(found.refused.values())} if found.refused else {})

    monkeypatch.setattr(Home, "take", refused_as)
    said = of(Meeting([alice], [bob]).run(), "listener")
    assert (said.state, said.code) == ("refused", reason)
    assert said.refusals == {code: 3}
    assert "3" in said.reason
    assert said.next_action == CATALOGUE[reason].action.format(node="NODE")


def test_who_waits_for_another_peer_says_so() -> None:
    alice, bob = neighbourhood("bob")
    meeting = Meeting([alice], [bob]).run()
    notes(alice, ALICE, 3)
    meeting.l.session.realms[alice.realm]._may_pull = lambda _size: False
    meeting.poke(meeting.d)
    meeting.run()
    said = of(meeting, "listener")
    assert (said.state, said.code, said.missing) == ("behind", "turn", 3)
