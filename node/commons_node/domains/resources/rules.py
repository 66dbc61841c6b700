"""Who may describe things and add photos of them: stewards. What an erasure takes: all of it."""

from __future__ import annotations

from commons_crdt.kinds import Claim, Kind
from commons_crdt.operation import SALT_BYTES
from commons_crdt.roles import Role
from commons_node.domains.resources.facts import (
    ITEM,
    ITEM_SCHEMA,
    PHOTO,
    PICTURE,
    SPECIFICATION,
    SPECIFICATION_SCHEMA,
    Photo,
)
from commons_node.domains.resources.photos import MAX_PHOTO

_MAX_BODY = 16 * 1024


def _photo(claim: Claim) -> str:
    """One picture, of a thing whose creation it refers to."""
    creation = claim.refs.get(claim.document)
    if creation is None or creation.kind != ITEM or not creation.edit:
        return "reference"
    return "" if [part.name for part in claim.header.parts] == [PICTURE] else "terms"


KINDS = (
    Kind(SPECIFICATION, SPECIFICATION_SCHEMA, Role.STEWARD, max_body=_MAX_BODY, erased="body"),
    Kind(ITEM, ITEM_SCHEMA, Role.STEWARD, max_body=_MAX_BODY, erased="body"),
    Kind(
        PHOTO,
        Photo,
        Role.STEWARD,
        max_body=64,
        parts={PICTURE: MAX_PHOTO + SALT_BYTES},
        erased="body",
        rule=_photo,
        since=2,
    ),
)
