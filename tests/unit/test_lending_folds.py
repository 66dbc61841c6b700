"""Loans and custody as folds: alice and cia are stewards, bob and dan borrow, eve meddles."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from commons_crdt.folds import Fact, Subject, Value
from commons_crdt.ids import ZERO, DeviceId, DocumentId, MemberId, OperationId, digest
from commons_crdt.roles import Role
from commons_node.domains.lending import custody as custody_fold
from commons_node.domains.lending import extending, views
from commons_node.domains.lending.facts import (
    ACCEPT,
    CANCEL,
    DECISION,
    EXTEND,
    EXTENDED,
    HANDOVER,
    RECEIVE,
    REQUEST,
    RETURN,
    Accept,
    Cancel,
    Decision,
    Extend,
    Extended,
    Handover,
    Receive,
    Request,
    Return,
)

DRILL, SAW = digest("t-thing", b"drill"), digest("t-thing", b"saw")
HOUR_MS = 3_600_000
ROLES = {"alice": Role.HOST, "cia": Role.STEWARD, "dan": Role.NEWCOMER}


def member(name: str) -> MemberId:
    return MemberId(digest("t-member", name.encode()))


def device(name: str) -> DeviceId:
    return DeviceId(digest("t-device", name.encode()))


@dataclass
class Street:
    """Writes facts down, each device's in a row."""

    facts: list[Fact] = field(default_factory=list)
    seqs: dict[str, int] = field(default_factory=dict)
    counter: itertools.count[int] = field(default_factory=itertools.count)

    def write(
        self, who: str, kind: str, body: msgspec.Struct, loan: bytes = ZERO, on: str = ""
    ) -> Fact:
        """``who`` writes ``body`` about ``loan``, on their own device or on the one named."""
        self.seqs[on or who] = seq = self.seqs.get(on or who, 0) + 1
        number = next(self.counter)
        ident = OperationId(digest("t-op", number.to_bytes(4, "big")))
        document = DocumentId(loan if loan != ZERO else ident)
        role = ROLES.get(who, Role.MEMBER)
        signer = device(on or who)
        fact = Fact(
            ident, kind, member(who), role, signer, 1, seq, number, number, document, body
        )  # fmt: skip
        self.facts.append(fact)
        return fact

    def request(self, who: str, thing: bytes = DRILL) -> Fact:
        return self.write(who, REQUEST, Request(thing, HOUR_MS, 9 * HOUR_MS, "Europe/Stockholm"))

    def decide(self, who: str, loan: Fact, *, approve: bool = True) -> Fact:
        return self.write(who, DECISION, Decision(approve), loan.id)

    def hand_over(self, who: str, loan: Fact, taker: str, previous: bytes = ZERO) -> Fact:
        body = Handover(loan.body.resource, member(taker), previous)
        return self.write(who, HANDOVER, body, loan.id)

    def accept(self, who: str, offer: Fact, on: str = "") -> Fact:
        return self.write(who, ACCEPT, Accept(offer.id, offer.body.resource), offer.document, on)

    def give_back(self, who: str, accept: Fact) -> Fact:
        return self.write(who, RETURN, Return(accept.body.resource, accept.id), accept.document)

    def receive(self, who: str, accept: Fact, offer: Fact | None = None, on: str = "") -> Fact:
        body = Receive(
            offer.id if offer else ZERO, accept.body.resource, accept.member, "ok", accept.id
        )
        return self.write(who, RECEIVE, body, accept.document, on)

    def cancel(self, who: str, loan: Fact) -> Fact:
        return self.write(who, CANCEL, Cancel(loan.body.resource), loan.id)

    def extend(self, who: str, loan: Fact, hours: int) -> Fact:
        """A wish to keep it until that hour of 1970-01-01."""
        day = "1970-01-01"
        body = Extend(loan.body.resource, hours * HOUR_MS, "Europe/Stockholm", "P1D", day, day)
        return self.write(who, EXTEND, body, loan.id)

    def answer(self, who: str, wish: Fact, *, approve: bool = True) -> Fact:
        return self.write(who, EXTENDED, Extended(wish.id, approve), wish.document)

    def lend(self, giver: str, taker: str, previous: bytes = ZERO) -> tuple[Fact, Fact]:
        """A whole loan until it is out: (request, accept)."""
        loan = self.request(taker)
        self.decide(giver, loan)
        return loan, self.accept(taker, self.hand_over(giver, loan, taker, previous))


