"""Verdicts where the envelope is good: kinds, roles, bodies, erasures. The chain always goes on."""

from dataclasses import replace

import msgspec
import pytest
from tests.unit.town import (
    LOAN,
    METER,
    NOTE,
    NOTICE,
    PAGE,
    Number,
    Person,
    Replica,
    decided,
    person,
    replica,
    resign,
    said,
    secrets,
    town,
)

from commons_crdt.author import Draft
from commons_crdt.authority.facts import Erasure, Invite, RoleAct
from commons_crdt.authority.judge import ERASURE, Standing
from commons_crdt.authority.kinds import INVITE, NODE, ROLE
from commons_crdt.ids import DocumentId
from commons_crdt.kinds import Kind, Rules, encode_fact
from commons_crdt.operation import PartRef, part_hash, salted
from commons_crdt.roles import Role

ALICE = person("alice")
ACCEPTED = ("accepted", "")


@pytest.fixture
def home() -> Replica:
    return town()


@pytest.fixture
def bob(home: Replica) -> Person:
    return home.welcome("bob", Role.MEMBER)


def goes_on(home: Replica, who: Person) -> None:
    """Whatever became of the last operation, the next one has its verdict."""
    assert said(home.note(who)) == ACCEPTED, "the chain goes on"


# --- kinds --------------------------------------------------------------------------------------


def test_an_unknown_kind_is_unknown_in_log_1(home: Replica, bob: Person) -> None:
    later = home.write(bob.device, Draft("town.party.1", b"anything"))
    assert said(later) == ("unknown", "unlisted"), "stored and relayed, for newer software"
    assert "newer version" in later.judgement.sentence
    goes_on(home, bob)


def test_an_unknown_kind_is_rejected_in_log_0(home: Replica, bob: Person) -> None:
    later = home.write(bob.device, Draft("council.party.1", b"anything", log=0))
    assert said(later) == ("rejected", "kind"), "authority never waits for newer software"
    assert home.says(home.invite(bob).id) == ACCEPTED, "the chain goes on"


def test_an_unknown_kind_needs_no_body(home: Replica, bob: Person) -> None:
    operation = home.draw(bob.device, Draft("town.party.1", b"anything"))
    assert said(home.receive(replace(operation, body=None))) == ("unknown", "unlisted")
    operation = home.draw(bob.device, Draft("council.party.1", b"anything", log=0))
    assert said(home.receive(replace(operation, body=None))) == ("rejected", "kind")


@pytest.mark.parametrize(
    ("kind", "body", "log"),
    [(NOTE, Number(1), 0), (ROLE, RoleAct(b"m" * 32, 2), 1), (ERASURE, Erasure(b"t" * 32), 0)],
)
def test_a_kind_stands_in_its_own_log(
    home: Replica, kind: str, body: msgspec.Struct, log: int
) -> None:
    misplaced = home.write(ALICE.device, Draft.fact(kind, body, log=log))
    assert said(misplaced) == ("rejected", "log")


def test_a_role_act_in_log_1_gives_nothing(home: Replica) -> None:
    bob = home.welcome("bob")
    act = RoleAct(bob.member, Role.HOST)
    draft = Draft.fact(ROLE, act, log=1, document=DocumentId(bob.member))
    assert said(home.write(ALICE.device, draft)) == ("rejected", "log")
    assert home.role(bob) is Role.NEWCOMER


# --- roles --------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", list(Role)[:4])
def test_each_kind_needs_its_role(home: Replica, role: Role) -> None:
    bob = home.welcome("bob", role)
    for kind, needed in ((NOTE, Role.NEWCOMER), (LOAN, Role.MEMBER), (NOTICE, Role.STEWARD)):
        expected = ACCEPTED if role >= needed else ("rejected", "role")
        written = home.write(bob.device, Draft.fact(kind, Number(0)))
        assert said(written) == expected, f"a {role.word} and {kind}"


def test_a_newcomer_may_not_invite(home: Replica) -> None:
    eve = home.welcome("eve")
    draft = Draft.fact(INVITE, Invite(b"k" * 32, 1, 2**50), log=0)
    assert said(home.write(eve.device, draft)) == ("rejected", "role")


def test_a_nodes_device_writes_nothing_on_a_members_behalf(home: Replica) -> None:
    node = secrets("alice's node")
    assert said(home.write(node, Draft.fact(METER, Number(1)))) == ACCEPTED
    for kind, body, log in (
        (NOTE, Number(1), 1),
        (INVITE, Invite(b"k" * 32, 1, 2**50), 0),
        (ROLE, RoleAct(b"m" * 32, 2), 0),
    ):
        written = home.write(node, Draft.fact(kind, body, log=log))
        assert said(written) == ("rejected", "role"), "though its owner is the coordinator"


