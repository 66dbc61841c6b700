"""An operation as files hold it: one frame of canonical CBOR, bounded, judged by nobody.

``[header, signature, body or null, [part or null…]]``: what an archive and a bundle have in common.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from commons_crdt import canonical
from commons_crdt.errors import Refused
from commons_crdt.operation import MAX_PARTS, Operation

MAX_OPERATION = 1 << 16
"""Bytes of the largest frame of an operation, with its body and parts."""
_DEPTH = 4


class _Filed(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    header: bytes
    signature: Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
    body: bytes | None
    parts: Annotated[tuple[bytes | None, ...], msgspec.Meta(max_length=MAX_PARTS)]


def encode_operation(operation: Operation) -> bytes:
    """The frame of an operation; what is absent is null."""
    parts = list(operation.parts)
    return canonical.encode([operation.header, operation.signature, operation.body, parts])


def decode_operation(data: bytes) -> Operation:
    """The operation in a frame, unverified; ``Refused`` with ``size`` or ``encoding``."""
    value = canonical.decode(data, MAX_OPERATION, depth=_DEPTH)
    try:
        found = msgspec.convert(value, _Filed, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise Refused("encoding") from error
    return Operation(found.header, found.signature, found.body, found.parts)
