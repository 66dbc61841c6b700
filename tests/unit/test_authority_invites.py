"""Invites: proof without showing the secret, any node admits, islands may admit too many."""

from dataclasses import replace

import pytest
from tests.unit.town import (
    DAY_MS,
    LOAN,
    METER,
    Number,
    Person,
    Replica,
    Ticket,
    identity,
    person,
    replica,
    said,
    secrets,
    town,
)

from commons_crdt.author import Draft
from commons_crdt.authority.facts import Admit, Identity, NodeGrant
from commons_crdt.authority.kinds import ADMIT, NODE
from commons_crdt.device import DeviceKeys, sign_claim
from commons_crdt.ids import ZERO, DocumentId
from commons_crdt.roles import Role

ALICE, EVE = person("alice"), person("eve")
HOME_NODE, BOBS_NODE = secrets("alice's node"), secrets("bob's node")
ACCEPTED = ("accepted", "")


@pytest.fixture
def home() -> Replica:
    return town()


@pytest.fixture
def bob(home: Replica) -> Person:
    """A member with a node of his own."""
    bob = home.welcome("bob", Role.MEMBER)
    home.grant_node(bob, BOBS_NODE)
    return bob


def admit(
    home: Replica,
    ticket: Ticket,
    *,
    who: Identity | None = None,
    possession: bytes | None = None,
    consent: bytes | None = None,
    document: DocumentId | None = None,
) -> tuple[str, str]:
    """An admission of eve with something changed, and what becomes of it."""
    who = who or identity(EVE.device)
    signed = (home.realm, ticket.id, who.member)
    fact = Admit(
        ticket.id,
        who,
        possession or sign_claim("possess", ticket.seed, *signed),
        consent or sign_claim("consent", EVE.device.signing, *signed),
        (),
    )
    document = document or DocumentId(who.member)
    return said(home.write(HOME_NODE, Draft.fact(ADMIT, fact, log=0, document=document)))


# --- the way in ---------------------------------------------------------------------------------


def test_an_invite_gives_newcomer_and_any_node_admits(home: Replica, bob: Person) -> None:
    ticket = home.invite(ALICE)
    assert said(home.admit(BOBS_NODE, ticket, EVE)) == ACCEPTED, "alice need not be online"
    assert home.role(EVE) is Role.NEWCOMER
    assert said(home.note(EVE)) == ACCEPTED
    assert bob.member in home.judge.authority.members()


def test_a_newcomers_node_admits_too(home: Replica) -> None:
    carol = home.welcome("carol")
    node = secrets("carol's node")
    home.grant_node(carol, node)
    assert said(home.admit(node, home.invite(ALICE), EVE)) == ACCEPTED


def test_what_a_stranger_writes_is_rejected_with_its_grant(home: Replica) -> None:
    ticket = home.invite(ALICE)
    assert admit(home, ticket, possession=bytes(64)) == ("rejected", "possession")
    assert said(home.note(EVE)) == ("rejected", "grant"), "a chain from a grant that is void"
    assert home.role(EVE) is None


def test_an_unknown_invite_lets_nobody_in(home: Replica, bob: Person) -> None:
    note = home.note(bob)
    for ident in (b"x" * 32, home.realm, note.id):
        ticket = Ticket(type(note.id)(ident), b"s" * 32)
        assert admit(home, ticket) == ("rejected", "invite")


def test_an_invite_that_its_admitter_has_not_seen_lets_nobody_in(home: Replica) -> None:
    island = home.island("island")
    ticket = home.invite(ALICE)
    early = island.write(HOME_NODE, island.admission(ticket, EVE))
    assert said(early) == ("rejected", "invite")
    island.meet(home)
    assert home.says(early) == ("rejected", "invite"), "also where the invite is known"


def test_an_admission_that_did_not_see_its_invite_uses_nothing_up(home: Replica) -> None:
    island = home.island("island")
    ticket = home.invite(ALICE)
    island.write(HOME_NODE, island.admission(ticket, EVE))
    first, second = home.island("invite first"), island.island("admission first")
    first.meet(island)
    second.meet(home)
    carol = person("carol")
    for node in (first, second):
        counted = node.judge.authority.admissions(ticket.id, node.judge.authority.whole)
        assert counted == 0, "whichever of the two came first"
    assert carol.member not in first.judge.authority.members()


def test_a_rejected_invite_lets_nobody_in(home: Replica) -> None:
    mallory = home.welcome("mallory")
    ticket = home.invite(mallory)
    assert home.says(ticket.id) == ("rejected", "role"), "newcomers do not invite"
    assert admit(home, ticket) == ("rejected", "invite")


