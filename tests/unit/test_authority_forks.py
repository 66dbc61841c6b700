"""Forks: a device that wrote two operations at one place is frozen there, in that log only."""

import itertools

import pytest
from tests.unit.town import (
    METER,
    NOTICE,
    Number,
    Person,
    Replica,
    person,
    replica,
    said,
    secrets,
    town,
)

from commons_crdt.author import Draft
from commons_crdt.authority.judge import Standing
from commons_crdt.ids import DeviceId
from commons_crdt.operation import Operation
from commons_crdt.roles import Role

ALICE = person("alice")
ACCEPTED, FORK, GRANT = ("accepted", ""), ("contested", "fork"), ("contested", "grant")


@pytest.fixture
def home() -> Replica:
    return town()


@pytest.fixture
def eve(home: Replica) -> Person:
    return home.welcome("eve", Role.MEMBER)


def everywhere(home: Replica) -> None:
    """Every order of arrival, and judging from nothing, give what this node says."""
    operations = list(home.operations.values())
    for order in (operations, operations[::-1], operations[1::2] + operations[::2]):
        other = replica(home.realm, "other", order)
        assert other.verdicts() == home.verdicts(), "one truth, whatever the order"
        assert other.set_hash() == home.set_hash()
    again = home.island("again")
    again.rejudge_from_nothing()
    assert again.verdicts() == home.verdicts(), "and from nothing"


def test_two_operations_at_one_place_freeze_that_log_from_there(home: Replica, eve: Person) -> None:
    first, second, third = home.note(eve, 1), home.note(eve, 2), home.note(eve, 3)
    ticket = home.invite(eve)
    doubled = home.note(eve, 22, after=first.id)
    assert home.says(first) == ACCEPTED, "below the fork nothing changes"
    for frozen in (second, third, doubled):
        assert home.says(frozen) == FORK, "from there nothing stands, on either branch"
    assert home.says(ticket.id) == ACCEPTED, "the other log goes on"
    assert said(home.note(ALICE)) == ACCEPTED, "and everybody else"
    everywhere(home)


def test_what_follows_on_either_branch_is_contested(home: Replica, eve: Person) -> None:
    first = home.note(eve)
    left, right = home.note(eve, 1, after=first.id), home.note(eve, 2, after=first.id)
    for branch in (left, right):
        after = home.note(eve, 3, after=branch.id)
        assert said(after) == FORK
        assert after.seq == 3
    everywhere(home)


def test_the_lowest_doubled_place_counts(home: Replica, eve: Person) -> None:
    first, second = home.note(eve, 1), home.note(eve, 2)
    home.note(eve, 22, after=second.id)
    home.note(eve, 33, after=second.id)
    assert home.says(second) == ACCEPTED
    home.note(eve, 44, after=first.id)
    assert home.says(second) == FORK, "a lower fork comes to light later"
    assert home.says(first) == ACCEPTED
    everywhere(home)


def test_a_judge_asks_for_another_look_only_when_a_fork_is_lower(home: Replica) -> None:
    device = DeviceId(b"d" * 32)
    answers = [home.judge.forked(device, 1, seq) for seq in (5, 7, 5, 3, 4)]
    assert answers == [True, False, False, True, False]
    assert home.judge.forked(device, 0, 9), "each log has its own"


def test_a_self_fork_at_seq_1_contests_the_whole_log(home: Replica, eve: Person) -> None:
    first, second = home.note(eve, 1), home.note(eve, 2)
    grant = home.judge.authority.devices[eve.device.keys.id].id
    home.note(eve, 11, after=grant)
    assert [home.says(note) for note in (first, second)] == [FORK, FORK]
    assert home.role(eve) is Role.MEMBER, "the device is frozen, not the member"
    everywhere(home)


def test_two_chains_from_two_grants_are_a_fork_at_seq_1(home: Replica) -> None:
    ticket = home.invite(ALICE, uses=2)
    bob, eve = home.welcome("bob", Role.MEMBER), person("eve")
    home.grant_node(bob, secrets("bob's node"))
    left, right = home.island("left"), home.island("right")
    left.admit(secrets("alice's node"), ticket, eve)
    right.admit(secrets("bob's node"), ticket, eve)
    one, other = left.note(eve, 1), right.note(eve, 2)
    left.meet(right)
    assert left.says(one) == left.says(other) == FORK
    assert left.set_hash() == right.set_hash()
    everywhere(left)


def test_what_others_wrote_about_a_frozen_operation_stands(home: Replica, eve: Person) -> None:
    first = home.note(eve, 1)
    loan = home.write(ALICE.device, Draft.fact(NOTICE, Number(1), refs=[first.id]))
    home.note(eve, 11, after=home.judge.authority.devices[eve.device.keys.id].id)
    assert home.says(first) == FORK
    assert home.says(loan) == ACCEPTED, "nothing cascades through references"
    everywhere(home)


