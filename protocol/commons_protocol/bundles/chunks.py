"""A bundle's chunks: all of one size, each sealed, signed and good only at its place.

``signature (64) ‖ length (4) ‖ operations before (8) ‖ payload ‖ zeroes``, sealed with
XChaCha20-Poly1305 under the file's key; nonce: the chunk's number; bound to the file's name.
Nothing is compressed, so nothing grows when it is opened.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt as _open,
)
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_encrypt as _seal,
)
from nacl.exceptions import CryptoError

from commons_crdt.device import verify_claim
from commons_crdt.ids import digest
from commons_crdt.texts import _
from commons_protocol.bundles.errors import Damaged

CHUNK = 131_072
"""Bytes of a chunk in the file."""
ROOM = CHUNK - 16 - 64 - 4 - 8
"""Bytes of frames that a chunk holds."""
_CLAIM = "bundle"
Sign = Callable[[bytes], bytes]
"""Signs a 32-byte digest with the device's key."""


class Opened(NamedTuple):
    """A chunk whose seal was right; ``verify`` says whether its signature is."""

    number: int
    before: int
    payload: bytes
    signature: bytes


def seal_chunk(
    key: bytes, name: bytes, number: int, before: int, payload: bytes, sign: Sign
) -> bytes:
    """One chunk of the file ``name``; ``before``: operations in the chunks before it."""
    signature = sign(digest(_CLAIM, *_claimed(name, number, before, payload)))
    plain = signature + len(payload).to_bytes(4) + before.to_bytes(8) + payload
    plain = plain.ljust(CHUNK - 16, b"\0")
    return bytes(_seal(plain, name, number.to_bytes(24), key))


def open_chunk(key: bytes, name: bytes, number: int, data: bytes) -> Opened:
    """What is in a chunk; ``Damaged`` if it is torn, changed or of another place."""
    if len(data) != CHUNK:
        raise Damaged("truncated", _("it ends too early"))
    try:
        plain = _open(data, name, number.to_bytes(24), key)
    except CryptoError as error:
        raise Damaged("damaged", _("its bytes are not those that were written")) from error
    length = int.from_bytes(plain[64:68])
    if length > ROOM or any(plain[76 + length :]):
        raise Damaged("format", _("a chunk is not what it should be"))
    return Opened(number, int.from_bytes(plain[68:76]), plain[76 : 76 + length], plain[:64])


def verify_chunk(chunk: Opened, name: bytes, key: bytes) -> None:
    """``Damaged`` if the maker's signing ``key`` did not sign this chunk."""
    claimed = _claimed(name, chunk.number, chunk.before, chunk.payload)
    if not verify_claim(_CLAIM, key, chunk.signature, *claimed):
        raise Damaged("signature", _("its maker has not signed this"))


def _claimed(name: bytes, number: int, before: int, payload: bytes) -> tuple[bytes, ...]:
    return name, number.to_bytes(8), before.to_bytes(8), digest("bundchnk", payload)