def loan_row(facts: Iterable[Fact], loan: bytes) -> dict[str, Value] | None:
    """The folded row of a loan, by column."""
    mine = [fact for fact in facts if loan in views.LOANS.keys(fact)]
    row = views.LOANS.fold(Subject(loan, mine))
    return None if row is None else dict(zip(views.COLUMNS, row, strict=True))


def custody_row(facts: Iterable[Fact], thing: bytes = DRILL) -> dict[str, Value] | None:
    """The folded row of a thing's custody, by column."""
    mine = [
        fact
        for fact in facts
        if fact.kind in custody_fold.CUSTODY.kinds and thing in custody_fold.CUSTODY.keys(fact)
    ]
    row = custody_fold.CUSTODY.fold(Subject(thing, mine))
    return None if row is None else dict(zip(custody_fold.COLUMNS, row, strict=True))


def state(facts: Iterable[Fact], loan: Fact) -> Value:
    """The state of a loan."""
    row = loan_row(facts, loan.id)
    assert row is not None, "a requested loan has a row"
    return row["state"]


def test_a_loan_goes_its_way_and_custody_moves_with_the_second_signature() -> None:
    street = Street()
    loan = street.request("bob")
    assert state(street.facts, loan) == "requested"
    street.decide("alice", loan)
    assert state(street.facts, loan) == "approved"
    offer = street.hand_over("alice", loan, "bob")
    assert state(street.facts, loan) == "offered"
    assert custody_row(street.facts) is None, "an offer alone moves nothing"
    taken = street.accept("bob", offer)
    assert state(street.facts, loan) == "on_loan"
    held = custody_row(street.facts)
    assert held is not None
    assert (held["holder"], held["loan"]) == (member("bob"), loan.id), "bob answers for it now"
    back = street.give_back("bob", taken)
    assert state(street.facts, loan) == "returning"
    assert custody_row(street.facts) == held, "an offer to return moves nothing"
    street.receive("cia", taken, back)
    assert state(street.facts, loan) == "returned"
    held = custody_row(street.facts)
    assert held is not None
    assert (held["holder"], held["loan"]) == (member("cia"), None), "cia has it, on no loan"
    row = loan_row(street.facts, loan.id)
    assert row is not None
    assert not row["provisional"], "every half of every step is here"
    assert not held["provisional"]


def test_declining_says_no_until_the_same_steward_says_otherwise() -> None:
    street = Street()
    loan = street.request("bob")
    street.decide("alice", loan, approve=False)
    assert state(street.facts, loan) == "declined"
    street.decide("alice", loan)
    assert state(street.facts, loan) == "approved", "a device's later word replaces its earlier one"
    street.hand_over("alice", loan, "bob")
    street.decide("alice", loan, approve=False)
    assert state(street.facts, loan) == "declined", "an offer that nobody took can be taken back"


def test_two_stewards_who_disagree_are_settled_by_role_and_both_stay_in_sight() -> None:
    street = Street()
    loan = street.request("bob")
    no = street.decide("cia", loan, approve=False)
    yes = street.decide("alice", loan)
    row = loan_row(street.facts, loan.id)
    assert row is not None
    assert row["state"] == "approved", "the host's word goes before the steward's"
    assert row["confirmation"] == yes.id
    assert row["conflicts"] == no.id, "the steward's is still told"


def test_acceptances_that_are_not_the_other_half_are_ignored() -> None:
    street = Street()
    loan = street.request("bob")
    offer = street.hand_over("alice", loan, "bob")
    street.accept("eve", offer)
    assert state(street.facts, loan) == "offered", "eve is not the one it was offered to"
    street.accept("bob", offer, on="alice")
    assert state(street.facts, loan) == "offered", "the giver's own device cannot accept"
    assert custody_row(street.facts) is None
    wrong = street.write("bob", ACCEPT, Accept(offer.id, SAW), loan.id)
    assert state(street.facts, loan) == "offered", "an acceptance of another thing is none"
    assert custody_row(street.facts, wrong.body.resource) is None


