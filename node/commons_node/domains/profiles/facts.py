"""The facts of a profile: one field each, with the text or picture in a part.

A fact names those that it replaces, as its author's machine knew them. So of two machines that
never heard of each other's words both words stay, until the member says the field once more. The
display name is a fact of membership, and older.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, get_args

import msgspec

from commons_crdt.operation import Hash

FIELD: Final = "profile.field.1"
SINCE: Final = 3
"""The rules version that lists it."""
TEXT: Final = "text"
SEALED: Final = "sealed"
PICTURE: Final = "picture"
MAX_TEXT: Final = 2000
"""Bytes of a text that everybody may read."""
MAX_SEALED: Final = 2048
"""Bytes of a sealed part: it travels with its operation."""

Name = Literal["languages", "about", "contact", "photo"]
FIELDS: Final[tuple[str, ...]] = get_args(Name)
Form = Literal["text", "community", "members", "jpeg", "png", "webp"]
"""How the part is to be read: open to every node, sealed to an epoch of the community, sealed to
devices of named members, or a picture."""


class Field(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A member says a field of their profile; ``replaces``: earlier facts of it, ascending.

    A fact without parts takes the field back.
    """

    name: Name
    form: Form
    replaces: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=16)]
