"""Which facts hold each field of a profile: those that the member has not replaced."""

from __future__ import annotations

from collections.abc import Sequence

from commons_crdt.folds import Fact, Subject, Value, View
from commons_node.domains.lending.views import newest
from commons_node.domains.profiles.facts import FIELD, Field


def _by_member_and_field(fact: Fact) -> tuple[bytes, ...]:
    if not isinstance(fact.body, Field):
        return ()
    return (fact.member + fact.body.name.encode(),)


def heads(subject: Subject) -> Sequence[Value] | None:
    """The last word of each device that no later word names as replaced."""
    facts = [fact for fact in subject.facts if isinstance(fact.body, Field)]
    replaced = {bytes(one) for fact in facts for one in fact.body.replaces}
    standing = [fact for fact in newest(facts) if fact.id not in replaced]
    if not standing:
        return None
    first = standing[0]
    return first.member, first.body.name, b"".join(sorted(fact.id for fact in standing))


VIEWS = (
    View(
        "fields",
        frozenset({FIELD}),
        {"member": "BLOB NOT NULL", "field": "TEXT NOT NULL", "operations": "BLOB NOT NULL"},
        _by_member_and_field,
        heads,
        indexes=("member",),
    ),
)
