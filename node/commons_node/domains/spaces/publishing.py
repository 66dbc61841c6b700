"""A check-in that its member lets others see: all of the community, or a circle of named members.

A circle's part is sealed to the standing devices of those members and of the author; the number of
places in it is rounded up, so that it says little of how many they are. That somebody published
something, and until when, everybody sees; where they are only whom it is for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Final

import msgspec
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from commons_crdt import canonical
from commons_crdt.device import DeviceSecrets, seal, unseal
from commons_crdt.errors import CommonsError, Refused
from commons_crdt.ids import MemberId
from commons_crdt.operation import Hash
from commons_node.community import Community

MAX_PLACES: Final = 16
_ROUND = 8
_SEALED = 80
_PLAIN = 192
_BOXED = _PLAIN + SecretBox.NONCE_SIZE + SecretBox.MACBYTES


class LargeCircle(CommonsError):
    """A circle has at most {most} devices; this one has {count}."""

    code = "circle"
    hint = "name fewer members, or publish to the community"
    status = "usage"


class Said(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Where the author is, since when and until when (ms, UTC)."""

    space: Hash
    at_ms: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
    until_ms: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]


def sealing_keys(community: Community, members: Iterable[MemberId]) -> list[bytes]:
    """The sealing keys of all standing devices of these members, not of nodes."""
    wanted = set(members)
    grants = community.realm.judge.authority.standing_devices().values()
    return [g.keys.sealing for g in grants if g.member in wanted and not g.unattended]


def encode_open(said: Said) -> bytes:
    """The part for the whole community."""
    return b"\x00" + _plain(said)


def encode_sealed(
    said: Said, keys: Sequence[bytes], random: Callable[[int], bytes] = os.urandom
) -> bytes:
    """The part for the holders of these sealing keys. Raises ``LargeCircle``."""
    if len(keys) > MAX_PLACES:
        raise LargeCircle(most=MAX_PLACES, count=len(keys))
    key = random(SecretBox.KEY_SIZE)
    plain = _plain(said)
    padded = bytes([len(plain)]) + plain.ljust(_PLAIN - 1, b"\x00")
    box = SecretBox(key).encrypt(padded, random(SecretBox.NONCE_SIZE))
    places = sorted(seal(key, one) for one in keys)
    places += [random(_SEALED) for _ in range(-len(places) % _ROUND)]
    return b"\x01" + bytes(box) + b"".join(sorted(places))


def decode_said(part: bytes, secrets: DeviceSecrets | None) -> Said | None:
    """What a part says to the holder of these secrets; None if it is not for them, or nothing."""
    if part[:1] == b"\x00":
        return _said(part[1:])
    places = part[1 + _BOXED :]
    if part[:1] != b"\x01" or secrets is None or len(places) % _SEALED:
        return None
    if not 1 <= len(places) // _SEALED <= MAX_PLACES:
        return None
    for at in range(0, len(places), _SEALED):
        key = unseal(places[at : at + _SEALED], secrets.sealing)
        if key is not None and len(key) == SecretBox.KEY_SIZE:
            try:
                padded = SecretBox(key).decrypt(part[1 : 1 + _BOXED])
                return _said(padded[1 : 1 + padded[0]])
            except CryptoError:
                return None
    return None


def _plain(said: Said) -> bytes:
    return canonical.encode(msgspec.to_builtins(said, builtin_types=(bytes,)))


def _said(data: bytes) -> Said | None:
    try:
        value = canonical.decode(data, _PLAIN)
        return msgspec.convert(value, Said, builtin_types=(bytes,))
    except (Refused, msgspec.ValidationError):
        return None
