"""The envelope: what all nodes check alike before an operation has any verdict."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.town import (
    LOAN,
    NOTE,
    Number,
    Person,
    Replica,
    identity,
    person,
    replica,
    resign,
    said,
    secrets,
    town,
)

from commons_crdt.author import Draft
from commons_crdt.authority.facts import Genesis, Identity, RoleAct
from commons_crdt.authority.judge import GENESIS, Judge, Missing
from commons_crdt.authority.kinds import CORE, ROLE
from commons_crdt.device import DeviceKeys
from commons_crdt.ids import ZERO, OperationId, RealmId
from commons_crdt.kinds import Rules, encode_fact
from commons_crdt.operation import Operation, PartRef, body_hash, operation_id, ordered, salted
from commons_crdt.roles import Role

ALICE = person("alice")


@pytest.fixture
def home() -> Replica:
    return town()


@pytest.fixture
def bob(home: Replica) -> Person:
    return home.welcome("bob", Role.MEMBER)


def note(value: int = 0) -> Draft:
    return Draft.fact(NOTE, Number(value))


# --- links --------------------------------------------------------------------------------------


def test_a_chain_starts_from_its_grant_and_goes_on_from_its_tip(home: Replica, bob: Person) -> None:
    first, second = home.note(bob), home.note(bob)
    assert (first.seq, second.seq) == (1, 2)
    assert home.header(second.id).prev == first.id
    grant = home.judge.authority.grants[first.grant]
    assert grant.member == bob.member, "the chain belongs to who was let in"


@pytest.mark.parametrize("seq", [1, 3, 2**53 - 1])
def test_a_seq_that_does_not_follow_prev_is_refused(home: Replica, bob: Person, seq: int) -> None:
    home.note(bob)
    forged = resign(home.draw(bob.device, note()), bob.device, seq=seq)
    assert home.receive(forged) == "chain", "seq counts the chain, without a gap"


def test_a_prev_of_somebody_elses_chain_is_refused(home: Replica, bob: Person) -> None:
    alices = home.note(ALICE)
    home.note(bob)
    forged = resign(
        home.draw(bob.device, note()), bob.device, prev=alices.id, lamport=alices.lamport + 1
    )
    assert home.receive(forged) == "chain"


def test_a_prev_in_the_other_log_is_refused(home: Replica, bob: Person) -> None:
    home.note(bob)
    invite = home.invite(bob)
    tip = home.standings[invite.id]
    forged = resign(
        home.draw(bob.device, note()),
        bob.device,
        prev=tip.id,
        seq=tip.seq + 1,
        lamport=tip.lamport + 1,
    )
    assert home.receive(forged) == "chain", "each log is a chain of its own"


def test_a_chain_cannot_start_from_somebody_elses_grant(home: Replica, bob: Person) -> None:
    eve = home.welcome("eve")
    bobs_grant = home.standings[home.judge.authority.devices[bob.device.keys.id].id]
    forged = resign(
        home.draw(eve.device, note()),
        eve.device,
        prev=bobs_grant.id,
        lamport=bobs_grant.lamport + 1,
        authority=(),
    )
    assert home.receive(forged) == "chain"


def test_a_chain_cannot_start_from_what_grants_nothing(home: Replica, bob: Person) -> None:
    ticket = home.standings[home.invite(bob).id]
    forged = resign(
        home.draw(ALICE.device, note()),
        ALICE.device,
        seq=1,
        prev=ticket.id,
        lamport=ticket.lamport + 1,
        authority=(),
    )
    assert home.receive(forged) == "chain"


def test_a_device_without_any_grant_says_nothing(home: Replica, bob: Person) -> None:
    stranger = secrets("stranger")
    forged = resign(home.draw(bob.device, note()), stranger, device=stranger.keys.id)
    assert home.receive(forged) == "chain"


def test_nobody_forks_the_genesis_by_starting_beside_it(home: Replica) -> None:
    genesis = home.standings[OperationId(home.realm)]
    beside = resign(
        home.draw(ALICE.device, Draft.fact(ROLE, RoleAct(b"m" * 32, 2), log=0)),
        ALICE.device,
        seq=1,
        prev=genesis.id,
        lamport=genesis.lamport + 1,
        authority=(),
    )
    assert home.receive(beside) == "chain", "seq 1 of the founder's log 0 is the genesis"


# --- clocks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [-1, 1, 2**40])
def test_lamport_is_exactly_one_more_than_its_past(home: Replica, bob: Person, step: int) -> None:
    first = home.note(bob)
    drawn = home.draw(bob.device, note())
    forged = resign(drawn, bob.device, lamport=first.lamport + 1 + step)
    assert home.receive(forged) == "lamport", "nobody buys a later place in the display order"


def test_lamport_counts_references_too(home: Replica, bob: Person) -> None:
    early = home.note(bob)
    late = [home.note(ALICE) for _ in range(5)][-1]
    loan = home.write(bob.device, Draft.fact(LOAN, Number(1), refs=[early.id, late.id]))
    assert loan.lamport == late.lamport + 1 > early.lamport + 1


def test_claimed_time_never_runs_backwards(home: Replica, bob: Person) -> None:
    first = home.note(bob)
    drawn = home.draw(bob.device, note())
    assert home.receive(resign(drawn, bob.device, time_ms=first.time_ms - 1)) == "time"
    assert said(home.receive(resign(drawn, bob.device, time_ms=first.time_ms)))[0] == "accepted"


def test_a_chain_is_not_younger_than_its_grant(home: Replica, bob: Person) -> None:
    grant = home.standings[home.judge.authority.devices[bob.device.keys.id].id]
    forged = resign(home.draw(bob.device, note()), bob.device, time_ms=grant.time_ms - 1)
    assert home.receive(forged) == "time"


# --- logs and authority -------------------------------------------------------------------------


def test_log_0_refers_to_log_0_only(home: Replica, bob: Person) -> None:
    fact = home.note(bob)
    draft = Draft.fact(ROLE, RoleAct(bob.member, 2), log=0, refs=[fact.id])
    assert home.receive(home.draw(ALICE.device, draft)) == "log", (
        "else a removal could wait behind an import"
    )


def test_authority_names_log_0_only(home: Replica, bob: Person) -> None:
    alices = home.note(ALICE)
    drawn = home.draw(bob.device, note(), aware=False)
    forged = resign(drawn, bob.device, authority=(alices.id,), lamport=alices.lamport + 1)
    assert home.receive(forged) == "authority"


def test_authority_does_not_repeat_the_past_of_prev(home: Replica, bob: Person) -> None:
    first = home.note(bob)
    news = home.header(first.id).authority
    assert news, "bob's first note cites alice's newest act"
    drawn = home.draw(bob.device, note())
    assert home.receive(resign(drawn, bob.device, authority=news)) == "authority"
    genesis = resign(drawn, bob.device, authority=(home.realm,))
    assert home.receive(genesis) == "authority"


# --- missing ------------------------------------------------------------------------------------


def test_what_is_missing_is_named_once_and_waited_for(home: Replica, bob: Person) -> None:
    first, second = home.note(bob), home.note(bob)
    loan = home.write(bob.device, Draft.fact(LOAN, Number(1), refs=[first.id, second.id]))
    newer = replica(home.realm, "newer")
    known = (first.id, second.id, loan.id)
    for ident, operation in home.operations.items():
        if ident not in known:
            newer.receive(operation)
    outcome = newer.receive(home.operations[loan.id])
    assert isinstance(outcome, Missing)
    assert sorted(outcome.ids) == sorted((first.id, second.id)), "prev and a ref name one each"
    assert len(outcome.ids) == 2
    newer.receive(home.operations[second.id])
    newer.receive(home.operations[first.id])
    assert newer.verdicts() == home.verdicts(), "what waited is judged when its past is here"
    assert not newer.waiting


# --- budgets ------------------------------------------------------------------------------------


def spender(capacity: int, hourly: int) -> tuple[Replica, Person]:
    home = town((("budget.newcomer.capacity", capacity), ("budget.newcomer.hour", hourly)))
    return home, home.welcome("bob")


def test_beyond_its_budget_a_chain_is_refused_until_time_has_passed() -> None:
    home, bob = spender(4, 60)
    home.note(bob)
    home.note(bob)
    drawn = home.draw(bob.device, note())
    assert home.receive(drawn) == "budget", "two notes of two tokens are all that fits"
    wait = home.judge.authority.constitution.rates[Role.NEWCOMER].wait_ms(
        home.standings[home.tips[bob.device.keys.id, 1]].left, 35
    )
    home.now_ms += wait
    assert said(home.receive(home.draw(bob.device, note())))[0] == "accepted"


def test_a_huge_claimed_body_costs_what_it_claims(home: Replica, bob: Person) -> None:
    drawn = home.draw(bob.device, note())
    huge = resign(drawn, bob.device, body_length=2**53 - 1)
    assert home.receive(replace(huge, body=None)) == "budget", "nobody stores it, nobody fetches it"


@given(st.permutations(range(8)), st.integers(2, 20))
@settings(deadline=None, max_examples=15)
def test_every_arrival_order_refuses_the_same_operations(order: list[int], capacity: int) -> None:
    home, bob = spender(capacity, 1)
    late = home.island("late")
    drawn = []
    for i in range(8):
        drawn.append(home.draw(bob.device, note(i)))
        if home.receive(drawn[-1]) == "budget":
            break
    for i in order:
        if i < len(drawn):
            late.receive(drawn[i])
    assert late.verdicts() == home.verdicts(), "the budget is a function of the chain"


# --- the genesis --------------------------------------------------------------------------------


def genesis_of(home: Replica) -> Operation:
    return home.operations[OperationId(home.realm)]


def refounded(operation: Operation) -> str:
    """What a node says that was told to expect this genesis."""
    realm = RealmId(operation_id(operation.header))
    return said(replica(realm, "new").receive(operation))[1]


def with_body(home: Replica, body: Genesis) -> Operation:
    salt = salted(b"s" * 32, encode_fact(body))
    operation = resign(
        genesis_of(home), ALICE.device, body_hash=body_hash(salt), body_length=len(salt)
    )
    return replace(operation, body=salt)


FOUNDER = identity(ALICE.device)


def test_a_genesis_founds_a_realm_of_one_coordinator(home: Replica) -> None:
    assert refounded(genesis_of(home)) == ""
    assert home.role(ALICE) is Role.COORDINATOR
    assert home.judge.authority.founder == ALICE.member


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("it names a realm", {"realm": b"r" * 32}),
        ("it names a document", {"document": b"o" * 32}),
        ("it stands in log 1", {"log": 1}),
        ("it is not the first", {"seq": 2}),
        ("it has a past", {"prev": b"p" * 32}),
        ("it refers", {"refs": (b"p" * 32,)}),
        ("it cites authority", {"authority": (b"p" * 32,)}),
        ("its clock is ahead", {"lamport": 2}),
        ("it has a part", {"parts": (PartRef("text", 32, b"t" * 32),)}),
    ],
)
def test_a_genesis_stands_alone(home: Replica, name: str, changes: dict[str, object]) -> None:
    forged = resign(genesis_of(home), ALICE.device, **changes)
    assert refounded(forged) == "genesis", name


def test_a_genesis_is_signed_by_the_device_that_it_grants(home: Replica) -> None:
    eve = person("eve")
    stolen = resign(genesis_of(home), eve.device, device=eve.device.keys.id)
    assert refounded(stolen) in {"genesis", "signature"}, "eve cannot found alice's community"


def test_a_genesis_needs_its_body(home: Replica) -> None:
    assert refounded(replace(genesis_of(home), body=None)) == "genesis"
    garbage = salted(b"s" * 32, b"garbage")
    changed = resign(
        genesis_of(home), ALICE.device, body_hash=body_hash(garbage), body_length=len(garbage)
    )
    assert refounded(replace(changed, body=garbage)) == "genesis"


def test_settings_stand_in_order_and_once(home: Replica) -> None:
    for settings_of in ((("b", 1), ("a", 1)), (("a", 1), ("a", 2))):
        assert refounded(with_body(home, Genesis(FOUNDER, 1, settings_of))) == "genesis"
    assert refounded(with_body(home, Genesis(FOUNDER, 1, (("a", 1), ("b", 1))))) == ""


def test_a_founder_whose_sealing_key_is_of_small_order_founds_nothing(home: Replica) -> None:
    keys = DeviceKeys(1, ALICE.device.keys.signing, ZERO)
    operation = with_body(home, Genesis(Identity(keys, (), 0, ZERO), 1, ()))
    assert refounded(resign(operation, ALICE.device, device=keys.id)) == "genesis"


def test_a_genesis_of_other_rules_is_left_to_newer_software(home: Replica) -> None:
    assert refounded(with_body(home, Genesis(FOUNDER, 2, ()))) == "rules"


def test_a_genesis_must_fit_the_budget_that_it_sets(home: Replica) -> None:
    mean = Genesis(FOUNDER, 1, (("budget.coordinator.capacity", 1),))
    operation = with_body(home, mean)
    judge = replica(RealmId(operation_id(operation.header)), "new")
    assert judge.receive(operation) == "budget"
    assert not judge.judge.authority.bits, "and nothing of it is learned"


def test_a_second_genesis_inside_a_realm_is_refused(home: Replica) -> None:
    again = Draft.fact(GENESIS, Genesis(FOUNDER, 1, ()), log=0)
    assert home.receive(home.draw(ALICE.device, again)) == "realm"


# --- where nothing is known ---------------------------------------------------------------------


def test_before_the_genesis_everything_waits(home: Replica, bob: Person) -> None:
    last = home.note(bob)
    empty = replica(home.realm, "empty")
    outcome = empty.receive(home.operations[last.id])
    assert isinstance(outcome, Missing)
    for operation in reversed(home.operations.values()):
        empty.receive(operation)
    assert empty.verdicts() == home.verdicts()


def test_a_judge_of_another_rules_version_says_so(home: Replica) -> None:
    judge = Judge(home.realm, Rules.of(7, CORE))
    other = Replica(home.realm, "other", judge)
    assert other.receive(genesis_of(home)) == "rules"


def test_an_author_may_cite_at_most_16_heads_and_the_next_ones_later(home: Replica) -> None:
    people = [home.welcome(f"person {i}", Role.MEMBER) for i in range(20)]
    reader = home.welcome("reader")
    islands = [home.island(who.name) for who in people]
    for who, island in zip(people, islands, strict=True):
        island.invite(who, who.name + "'s guest")
    for island in islands:
        home.meet(island)
    first, second = home.note(reader), home.note(reader)
    assert len(home.header(first.id).authority) == 16, "as many as fit"
    assert len(home.header(second.id).authority) == 4, "and the rest with the next operation"
    assert second.view == home.judge.authority.whole
    assert said(second) == ("accepted", "")


def test_references_are_ordered_whatever_order_the_author_thought_of(
    home: Replica, bob: Person
) -> None:
    notes = [home.note(ALICE).id for _ in range(5)]
    loan = home.write(bob.device, Draft.fact(LOAN, Number(1), refs=notes[::-1] + notes))
    assert home.header(loan.id).refs == ordered(notes)
