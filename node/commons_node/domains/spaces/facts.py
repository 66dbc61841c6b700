"""What is written about spaces: a document each, attendance tokens, and what members publish.

A check-in itself is not here: it stands in the member's own realm (``domains.own``), and nowhere
else.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, get_args

import msgspec

from commons_crdt.document.schema import DocumentSchema, Field
from commons_crdt.ring import RingSignature
from commons_node.domains.spaces.cells import LETTERS
from commons_protocol.attendance import Ring, Slot

SPACE: Final = "space.place.1"
ATTENDANCE: Final = "space.attendance.1"
PRESENCE: Final = "space.presence.1"
SAID: Final = "said"
"""The class of the part in which a published check-in stands, sealed if it is for some only."""
SINCE: Final = 3
"""The rules version that lists these kinds."""

Type = Literal["public", "private", "administrative", "custom"]
TYPES: Final[tuple[str, ...]] = get_args(Type)
Wheelchair = Literal["yes", "limited", "no"]

STAY_MINUTES: Final = 180
"""How long somebody counts as there who says nothing more, unless the space closes before."""
MAX_STAY_MINUTES: Final = 24 * 60
MAX_SAID: Final = 2048
MAX_PRESENCE_MS: Final = 25 * 3_600_000

ACCESS: Final = (
    "wheelchair", "toilets_wheelchair", "hearing_loop", "tactile_paving", "step_count",
)  # fmt: skip
"""Accessibility facts, after OSM: ``wheelchair``, ``toilets:wheelchair``, ``hearing_loop``,
``tactile_paving``, ``step_count``."""

SPACE_SCHEMA: Final = DocumentSchema(
    SPACE,
    {
        "name": Field.text(200, required=True),
        "type": Field.text(20),
        "inside": Field.text(64),  # the id of the space that it is a room of
        "hours": Field.text(500),
        "quiet_hours": Field.text(500),
        "capacity": Field.integer(0, 1_000_000),
        "stay_minutes": Field.integer(1, MAX_STAY_MINUTES),
        "cell": Field.text(LETTERS),
        "node": Field.text(64),  # the device of the node that makes its codes
        "notice": Field.text(2000),
        "closed": Field.boolean(),
        "wheelchair": Field.text(20),
        "toilets_wheelchair": Field.text(20),
        "hearing_loop": Field.boolean(),
        "tactile_paving": Field.boolean(),
        "step_count": Field.integer(0, 1000),
    },
)
"""Lengths in characters. There is no field for an exact place."""


class Attendance(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Some member of ``ring`` was at the space that the fact is about, in ``slot``."""

    slot: Slot
    ring: Ring
    signature: RingSignature


class Presence(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The author lets others see a check-in until ``until_ms``; which one stands in the part."""

    audience: Literal["community", "circle"]
    until_ms: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
