"""What is written about things: one document for a kind of thing, one for each thing itself.

After Valueflows: ResourceSpecification ("cordless drill, Ryobi P209") and EconomicResource (the
one with number 1622). Nothing here says where a thing is or whether it is free: lending's folds do.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

import msgspec

from commons_crdt.document.schema import DocumentSchema, Field

SPECIFICATION: Final = "resource.specification.1"
ITEM: Final = "resource.item.1"
PHOTO: Final = "resource.photo.1"
PICTURE: Final = "photo"
"""The class of the part that holds a photo; it is large, and fetched on demand."""

State = Literal["active", "maintenance", "pending", "retired"]
STATES: Final[tuple[str, ...]] = get_args(State)
"""What a steward says of a thing; only an active one is lent."""

MAX_QUANTITY: Final = 1_000_000

SPECIFICATION_SCHEMA: Final = DocumentSchema(
    SPECIFICATION,
    {
        "name": Field.text(200, required=True),
        "other_names": Field.text(500),
        "brand": Field.text(100),
        "model": Field.text(100),
        "size": Field.text(100),
        "strength": Field.text(100),
        "categories": Field.text(500),  # several, with "; " between them
        "policy": Field.text(40),
        "loan_days": Field.integer(0, 3650),
        "renewal_limit": Field.integer(0, 1000),
        "needs_approval": Field.boolean(),
        "consumable": Field.boolean(),
    },
)
"""Lengths in characters; even at four bytes each the whole stays far below a body's 16 KiB."""

ITEM_SCHEMA: Final = DocumentSchema(
    ITEM,
    {
        "specification": Field.text(64, required=True),  # the document's id in hex
        "number": Field.text(40),
        "serial": Field.text(100),
        "quantity": Field.integer(0, MAX_QUANTITY),
        "uncounted": Field.boolean(),
        "state": Field.text(20),
        "notice": Field.text(2000),
        "price_cents": Field.integer(0, 10**12),
        "acquired": Field.text(40),
    },
)

IDENTITY: Final = ("name", "brand", "model", "size", "strength")
"""The fields by which two specifications are the same."""


class Photo(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A photo of the thing that the fact is about; ``media``: how its bytes are to be read."""

    media: Literal["jpeg", "png", "webp"]
