"""A space's code: that somebody stood before it in a slot of five minutes, signed by its node.

The code carries no name and no realm: who reads it says at which space they are, and the signature
fits that space, that slot and the device of its node, or it does not. 75 bytes, 120 letters.
"""

from __future__ import annotations

from dataclasses import dataclass

from commons_crdt.device import sign_claim, verify_claim
from commons_crdt.ids import DocumentId, RealmId
from commons_crdt.texts import _
from commons_protocol.codes import BadCode, letters, payload_of

SLOT_MS = 300_000
"""How long one code is shown."""
SKEW_SLOTS = 1
"""How many slots early or late a code is still taken: clocks differ, and people type slowly."""
DAY_SLOTS = 288
MAX_SLOT = 2**24 - 1
_VENUE = 0x30
_HINT = 4
_LENGTH = 1 + 3 + _HINT + 64


@dataclass(frozen=True, slots=True)
class VenueCode:
    """``hint``: the first four bytes of the space's id, so that a mix-up can be explained."""

    slot: int
    hint: bytes
    signature: bytes

    def fits(self, realm: RealmId, space: DocumentId, key: bytes) -> bool:
        """True if the node with this signing key made it, for this space."""
        return self.hint == space[:_HINT] and verify_claim(
            "venue", key, self.signature, *_claimed(realm, space, self.slot)
        )


def slot_of(time_ms: int) -> int:
    """The slot that a moment (ms, UTC) lies in."""
    return max(0, min(time_ms // SLOT_MS, MAX_SLOT))


def starts_ms(slot: int) -> int:
    """When a slot begins (ms, UTC)."""
    return slot * SLOT_MS


def make_code(realm: RealmId, space: DocumentId, slot: int, seed: bytes) -> str:
    """The code of a slot, signed with the seed of the node's device."""
    signature = sign_claim("venue", seed, *_claimed(realm, space, slot))
    return letters(bytes([_VENUE]) + slot.to_bytes(3, "big") + space[:_HINT] + signature)


def decode_venue_code(text: str) -> VenueCode:
    """Read a code, nothing of it verified; ``BadCode`` if it is not one."""
    data = payload_of(text)
    if data[0] != _VENUE or len(data) != _LENGTH:
        raise BadCode(why=_("it is no code of a space"))
    return VenueCode(int.from_bytes(data[1:4], "big"), data[4 : 4 + _HINT], data[4 + _HINT :])


def _claimed(realm: RealmId, space: DocumentId, slot: int) -> tuple[bytes, ...]:
    return realm, space, slot.to_bytes(4, "big")
