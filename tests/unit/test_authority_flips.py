"""What a judge tells besides verdicts: what flips, what it asks for, where chains end."""

import msgspec
import pytest
from tests.unit.town import NOTICE, Number, Person, Replica, person, replica, said, secrets, town

from commons_crdt.author import Draft
from commons_crdt.authority.endings import NOTHING, Ending, Position
from commons_crdt.authority.facts import Branch, Removal
from commons_crdt.authority.flips import Anchor, End
from commons_crdt.authority.identity_facts import AddDevice
from commons_crdt.authority.judge import Judge, Standing
from commons_crdt.authority.kinds import BRANCH, REMOVAL
from commons_crdt.authority.kinds_identity import DEVICE
from commons_crdt.device import sign_claim
from commons_crdt.ids import DocumentId, OperationId
from commons_crdt.operation import Operation, operation_id
from commons_crdt.roles import Role
from commons_crdt.verdict import contested

ALICE = person("alice")
ACCEPTED, CUT = ("accepted", ""), ("rejected", "cut")


@pytest.fixture
def home() -> Replica:
    return town()


@pytest.fixture
def eve(home: Replica) -> Person:
    return home.welcome("eve", Role.STEWARD)


def position(standing: Standing | None) -> Position:
    return NOTHING if standing is None else Position(standing.seq, standing.id)


def removal(who: Person, authority: Standing | None, record: Standing | None) -> Draft:
    ending = Ending(who.device.keys.id, position(authority), position(record))
    body = Removal(who.member, 0, (ending,), "other")
    return Draft.fact(REMOVAL, body, log=0, document=DocumentId(who.member))


def test_a_removal_flips_what_lies_beyond_it_in_both_logs(home: Replica, eve: Person) -> None:
    first, second = home.note(eve, 1), home.note(eve, 2)
    ticket = home.invite(eve)
    home.write(ALICE.device, removal(eve, None, first))
    assert home.says(first) == ACCEPTED
    assert home.says(second) == home.says(ticket.id) == CUT
    assert home.judge.end(eve.device.keys.id, 1) == End(first.seq, first.id, "cut")
    assert home.judge.end(eve.device.keys.id, 0) == End(0, None, "cut")
    assert [home.judge.relays(home.standings[s.id]) for s in (first, second)] == [True, False]
    assert eve.member not in home.judge.authority.members()
    assert eve.device.keys.id not in home.judge.authority.standing_devices()


def test_only_what_changes_is_told(home: Replica, eve: Person) -> None:
    home.note(eve, 1)
    home.note(ALICE, 1)
    act = home.draw(ALICE.device, removal(eve, None, None))
    judged = home.judge.judge(home.candidate(*_with_id(act)), home.standings.get)
    assert isinstance(judged, Standing)
    flips = home.judge.flips()
    assert flips.chains == {(eve.device.keys.id, 1)}, "nobody else's chain"
    assert not flips.operations, "eve wrote nothing in log 0"
    assert flips.ends == {(eve.device.keys.id, log) for log in (0, 1)}
    assert not home.judge.flips(), "it is told once"


def _with_id(operation: Operation) -> tuple[OperationId, Operation]:
    return operation_id(operation.header), operation


def test_a_named_operation_that_is_not_here_is_asked_for(home: Replica, eve: Person) -> None:
    left = home.island("left")
    first = home.note(eve, 1)
    second, third = home.note(eve, 2), home.note(eve, 3)
    cut = home.write(ALICE.device, removal(eve, None, second))
    left.receive(home.operations[first.id])
    for ident in (cut.id, *home.judge.authority.bits):
        left.receive(home.operations[ident])
    assert left.says(first) == ("pending", "cut"), "until the named one is here"
    left.receive(home.operations[second.id])
    assert left.says(first) == left.says(second) == ACCEPTED
    left.receive(home.operations[third.id])
    assert left.says(third) == CUT
    assert left.verdicts() == home.verdicts()