def test_nobody_takes_what_was_offered_to_somebody_else_than_who_asked() -> None:
    street = Street()
    loan = street.request("bob")
    offer = street.hand_over("alice", loan, "eve")
    street.accept("eve", offer)
    street.accept("bob", offer)
    assert state(street.facts, loan) == "requested", "the loan is bob's, the offer is not"


def test_an_acceptance_without_its_offer_is_provisional_and_moves_no_custody() -> None:
    street = Street()
    loan, taken = street.lend("alice", "bob")
    without = [fact for fact in street.facts if fact.kind != HANDOVER]
    row = loan_row(without, loan.id)
    assert row is not None
    assert (row["state"], row["provisional"]) == ("on_loan", 1)
    assert custody_row(without) is None, "custody waits for the giver's half"
    alone = loan_row([taken], loan.id)
    assert alone is None, "anybody could say so of a loan that nobody here has heard of"


def test_a_return_is_received_where_only_the_borrowers_chain_is_known() -> None:
    street = Street()
    loan, taken = street.lend("alice", "bob")
    back = street.give_back("bob", taken)
    receipt = street.receive("cia", taken, back)
    here = [fact for fact in street.facts if fact.member != member("alice")]
    row, held = loan_row(here, loan.id), custody_row(here)
    assert row is not None
    assert held is not None
    assert (row["state"], row["provisional"]) == ("returned", 1)
    assert (held["holder"], held["move"], held["provisional"]) == (member("cia"), receipt.id, 1)
    row, held = loan_row(street.facts, loan.id), custody_row(street.facts)
    assert row is not None
    assert held is not None
    assert (row["provisional"], held["provisional"]) == (0, 0), "final once the rest is here"


def test_a_receipt_from_a_bare_code_finds_its_place_once_the_rest_arrives() -> None:
    street = Street()
    _, taken = street.lend("alice", "bob")
    back = street.give_back("bob", taken)
    body = Receive(back.id, DRILL, ZERO, "ok", ZERO)
    receipt = street.write("cia", RECEIVE, body, taken.document)
    row = loan_row([receipt], taken.document)
    assert row is not None
    assert (row["state"], row["borrower"], row["provisional"]) == ("returned", None, 1)
    row, held = loan_row(street.facts, taken.document), custody_row(street.facts)
    assert row is not None
    assert held is not None
    assert (row["borrower"], row["provisional"]) == (member("bob"), 0)
    assert (held["holder"], held["provisional"], held["conflicts"]) == (member("cia"), 0, b"")


def test_what_the_removed_owe_is_recorded_by_a_steward_alone() -> None:
    street = Street()
    loan, taken = street.lend("alice", "bob")
    street.receive("cia", taken)
    row, held = loan_row(street.facts, loan.id), custody_row(street.facts)
    assert row is not None
    assert held is not None
    assert (row["state"], row["provisional"]) == ("returned", 1), "closed, on one word"
    assert held["holder"] == member("cia")


def test_nobody_receives_from_themselves() -> None:
    street = Street()
    loan, taken = street.lend("alice", "cia")
    street.receive("cia", taken)
    assert state(street.facts, loan) == "on_loan", "cia cannot forgive her own debt"
    back = street.give_back("cia", taken)
    street.receive("cia", taken, back)
    assert state(street.facts, loan) == "returning", "nor with an offer of her own"
    street.receive("alice", taken, back, on="cia")
    assert state(street.facts, loan) == "returning", "nor may another sign on her device"
    held = custody_row(street.facts)
    assert held is not None
    assert held["holder"] == member("cia")


def test_one_drill_handed_over_on_two_islands_shows_one_holder_and_tells_the_other() -> None:
    street = Street()
    first, of_bob = street.lend("alice", "bob")
    second, of_dan = street.lend("cia", "dan")
    held = custody_row(street.facts)
    assert held is not None
    assert held["holder"] == member("bob"), "the host's hand-over goes before the steward's"
    assert held["conflicts"] == of_dan.id
    assert state(street.facts, first) == state(street.facts, second) == "on_loan"
    street.receive("cia", of_dan, street.give_back("dan", of_dan))
    held = custody_row(street.facts)
    assert held is not None
    assert held["conflicts"] == b"", "what came back contradicts nothing any more"
    assert held["move"] == of_bob.id


