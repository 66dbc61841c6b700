"""Sealed texts: for all who hold an epoch key of the community, or for devices of named members.

Sealed to an epoch: ``[epoch, box]``, the box under a key derived from the epoch's. Sealed to
members: ``[[[the device's first 8 bytes, the key sealed to it]…], box]``. A box is
XSalsa20-Poly1305 with its nonce in front. All stands in one part: an erasure takes text and sealed
keys alike.

Source: docs/protocol/profiles.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar, Final

import msgspec
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from commons_crdt import canonical
from commons_crdt.device import DeviceKeys, DeviceSecrets, seal, unseal
from commons_crdt.errors import CommonsError, Refused
from commons_crdt.ids import OperationId, digest
from commons_crdt.operation import Hash
from commons_node.domains.profiles.facts import MAX_SEALED

MAX_TEXT: Final = 500
"""Bytes of a text that is sealed."""
MAX_DEVICES: Final = 14
"""Devices that one text can be sealed to, those of its author included."""
_PREFIX: Final = 8


class TooManyReaders(CommonsError):
    """These readers have {found} devices; a text can be sealed to {most}, yours included."""

    code: ClassVar[str] = "readers"
    hint: ClassVar[str] = "name fewer readers, or --readers community"
    status = "usage"


class _ToEpoch(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    epoch: Hash
    box: bytes


class _Share(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    device: Annotated[bytes, msgspec.Meta(min_length=_PREFIX, max_length=_PREFIX)]
    key: Annotated[bytes, msgspec.Meta(min_length=80, max_length=80)]


class _ToDevices(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    shares: Annotated[tuple[_Share, ...], msgspec.Meta(min_length=1, max_length=MAX_DEVICES)]
    box: bytes


def to_epoch(text: bytes, epoch: OperationId, key: bytes) -> bytes:
    """A sealed part that every holder of the epoch's 32-byte ``key`` can read."""
    box = bytes(SecretBox(_of_epoch(key)).encrypt(text))
    return _pack(_ToEpoch(epoch, box))


def to_devices(text: bytes, devices: Iterable[DeviceKeys]) -> bytes:
    """A sealed part that these devices can read. Raises ``TooManyReaders``."""
    each = sorted({one.id: one for one in devices}.items())
    if len(each) > MAX_DEVICES:
        raise TooManyReaders(found=len(each), most=MAX_DEVICES)
    key = os.urandom(SecretBox.KEY_SIZE)
    shares = tuple(_Share(ident[:_PREFIX], seal(key, one.sealing)) for ident, one in each)
    return _pack(_ToDevices(shares, bytes(SecretBox(key).encrypt(text))))


def open_sealed(
    part: bytes, epochs: Mapping[OperationId, bytes], device: DeviceSecrets | None
) -> bytes | None:
    """What stands in a sealed part; None where no key at hand opens it, or it is malformed."""
    try:
        packed = canonical.decode(part, MAX_SEALED, depth=4)
        short = isinstance(packed, list) and packed and isinstance(packed[0], bytes)
        if short:
            to = msgspec.convert(packed, _ToEpoch, builtin_types=(bytes,))
            key = epochs.get(OperationId(to.epoch))
            return _open(to.box, None if key is None else _of_epoch(key))
        found = msgspec.convert(packed, _ToDevices, builtin_types=(bytes,))
    except (Refused, msgspec.ValidationError):
        return None
    if device is None:
        return None
    prefix = device.keys.id[:_PREFIX]
    for share in found.shares:
        if share.device == prefix and (opened := unseal(share.key, device.sealing)) is not None:
            return _open(found.box, opened)
    return None


def _of_epoch(key: bytes) -> bytes:
    return digest("profile", key)


def _open(box: bytes, key: bytes | None) -> bytes | None:
    if key is None or len(key) != SecretBox.KEY_SIZE:
        return None
    try:
        return SecretBox(key).decrypt(box)
    except (CryptoError, ValueError):
        return None


def _pack(value: msgspec.Struct) -> bytes:
    return canonical.encode(msgspec.to_builtins(value, builtin_types=(bytes,)))