def test_the_anchor_of_a_removal_is_asked_once(home: Replica, eve: Person) -> None:
    first = home.note(eve, 1)
    act = home.draw(ALICE.device, removal(eve, None, first))
    ident, operation = _with_id(act)
    home.judge.judge(home.candidate(ident, operation), home.standings.get)
    anchor = Anchor(eve.device.keys.id, first.seq, first.id)
    assert home.judge.flips().wanted == {anchor}
    assert not home.judge.flips().wanted
    home.judge.anchor(anchor, (first.id,))
    assert home.judge.flips().chains == {(eve.device.keys.id, 1)}, "its answer may flip the chain"


def test_a_branch_is_named_and_the_other_stays_contested(home: Replica, eve: Person) -> None:
    below = home.note(eve, 1)
    one = home.note(eve, 2)
    other = home.note(eve, 3, after=below.id)
    assert home.says(one) == home.says(other) == ("contested", "fork")
    ending = Ending(eve.device.keys.id, NOTHING, position(other))
    home.write(
        ALICE.device,
        Draft.fact(BRANCH, Branch(eve.member, ending), log=0, document=DocumentId(eve.member)),
    )
    assert home.says(one) == ("contested", "fork")
    assert home.says(below) == home.says(other) == ACCEPTED
    assert home.judge.end(eve.device.keys.id, 1) == End(other.seq, other.id, "cut")
    order = list(home.operations.values())
    for told in (order[::-1], order[1::2] + order[::2]):
        there = replica(home.realm, "there", [*told, *order])
        assert there.verdicts() == home.verdicts()
        assert there.set_hash() == home.set_hash()


def test_a_member_device_is_stored_again_without_a_flip(home: Replica, eve: Person) -> None:
    home.note(eve, 1)
    home.write(ALICE.device, removal(eve, None, None))
    again = Judge(home.realm, home.rules)
    for ident in home.judge.authority.bits:
        again.restore(home.candidate(ident, home.operations[ident]), home.standings[ident])
    flips = again.flips()
    assert not flips.operations
    assert not flips.chains
    assert again.authority.members() == home.judge.authority.members()
    assert again.end(eve.device.keys.id, 1) == End(0, None, "cut")


def test_a_restored_judge_says_what_it_would_say_otherwise(home: Replica, eve: Person) -> None:
    act = home.give_role(ALICE, eve, Role.HOST)
    again = Judge(home.realm, home.rules)
    for ident in home.judge.authority.bits:
        standing = home.standings[ident]
        if ident == act.id:  # as an older program had judged it
            standing = _contested(standing)
        again.restore(home.candidate(ident, home.operations[ident]), standing)
    assert again.flips().operations == {act.id: home.standings[act.id].judgement}


def _contested(standing: Standing) -> Standing:
    return msgspec.structs.replace(standing, judgement=contested("fork"))


def test_an_erasure_that_falls_gives_back_what_it_took(home: Replica, eve: Person) -> None:
    note = home.note(eve, 1)
    gone = home.erase(eve, note)
    assert note.id in home.judge.erased
    home.write(ALICE.device, removal(eve, None, note))
    assert home.says(gone) == CUT
    assert note.id not in home.judge.erased, "it never was erased by anybody with the right"


def test_a_chain_of_a_thousand_devices_is_followed(home: Replica) -> None:
    """Nothing recurses: each device grants the next one."""
    base, writer = OperationId(home.realm), ALICE.device
    for n in range(1_000):
        fresh = secrets(f"deep {n}")
        consent = sign_claim("consent", fresh.signing, home.realm, ALICE.member)
        body = AddDevice(base, fresh.keys, consent, (), ())
        draft = Draft.fact(DEVICE, body, log=0, document=DocumentId(ALICE.member))
        ident, operation = _with_id(home.draw(writer, draft))
        standing = home.judge.judge(
            home.candidate(ident, operation),
            home.standings.get,
        )
        assert isinstance(standing, Standing)
        home.standings[standing.id] = standing
        home.operations[standing.id] = operation
        home.tips[standing.device, 0] = standing.id
        base, writer = standing.id, fresh
    assert said(home.write(writer, Draft.fact(NOTICE, Number(1)))) == ACCEPTED
    home.judge.forked(ALICE.device.keys.id, 1, 1)
    again = Judge(home.realm, home.rules)
    for ident in home.judge.authority.bits:
        again.restore(home.candidate(ident, home.operations[ident]), home.standings[ident])
    assert not again.flips().operations