def test_an_expired_invite_lets_nobody_in(home: Replica) -> None:
    ticket = home.invite(ALICE, days=1)
    last = home.island("in time")
    last.now_ms += DAY_MS - 2000
    assert admit(last, ticket) == ACCEPTED, "the admitting operation's time counts"
    home.now_ms += DAY_MS + 1
    assert admit(home, ticket) == ("rejected", "expired")


def test_possession_is_proved_for_this_realm_invite_and_member(home: Replica) -> None:
    ticket, other = home.invite(ALICE, "one"), home.invite(ALICE, "other")
    who = identity(EVE.device).member
    for wrong in (
        sign_claim("possess", other.seed, home.realm, ticket.id, who),
        sign_claim("possess", ticket.seed, b"r" * 32, ticket.id, who),
        sign_claim("possess", ticket.seed, home.realm, other.id, who),
        sign_claim("possess", ticket.seed, home.realm, ticket.id, ALICE.member),
        sign_claim("consent", ticket.seed, home.realm, ticket.id, who),
    ):
        assert admit(home, ticket, possession=wrong) == ("rejected", "possession")
    assert admit(home, ticket) == ACCEPTED


def test_the_newcomers_device_signs_for_its_admission(home: Replica) -> None:
    ticket = home.invite(ALICE)
    signed = (home.realm, ticket.id, identity(EVE.device).member)
    for wrong in (
        sign_claim("consent", secrets("mallory").signing, *signed),
        sign_claim("possess", EVE.device.signing, *signed),
        sign_claim("consent", EVE.device.signing, b"r" * 32, *signed[1:]),
    ):
        assert admit(home, ticket, consent=wrong) == ("rejected", "consent")


def test_a_possession_is_not_replayed_in_another_realm(home: Replica) -> None:
    ticket = home.invite(ALICE)
    elsewhere = town((("timezone", "Europe/Lisbon"),))
    copied = Ticket(elsewhere.invite(ALICE).id, ticket.seed)
    body = home.admission(ticket, EVE)
    outcome = elsewhere.write(HOME_NODE, body)
    assert said(outcome) == ("rejected", "invite"), "an invite of one realm is unknown in another"
    signed = (home.realm, copied.id, identity(EVE.device).member)
    replayed = admit(elsewhere, copied, possession=sign_claim("possess", ticket.seed, *signed))
    assert replayed == ("rejected", "possession"), "though both invites have one key"


def test_nobody_is_let_in_with_a_key_to_which_nothing_can_be_sealed(home: Replica) -> None:
    keys = DeviceKeys(1, EVE.device.keys.signing, ZERO)
    assert admit(home, home.invite(ALICE), who=Identity(keys, (), 0, ZERO)) == ("rejected", "keys")


def test_an_admission_names_its_member_as_document(home: Replica) -> None:
    wrong = DocumentId(ALICE.member)
    assert admit(home, home.invite(ALICE), document=wrong) == ("rejected", "document")


# --- used up ------------------------------------------------------------------------------------


def test_an_invite_that_is_seen_to_be_used_up_lets_nobody_in(home: Replica) -> None:
    ticket = home.invite(ALICE, uses=2)
    names = ("bob", "carol", "eve")
    outcomes = [said(home.admit(HOME_NODE, ticket, person(name))) for name in names]
    assert outcomes == [ACCEPTED, ACCEPTED, ("rejected", "spent")]
    assert not home.judge.authority.flagged()


def test_a_one_use_invite_on_two_islands_lets_two_in_and_flags_both(
    home: Replica, bob: Person
) -> None:
    ticket = home.invite(ALICE)
    left, right = home.island("left"), home.island("right")
    dora, emil = person("dora"), person("emil")
    assert said(left.admit(HOME_NODE, ticket, dora)) == ACCEPTED
    assert said(right.admit(BOBS_NODE, ticket, emil)) == ACCEPTED
    assert not left.judge.authority.flagged()
    left.meet(right)
    for node in (left, right, replica(home.realm, "late", right.operations.values())):
        assert node.judge.authority.flagged() == {dora.member, emil.member}, "both, everywhere"
        assert node.role(dora) is node.role(emil) is Role.NEWCOMER, "both stay, as newcomers"
        assert node.set_hash() == left.set_hash()
    assert said(left.admit(HOME_NODE, ticket, EVE)) == ("rejected", "spent")
    assert bob.member not in left.judge.authority.flagged()


def test_the_flag_goes_when_somebody_who_knows_decides(home: Replica, bob: Person) -> None:
    ticket = home.invite(ALICE)
    left, right = home.island("left"), home.island("right")
    dora, emil = person("dora"), person("emil")
    left.admit(HOME_NODE, ticket, dora)
    left.give_role(ALICE, dora, Role.MEMBER)
    right.admit(BOBS_NODE, ticket, emil)
    left.meet(right)
    assert left.judge.authority.flagged() == {dora.member, emil.member}, (
        "alice decided without knowing of emil"
    )
    left.give_role(ALICE, emil, Role.MEMBER)
    assert left.judge.authority.flagged() == {dora.member}
    assert bob.member not in left.judge.authority.flagged()


