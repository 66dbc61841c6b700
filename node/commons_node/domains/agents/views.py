"""The agents that a community shares, a row for each package that somebody offers."""

from __future__ import annotations

from collections.abc import Sequence

from commons_crdt.folds import Fact, Subject, Value, View
from commons_node.domains.agents.facts import PACKAGE, Shared


def _itself(fact: Fact) -> tuple[bytes, ...]:
    return (fact.id,)


def _shared(subject: Subject) -> Sequence[Value] | None:
    for fact in subject.facts:
        if isinstance(fact.body, Shared) and not fact.erased:
            body = fact.body
            return body.publisher, body.name, body.version, body.package, fact.member
    return None


VIEWS = (
    View(
        "agents",
        frozenset({PACKAGE}),
        {
            "publisher": "BLOB NOT NULL",
            "name": "TEXT NOT NULL",
            "version": "TEXT NOT NULL",
            "package": "BLOB NOT NULL",
            "member": "BLOB NOT NULL",
        },
        _itself,
        _shared,
        indexes=("package",),
    ),
)