def test_a_giver_who_hands_over_twice_means_the_later_one() -> None:
    street = Street()
    street.lend("alice", "bob")
    loan, _ = street.lend("alice", "dan")
    held = custody_row(street.facts)
    assert held is not None
    assert held["loan"] == loan.id, "the giver's own chain says which came last"


def test_custody_is_a_line_through_many_loans() -> None:
    street = Street()
    previous = ZERO
    for taker in ("bob", "dan", "bob"):
        _, taken = street.lend("alice", taker, previous)
        previous = street.receive("cia", taken, street.give_back(taker, taken)).id
    held = custody_row(street.facts)
    assert held is not None
    assert (held["move"], held["conflicts"], held["provisional"]) == (previous, b"", 0)


def test_who_accepts_once_more_after_the_return_has_not_got_it_again() -> None:
    """The simulator found it: the drill was shown as out for ever, of a loan that was closed."""
    street = Street()
    loan = street.request("bob")
    offer = street.hand_over("alice", loan, "bob")
    taken = street.accept("bob", offer)
    back = street.receive("alice", taken, street.give_back("bob", taken))
    street.accept("bob", offer)
    assert loan_row(street.facts, loan.id)["state"] == "returned"  # type: ignore[index]
    held = custody_row(street.facts)
    assert held is not None
    assert (held["holder"], held["loan"], held["move"]) == (member("alice"), None, back.id)
    assert held["conflicts"] == b"", "nobody else has it, either"
    _, dans = street.lend("alice", "dan", previous=back.id)
    held = custody_row(street.facts)
    assert held is not None
    assert (held["holder"], held["move"]) == (member("dan"), dans.id), "and it can be lent again"
    assert custody_row(reversed(street.facts)) == held


def test_a_loan_with_two_offers_and_acceptances_is_closed_by_one_receipt() -> None:
    street = Street()
    loan = street.request("bob")
    offers = [street.hand_over(giver, loan, "bob") for giver in ("alice", "cia")]
    taken = [street.accept("bob", offer) for offer in offers]
    for accept in taken:
        facts = [*street.facts]
        back = street.receive("cia", accept)
        held = custody_row(street.facts)
        assert held is not None
        assert (held["loan"], held["move"], held["conflicts"]) == (None, back.id, b"")
        street.facts = facts


def test_copies_of_which_there_are_many_do_not_contradict_each_other() -> None:
    street = Street()
    for taker in ("bob", "dan"):
        loan = street.request(taker)
        taken = street.accept(taker, street.hand_over("alice", loan, taker, loan.id))
        street.receive("cia", taken, street.give_back(taker, taken))
    assert custody_row(street.facts) is None, "copies have no line of custody"


# --- any order, any subset ------------------------------------------------------------------------


def test_what_was_called_off_stays_so_until_somebody_has_it_all_the_same() -> None:
    street = Street()
    loan = street.request("bob")
    street.decide("alice", loan)
    street.cancel("dan", loan)
    assert state(street.facts, loan) == "approved", "it is not dan's to call off"
    street.cancel("bob", loan)
    assert state(street.facts, loan) == "cancelled"
    offer = street.hand_over("alice", loan, "bob")
    assert state(street.facts, loan) == "cancelled", "alice had not heard"
    street.accept("bob", offer)
    assert state(street.facts, loan) == "on_loan", "what was handed over stands before words"


def test_a_loan_lasts_until_the_furthest_end_that_somebody_else_granted() -> None:
    street = Street()
    loan, _taken = street.lend("alice", "bob")
    until = [row["until_ms"] for row in [loan_row(street.facts, loan.id)] if row is not None]
    assert until == [9 * HOUR_MS]

    def ends() -> Value:
        row = loan_row(street.facts, loan.id)
        assert row is not None
        return row["until_ms"]

    first, second = street.extend("bob", loan, 12), street.extend("bob", loan, 15)
    assert ends() == 9 * HOUR_MS, "a wish alone moves nothing"
    street.answer("bob", second)
    assert ends() == 9 * HOUR_MS, "nobody grants their own wish"
    street.answer("cia", first)
    assert ends() == 12 * HOUR_MS
    street.answer("alice", second)
    assert ends() == 15 * HOUR_MS
    street.answer("alice", second, approve=False)
    assert ends() == 12 * HOUR_MS, "the same steward's later word counts"
    foreign = street.extend("dan", loan, 20)
    street.answer("alice", foreign)
    assert ends() == 12 * HOUR_MS, "dan does not have it"


