"""`/commons/attend/1`: an attendance token is handed to the node of a space, one frame each way.

The token says that *some* member was there: a ring signature over the keys of members, and the
space's code, which shows that somebody stood before it. Whoever brings it need not be the one whom
it counts, and proves nothing.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from commons_crdt.device import Key, Signature
from commons_crdt.errors import Refused
from commons_crdt.ids import DocumentId, RealmId, digest
from commons_crdt.ring import MAX_RING, RingSignature
from commons_protocol.frame import decode, encode
from commons_protocol.network import ProtocolName
from commons_protocol.venue import DAY_SLOTS, MAX_SLOT

ATTEND: Final = ProtocolName("/commons/attend/1")
MIN_RING: Final = 5
"""A token of fewer people would say too much; it is also what a count is shown from."""
MAX_TOKEN: Final = 8192

Slot = Annotated[int, msgspec.Meta(ge=0, le=MAX_SLOT)]
Ring = Annotated[tuple[Key, ...], msgspec.Meta(min_length=MIN_RING, max_length=MAX_RING)]
Answer = Literal["taken", "refused", "later"]


class Token(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Somebody of ``ring`` was at ``space`` in ``slot``; ``code`` is the signature of its code."""

    version: Literal[1]
    realm: Key
    space: Key
    slot: Slot
    code: Signature
    ring: Ring
    signature: RingSignature


class _Answered(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    version: Literal[1]
    answer: Answer


def scope_of(realm: RealmId, space: DocumentId, slot: int) -> bytes:
    """What a member is counted in once: a space on a day (UTC)."""
    return digest("attday", realm, space, (slot // DAY_SLOTS).to_bytes(4, "big"))


def message_of(realm: RealmId, space: DocumentId, slot: int) -> bytes:
    """What the ring signs."""
    return digest("attend", realm, space, slot.to_bytes(4, "big"))


def encode_token(token: Token) -> bytes:
    """The frame that carries a token."""
    return encode(msgspec.to_builtins(token, builtin_types=(bytes,)))


def decode_token(data: bytes) -> Token:
    """Read a token, nothing of it verified; ``Refused`` if it is not one."""
    try:
        return msgspec.convert(decode(data, MAX_TOKEN), Token, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise Refused("malformed") from error


def encode_answer(answer: Answer) -> bytes:
    """The frame that answers."""
    return encode([1, answer])


def decode_answer(data: bytes) -> Answer:
    """Read the answer; ``Refused`` if it is none."""
    try:
        return msgspec.convert(decode(data, 64), _Answered, builtin_types=(bytes,)).answer
    except msgspec.ValidationError as error:
        raise Refused("malformed") from error
