"""Signatures that libsodium takes or refuses."""

from __future__ import annotations

import hashlib
from typing import Any

from commons_crdt.device import DeviceSecrets, sign_claim
from commons_crdt.operation import encode_header, sign, verify
from making.envelopes import PLAIN, altered
from making.names import secrets

# The order of the group of Ed25519, the prime of its field (RFC 8032 §5.1), the tag of a header.
ORDER = 2**252 + 27742317777372353535851937790883648493
PRIME = 2**255 - 19
TAG = b"commons/operation/1\x00"


def signatures() -> list[dict[str, Any]]:
    """Signatures that libsodium takes or refuses; ``openssl`` where OpenSSL 3 takes it too.

    A verifier must give ``valid`` for each. Those with ``openssl`` true and ``valid`` false are
    why the verifier is libsodium's and no other: two libraries would hold two truths.
    """
    alice = secrets("alice")
    header, key = encode_header(PLAIN), alice.keys.signing
    signature = sign(header, alice.signing)
    point, scalar = signature[:32], int.from_bytes(signature[32:], "little")
    one, base = _le(1), bytes.fromhex("58" + "66" * 31)
    small = _le(PRIME - 1)
    cases = [
        ("signed", header, key, signature, True),
        ("another header", altered(4, 3), key, signature, False),
        ("another key", header, secrets("eve").keys.signing, signature, False),
        ("another point", header, key, bytes([point[0] ^ 1]) + signature[1:], False),
        ("S + order", header, key, point + _le(scalar + ORDER), False),
        ("S with its top bit", header, key, point + _le(scalar | 1 << 255), False),
        ("63 bytes", header, key, signature[:63], False),
        ("signed without the tag", header, key, _signed_bare(header, alice.signing), False),
        ("key of order 1: signs everything", header, one, base + one, True),
        ("key of order 1: S = 0", header, one, one + bytes(32), True),
        ("key of order 1, not canonical", header, _le(PRIME + 1), base + one, True),
        ("key of order 1 with a sign", header, _le(1 | 1 << 255), base + one, True),
        ("R of order 1 under a good key", header, key, _small_r(header, alice, one), True),
        (
            "R of order 1, not canonical",
            header,
            key,
            _small_r(header, alice, _le(PRIME + 1)),
            False,
        ),
        ("key of order 2", *_order_two(small, base), True),
        ("key of zeroes, of order 4", header, bytes(32), base + one, True),
        ("all zeroes", header, bytes(32), bytes(64), False),
    ]
    return [
        {
            "name": name,
            "header": data.hex(),
            "key": by.hex(),
            "signature": made.hex(),
            "valid": verify(data, made, by),
            "openssl": openssl,
        }
        for name, data, by, made, openssl in cases
    ]


def _le(number: int) -> bytes:
    return number.to_bytes(32, "little")


def _challenge(point: bytes, key: bytes, header: bytes) -> int:
    return int.from_bytes(hashlib.sha512(point + key + TAG + header).digest(), "little") % ORDER


def _small_r(header: bytes, device: DeviceSecrets, point: bytes) -> bytes:
    """What the owner of a key can make besides honest signatures (RFC 8032 §5.1.6, r = 0)."""
    scalar = int.from_bytes(hashlib.sha512(device.signing).digest()[:32], "little")
    scalar = scalar & ((1 << 254) - 8) | 1 << 254
    return point + _le(_challenge(point, device.keys.signing, header) * scalar % ORDER)


def _order_two(key: bytes, base: bytes) -> tuple[bytes, bytes, bytes]:
    """A header whose challenge is even, so that a key of order 2 falls out of the equation."""
    seq = next(n for n in range(2, 99) if _challenge(base, key, altered(4, n)) % 2 == 0)
    return altered(4, seq), key, base + _le(1)


def _signed_bare(header: bytes, seed: bytes) -> bytes:
    """A signature of the header's hash, as claims are signed: for no purpose of a header."""
    return sign_claim("op", seed, header)