# --- log 0 --------------------------------------------------------------------------------------


def test_a_fork_in_log_0_contests_the_grants_made_beyond_it(home: Replica, eve: Person) -> None:
    kept, lost = secrets("first node"), secrets("second node")
    below = home.grant_node(eve, kept)
    beyond = home.grant_node(eve, lost)
    stands = home.write(kept, Draft.fact(METER, Number(1)))
    falls = home.write(lost, Draft.fact(METER, Number(1)))
    home.write(eve.device, home.node_grant(eve, secrets("third node")), after=below.id)
    assert (home.says(below), home.says(beyond)) == (ACCEPTED, FORK)
    assert home.says(stands) == ACCEPTED
    assert home.says(falls) == GRANT, "its grant is contested, so is all that it wrote"
    assert said(home.note(eve)) == ACCEPTED, "eve's log 1 is another chain"
    everywhere(home)


def test_a_forked_role_act_gives_nothing(home: Replica, eve: Person) -> None:
    before = home.standings[home.tips[ALICE.device.keys.id, 0]]
    act = home.give_role(ALICE, eve, Role.STEWARD)
    notice = home.write(eve.device, Draft.fact(NOTICE, Number(1)))
    assert said(notice) == ACCEPTED
    rival = home.draw(ALICE.device, home.node_grant(ALICE, secrets("x")), after=before.id)
    home.receive(rival)
    assert home.says(act) == FORK
    assert home.says(notice) == ("rejected", "role"), "the act that allowed it does not stand"
    assert home.role(eve) is Role.MEMBER
    everywhere(home)


def test_a_fork_of_an_admitting_node_does_not_touch_the_admitted(home: Replica) -> None:
    bob = home.welcome("bob", Role.MEMBER)
    node = secrets("bob's node")
    grant = home.grant_node(bob, node)
    dora, emil = person("dora"), person("emil")
    home.admit(node, home.invite(ALICE, "dora"), dora)
    note = home.note(dora)
    ticket = home.invite(ALICE, "emil")
    home.write(node, home.admission(ticket, emil), after=grant.id)
    assert home.says(note) == ACCEPTED, "an admission counts by its signatures, on any branch"
    assert home.role(dora) is Role.NEWCOMER
    assert home.role(emil) is None, "that branch has never heard of the invite"
    assert said(home.write(node, Draft.fact(METER, Number(1)))) == ACCEPTED, "log 1 goes on"
    everywhere(home)


def test_contested_admissions_are_still_counted(home: Replica) -> None:
    bob = home.welcome("bob", Role.MEMBER)
    node = secrets("bob's node")
    grant = home.grant_node(bob, node)
    ticket = home.invite(ALICE)
    home.admit(node, ticket, person("dora"))
    home.write(node, Draft(METER, b"", 0), after=grant.id)
    again = home.admit(secrets("alice's node"), ticket, person("emil"))
    assert said(again) == ("rejected", "spent"), "counted by bytes, whatever became of it"
    everywhere(home)


def test_a_fork_of_the_inviter_throws_nobody_out(home: Replica, eve: Person) -> None:
    """An invite is one by its own view: neither forks nor ends of the inviter's device void it."""
    kept = home.invite(eve, "kept")
    lost = home.invite(eve, "lost")
    dora, emil = person("dora"), person("emil")
    node = secrets("alice's node")
    home.admit(node, kept, dora)
    home.admit(node, lost, emil)
    home.write(eve.device, home.node_grant(eve, secrets("x")), after=kept.id)
    assert home.role(dora) is Role.NEWCOMER, "let in by an invite below the fork"
    assert home.role(emil) is Role.NEWCOMER, "let in by one beyond it"
    assert home.says(lost.id) == FORK, "the invite itself is contested"
    everywhere(home)


# --- all orders of a small story ----------------------------------------------------------------


def test_every_order_of_a_fork_and_its_witnesses_is_one_truth(home: Replica, eve: Person) -> None:
    known = list(home.operations.values())
    first = home.note(eve, 1)
    story: list[Standing] = [
        first,
        home.note(eve, 2),
        home.note(eve, 3, after=first.id),
        home.write(ALICE.device, Draft.fact(NOTICE, Number(1), refs=[first.id])),
        home.erase(eve, first),
    ]
    told: list[Operation] = [home.operations[standing.id] for standing in story]
    for order in itertools.permutations(told):
        other = replica(home.realm, "other", [*known, *order])
        assert other.verdicts() == home.verdicts()
