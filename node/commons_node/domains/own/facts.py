"""What a member writes for themselves: sealed entries in a realm that is theirs alone.

The realm's founder is a device made for it, its readers are the member's own machines, nobody else
learns that it exists. What an entry says nobody but the member reads, not even the machine that
keeps it: its body is sealed under a key that stands in the member's key file, and every entry has
the same length.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

ENTRY: Final = "own.entry.1"
DOOR: Final = "own.door.1"
SINCE: Final = 3
PLAIN: Final = 1024
"""Bytes of an entry before it is sealed, with its padding."""
SEALED: Final = PLAIN + 40
DOOR_BYTES: Final = 32 + 32 + 16 + 32
MAX_DOORS: Final = 16


class Entry(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Nonce, ciphertext and tag of XSalsa20-Poly1305: 1064 bytes, whatever is in it."""

    sealed: Annotated[bytes, msgspec.Meta(min_length=SEALED, max_length=SEALED)]


class DoorShare(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """For one device: own realm, invite, its seed and the key of the entries, in a sealed box."""

    device: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    sealed: Annotated[bytes, msgspec.Meta(min_length=DOOR_BYTES + 48, max_length=DOOR_BYTES + 48)]


class Door(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Lets the author's other devices into the author's own realm; written in the community."""

    shares: Annotated[tuple[DoorShare, ...], msgspec.Meta(min_length=1, max_length=MAX_DOORS)]
