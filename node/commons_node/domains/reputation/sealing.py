"""Sealing what is said until it may be read: a commitment, and a note under the same secret.

Pure. The secret of one attestation follows from the device's signing key and the loan, so that
nothing has to be kept beside the key, and no disk holds what is sealed. It shows nothing of the
key: BLAKE2b keyed with the seed (RFC 7693 §2.9) is a pseudo-random function of the loan.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from itertools import product

from nacl.bindings import crypto_secretbox, crypto_secretbox_NONCEBYTES, crypto_secretbox_open
from nacl.exceptions import CryptoError

from commons_crdt.ids import digest
from commons_node.domains.reputation.facts import MAX_NOTE

_TAG = 16
_LENGTH = 2
_NONCE = bytes(crypto_secretbox_NONCEBYTES)
SMALL = 256
LARGE = _LENGTH + MAX_NOTE
"""A note is padded to one of these, an absent one to the smaller: its length says little."""
MAX_SEALED = LARGE + _TAG


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody says of the other: on time, and two levels from 1 to 3."""

    on_time: bool
    condition: int
    communication: int


EVERYTHING = tuple(Said(*one) for one in product((False, True), (1, 2, 3), (1, 2, 3)))
"""All that can be said: 18 things, which only the salt keeps from being guessed."""


def salt_of(signing: bytes, loan: bytes, about: bytes) -> bytes:
    """The 32 secret bytes of a device's attestation about ``about`` in this loan."""
    return blake2b(loan + about, digest_size=32, key=signing, person=b"commons/attest").digest()


def commitment(salt: bytes, loan: bytes, author: bytes, about: bytes, said: Said) -> bytes:
    """What binds the author to ``said`` and shows nothing of it: BLAKE2b over fixed lengths."""
    values = bytes([said.on_time, said.condition, said.communication])
    return digest("attest", salt, loan, author, about, values)


def find(known: bytes, salt: bytes, loan: bytes, author: bytes, about: bytes) -> Said | None:
    """What a commitment of one's own says; None if it was made with another secret."""
    for said in EVERYTHING:
        if commitment(salt, loan, author, about, said) == known:
            return said
    return None


def seal_note(salt: bytes, note: str) -> bytes:
    """The note (possibly empty), padded and encrypted (XSalsa20-Poly1305, a key used once)."""
    plain = note.encode("utf-8")
    size = SMALL if _LENGTH + len(plain) <= SMALL else LARGE
    padded = (len(plain).to_bytes(_LENGTH) + plain).ljust(size, b"\0")
    return crypto_secretbox(padded, _NONCE, digest("note", salt))


def open_note(salt: bytes, sealed: bytes) -> str:
    """The note; empty where there is none, or the bytes are not what was sealed."""
    try:
        padded = crypto_secretbox_open(sealed, _NONCE, digest("note", salt))
    except (CryptoError, ValueError):
        return ""
    length = int.from_bytes(padded[:_LENGTH])
    return padded[_LENGTH : _LENGTH + length].decode("utf-8", "replace")
