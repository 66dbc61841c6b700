"""Which fact holds a device's current name, and what guardians are asked."""

from __future__ import annotations

from collections.abc import Sequence

from commons_crdt.folds import Fact, Subject, Value, View, prevailing
from commons_node.domains.identity.facts import LABEL, REQUEST, Request


def _by_member_and_device(fact: Fact) -> tuple[bytes, ...]:
    """Only a member's own word about a device counts: the reader asks with the right member."""
    return (fact.member + fact.document,)


def _newest(subject: Subject) -> Sequence[Value] | None:
    fact = prevailing([fact for fact in subject.facts if not fact.erased])
    return None if fact is None else (fact.id,)


def _by_itself(fact: Fact) -> tuple[bytes, ...]:
    return (fact.id,)


def _request(subject: Subject) -> Sequence[Value] | None:
    (fact,) = subject.facts
    if not isinstance(fact.body, Request):
        return None
    return fact.document, fact.body.act, fact.body.terms, fact.time_ms


VIEWS = (
    View(
        "labels", frozenset({LABEL}), {"operation": "BLOB NOT NULL"}, _by_member_and_device, _newest
    ),
    View(
        "requests",
        frozenset({REQUEST}),
        {
            "member": "BLOB NOT NULL",
            "act": "TEXT NOT NULL",
            "terms": "BLOB NOT NULL",
            "time_ms": "INTEGER NOT NULL",
        },
        _by_itself,
        _request,
        indexes=("member",),
    ),
)