NAMES = ("alice", "cia", "bob", "dan", "eve")


@st.composite
def histories(draw: st.DrawFn) -> list[Fact]:
    """Facts as anybody might write them: some fit together, some name what is not there."""
    street = Street()
    requests = [street.request("bob"), street.request(draw(st.sampled_from(NAMES)))]
    for _ in range(draw(st.integers(0, 14))):
        who, other = draw(st.sampled_from(NAMES)), draw(st.sampled_from(NAMES))
        loan = draw(st.sampled_from(requests))
        known = draw(st.sampled_from(street.facts))
        previous = draw(st.sampled_from([ZERO, known.id, loan.id, digest("t-gone")]))
        on = draw(st.sampled_from(["", "alice", "bob"]))
        acts = ["decide", "hand", "accept", "return", "receive", "lend", "bring back", "cancel",
                "extend", "answer"]  # fmt: skip
        match draw(st.sampled_from(acts)):
            case "cancel":
                street.cancel(who, loan)
            case "extend":
                street.extend(who, loan, draw(st.integers(10, 14)))
            case "answer":
                street.write(who, EXTENDED, Extended(known.id, draw(st.booleans())), loan.id)
            case "lend":
                giver = draw(st.sampled_from(["alice", "cia"]))
                requests.append(street.lend(giver, other, previous)[0])
            case "bring back":
                for taken in [fact for fact in street.facts if fact.kind == ACCEPT][-1:]:
                    borrower = next(name for name in NAMES if member(name) == taken.member)
                    street.receive(who, taken, street.give_back(borrower, taken))
            case "decide":
                street.decide(who, loan, approve=draw(st.booleans()))
            case "hand":
                street.hand_over(who, loan, other, previous)
            case "accept":
                street.write(who, ACCEPT, Accept(known.id, DRILL), loan.id, on)
            case "return":
                street.write(who, RETURN, Return(DRILL, known.id), loan.id)
            case _:
                offer = draw(st.sampled_from([ZERO, known.id]))
                whose = draw(st.sampled_from([ZERO, member(other)]))
                body = Receive(offer, DRILL, whose, "ok", previous)
                street.write(who, RECEIVE, body, loan.id, on)
    return street.facts


def rows(facts: Sequence[Fact]) -> object:
    """Every row that these facts fold to."""
    loans = sorted({fact.document for fact in facts})
    wishes = sorted({fact.id for fact in facts if fact.kind == EXTEND})
    terms = [extending.terms(Subject(loan, facts)) for loan in loans]
    kept = [extending.extension(Subject(wish, facts)) for wish in wishes]
    return [loan_row(facts, loan) for loan in loans], custody_row(facts), terms, kept


@given(histories(), st.randoms(use_true_random=False))
def test_any_order_with_repeats_and_any_times_gives_one_row(facts, random) -> None:  # type: ignore[no-untyped-def]
    expected = rows(facts)
    shuffled = [*facts, *random.choices(facts, k=5)]
    random.shuffle(shuffled)
    assert rows(shuffled) == expected, "order and repeats decide nothing"
    times = [
        replace(fact, lamport=random.randrange(1000), time_ms=random.randrange(1000))
        for fact in shuffled
    ]
    assert rows(times) == expected, "lamport numbers and times decide nothing"


@given(histories(), st.randoms(use_true_random=False))
def test_any_subset_gives_a_row_or_none(facts, random) -> None:  # type: ignore[no-untyped-def]
    some = [fact for fact in facts if random.random() < 0.6]
    for loan in {fact.document for fact in facts}:
        row = loan_row(some, loan)
        assert row is None or row["state"] in {
            "requested", "approved", "declined", "offered", "on_loan", "returning", "returned",
            "cancelled",
        }  # fmt: skip
    held = custody_row(some)
    assert held is None or held["holder"] is not None
