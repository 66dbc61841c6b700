"""Which receipts there are, who has left, what is forgiven, and which coordinators would close.

No fold asks whether bytes are here: a receipt is what a node says, not what this one finds.
"""

from __future__ import annotations

from collections.abc import Sequence

from commons_crdt.folds import Fact, Subject, Value, View, by_document, prevailing
from commons_node.domains.leaving.facts import (
    CLOSING,
    FORGIVEN,
    GOODBYE,
    RECEIPT,
    Closing,
    Forgiven,
    Receipt,
)


def _itself(fact: Fact) -> tuple[bytes, ...]:
    return (fact.id,)


def _receipt(subject: Subject) -> Sequence[Value] | None:
    (fact,) = subject.facts
    if not isinstance(fact.body, Receipt):
        return None
    return fact.device, fact.member, b"".join(fact.body.erasures)


def _goodbye(subject: Subject) -> Sequence[Value] | None:
    fact = prevailing(subject.facts)
    return None if fact is None else (fact.id,)


def _forgiven(subject: Subject) -> Sequence[Value] | None:
    fact = prevailing(one for one in subject.facts if isinstance(one.body, Forgiven))
    return None if fact is None else (fact.id, fact.body.borrower, fact.member)


def _by_author(fact: Fact) -> tuple[bytes, ...]:
    return (fact.member,)


def _closing(subject: Subject) -> Sequence[Value] | None:
    fact = prevailing(one for one in subject.facts if isinstance(one.body, Closing))
    return None if fact is None else (fact.id, int(fact.body.closes))


VIEWS = (
    View(
        "receipts",
        frozenset({RECEIPT}),
        {"device": "BLOB NOT NULL", "member": "BLOB NOT NULL", "erasures": "BLOB NOT NULL"},
        _itself,
        _receipt,
        indexes=("device",),
    ),
    View("goodbyes", frozenset({GOODBYE}), {"operation": "BLOB NOT NULL"}, by_document, _goodbye),
    View(
        "forgiven",
        frozenset({FORGIVEN}),
        {"operation": "BLOB NOT NULL", "borrower": "BLOB NOT NULL", "member": "BLOB NOT NULL"},
        by_document,
        _forgiven,
    ),
    View(
        "closings",
        frozenset({CLOSING}),
        {"operation": "BLOB NOT NULL", "closes": "INTEGER NOT NULL"},
        _by_author,
        _closing,
    ),
)