def test_a_member_does_not_write_what_nodes_write(home: Replica, bob: Person) -> None:
    assert said(home.write(bob.device, Draft.fact(METER, Number(1)))) == ("rejected", "role")


def test_an_admission_counts_by_its_signatures_whoever_carries_it(
    home: Replica, bob: Person
) -> None:
    draft = home.admission(home.invite(person("alice")), person("eve"))
    assert said(home.write(bob.device, draft)) == ACCEPTED, "not only in a node's chain"
    assert home.role(person("eve")) is Role.NEWCOMER


def test_a_role_counts_from_where_its_author_knows_of_it(home: Replica) -> None:
    bob = home.welcome("bob")
    island = home.island("bob's")
    home.give_role(ALICE, bob, Role.STEWARD)
    early = island.write(bob.device, Draft.fact(NOTICE, Number(1)))
    assert said(early) == ("rejected", "role")
    island.meet(home)
    assert island.says(early) == ("rejected", "role"), "a later role does not reach back"
    assert said(island.write(bob.device, Draft.fact(NOTICE, Number(1)))) == ACCEPTED


# --- bodies -------------------------------------------------------------------------------------


def test_a_body_that_is_not_of_its_kind_is_rejected(home: Replica, bob: Person) -> None:
    for content in (b"garbage", b"", encode_fact(Erasure(b"t" * 32))):
        assert said(home.write(bob.device, Draft(NOTE, content))) == ("rejected", "malformed")
        goes_on(home, bob)


def test_an_edit_that_is_no_change_is_rejected(home: Replica, bob: Person) -> None:
    assert said(home.write(bob.device, Draft(PAGE, b"bad"))) == ("rejected", "malformed")
    goes_on(home, bob)


def test_an_oversize_body_is_rejected_with_or_without_its_bytes(home: Replica) -> None:
    host = home.welcome("host", Role.HOST)
    operation = home.draw(host.device, Draft(NOTICE, b"x" * 65))
    elsewhere = home.island("elsewhere")
    assert said(home.receive(operation)) == ("rejected", "oversize")
    without = elsewhere.receive(replace(operation, body=None))
    assert said(without) == ("rejected", "oversize"), "nobody needs to fetch it"
    goes_on(home, host)
    elsewhere.meet(home)
    assert elsewhere.set_hash() == home.set_hash()


def test_an_oversize_grant_is_known_to_no_node(home: Replica, bob: Person) -> None:
    operation = home.draw(bob.device, Draft(NODE, b"x" * 20_000, log=0))
    elsewhere = home.island("elsewhere")
    assert said(home.receive(operation)) == ("rejected", "oversize")
    assert said(elsewhere.receive(replace(operation, body=None))) == ("rejected", "oversize")
    assert home.judge.authority.grants == elsewhere.judge.authority.grants


def test_log_0_always_travels_with_its_bodies(home: Replica, bob: Person) -> None:
    operation = home.draw(bob.device, Draft.fact(ROLE, RoleAct(b"m" * 32, 2), log=0))
    outcome = home.receive(replace(operation, body=None))
    assert outcome == "contents", "even where its author's role does not allow it"
    assert said(home.receive(operation)) == ("rejected", "role")


def test_a_grant_that_does_not_stand_is_the_same_with_every_sender(
    home: Replica,
) -> None:
    eve, hers = home.welcome("eve"), secrets("eve's node")
    drawn = home.draw(eve.device, home.node_grant(eve, hers))
    broken = resign(drawn, eve.device, document=b"wrong".ljust(32))
    assert home.receive(replace(broken, body=None)) == "contents", "ask somebody who has it"
    assert said(home.receive(broken)) == ("rejected", "document")
    assert said(home.write(hers, Draft.fact(METER, Number(1)))) == ("rejected", "grant")


def test_what_has_no_body_waits_for_it(home: Replica, bob: Person) -> None:
    operation = home.draw(bob.device, Draft.fact(LOAN, Number(0)))
    waits = decided(home.receive(replace(operation, body=None)))
    assert said(waits) == ("pending", "contents")
    before = home.set_hash()
    goes_on(home, bob)
    home.receive(operation)
    assert home.says(waits) == ACCEPTED
    assert before != home.set_hash()


