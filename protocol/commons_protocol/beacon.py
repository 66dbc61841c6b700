"""The LAN beacon: members of a community recognise each other's nodes, nobody else does.

A nonce and 16 slots, each a tag of 8 bytes and a sealed transport key; real ones for this node's
newest epochs, noise in the others. To a stranger all beacons look alike and change with every
nonce. Reading proves nothing: whoever copied a beacon still fails the proof on the stream.

Source: ARCHITECTURE §§6, 7; RFC 6763 §6.1 (a TXT string has at most 255 bytes).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from commons_crdt.ids import digest

SLOTS = 16
NONCE = 16
_TAG = 8
_SEALED = 32 + 16
_SLOT = _TAG + _SEALED
_BYTES = NONCE + SLOTS * _SLOT
_STRING = 240
"""Bytes of value in one TXT string: 4 strings of together 928 bytes with their keys."""


def show(
    epoch_keys: Iterable[bytes], transport_key: bytes, random: Callable[[int], bytes]
) -> dict[str, bytes]:
    """The TXT record of this node; ``epoch_keys``: the most important first, 16 are used."""
    nonce = random(NONCE)
    slots = []
    for key in list(epoch_keys)[:SLOTS]:
        seal = ChaCha20Poly1305(_seal_key(key, nonce))
        slots.append(_tag(key, nonce) + seal.encrypt(bytes(12), transport_key, b"beacon"))
    slots += [random(_SLOT) for _ in range(SLOTS - len(slots))]
    data = nonce + b"".join(sorted(slots))
    return {
        str(n): data[start : start + _STRING]
        for n, start in enumerate(range(0, len(data), _STRING))
    }


def read(txt: Mapping[str, bytes], epoch_keys: Iterable[bytes]) -> set[bytes]:
    """The transport keys that members show in a record; empty for strangers and for garbage."""
    data = b"".join(txt.get(str(n), b"") for n in range(-(-_BYTES // _STRING)))
    if len(data) != _BYTES:
        return set()
    nonce = data[:NONCE]
    slots = {
        data[at : at + _TAG]: data[at + _TAG : at + _SLOT] for at in range(NONCE, _BYTES, _SLOT)
    }
    found: set[bytes] = set()
    for key in epoch_keys:
        sealed = slots.get(_tag(key, nonce))
        if sealed is not None:
            try:
                seal = ChaCha20Poly1305(_seal_key(key, nonce))
                found.add(seal.decrypt(bytes(12), sealed, b"beacon"))
            except InvalidTag:
                continue
    return found


def _tag(key: bytes, nonce: bytes) -> bytes:
    return blake2b(nonce, key=key, digest_size=_TAG, person=b"commons/beacon").digest()


def _seal_key(key: bytes, nonce: bytes) -> bytes:
    # One key for each nonce, so that the AEAD's own nonce may be constant.
    return digest("beacon", key, nonce)
