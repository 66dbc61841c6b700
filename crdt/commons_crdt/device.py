"""A device: one signing key and one sealing key, named by a hash of both, never copied.

Device keys are made per realm and published in their grant. The private halves live in the
daemon's keystore; this module only computes with keys that are handed to it.

Source: ARCHITECTURE §2; Ed25519 (RFC 8032) and X25519 (RFC 7748) as libsodium does them.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal, Self

import msgspec
from nacl.bindings import crypto_scalarmult, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError, CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox
from nacl.signing import SigningKey

from commons_crdt.ids import DeviceId, digest

Key = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Signature = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]


class DeviceKeys(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The public half of a device: suite 1 = Ed25519 signing key and X25519 sealing key."""

    suite: Literal[1]
    signing: Key
    sealing: Key

    @property
    def id(self) -> DeviceId:
        """The device's name, and its Automerge actor."""
        return DeviceId(digest("device", bytes([self.suite]), self.signing, self.sealing))

    @property
    def usable(self) -> bool:
        """False if the sealing key is a point of small order: nothing can be sealed to it."""
        try:
            crypto_scalarmult(bytes(32), self.sealing)
        except CryptoError:
            return False
        return True


class DeviceSecrets(
    msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, dict=True
):
    """The private half of a device: two 32-byte seeds. Never printed, never sent."""

    signing: Key
    sealing: Key

    def __repr__(self) -> str:
        """Say nothing: reprs end in logs."""
        return "DeviceSecrets(…)"

    @cached_property
    def keys(self) -> DeviceKeys:
        """The public half; two multiplications on the curve, so made once."""
        return DeviceKeys(
            1,
            crypto_sign_seed_keypair(self.signing)[0],
            bytes(PrivateKey(self.sealing).public_key),
        )

    def with_keys(self, keys: DeviceKeys) -> Self:
        """This one; ``keys`` are its public half, computed before."""
        self.__dict__["keys"] = keys
        return self


def sign_claim(purpose: str, seed: bytes, *parts: bytes) -> bytes:
    """Sign fixed-length ``parts`` for one purpose (at most 8 letters); 64 bytes."""
    return SigningKey(seed).sign(digest(purpose, *parts)).signature


def verify_claim(purpose: str, key: bytes, signature: bytes, *parts: bytes) -> bool:
    """True if ``signature`` is ``sign_claim`` of the same purpose and parts under ``key``."""
    try:
        crypto_sign_open(signature + digest(purpose, *parts), key)
    except (BadSignatureError, ValueError):
        return False
    return True


def seal(secret: bytes, sealing_key: bytes) -> bytes:
    """Seal ``secret`` to a device so that only it can open it (48 bytes more than the secret)."""
    return SealedBox(PublicKey(sealing_key)).encrypt(secret)


def unseal(sealed: bytes, sealing_seed: bytes) -> bytes | None:
    """What was sealed to this device, or None if it was not."""
    try:
        return SealedBox(PrivateKey(sealing_seed)).decrypt(sealed)
    except CryptoError:
        return None
