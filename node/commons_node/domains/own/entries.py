"""What stands in a member's own realm, opened: check-ins, their ends, whom they were shown to.

Every entry is padded to the same length before it is sealed, and one that says nothing (``Blank``)
looks like any other. Pure: the random numbers are handed in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final

import msgspec
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from commons_crdt import canonical
from commons_crdt.errors import Refused
from commons_crdt.operation import Hash
from commons_node.domains.own.facts import PLAIN

_MOST = PLAIN - 2
_Time = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]


class CheckedIn(
    msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="checkin"
):
    """The member was at ``space`` of ``community``; ``code`` is the signature of its code."""

    id: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    community: Hash
    space: Hash
    slot: int
    code: Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
    at_ms: _Time
    until_ms: _Time


class Left(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="left"):
    """A check-in ended before its time."""

    checkin: Hash
    at_ms: _Time


class Shown(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="shown"):
    """A check-in was published by ``operation``, to these members, or to all where none is."""

    checkin: Hash
    operation: Hash
    at_ms: _Time
    members: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=16)]


class Blank(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="blank"):
    """Says nothing: a machine that keeps entries can't tell from their number what was done."""

    at_ms: _Time


class Regained(
    msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="regained"
):
    """A check-in came from a lost machine's backup: that one has told the space of it, or none."""

    checkin: Hash
    at_ms: _Time


Content = CheckedIn | Left | Shown | Blank | Regained
DATA_KEY_BYTES: Final = SecretBox.KEY_SIZE


def seal_entry(entry: Content, key: bytes, random: Callable[[int], bytes]) -> bytes:
    """The body of an entry; ``ValueError`` if it is longer than every entry is."""
    plain = canonical.encode(msgspec.to_builtins(entry, builtin_types=(bytes,)))
    if len(plain) > _MOST:
        raise ValueError("an entry is at most a kilobyte")
    padded = len(plain).to_bytes(2, "big") + plain + bytes(_MOST - len(plain))
    return bytes(SecretBox(key).encrypt(padded, random(SecretBox.NONCE_SIZE)))


def open_entry(sealed: bytes, key: bytes) -> Content:
    """What an entry says; ``Refused`` if it was not sealed with this key, or says nothing known."""
    try:
        padded = SecretBox(key).decrypt(sealed)
        length = int.from_bytes(padded[:2], "big")
        if len(padded) != PLAIN or length > _MOST:
            raise Refused("malformed")
        value = canonical.decode(padded[2 : 2 + length], _MOST)
        return msgspec.convert(value, Content, builtin_types=(bytes,))  # type: ignore[no-any-return]  # a union is no type to mypy
    except (CryptoError, ValueError, msgspec.ValidationError) as error:
        raise Refused("malformed") from error
