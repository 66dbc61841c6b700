"""Who may say a profile: everybody their own. Pure."""

from __future__ import annotations

from commons_crdt.kinds import Claim, Kind
from commons_crdt.operation import SALT_BYTES
from commons_crdt.roles import Role
from commons_node.domains.profiles.facts import (
    FIELD,
    MAX_SEALED,
    MAX_TEXT,
    PICTURE,
    SEALED,
    SINCE,
    TEXT,
    Field,
)
from commons_node.domains.resources.photos import MAX_PHOTO

_PART = {"text": TEXT, "community": SEALED, "members": SEALED}


def _own(claim: Claim) -> str:
    """About its author, with the one part that its form says, or with none."""
    body: Field = claim.body
    if claim.header.document != claim.member:
        return "document"
    if list(body.replaces) != sorted(set(body.replaces)):
        return "terms"
    names = {part.name for part in claim.header.parts}
    if not names <= {_PART.get(body.form, PICTURE)}:
        return "terms"
    return "terms" if (body.form in MEDIA) != (body.name == "photo") else ""


MEDIA = frozenset({"jpeg", "png", "webp"})

KINDS = (
    Kind(
        FIELD,
        Field,
        Role.NEWCOMER,
        parts={
            TEXT: MAX_TEXT + SALT_BYTES,
            SEALED: MAX_SEALED + SALT_BYTES,
            PICTURE: MAX_PHOTO + SALT_BYTES,
        },
        rule=_own,
        since=SINCE,
    ),
)
