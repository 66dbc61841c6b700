"""What may decide a verdict: the parts that operations play, and the reasons that have a cause.

Source: AUTHORITY.md "Reasons", docs/protocol/authority.md "The verdict".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from commons_crdt.authority.records import Field, Spot
from commons_crdt.ids import OperationId

Part = Literal[
    "admission",
    "ballot",
    "base",
    "branch",
    "chosen",
    "closing",
    "council",
    "demotion",
    "dismissal",
    "earlier",
    "grant",
    "invite",
    "missing",
    "pin",
    "proof",
    "recovery",
    "removal",
    "revocation",
    "rival",
    "role",
    "root",
    "rules",
    "seal",
    "seat",
    "sibling",
    "suspension",
]
"""What an operation did to the one that it decided on."""
PARTS: frozenset[Part] = frozenset(get_args(Part))
DECIDED = frozenset(
    {
        "ballot", "base", "closed", "council", "cut", "expired", "fork", "grant", "identity",
        "kind", "limit", "pin", "removed", "revoked", "role", "seal", "spent", "unlisted",
        "warrant",
    }
)  # fmt: skip
"""The reasons that always have a cause; all others an operation's own contents decided."""


class Cause(NamedTuple):
    """One operation that decided; it need not be here (a pin, the position of a cut)."""

    part: Part
    operation: OperationId


@dataclass(frozen=True, slots=True)
class Record:
    """An operation of log 1 as its chain has it: ``log`` is what the judge knows of log 1."""

    spot: Spot
    log: Field
    grant: int
    view: int
