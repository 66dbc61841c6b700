"""Which fact holds a member's or the community's current name."""

from __future__ import annotations

from collections.abc import Sequence

from commons_crdt.folds import Subject, Value, View, by_document, prevailing
from commons_node.domains.membership.facts import COMMUNITY, PROFILE


def _newest(subject: Subject) -> Sequence[Value] | None:
    fact = prevailing([fact for fact in subject.facts if not fact.erased])
    return None if fact is None else (fact.id,)


VIEWS = (
    View("profiles", frozenset({PROFILE}), {"operation": "BLOB NOT NULL"}, by_document, _newest),
    View(
        "communities", frozenset({COMMUNITY}), {"operation": "BLOB NOT NULL"}, by_document, _newest
    ),
)
