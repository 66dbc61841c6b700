"""Linkable ring signatures: one of several keys has signed, nobody can say which, once a scope.

LSAG of Liu, Wei and Wong (ACISP 2004), with the tag bound to a scope as in Tsang and Wei's
event-oriented scheme (ISPEC 2005), over the prime-order group of Ed25519 (RFC 8032). Two signatures
of one key in one scope have the same tag; tags of different scopes tell nothing of each other. A
device's signing key serves: its scalar is the one of RFC 8032, and every hash here has a purpose of
its own, so that no ring signature can be taken for a plain one.

Pure: the random numbers are handed in. Not constant-time beyond what libsodium is: the place of the
signer in the ring shows in no branch, but Python promises nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Annotated

import msgspec
from nacl.bindings import (
    crypto_core_ed25519_add,
    crypto_core_ed25519_is_valid_point,
    crypto_core_ed25519_scalar_mul,
    crypto_core_ed25519_scalar_reduce,
    crypto_core_ed25519_scalar_sub,
    crypto_scalarmult_ed25519_base_noclamp,
    crypto_scalarmult_ed25519_noclamp,
)
from nacl.exceptions import CryptoError

from commons_crdt.device import Key
from commons_crdt.ids import digest

MAX_RING = 64
"""Keys in one ring: about 15 ms to verify, and 4 KiB."""
_TRIES = 4096

Random = Callable[[int], bytes]


class RingSignature(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """``tag``: the same for every signature of one key in one scope; then the closed ring."""

    tag: Key
    challenge: Key
    answers: Annotated[tuple[Key, ...], msgspec.Meta(min_length=2, max_length=MAX_RING)]


def usable_key(key: bytes) -> bool:
    """True if the key is a point of the prime-order group, as every honest key is."""
    return crypto_core_ed25519_is_valid_point(key)


def tag_of(seed: bytes, scope: bytes) -> bytes:
    """The tag of a signing key (its 32-byte seed) in a scope."""
    return crypto_scalarmult_ed25519_noclamp(_scalar(seed), _point(scope))


def sign_ring(
    message: bytes, scope: bytes, ring: Sequence[bytes], seed: bytes, random: Random
) -> RingSignature:
    """Sign as one of ``ring``; ``seed`` is the 32-byte seed of one of its keys.

    Raises ``ValueError`` if it is of none, or a key of the ring is not usable.
    """
    secret, base = _scalar(seed), _point(scope)
    own = crypto_scalarmult_ed25519_base_noclamp(secret)
    if own not in ring or not 2 <= len(ring) <= MAX_RING or not all(map(usable_key, ring)):
        raise ValueError("the signer stands in a ring of 2 to 64 usable keys")
    tag = crypto_scalarmult_ed25519_noclamp(secret, base)
    bound = _bound(message, scope, ring, tag)
    place, size = ring.index(own), len(ring)
    nonce = _random_scalar(random)
    answers = [b""] * size
    challenge = _challenge(
        bound,
        crypto_scalarmult_ed25519_base_noclamp(nonce),
        crypto_scalarmult_ed25519_noclamp(nonce, base),
    )
    first = challenge
    for step in range(1, size):
        at = (place + step) % size
        if at == 0:
            first = challenge
        answers[at] = _random_scalar(random)
        challenge = _next(bound, challenge, answers[at], ring[at], base, tag)
    if place == 0:
        first = challenge
    answers[place] = crypto_core_ed25519_scalar_sub(
        nonce, crypto_core_ed25519_scalar_mul(challenge, secret)
    )
    return RingSignature(tag, first, tuple(answers))


def verify_ring(
    message: bytes, scope: bytes, ring: Sequence[bytes], signature: RingSignature
) -> bool:
    """True if one of ``ring`` has signed ``message`` for ``scope``."""
    if len(ring) != len(signature.answers) or len(set(ring)) != len(ring):
        return False
    if not usable_key(signature.tag) or not all(map(usable_key, ring)):
        return False
    if any(_reduced(one) != one for one in (signature.challenge, *signature.answers)):
        return False
    base, bound = _point(scope), _bound(message, scope, ring, signature.tag)
    challenge = signature.challenge
    try:
        for key, answer in zip(ring, signature.answers, strict=True):
            challenge = _next(bound, challenge, answer, key, base, signature.tag)
    except CryptoError:  # a scalar of zero, or a sum that is no point: no honest signer makes one
        return False
    return challenge == signature.challenge


def _next(
    bound: bytes, challenge: bytes, answer: bytes, key: bytes, base: bytes, tag: bytes
) -> bytes:
    left = crypto_core_ed25519_add(
        crypto_scalarmult_ed25519_base_noclamp(answer),
        crypto_scalarmult_ed25519_noclamp(challenge, key),
    )
    right = crypto_core_ed25519_add(
        crypto_scalarmult_ed25519_noclamp(answer, base),
        crypto_scalarmult_ed25519_noclamp(challenge, tag),
    )
    return _challenge(bound, left, right)


def _bound(message: bytes, scope: bytes, ring: Sequence[bytes], tag: bytes) -> bytes:
    """What every challenge rests on, each of a fixed length."""
    return digest("ringall", digest("ringmsg", message), digest("ringscp", scope), tag, *ring)


def _challenge(bound: bytes, left: bytes, right: bytes) -> bytes:
    return _wide(b"commons/ringchl" + bound + left + right)


def _wide(data: bytes) -> bytes:
    return crypto_core_ed25519_scalar_reduce(hashlib.blake2b(data, digest_size=64).digest())


def _reduced(scalar: bytes) -> bytes:
    return crypto_core_ed25519_scalar_reduce(scalar + bytes(32))


def _random_scalar(random: Random) -> bytes:
    return crypto_core_ed25519_scalar_reduce(random(64))


def _scalar(seed: bytes) -> bytes:
    """The secret scalar of an Ed25519 seed (RFC 8032 §5.1.5), modulo the group's order."""
    wide = bytearray(hashlib.sha512(seed).digest()[:32])
    wide[0] &= 248
    wide[31] = (wide[31] & 127) | 64
    return _reduced(bytes(wide))


def _point(scope: bytes) -> bytes:
    """A point of which nobody knows the logarithm: hash and try again (scopes are public)."""
    for n in range(_TRIES):
        found = digest("ringpnt", n.to_bytes(2, "big"), scope)
        if crypto_core_ed25519_is_valid_point(found):
            return found
    raise ValueError("no point was found")  # 15/16 to the power of 4096
