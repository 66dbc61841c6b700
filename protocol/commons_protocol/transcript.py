"""What both ends of a stream derive from the same handshake: tags, keys, and what is signed.

Everything is bound to both nonces and both transport keys, and to the side that made it, so that
nothing of one stream is worth anything on another, or back to its sender. Pure functions.

Source: ARCHITECTURE §6; BLAKE2b keyed mode (RFC 7693 §2.9) as MAC and key derivation.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from commons_crdt.ids import digest
from commons_protocol.wire import TAG_BYTES

Side = Literal["dialler", "listener"]
_SIDES: dict[Side, bytes] = {"dialler": b"d", "listener": b"l"}


def other(side: Side) -> Side:
    """The opposite side."""
    return "listener" if side == "dialler" else "dialler"


@dataclass(frozen=True, slots=True)
class Ends:
    """Both nonces (32 bytes) and both transport keys (32 bytes) of a stream."""

    nonce_dialler: bytes
    nonce_listener: bytes
    key_dialler: bytes
    key_listener: bytes

    @property
    def joined(self) -> bytes:
        """All four, 128 bytes."""
        return self.nonce_dialler + self.nonce_listener + self.key_dialler + self.key_listener

    def tag(self, epoch_key: bytes, side: Side) -> bytes:
        """The tag by which ``side`` shows who knows the key that it knows it too."""
        mac = blake2b(key=epoch_key, digest_size=TAG_BYTES, person=b"commons/tag")
        mac.update(_SIDES[side] + self.joined)
        return mac.digest()

    def transcript(self, tags_dialler: bytes, tags_listener: bytes) -> bytes:
        """32 bytes over everything that was said before the proofs."""
        return digest("session", self.joined, tags_dialler, tags_listener)

    def range_key(self, realm: bytes) -> bytes:
        """32 bytes under which ranges of this realm are compared on this stream."""
        return digest("ranges", self.joined, realm)


def claim_parts(
    transcript: bytes, slot: int, side: Side, realm: bytes, device: bytes, grant: bytes
) -> tuple[bytes, ...]:
    """What a node's device signs to prove its standing on this stream (purpose ``proof``)."""
    return (transcript, bytes([slot]), _SIDES[side], realm, device, grant)


class Sealer:
    """One direction of one slot: AEAD under a key of its own, nonces counted from zero."""

    def __init__(self, epoch_key: bytes, transcript: bytes, slot: int, side: Side) -> None:
        """``side`` is the sender's."""
        kdf = blake2b(key=epoch_key, digest_size=32, person=b"commons/seal")
        kdf.update(transcript + bytes([slot]) + _SIDES[side])
        self._aead = ChaCha20Poly1305(kdf.digest())
        self._count = 0

    def _nonce(self) -> bytes:
        self._count += 1
        return self._count.to_bytes(12, "big")

    def seal(self, plain: bytes, purpose: bytes) -> bytes:
        """16 bytes longer than ``plain``."""
        return self._aead.encrypt(self._nonce(), plain, purpose)

    def open(self, sealed: bytes, purpose: bytes) -> bytes | None:
        """What was sealed in this place for this purpose, or None."""
        try:
            return self._aead.decrypt(self._nonce(), sealed, purpose)
        except InvalidTag:
            return None