def test_one_newcomer_at_two_nodes_is_one_use(home: Replica, bob: Person) -> None:
    ticket = home.invite(ALICE, uses=2)
    left, right = home.island("left"), home.island("right")
    left.admit(HOME_NODE, ticket, EVE)
    right.admit(BOBS_NODE, ticket, EVE)
    left.meet(right)
    assert said(left.admit(HOME_NODE, ticket, person("dora"))) == ACCEPTED, (
        "eve asked twice, because the first node did not answer"
    )
    assert not left.judge.authority.flagged()
    assert bob.member in left.judge.authority.members()


def test_copying_an_admission_uses_nothing_up(home: Replica, bob: Person) -> None:
    ticket = home.invite(ALICE, uses=3)
    home.admit(HOME_NODE, ticket, EVE)
    mallory = home.welcome("mallory")
    for _ in range(4):
        copied = home.write(mallory.device, home.admission(ticket, EVE))
        assert said(copied) == ACCEPTED, "it counts by its bytes, and lets in who is in"
    for name in ("dora", "emil"):
        assert said(home.admit(HOME_NODE, ticket, person(name))) == ACCEPTED
    assert bob.member in home.judge.authority.members()


def test_an_admission_that_does_not_stand_is_counted_by_its_bytes(home: Replica) -> None:
    ticket = home.invite(ALICE)
    mallory = home.welcome("mallory")
    draft = replace(home.admission(ticket, EVE), document=None)
    assert said(home.write(mallory.device, draft)) == ("rejected", "document")
    assert said(home.admit(HOME_NODE, ticket, person("dora"))) == ("rejected", "spent"), (
        "the holder of the secret used it, in whoever's chain"
    )


# --- a second admission -------------------------------------------------------------------------


def test_a_second_admission_takes_no_role_away(home: Replica, bob: Person) -> None:
    ticket = home.invite(ALICE)
    island = home.island("bob's")
    home.admit(HOME_NODE, ticket, EVE)
    home.give_role(ALICE, EVE, Role.STEWARD)
    again = island.admit(BOBS_NODE, ticket, EVE)
    assert said(again) == ACCEPTED, "on an island that has not seen the first"
    home.meet(island)
    assert home.role(EVE) is Role.STEWARD, "nobody's node makes a steward a newcomer"
    assert said(home.write(EVE.device, Draft.fact(LOAN, Number(0)))) == ACCEPTED
    assert bob.member in home.judge.authority.members()


def test_the_member_behind_a_node_is_the_one_whose_chain_granted_it(
    home: Replica, bob: Person
) -> None:
    """One device, let in as a member and granted as bob's node: its chains tell who it is."""
    ticket = home.invite(ALICE)
    left, right = home.island("left"), home.island("right")
    left.admit(HOME_NODE, ticket, EVE)
    theirs = secrets("eve's node")
    granted = left.grant_node(EVE, theirs)
    right.grant_node(bob, EVE.device)
    left.meet(right)
    for node in (left, right):
        grant = node.judge.authority.grants[granted.id]
        assert grant.member == EVE.member, "in whatever order the two came"
    assert left.judge.authority.devices == right.judge.authority.devices


# --- nodes --------------------------------------------------------------------------------------


def test_a_node_signs_for_its_grant_and_the_grant_names_its_member(
    home: Replica, bob: Person
) -> None:
    node = secrets("carol's node")
    stolen = home.node_grant(ALICE, node)
    assert said(home.write(bob.device, stolen)) == ("rejected", "consent"), (
        "a consent for alice is none for bob"
    )
    draft = home.node_grant(bob, node)
    wrong = Draft(draft.kind, draft.content, 0, DocumentId(ALICE.member))
    assert said(home.write(bob.device, wrong)) == ("rejected", "document")
    assert said(home.write(bob.device, draft)) == ACCEPTED


def test_no_node_is_granted_with_a_key_to_which_nothing_can_be_sealed(
    home: Replica, bob: Person
) -> None:
    node = secrets("broken node")
    consent = sign_claim("consent", node.signing, home.realm, bob.member)
    fact = NodeGrant(DeviceKeys(1, node.keys.signing, ZERO), consent, ())
    draft = Draft.fact(NODE, fact, log=0, document=DocumentId(bob.member))
    assert said(home.write(bob.device, draft)) == ("rejected", "keys")


def test_a_node_does_not_grant_nodes(home: Replica, bob: Person) -> None:
    draft = home.node_grant(bob, secrets("third node"))
    assert said(home.write(BOBS_NODE, draft)) == ("rejected", "role")
    assert said(home.write(secrets("third node"), Draft.fact(METER, Number(1)))) == (
        "rejected",
        "grant",
    )
