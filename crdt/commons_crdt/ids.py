"""Names of things: 32-byte hashes with types of their own, so that they cannot be swapped.

Never random: every id here is a hash of what it names.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import NewType

OperationId = NewType("OperationId", bytes)
DeviceId = NewType("DeviceId", bytes)
MemberId = NewType("MemberId", bytes)
DocumentId = NewType("DocumentId", bytes)
RealmId = NewType("RealmId", bytes)

ID_BYTES = 32
ZERO = bytes(ID_BYTES)
"""Stands where an operation would have to name itself: realm and document of a genesis."""


def digest(purpose: str, *parts: bytes) -> bytes:
    """BLAKE2b-256 of the concatenated ``parts``, personalised by ``purpose`` (RFC 7693 §2.8).

    ``purpose`` has at most 8 ASCII characters (the personalisation holds 16 bytes). Callers
    make sure that the concatenation is unambiguous: fixed lengths, or one canonical encoding.
    """
    h = hasher(purpose)
    for part in parts:
        h.update(part)
    return h.digest()


def hasher(purpose: str) -> blake2b:
    """``digest`` for what comes piece by piece."""
    return _empty(purpose).copy()


@lru_cache(maxsize=64)
def _empty(purpose: str) -> blake2b:
    """To copy one takes half as long as to make one."""
    return blake2b(digest_size=ID_BYTES, person=b"commons/" + purpose.encode("ascii"))
