"""How operations travel: in frames as full as can be, in pieces, in pages, as pushes.

They are never re-encoded: header, signature, body and parts are sent as they are stored. Nothing in
them is verified here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Annotated

import msgspec

from commons_crdt.operation import (
    MAX_BODY,
    MAX_HEADER,
    MAX_PARTS,
    SIGNATURE_BYTES,
    SMALL_PART,
    Operation,
)
from commons_protocol.frame import encode, read
from commons_protocol.network import MAX_FRAME

MAX_OPERATION = 262_144
"""Bytes of one operation on the wire; parts that do not fit are left out, the largest first."""

Part = Annotated[bytes, msgspec.Meta(max_length=MAX_OPERATION)]

WireOperation = tuple[
    Annotated[bytes, msgspec.Meta(min_length=1, max_length=MAX_HEADER)],
    Annotated[bytes, msgspec.Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)],
    Annotated[bytes, msgspec.Meta(max_length=MAX_BODY)] | None,
    Annotated[tuple[Part | None, ...], msgspec.Meta(max_length=MAX_PARTS)],
]
"""An operation as it travels: header, signature, body or nil, parts or nils."""


def pack_operation(operation: Operation) -> list[object]:
    """An operation as CBOR takes it; nothing is copied or re-encoded.

    A body that no kind allows stays behind: nobody fetches it, and peers would not parse it. So do
    large parts: they are fetched by their hash (`parts`).
    """
    body = operation.body
    if body is not None and len(body) > MAX_BODY:
        body = None
    return [operation.header, operation.signature, body, [_small(part) for part in operation.parts]]


def _small(part: bytes | None) -> bytes | None:
    return part if part is None or len(part) <= SMALL_PART else None


def unpack_operation(packed: WireOperation) -> Operation:
    """The operation of a decoded message. Nothing in it is verified."""
    return Operation(packed[0], packed[1], packed[2], packed[3])


def unpack_operations(packed: Iterable[WireOperation]) -> tuple[Operation, ...]:
    """The operations of a decoded message."""
    return tuple(Operation(h, s, b, p) for h, s, b, p in packed)


def operation_size(operation: Operation) -> int:
    """At most how many bytes this operation takes in a frame."""
    size = len(operation.header) + len(operation.signature) + 16
    if operation.body is not None:
        size += len(operation.body) + 5
    for part in operation.parts:
        size += 5 + len(_small(part) or b"")
    return size


def slimmed(operation: Operation, limit: int = MAX_OPERATION) -> Operation:
    """The operation without its largest parts, as many as are too much for ``limit``.

    Parts may be absent anywhere, and are fetched on demand.
    """
    parts = list(operation.parts)
    size = operation_size(operation)
    while size > limit and any(parts):
        largest = max(range(len(parts)), key=lambda i: len(parts[i] or b""))
        size -= len(_small(parts[largest]) or b"")
        parts[largest] = None
    return Operation(operation.header, operation.signature, operation.body, tuple(parts))


_ROOM = MAX_FRAME - 32


def frames(slot: int, operations: Sequence[Operation]) -> Iterator[tuple[bytes, int]]:
    """Frames that carry ``operations``, each as full as it can be, with how many are in each.

    An operation that is larger than a frame becomes several pieces; its last one counts it.
    """
    batch: list[list[object]] = []
    size = 0
    for operation in operations:
        need = operation_size(operation)
        if batch and size + need > _ROOM:
            yield encode([13, slot, batch]), len(batch)
            batch, size = [], 0
        if need > _ROOM:
            data = encode(pack_operation(slimmed(operation)))
            for start in range(0, len(data), _ROOM):
                last = start + _ROOM >= len(data)
                yield encode([14, slot, last, data[start : start + _ROOM]]), int(last)
            continue
        batch.append(pack_operation(operation))
        size += need
    if batch:
        yield encode([13, slot, batch]), len(batch)


def pages(operations: Sequence[Operation]) -> Iterator[bytes]:
    """The frames of a log 0, at least one. No kind of it has parts: those of others stay behind."""
    batch: list[list[object]] = []
    size = 0
    for whole in operations:
        operation = slimmed(whole, 0) if whole.parts else whole
        need = operation_size(operation)
        if batch and size + need > _ROOM:
            yield encode([34, False, batch])
            batch, size = [], 0
        batch.append(pack_operation(operation))
        size += need
    yield encode([34, True, batch])


def pack_push(slot: int, operations: Sequence[Operation]) -> bytes:
    """The frame of a `Push`."""
    return _packed_push(slot, tuple(operations))


@lru_cache(maxsize=8)  # it goes to every neighbour
def _packed_push(slot: int, operations: tuple[Operation, ...]) -> bytes:
    return encode([18, slot, [pack_operation(operation) for operation in operations]])


def unpack_pieces(data: bytes) -> Operation:
    """The operation of joined pieces; ``Refused`` with ``size``, ``encoding`` or ``message``."""
    return unpack_operation(read(data, WireOperation, MAX_OPERATION + 64))
