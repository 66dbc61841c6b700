"""What of a community an agent may read: lists of the registry's views, and which fields of them.

An allow-list. What is not here is out of reach whatever is granted: what belongs to one member
alone (check-ins, sealed contacts), what hosts see (peers, addresses, logs), devices, their nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Collection:
    """Rows of a view's list; ``key`` is the field that ``docs.get`` finds one by."""

    name: str
    summary: str
    view: str
    rows: str
    key: str
    fields: tuple[str, ...]
    arguments: Mapping[str, object] = field(default_factory=dict)


_LISTED: Final = (
    Collection(
        "loan", "who asked for what, and where it is", "loan.list", "loans", "loan",
        ("loan", "resource", "number", "name", "borrower", "borrower_name", "state", "from", "due",
         "due_day", "zone", "moved", "overdue", "forgiven", "provisional", "receiver", "settled"),
    ),
    Collection(
        "resource", "the things that the community shares", "resource.list", "resources",
        "resource",
        ("resource", "number", "name", "state", "custodian", "custodian_name", "loan", "brand",
         "model", "categories", "quantity", "out", "provisional", "settled"),
    ),
    Collection(
        "member", "who is in the community", "member.list", "members", "member",
        ("member", "name", "role", "standing", "settled"),
    ),
    Collection(
        "profile", "what members say of themselves to everybody", "member.profile.list",
        "profiles", "member", ("member", "name", "languages", "about", "contact"),
    ),
    Collection(
        "space", "places, and how many are there (null where they are few)", "space.list", "spaces",
        "space", ("space", "name", "type", "count", "capacity", "open"),
    ),
    Collection(
        "activity", "who did what, the newest 500", "activity.list", "activity", "operation",
        ("operation", "kind", "author", "about", "sentence", "time", "verdict", "reason",
         "document"),
        {"limit": 500},
    ),
)  # fmt: skip
COLLECTIONS: Final[Mapping[str, Collection]] = {one.name: one for one in _LISTED}
"""By name; ``find`` takes the name of the view as well."""


def find(name: str) -> Collection | None:
    """The collection of this name, or of the view of this name."""
    return COLLECTIONS.get(name) or next((one for one in _LISTED if one.view == name), None)
