"""The fold of what two people say of a loan: order-free, total, and deaf to words written twice."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.test_lending_folds import Street, member

from commons_crdt.folds import Fact, Subject, Value
from commons_crdt.ids import ZERO, digest
from commons_node.domains.lending.facts import RETURN, Return
from commons_node.domains.reputation import sealing, views
from commons_node.domains.reputation.facts import (
    ATTEST,
    BLIND_MS,
    OPENING,
    REPLY,
    Attest,
    Opening,
    Reply,
)
from commons_node.domains.reputation.sealing import EVERYTHING, Said

GOOD, BAD = Said(True, 3, 3), Said(False, 1, 1)


def salt(loan: bytes, who: str, about: str) -> bytes:
    """What a device of theirs would seal with."""
    return sealing.salt_of(digest("t-sign", who.encode()), loan, member(about))


class Words(Street):
    """A street where people also speak."""

    def whole(self, giver: str = "alice", taker: str = "bob") -> bytes:
        """A loan that is over, with all four signatures; its id."""
        loan, accept = self.lend(giver, taker)
        self.receive(giver, accept, self.give_back(taker, accept))
        return bytes(loan.id)

    def attest(self, who: str, about: str, loan: bytes, said: Said, on: str = "") -> Fact:
        known = sealing.commitment(
            salt(loan, on or who, about), loan, member(who), member(about), said
        )
        return self.write(who, ATTEST, Attest(member(about), known), loan, on)

    def open(
        self, who: str, about: str, attest: Fact, said: Said, later_ms: int = 0, on: str = ""
    ) -> Fact:
        body = Opening(
            attest.id, said.on_time, said.condition, said.communication,
            salt(attest.document, on or who, about),
        )  # fmt: skip
        made = self.write(who, OPENING, body, attest.document, on)
        if later_ms:
            late = Fact(
                made.id, made.kind, made.member, made.role, made.device, 1, made.seq,
                made.lamport, attest.time_ms + later_ms, made.document, made.body,
            )  # fmt: skip
            self.facts[self.facts.index(made)] = late
            return late
        return made


def row(facts: Iterable[Fact], loan: bytes) -> dict[str, Value] | None:
    """The folded row, by column."""
    mine = [fact for fact in facts if loan in views.EXCHANGES.keys(fact)]
    found = views.EXCHANGES.fold(Subject(loan, mine))
    return None if found is None else dict(zip(views.COLUMNS, found, strict=True))


def told(facts: Iterable[Fact], loan: bytes, side: str) -> tuple[Value, ...]:
    """(on time, condition, communication) of a side."""
    found = row(facts, loan)
    assert found is not None
    return tuple(found[f"{side}_{name}"] for name in ("on_time", "condition", "communication"))


SEALED = (None, None, None)


def test_nothing_is_told_before_both_are_in_or_a_week_has_passed() -> None:
    street = Words()
    loan = street.whole()
    mine = street.attest("bob", "alice", loan, BAD)
    street.open("bob", "alice", mine, BAD)
    assert told(street.facts, loan, "borrower") == SEALED, "opened too early: nobody shows it"
    alone = Words(list(street.facts), dict(street.seqs), street.counter)
    alone.open("bob", "alice", mine, BAD, BLIND_MS)
    assert told(alone.facts, loan, "borrower") == (0, 1, 1)
    street.attest("alice", "bob", loan, GOOD)
    assert told(street.facts, loan, "borrower") == (0, 1, 1)
    assert told(street.facts, loan, "lender") == SEALED


def test_an_opening_must_be_what_was_sealed_and_by_its_author() -> None:
    street = Words()
    loan = street.whole()
    mine = street.attest("bob", "alice", loan, BAD)
    street.attest("alice", "bob", loan, GOOD)
    street.open("bob", "alice", mine, GOOD)
    street.open("eve", "alice", mine, BAD)
    assert told(street.facts, loan, "borrower") == SEALED
    street.open("bob", "alice", mine, BAD)
    assert told(street.facts, loan, "borrower") == (0, 1, 1)


def test_a_second_word_changes_nothing_and_two_devices_say_nothing() -> None:
    street = Words()
    loan = street.whole()
    first = street.attest("bob", "alice", loan, GOOD)
    theirs = street.attest("alice", "bob", loan, BAD)
    street.open("alice", "bob", theirs, BAD)
    revenge = street.attest("bob", "alice", loan, BAD)
    street.open("bob", "alice", revenge, BAD)
    assert told(street.facts, loan, "borrower") == SEALED
    street.open("bob", "alice", first, GOOD)
    assert told(street.facts, loan, "borrower") == (1, 3, 3), "the first word of a device"
    other = street.attest("bob", "alice", loan, BAD, "bob's phone")
    street.open("bob", "alice", other, BAD, on="bob's phone")
    found = row(street.facts, loan)
    assert found is not None
    assert found["borrower_attestation"] is None, "who speaks twice has said nothing"
    assert told(street.facts, loan, "lender") == (0, 1, 1), "what alice said is as it was"


def test_only_whole_loans_of_two_people_have_a_row() -> None:
    street = Words()
    loan, accept = street.lend("alice", "bob")
    street.attest("bob", "alice", loan.id, GOOD)
    assert row(street.facts, loan.id) is None, "it is out"
    street.receive("alice", accept)
    assert row(street.facts, loan.id) is None, "one signature for the return"
    own, taken = street.request("alice"), "alice's phone"
    offer = street.hand_over("alice", own, "alice")
    mine = street.accept("alice", offer, taken)
    back = street.write("alice", RETURN, Return(mine.body.resource, mine.id), own.id, taken)
    street.receive("alice", mine, back)
    assert row(street.facts, own.id) is None, "two devices of one person are one person"


def test_a_reply_is_of_the_one_who_was_attested_and_the_first_counts() -> None:
    street = Words()
    loan = street.whole()
    mine = street.attest("bob", "alice", loan, BAD)
    street.attest("alice", "bob", loan, GOOD)
    street.open("bob", "alice", mine, BAD)
    street.write("eve", REPLY, Reply(mine.id), loan)
    street.write("bob", REPLY, Reply(mine.id), loan)
    found = row(street.facts, loan)
    assert found is not None
    assert found["borrower_reply"] is None
    first = street.write("alice", REPLY, Reply(mine.id), loan)
    street.write("alice", REPLY, Reply(mine.id), loan)
    found = row(street.facts, loan)
    assert found is not None
    assert found["borrower_reply"] == first.id


@given(st.lists(st.tuples(st.sampled_from(["bob", "alice", "eve"]), st.sampled_from(EVERYTHING),
                          st.sampled_from(["", "phone"]), st.booleans(),
                          st.sampled_from([0, BLIND_MS - 1, BLIND_MS])), max_size=6),
       st.randoms(use_true_random=False))  # fmt: skip
def test_any_words_in_any_order_give_one_row(
    words: list[tuple[str, Said, str, bool, int]], chance: Random
) -> None:
    street = Words()
    loan = street.whole()
    for who, said, on, opens, later in words:
        about = "bob" if who == "alice" else "alice"
        made = street.attest(who, about, loan, said, on and f"{who}'s {on}")
        if opens:
            street.open(who, about, made, said, later, on and f"{who}'s {on}")
    expected = row(street.facts, loan)
    for _ in range(3):
        shuffled = list(street.facts)
        chance.shuffle(shuffled)
        assert row([*shuffled, *shuffled[:3]], loan) == expected, "order and repeats decide nothing"
    for known in range(len(street.facts)):
        row(street.facts[known:], loan)  # total over what is missing


def test_the_secret_of_a_word_hides_it_and_binds_to_it() -> None:
    loan, alice, bob = digest("t", b"loan"), member("alice"), member("bob")
    secret = sealing.salt_of(bytes(32), loan, alice)
    known = {sealing.commitment(secret, loan, bob, alice, said) for said in EVERYTHING}
    assert len(known) == len(EVERYTHING) == 18
    for said in EVERYTHING:
        made = sealing.commitment(secret, loan, bob, alice, said)
        assert sealing.find(made, secret, loan, bob, alice) == said
        assert sealing.find(made, ZERO, loan, bob, alice) is None
    assert (
        sealing.salt_of(bytes(32), loan, bob) != secret != sealing.salt_of(b"1" * 32, loan, alice)
    )
    sizes = {len(sealing.seal_note(secret, text)) for text in ("", "x", "y" * 200)}
    assert len(sizes) == 1, "whether there is a note is not seen by its length"
    for text in ("", "å" * 500, "x" * 1000):
        assert sealing.open_note(secret, sealing.seal_note(secret, text)) == text
    assert sealing.open_note(ZERO, sealing.seal_note(secret, "x")) == ""
