"""The messages of `/commons/parts/1`: one side asks for a part by its hash, the other gives it.

The stream begins with the messages of the proof, which are those of sync. Shapes only: who may say
what, and when, stands in `parts`. Source: docs/protocol/parts.md.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from commons_crdt.errors import Refused
from commons_crdt.operation import MAX_LARGE_PART
from commons_protocol import wire
from commons_protocol.frame import decode, encode

CHUNK = 32_768
"""Bytes of every chunk but the last: whoever gives them one by one gains nothing by it."""
MAX_CREDIT = 16
"""Chunks that may be on their way at once."""

PartLength = Annotated[int, msgspec.Meta(ge=0, le=MAX_LARGE_PART)]


class _Message(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    pass


class AskPart(_Message, frozen=True, tag=40):
    """Give me this part of an operation from ``offset`` on, ``credit`` chunks at once.

    Without credit: only say whether you hold it.
    One question at a time: the next one after the answer, or after the last chunk.
    """

    slot: wire.Slot
    operation: wire.Bytes32
    hash: wire.Bytes32
    offset: PartLength
    credit: Annotated[int, msgspec.Meta(ge=0, le=MAX_CREDIT)]


class Holding(_Message, frozen=True, tag=41):
    """I hold it whole, so many bytes with its salt; the chunks follow as credit allows."""

    slot: wire.Slot
    length: PartLength


class Lacking(_Message, frozen=True, tag=42):
    """I do not hold it, or no more for long."""

    slot: wire.Slot


class Chunk(_Message, frozen=True, tag=43):
    """The next bytes: ``CHUNK`` of them, or all that is left. Takes one credit."""

    slot: wire.Slot
    data: Annotated[bytes, msgspec.Meta(min_length=1, max_length=CHUNK)]


class More(_Message, frozen=True, tag=44):
    """What came is on my disk: so many chunks more may go."""

    slot: wire.Slot
    chunks: Annotated[int, msgspec.Meta(ge=1, le=MAX_CREDIT)]


ProofMessage = wire.Hello | wire.Tags | wire.Proof | wire.AskPath | wire.Path
PartMessage = AskPart | Holding | Lacking | Chunk | More


def pack(message: PartMessage) -> bytes:
    """The frame of a message."""
    return encode(msgspec.to_builtins(message, builtin_types=(bytes,)))


def unpack_parts(frame: bytes) -> ProofMessage | PartMessage:
    """A message of the parts protocol; ``Refused`` with ``size``, ``encoding`` or ``message``."""
    try:
        message: ProofMessage | PartMessage = msgspec.convert(
            decode(frame), ProofMessage | PartMessage
        )
    except msgspec.ValidationError as error:
        raise Refused("message") from error
    return message
