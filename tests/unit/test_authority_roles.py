"""Roles: folded from the acts in a view; nobody undoes an equal, and taking away wins."""

import pytest
from tests.unit.town import (
    NOTICE,
    Number,
    Person,
    Replica,
    identity,
    person,
    said,
    town,
)

from commons_crdt.author import Draft
from commons_crdt.authority.facts import Genesis, RoleAct
from commons_crdt.authority.kinds import ROLE
from commons_crdt.authority.settings import Constitution
from commons_crdt.budget import Rate
from commons_crdt.ids import ZERO, DocumentId
from commons_crdt.roles import Role

ALICE = person("alice")
ACCEPTED = ("accepted", "")


@pytest.fixture
def home() -> Replica:
    return town()


@pytest.fixture
def bob(home: Replica) -> Person:
    return home.welcome("bob")


def test_the_newest_act_counts(home: Replica, bob: Person) -> None:
    for role in (Role.HOST, Role.MEMBER, Role.STEWARD, Role.NEWCOMER):
        assert said(home.give_role(ALICE, bob, role)) == ACCEPTED
        assert home.role(bob) is role


def test_nobody_is_made_a_coordinator_by_one_alone(home: Replica, bob: Person) -> None:
    draft = Draft(ROLE, b"\x82\x58\x20" + bob.member + b"\x05", 0, DocumentId(bob.member))
    assert said(home.write(ALICE.device, draft)) == ("rejected", "malformed")


def test_only_a_coordinator_gives_roles(home: Replica, bob: Person) -> None:
    host = home.welcome("host", Role.HOST)
    for who in (bob, host):
        assert said(home.give_role(who, bob, Role.MEMBER)) == ("rejected", "role")
    assert home.role(bob) is Role.NEWCOMER


def test_a_role_act_on_a_coordinator_has_no_effect(home: Replica) -> None:
    assert said(home.give_role(ALICE, ALICE, Role.HOST)) == ("rejected", "subject")
    assert home.role(ALICE) is Role.COORDINATOR


def test_a_role_act_on_a_stranger_has_no_effect(home: Replica) -> None:
    eve = person("eve")
    assert said(home.give_role(ALICE, eve, Role.HOST)) == ("rejected", "subject")
    home.welcome("eve")
    assert home.role(eve) is Role.NEWCOMER, "not even when she is let in later"


def test_a_role_act_on_somebody_its_author_has_not_heard_of_has_no_effect(home: Replica) -> None:
    island = home.island("island")
    eve = home.welcome("eve")
    early = island.give_role(ALICE, eve, Role.HOST)
    assert said(early) == ("rejected", "subject")


def test_a_role_act_names_its_subject_as_document(home: Replica, bob: Person) -> None:
    draft = Draft.fact(ROLE, RoleAct(bob.member, 2), log=0)
    assert said(home.write(ALICE.device, draft)) == ("rejected", "document")


def branches(home: Replica, bob: Person, left: Role, right: Role) -> Replica:
    """Two coordinators on two islands give bob a role, neither knowing of the other's act."""
    carol = home.welcome("carol")
    home.appoint(ALICE, carol)
    island = home.island("carol's")
    for here, who, role in ((home, ALICE, left), (island, carol, right)):
        assert said(here.give_role(who, bob, role)) == ACCEPTED
    home.meet(island)
    return home


@pytest.mark.parametrize("left", list(Role)[:4])
@pytest.mark.parametrize("right", list(Role)[:4])
def test_of_concurrent_acts_the_lower_counts(
    home: Replica, bob: Person, left: Role, right: Role
) -> None:
    home.give_role(ALICE, bob, Role.STEWARD)
    assert branches(home, bob, left, right).role(bob) is min(left, right), (
        "taking away beats concurrent giving"
    )


def test_an_act_that_sees_both_settles_it(home: Replica, bob: Person) -> None:
    branches(home, bob, Role.HOST, Role.NEWCOMER)
    assert home.role(bob) is Role.NEWCOMER
    home.give_role(ALICE, bob, Role.HOST)
    assert home.role(bob) is Role.HOST


def test_a_view_does_not_see_what_came_later(home: Replica, bob: Person) -> None:
    before = home.judge.authority.whole
    assert home.judge.authority.role(bob.member, before) is Role.NEWCOMER
    home.give_role(ALICE, bob, Role.STEWARD)
    assert home.judge.authority.role(bob.member, before) is Role.NEWCOMER
    assert home.judge.authority.role(bob.member, 0) is None
    assert home.judge.authority.role(ALICE.member, 1) is Role.COORDINATOR


def test_a_demotion_counts_where_it_is_known(home: Replica, bob: Person) -> None:
    home.give_role(ALICE, bob, Role.STEWARD)
    home.write(bob.device, Draft.fact(NOTICE, Number(1)))
    island = home.island("bob's")
    home.give_role(ALICE, bob, Role.MEMBER)
    unaware = island.write(bob.device, Draft.fact(NOTICE, Number(2)))
    home.meet(island)
    assert home.says(unaware) == ACCEPTED, "in bob's view he still was a steward"
    assert said(home.write(bob.device, Draft.fact(NOTICE, Number(3)))) == ("rejected", "role")


# --- settings -----------------------------------------------------------------------------------


def test_a_constitution_sets_budgets_and_the_zone() -> None:
    read = Constitution.of(
        [("budget.member.capacity", 7), ("budget.node.hour", 9), ("timezone", "Europe/Lisbon")]
    )
    default = Constitution.of([])
    assert read.rates[Role.MEMBER] == Rate(7, default.rates[Role.MEMBER].per_hour)
    assert read.node_rate == Rate(default.node_rate.capacity, 9)
    assert (read.timezone, default.timezone) == ("Europe/Lisbon", "UTC")
    assert read.rates[Role.STEWARD] == default.rates[Role.STEWARD]


@pytest.mark.parametrize(
    "setting",
    [
        ("budget.member.capacity", 0),
        ("budget.member.capacity", -1),
        ("budget.member.capacity", "many"),
        ("timezone", 1),
        ("music", "loud"),
    ],
)
def test_a_setting_that_makes_no_sense_has_no_effect(setting: tuple[str, int | str]) -> None:
    assert Constitution.of([setting]) == Constitution.of([])


def test_roles_have_the_budgets_that_the_genesis_sets() -> None:
    home = town((("budget.steward.capacity", 77), ("budget.steward.hour", 7)))
    carol = home.welcome("carol", Role.STEWARD)
    authority = home.judge.authority
    grant = authority.devices[carol.device.keys.id]
    assert authority.rate(grant, authority.whole) == Rate(77, 7)
    node = next(grant for grant in authority.grants.values() if grant.unattended)
    assert authority.rate(node, authority.whole) == authority.constitution.node_rate


def test_an_identity_without_guardians_has_none_to_ask() -> None:
    assert identity(ALICE.device).recovery == ZERO
    assert Genesis(identity(ALICE.device), 1, ()).identity.member == ALICE.member
