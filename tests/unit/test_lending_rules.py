"""Which facts about loans stand: alice is a coordinator, cia a steward, bob a newcomer."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from tests.unit.street import neighbours
from tests.unit.town import Replica, person

from commons_crdt.author import Draft
from commons_crdt.authority.judge import Standing
from commons_crdt.ids import ZERO, DocumentId, digest
from commons_node.domains.lending.facts import (
    ACCEPT,
    DECISION,
    HANDOVER,
    MAX_LOAN_MS,
    REASON,
    RECEIVE,
    REQUEST,
    RETURN,
    Accept,
    Decision,
    Handover,
    Receive,
    Request,
    Return,
)

DRILL = digest("t-thing", b"drill")
ELSEWHERE = digest("t-op", b"elsewhere")
HOUR_MS = 3_600_000


@pytest.fixture
def town() -> Replica:
    return neighbours()


def say(
    town: Replica,
    who: str,
    kind: str,
    body: msgspec.Struct,
    document: bytes | None = None,
    refs: Sequence[Standing] = (),
    parts: Sequence[tuple[str, bytes]] = (),
) -> Standing:
    """Somebody writes a fact, and the town judges it."""
    loan = None if document is None else DocumentId(document)
    draft = Draft.fact(kind, body, document=loan, refs=[ref.id for ref in refs], parts=parts)
    return town.write(person(who).device, draft)


def ask(town: Replica, who: str = "bob", *, begin: int = 1, end: int = HOUR_MS) -> Standing:
    return say(town, who, REQUEST, Request(DRILL, begin, end, "Europe/Stockholm"))


def reason(town: Replica, standing: Standing) -> str:
    """Why it does not stand, "" if it does."""
    return town.says(standing)[1]


def test_a_whole_loan_stands_step_by_step(town: Replica) -> None:
    loan = ask(town)
    yes = say(town, "cia", DECISION, Decision(True), loan.id, [loan])
    body = Handover(DRILL, person("bob").member, ZERO)
    offer = say(town, "cia", HANDOVER, body, loan.id, [loan, yes])
    taken = say(town, "bob", ACCEPT, Accept(offer.id, DRILL), loan.id)
    back = say(town, "bob", RETURN, Return(DRILL, taken.id), loan.id)
    receipt = Receive(back.id, DRILL, person("bob").member, "ticket", taken.id)
    done = say(town, "alice", RECEIVE, receipt, loan.id, [back, taken])
    assert {reason(town, one) for one in (loan, yes, offer, taken, back, done)} == {""}


@pytest.mark.parametrize(("begin", "end"), [(HOUR_MS, HOUR_MS), (HOUR_MS, 1), (1, MAX_LOAN_MS + 2)])
def test_a_request_ends_after_it_begins_within_a_year(town: Replica, begin: int, end: int) -> None:
    assert reason(town, ask(town, begin=begin, end=end)) == "terms"


def test_a_request_is_about_itself(town: Replica) -> None:
    body = Request(DRILL, 1, HOUR_MS, "UTC")
    assert reason(town, say(town, "bob", REQUEST, body, ELSEWHERE)) == "document"


def test_deciding_handing_over_and_receiving_are_for_stewards(town: Replica) -> None:
    loan = ask(town)
    decision = say(town, "bob", DECISION, Decision(True), loan.id, [loan])
    body = Handover(DRILL, person("dan").member, ZERO)
    offer = say(town, "bob", HANDOVER, body, loan.id)
    receipt = Receive(ELSEWHERE, DRILL, person("dan").member, "ok", ELSEWHERE)
    receive = say(town, "bob", RECEIVE, receipt, loan.id)
    assert {reason(town, one) for one in (decision, offer, receive)} == {"role"}


def test_a_decision_refers_to_its_request(town: Replica) -> None:
    loan, other = ask(town), ask(town, "dan")
    assert reason(town, say(town, "cia", DECISION, Decision(True), loan.id)) == "reference"
    crossed = say(town, "cia", DECISION, Decision(True), loan.id, [other])
    assert reason(town, crossed) == "reference"
    no_request = say(town, "cia", DECISION, Decision(True), crossed.id, [crossed])
    assert reason(town, no_request) == "reference"


def test_steps_name_a_loan_and_what_they_answer(town: Replica) -> None:
    bob = person("bob").member
    for who, kind, body, why in (
        ("cia", HANDOVER, Handover(DRILL, bob, ZERO), "document"),
        ("bob", ACCEPT, Accept(ELSEWHERE, DRILL), "document"),
        ("bob", RETURN, Return(DRILL, ELSEWHERE), "document"),
        ("cia", RECEIVE, Receive(ELSEWHERE, DRILL, bob, "ok", ZERO), "document"),
    ):
        assert reason(town, say(town, who, kind, body)) == why, kind
    loan = ask(town).id
    for who, kind, body, why in (
        ("cia", HANDOVER, Handover(DRILL, ZERO, ZERO), "terms"),
        ("cia", HANDOVER, Handover(ZERO, bob, ZERO), "terms"),
        ("bob", ACCEPT, Accept(ZERO, DRILL), "reference"),
        ("bob", RETURN, Return(DRILL, ZERO), "reference"),
        ("cia", RECEIVE, Receive(ZERO, DRILL, bob, "ok", ZERO), "reference"),
        ("cia", RECEIVE, Receive(ELSEWHERE, DRILL, ZERO, "ok", ELSEWHERE), "terms"),
    ):
        assert reason(town, say(town, who, kind, body, loan)) == why, kind


def test_a_ref_that_is_not_what_the_body_says_is_refused(town: Replica) -> None:
    loan, other = ask(town), ask(town, "dan")
    for_dan = Handover(DRILL, person("dan").member, ZERO)
    assert reason(town, say(town, "cia", HANDOVER, for_dan, loan.id, [loan])) == "reference"
    unasked = say(town, "cia", HANDOVER, for_dan, loan.id)
    assert reason(town, unasked) == "", "without the ref it stands, and the fold ignores it"
    taken = say(town, "bob", ACCEPT, Accept(other.id, DRILL), loan.id, [other])
    assert reason(town, taken) == "reference", "a request is no offer"
    theirs = say(town, "dan", ACCEPT, Accept(ELSEWHERE, DRILL), loan.id)
    stolen = say(town, "bob", RETURN, Return(DRILL, theirs.id), loan.id, [theirs])
    assert reason(town, stolen) == "reference", "only one's own acceptance can be returned"


def test_a_reason_is_a_part_of_bounded_length(town: Replica) -> None:
    loan = ask(town)
    short = say(town, "cia", DECISION, Decision(False), loan.id, [loan], [(REASON, b"x" * 1000)])
    assert reason(town, short) == ""
    long = say(town, "cia", DECISION, Decision(False), loan.id, [loan], [(REASON, b"x" * 1001)])
    assert reason(town, long) == "part"
    other = say(town, "bob", ACCEPT, Accept(ELSEWHERE, DRILL), loan.id, (), [(REASON, b"x")])
    assert reason(town, other) == "part"