def test_a_part_that_the_kind_does_not_allow_is_rejected(home: Replica, bob: Person) -> None:
    good = Draft.fact(NOTE, Number(1), parts=[("text", b"hello")])
    assert said(home.write(bob.device, good)) == ACCEPTED
    for parts in ([("photo", b"hello")], [("text", b"x" * 501)]):
        draft = Draft.fact(NOTE, Number(1), parts=parts)
        assert said(home.write(bob.device, draft)) == ("rejected", "part")
        goes_on(home, bob)


def test_a_part_is_judged_by_what_the_header_says_of_it(home: Replica, bob: Person) -> None:
    part = salted(b"s" * 32, b"hello")
    drawn = home.draw(bob.device, Draft.fact(NOTE, Number(1)))
    parts = (PartRef("text", len(part), part_hash(part)),)
    operation = resign(drawn, bob.device, parts=parts)
    assert said(home.receive(operation)) == ACCEPTED, "its bytes may be absent anywhere"


def test_a_kinds_own_rule_has_the_last_word(home: Replica, bob: Person) -> None:
    for value, reason in ((-1, "terms"), (1, "reference")):
        written = home.write(bob.device, Draft.fact(LOAN, Number(value)))
        assert said(written) == ("rejected", reason)
        goes_on(home, bob)


def test_the_first_reason_is_reported(home: Replica) -> None:
    eve = home.welcome("eve")
    draft = Draft(LOAN, b"x" * 5000, parts=[("photo", b"x")])
    written = home.write(eve.device, draft)
    assert said(written) == ("rejected", "role"), "role before part, oversize and malformed"


def test_a_rejected_operation_still_counts_as_past(home: Replica, bob: Person) -> None:
    rejected = home.write(bob.device, Draft.fact(LOAN, Number(-1)))
    loan = home.write(ALICE.device, Draft.fact(LOAN, Number(1), refs=[rejected.id]))
    assert said(loan) == ACCEPTED, "a void operation does not void another member's"


# --- erasure ------------------------------------------------------------------------------------


def test_an_author_erases_what_is_theirs(home: Replica, bob: Person) -> None:
    note = home.note(bob)
    erasure = home.erase(bob, note)
    assert said(erasure) == ACCEPTED
    assert home.judge.is_erased(home.rules.kinds[NOTE], note.id, note.document)


def test_erased_here_and_held_there_gives_one_truth(home: Replica, bob: Person) -> None:
    note, page = home.note(bob), home.write(bob.device, Draft(PAGE, b"change"))
    elsewhere = home.island("elsewhere")
    home.erase(bob, note)
    home.erase(bob, page)
    elsewhere.meet(home)
    for gone in (note, page):
        assert said(home.lose(gone.id)) == ACCEPTED
        assert elsewhere.says(gone) == ACCEPTED
    assert home.verdicts() == elsewhere.verdicts(), "whatever bytes each of them holds"
    assert home.set_hash() == elsewhere.set_hash()
    late = replica(home.realm, "late", home.operations.values())
    assert late.verdicts() == home.verdicts(), "also where the bytes never came"


def test_a_bad_body_that_is_erased_says_nothing_any_more(home: Replica, bob: Person) -> None:
    bad = home.write(bob.device, Draft(NOTE, b"garbage"))
    elsewhere = home.island("elsewhere")
    home.erase(bob, bad)
    home.lose(bad.id)
    elsewhere.meet(home)
    assert home.says(bad) == elsewhere.says(bad) == ACCEPTED, "judged by its header alone"


def test_sums_and_custody_survive_an_erasure(home: Replica, bob: Person) -> None:
    loan = home.write(bob.device, Draft.fact(LOAN, Number(0), parts=[("text", b"to my uncle")]))
    assert said(home.erase(bob, loan)) == ACCEPTED
    kind = home.rules.kinds[LOAN]
    assert not home.judge.is_erased(kind, loan.id, loan.document), "only its parts go"
    home.operations[loan.id] = replace(home.operations[loan.id], parts=())
    assert home.says(loan) == ACCEPTED


def test_an_erasure_whose_body_comes_late_is_learned(home: Replica, bob: Person) -> None:
    note = home.note(bob)
    draft = Draft.fact(ERASURE, Erasure(note.id), document=note.document, refs=[note.id])
    operation = home.draw(bob.device, draft)
    elsewhere = home.island("elsewhere")
    waits = decided(elsewhere.receive(replace(operation, body=None)))
    assert said(waits) == ("pending", "contents")
    elsewhere.receive(operation)
    home.receive(operation)
    assert elsewhere.judge.erased == home.judge.erased == {note.id}
    assert said(elsewhere.lose(note.id)) == ACCEPTED


