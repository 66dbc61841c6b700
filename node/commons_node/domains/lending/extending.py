"""The folds of second thoughts: longer loans that a steward granted, and requests called off.

Pure, total, order-free, as ``views``. How long a loan lasts is the furthest end that was granted,
so that two grants which do not know of each other meet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from commons_crdt.folds import Fact, Subject, Value, View, by_document, prevailing
from commons_node.domains.lending.facts import ASKED, CANCEL, EXTEND, EXTENDED

_TERMS_COLUMNS: Final = {"meant": "TEXT NOT NULL", "asked": "TEXT NOT NULL", "due": "TEXT NOT NULL"}
_EXTENSION_COLUMNS: Final = {
    "loan": "BLOB NOT NULL",
    "member": "BLOB NOT NULL",  # who asks; it says something only of the borrower's own loan
    "state": "TEXT NOT NULL",  # asked, granted, refused
    "until_ms": "INTEGER NOT NULL",
    "due": "TEXT NOT NULL",
    "answer": "BLOB",
}


def longest(facts: Iterable[Fact], borrower: bytes | None) -> Fact | None:
    """The wish of the borrower that was granted and ends last; None if there is none."""
    found = list(facts)
    granted = [
        one
        for one in found
        if one.kind == EXTEND and one.body is not None and one.member == borrower
        if (answer := _answer(found, one)) is not None and answer.body.approve
    ]
    return max(granted, key=lambda one: (one.body.until_ms, one.id), default=None)


def _answer(facts: Iterable[Fact], wish: Fact) -> Fact | None:
    """The answer that counts; nobody answers their own wish."""
    return prevailing(
        one
        for one in facts
        if one.kind == EXTENDED and one.body is not None
        if one.body.extension == wish.id and one.member != wish.member
    )


def terms(subject: Subject) -> Sequence[Value] | None:
    """What was meant by a request that says so, or by the longer loan; no row for others."""
    for fact in subject.facts:
        if fact.kind == ASKED and fact.body is not None and fact.id == subject.key:
            same = [one for one in subject.facts if _about(one, fact.body.resource)]
            body = (longest(same, fact.member) or fact).body
            return body.meant, body.asked, body.due
    return None


def _about(fact: Fact, resource: bytes) -> bool:
    return fact.kind != EXTEND or (fact.body is not None and fact.body.resource == resource)


def extension(subject: Subject) -> Sequence[Value] | None:
    """One wish, and whether it was granted."""
    for fact in subject.facts:
        if fact.kind == EXTEND and fact.body is not None and fact.id == subject.key:
            answer = _answer(subject.facts, fact)
            state = "asked" if answer is None else "granted" if answer.body.approve else "refused"
            ident = answer.id if answer is not None else None
            body = fact.body
            return fact.document, fact.member, state, body.until_ms, body.due, ident
    return None


def cancel(subject: Subject) -> Sequence[Value] | None:
    """One word by which somebody calls a request off."""
    for fact in subject.facts:
        if fact.kind == CANCEL and fact.body is not None:
            return fact.document, fact.member
    return None


def _of_wish(fact: Fact) -> tuple[bytes, ...]:
    if fact.kind == EXTEND:
        return (fact.id,)
    return (fact.body.extension,) if fact.body is not None else ()


def _itself(fact: Fact) -> tuple[bytes, ...]:
    return (fact.id,)


TERMS = View("terms", frozenset({ASKED, EXTEND, EXTENDED}), _TERMS_COLUMNS, by_document, terms)
"""Beside the loans, whose rows older rules versions have settled as they are."""
EXTENSIONS = View(
    "extensions", frozenset({EXTEND, EXTENDED}), _EXTENSION_COLUMNS, _of_wish, extension,
    indexes=("loan",),
)  # fmt: skip
CANCELS = View(
    "cancels",
    frozenset({CANCEL}),
    {"loan": "BLOB NOT NULL", "member": "BLOB NOT NULL"},
    _itself,
    cancel,
    indexes=("loan",),
)
