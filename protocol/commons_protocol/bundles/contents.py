"""What stands in a bundle's chunks: frames in a fixed order, each bounded before it is built.

manifest · ends · operations of log 0 · of log 1 · longer parts of theirs · the end. Behind it,
where an earlier program does not read: parts that are asked for · pieces of large parts · the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Annotated, NamedTuple, TypeVar

import msgspec

from commons_crdt import canonical
from commons_crdt.device import DeviceKeys
from commons_crdt.errors import Refused
from commons_crdt.ids import DeviceId, OperationId
from commons_crdt.operation import MAX_COUNTER, MAX_LARGE_PART, Operation
from commons_crdt.texts import _
from commons_protocol.bundles.errors import Damaged
from commons_protocol.ends import ChainEnd
from commons_protocol.filed import MAX_OPERATION, decode_operation
from commons_protocol.parts import PartId

MAX_FOR = 64
"""Devices that a bundle may say it was made for."""
ENDS_IN_FRAME = 256
MAX_ENDS = 1 << 17
"""Chains that a bundle may speak of."""
WANTED_IN_FRAME = 256
MAX_WANTED = 1 << 12
"""Large parts that a bundle may ask for."""
MAX_PIECE = 43_520
"""Bytes of a large part in one frame: three such frames fill a chunk."""
_DEPTH = 5
_T = TypeVar("_T")

Hash = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNTER)]
_Seq = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNTER)]
_Log = Annotated[int, msgspec.Meta(ge=0, le=1)]


class Kind(IntEnum):
    """What a frame is; in a file they only ever ascend."""

    MANIFEST = 1
    ENDS = 2
    ZERO = 3
    ONE = 4
    PARTS = 5
    END = 6
    WANTED = 7
    PIECE = 8
    LAST = 9


OPERATIONS = (Kind.ZERO, Kind.ONE, Kind.PARTS)
BEHIND = (Kind.WANTED, Kind.PIECE, Kind.LAST)
"""What stands behind the end."""


class Manifest(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What a bundle says of itself, signed like all of it.

    ``pin``: the last seal that its maker accepted, or the realm. ``signer``: the keys of the
    maker's device; ``node``: the id of its transport key. Times in ms UTC. ``since_ms``: of log 1
    only what its maker stored from the first operation of this time on (0: all). ``made_for``:
    devices whose last known ends were left out (none: for everybody).
    """

    realm: Hash
    pin: Hash
    signer: DeviceKeys
    node: Hash
    created_ms: _Count
    expires_ms: _Count
    since_ms: _Count
    made_for: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=MAX_FOR)]


class End(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The end: how many operations of log 0, of log 1 and for their parts alone there were."""

    zero: _Count
    one: _Count
    parts: _Count


class Piece(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Bytes of a large part from ``offset`` on, salt included; its length stands in the header."""

    operation: Hash
    hash: Hash
    offset: Annotated[int, msgspec.Meta(ge=0, lt=MAX_LARGE_PART)]
    data: Annotated[bytes, msgspec.Meta(min_length=1, max_length=MAX_PIECE)]


class Last(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The very last frame: how many parts were asked for, and how many large ones there were."""

    wanted: _Count
    parts: _Count


class _ChainEnd(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    device: Hash
    log: _Log
    seq: _Seq
    id: Hash
    fork: _Seq
    hollow: _Seq
    more: Hash


_Wants = Annotated[
    tuple[tuple[Hash, Hash], ...], msgspec.Meta(min_length=1, max_length=WANTED_IN_FRAME)
]
_Ends = Annotated[tuple[_ChainEnd, ...], msgspec.Meta(min_length=1, max_length=ENDS_IN_FRAME)]


class Filed(NamedTuple):
    """An operation, and in which section it stands."""

    kind: Kind
    operation: Operation


class Wanted(NamedTuple):
    """Large parts that the maker has not."""

    parts: tuple[PartId, ...]


Frame = Manifest | End | tuple[ChainEnd, ...] | Filed | Wanted | Piece | Last


def encode_manifest(manifest: Manifest) -> bytes:
    """The first frame."""
    return canonical.encode(msgspec.to_builtins(manifest, builtin_types=(bytes,)))


def encode_end(end: End) -> bytes:
    """The end of the operations."""
    return canonical.encode(msgspec.to_builtins(end))


def encode_behind(frame: Piece | Last) -> bytes:
    """A frame behind the end."""
    return canonical.encode(msgspec.to_builtins(frame, builtin_types=(bytes,)))


def encode_ends(ends: Sequence[ChainEnd]) -> Iterator[bytes]:
    """As many frames as it takes."""
    for at in range(0, len(ends), ENDS_IN_FRAME):
        yield canonical.encode([list(end) for end in ends[at : at + ENDS_IN_FRAME]])


def encode_wanted(wanted: Sequence[PartId]) -> Iterator[bytes]:
    """As many frames as it takes."""
    for at in range(0, len(wanted), WANTED_IN_FRAME):
        yield canonical.encode([list(one) for one in wanted[at : at + WANTED_IN_FRAME]])


def decode_frame(kind: int, data: bytes) -> Frame:
    """What a frame holds; ``Damaged`` if it is not what it should be."""
    try:
        if kind in OPERATIONS:
            return Filed(Kind(kind), decode_operation(data))
        value = canonical.decode(data, MAX_OPERATION, depth=_DEPTH)
    except Refused as error:
        raise Damaged(
            "format", _("a frame is not canonical ({why})").format(why=error.why)
        ) from error
    match kind:
        case Kind.MANIFEST:
            return _as(Manifest, value)
        case Kind.END:
            return _as(End, value)
        case Kind.PIECE:
            return _as(Piece, value)
        case Kind.LAST:
            return _as(Last, value)
        case Kind.WANTED:
            return Wanted(tuple(PartId(OperationId(o), h) for o, h in _as(_Wants, value)))
        case Kind.ENDS:
            ends = _as(_Ends, value)
            return tuple(
                ChainEnd(
                    DeviceId(e.device), e.log, e.seq, OperationId(e.id), e.fork, e.hollow, e.more
                )
                for e in ends
            )
    raise Damaged("format", _("it holds a frame of no known kind"))


def _as(wanted: type[_T], value: object) -> _T:
    try:
        return msgspec.convert(value, wanted, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise Damaged("format", _("a frame is not what it should be")) from error
