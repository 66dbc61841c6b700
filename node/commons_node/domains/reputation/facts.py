"""What members say of each other: a sealed word, its opening, one reply; and a word for a newcomer.

An attestation is a commitment: its values come later, in an opening that any node can hold against
it. What is said in one's own words stands in parts, the note of an attestation sealed until then.
Source: docs/decisions/0020-attestations-are-sealed-by-a-commitment.md.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from commons_crdt.operation import Hash

ATTEST: Final = "reputation.attest.1"
OPENING: Final = "reputation.opening.1"
REPLY: Final = "reputation.reply.1"
VOUCH: Final = "reputation.vouch.1"

NOTE: Final = "note"
TEXT: Final = "text"
MAX_NOTE: Final = 1000
"""Bytes of a note or a reply."""
DAY_MS: Final = 24 * 3600 * 1000
BLIND_MS: Final = 7 * DAY_MS
"""How long an attestation stays sealed while the other side has said nothing."""

Level = Annotated[int, msgspec.Meta(ge=1, le=3)]
"""3 is good, 2 is so-so, 1 is bad."""


class Attest(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One of the two of a loan speaks about the other; the loan is the header's document."""

    about: Hash
    commitment: Hash


class Opening(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What stands in the attestation, and the 32 bytes that show it, and that open its note."""

    attestation: Hash
    on_time: bool
    condition: Level
    communication: Level
    salt: Hash


class Reply(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Who was attested answers, once; the text is a part."""

    attestation: Hash


class Vouch(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A member vouches for another, the header's document, or (``stands`` false) no more."""

    stands: bool