@pytest.mark.parametrize(
    ("role", "fact", "page"),
    [
        (Role.MEMBER, ("rejected", "target"), ("rejected", "target")),
        (Role.STEWARD, ("rejected", "target"), ACCEPTED),
    ],
)
def test_nobody_erases_somebody_elses_words_alone(
    home: Replica, bob: Person, role: Role, fact: tuple[str, str], page: tuple[str, str]
) -> None:
    eve = home.welcome("eve", role)
    note, document = home.note(bob), home.write(bob.device, Draft(PAGE, b"change"))
    assert said(home.erase(eve, note)) == fact, f"a {role.word} and bob's note"
    assert said(home.erase(eve, document)) == page, f"a {role.word} and bob's page"
    assert said(home.lose(note.id))[0] == "pending", "without the right, bytes stay needed"


def test_a_coordinator_erases_anything_of_log_1(home: Replica, bob: Person) -> None:
    assert said(home.erase(ALICE, home.note(bob))) == ACCEPTED


def test_an_edit_gives_no_right_to_erase_the_document(home: Replica, bob: Person) -> None:
    eve = home.welcome("eve", Role.MEMBER)
    page = home.write(bob.device, Draft(PAGE, b"change"))
    draft = Draft(PAGE, b"another", document=page.document, refs=[page.id])
    edit = home.write(eve.device, draft)
    assert said(edit) == ACCEPTED
    assert said(home.erase(eve, edit)) == ("rejected", "target"), "the page is bob's"
    assert page.document not in home.judge.erased
    assert said(home.erase(bob, page)) == ACCEPTED


def test_erasing_a_page_frees_no_fact_from_its_rule(home: Replica, bob: Person) -> None:
    page = home.write(bob.device, Draft(PAGE, b"change"))
    home.erase(bob, page)
    about = home.write(bob.device, Draft(NOTE, b"garbage", document=page.document))
    assert said(about) == ("rejected", "malformed"), "a fact about it is no part of it"


def test_an_edit_made_on_an_island_is_erased_with_its_page(home: Replica, bob: Person) -> None:
    page = home.write(bob.device, Draft(PAGE, b"change"))
    island = home.island("island")
    edit = Draft(PAGE, b"bad", document=page.document, refs=[page.id])
    late = island.write(ALICE.device, edit)
    assert said(late) == ("rejected", "malformed")
    home.erase(bob, page)
    home.meet(island)
    assert home.says(late) == island.says(late) == ACCEPTED
    assert home.set_hash() == island.set_hash(), "erased before or after it came"


def test_an_erasure_names_its_target_as_reference_and_document(home: Replica, bob: Person) -> None:
    note = home.note(bob)
    fact = Erasure(note.id)
    for draft, reason in (
        (Draft.fact(ERASURE, fact, document=note.document), "reference"),
        (Draft.fact(ERASURE, fact, refs=[note.id]), "document"),
    ):
        assert said(home.write(bob.device, draft)) == ("rejected", reason)


def test_authority_cannot_be_erased(home: Replica, bob: Person) -> None:
    ticket = home.standings[home.invite(bob).id]
    for who in (bob, ALICE):
        assert said(home.erase(who, ticket)) == ("rejected", "target")


def test_an_erasure_cannot_be_erased(home: Replica, bob: Person) -> None:
    note = home.note(bob)
    erasure = home.erase(bob, note)
    home.erase(bob, erasure)
    assert said(home.lose(note.id)) == ACCEPTED, "what is erased stays erased"


# --- the list of kinds --------------------------------------------------------------------------


def test_a_name_stands_for_one_kind() -> None:
    with pytest.raises(ValueError, match=NOTE):
        Rules.of(1, [Kind(NOTE, Number), Kind(NOTE, Number)])


def test_no_kind_is_larger_than_a_frame() -> None:
    with pytest.raises(ValueError, match="larger than a frame"):
        Kind(NOTE, Number, max_body=65_537)


def test_every_verdict_explains_itself(home: Replica, bob: Person) -> None:
    for standing in (home.note(bob), home.write(bob.device, Draft(NOTE, b"garbage"))):
        assert isinstance(standing, Standing)
        assert standing.judgement.sentence.endswith(".")
