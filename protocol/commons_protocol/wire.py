"""Every message that nodes send each other, and how an operation travels.

A message is one frame: a CBOR array that starts with the message's number. What does not fit the
types and bounds here is refused before any state machine sees it. This module knows shapes only:
who may say what, and when, stands in `proof`, `sync` and `joining`.

Operations are never re-encoded: header, signature, body and parts are sent as they are stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Annotated, Any

import msgspec

from commons_crdt.errors import Refused
from commons_crdt.operation import (
    MAX_BODY,
    MAX_COUNTER,
    MAX_HEADER,
    MAX_PARTS,
    SIGNATURE_BYTES,
    SMALL_PART,
    Operation,
)
from commons_protocol.frame import decode, encode
from commons_protocol.network import MAX_FRAME

VERSION = 1
SLOTS = 16
TAG_BYTES = 16
NONCE_BYTES = 32
MAX_ENDS = 350
"""Chain ends that are put into one frame."""
BRANCH, FINGERPRINT = 128, 16
"""Parts into which a range is split, at most; bytes of a part's fingerprint."""
MOST_ANSWERED, MOST_OPEN = 256, 16_384
"""Parts and lists in one `Ranges`; those in one turn that the other side answers."""
MAX_RANGES, MAX_IDS = 512, 256
"""Ranges in one `Want`; operations that it may name one by one."""
MAX_CREDIT = 64
MAX_OPERATION = 262_144
"""Bytes of one operation on the wire; parts that do not fit are left out, the largest first."""

Slot = Annotated[int, msgspec.Meta(ge=0, lt=SLOTS)]
Bytes16 = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
Bytes32 = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Bytes64 = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
More = Annotated[bytes, msgspec.Meta(max_length=32)]
Log = Annotated[int, msgspec.Meta(ge=0, le=1)]
EndSeq = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNTER)]
"""0: nothing of the chain counts, since its first operation is doubled."""
Seq = Annotated[int, msgspec.Meta(ge=1, le=MAX_COUNTER)]
AddressText = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Part = Annotated[bytes, msgspec.Meta(max_length=MAX_OPERATION)]

WireOperation = tuple[
    Annotated[bytes, msgspec.Meta(min_length=1, max_length=MAX_HEADER)],
    Annotated[bytes, msgspec.Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)],
    Annotated[bytes, msgspec.Meta(max_length=MAX_BODY)] | None,
    Annotated[tuple[Part | None, ...], msgspec.Meta(max_length=MAX_PARTS)],
]
"""An operation as it travels: header, signature, body or nil, parts or nils."""

End = tuple[Bytes32, EndSeq, Bytes32, EndSeq, EndSeq, More]
"""A chain's end: device, seq, id, fork, hollow (0: none), more (empty: nothing)."""

Index = Annotated[int, msgspec.Meta(ge=0, lt=MOST_OPEN)]
Bound = Annotated[bytes, msgspec.Meta(min_length=1, max_length=32)]

Split = tuple[
    Index,
    Annotated[tuple[Bound, ...], msgspec.Meta(min_length=1, max_length=BRANCH - 1)],
    Annotated[bytes, msgspec.Meta(min_length=2 * FINGERPRINT, max_length=BRANCH * FINGERPRINT)],
]
"""A range of yours that differs, in parts: its number, where each part but the first begins, and a
fingerprint of each."""

Listing = tuple[
    Index,
    tuple[End, ...],
    Annotated[tuple[Index, ...], msgspec.Meta(max_length=MOST_OPEN)],
]
"""A range of yours that differs, as ends: its number, mine in it, and which of yours I lack."""

WireRange = tuple[Bytes32, Log, Seq, Seq]
"""Device, log, first seq, last seq."""


class _Message(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    pass


# --- /commons/sync/1: who is there ---


class Hello(_Message, frozen=True, tag=1):
    """The first frame of both sides."""

    version: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    nonce: Bytes32


class Tags(_Message, frozen=True, tag=2):
    """Sixteen tags of 16 bytes: communities, or noise; nobody else can tell."""

    tags: Annotated[bytes, msgspec.Meta(min_length=SLOTS * TAG_BYTES, max_length=SLOTS * TAG_BYTES)]


class Proof(_Message, frozen=True, tag=3):
    """The sealed claim of one side to stand in the community at ``slot``."""

    slot: Slot
    sealed: Annotated[bytes, msgspec.Meta(max_length=256)]


class AskPath(_Message, frozen=True, tag=4):
    """I do not know your node's grant: show me the way to it."""

    slot: Slot
    sealed: Annotated[bytes, msgspec.Meta(max_length=64)]


class Path(_Message, frozen=True, tag=5):
    """A piece of the sealed log-0 operations that lead to the sender's grant."""

    slot: Slot
    last: bool
    sealed: Annotated[bytes, msgspec.Meta(max_length=MAX_FRAME)]


class Members(_Message, frozen=True, tag=6):
    """Where other nodes of this community may be reached: their transport keys and addresses.

    The first entry is the sender's own.
    """

    slot: Slot
    nodes: Annotated[
        tuple[tuple[Bytes32, Annotated[tuple[AddressText, ...], msgspec.Meta(max_length=8)]], ...],
        msgspec.Meta(max_length=32),
    ]


# --- /commons/sync/1: making two sets equal ---


class Digest(_Message, frozen=True, tag=10):
    """What I hold, in 32 bytes. The answer to a `Digest` is a `Digest` that ``answers``.

    ``log_zero``: a fingerprint of what of it is in log 0. It says only where to look.
    """

    slot: Slot
    answers: bool
    digest: Bytes32
    log_zero: Bytes16


class Ranges(_Message, frozen=True, tag=11):
    """A part of a turn of comparing one log range by range; ``last`` ends the turn.

    Parts and lists are numbered through the turn from 0, in each frame first parts, then lists. A
    list that answers a list is not: it is the last word on its range.
    """

    slot: Slot
    log: Log
    last: bool
    splits: Annotated[tuple[Split, ...], msgspec.Meta(max_length=MOST_ANSWERED // 2)]
    lists: Annotated[tuple[Listing, ...], msgspec.Meta(max_length=MOST_ANSWERED)]


class Want(_Message, frozen=True, tag=12):
    """Send me these ranges, or these operations; you may send ``credit`` frames at once."""

    slot: Slot
    credit: Annotated[int, msgspec.Meta(ge=1, le=MAX_CREDIT)]
    ranges: Annotated[tuple[WireRange, ...], msgspec.Meta(max_length=MAX_RANGES)]
    ids: Annotated[tuple[Bytes32, ...], msgspec.Meta(max_length=MAX_IDS)]


class Operations(_Message, frozen=True, tag=13):
    """Some of what was wanted; takes one credit."""

    slot: Slot
    operations: Annotated[tuple[WireOperation, ...], msgspec.Meta(min_length=1)]


class Piece(_Message, frozen=True, tag=14):
    """A part of one operation that is larger than a frame; takes one credit."""

    slot: Slot
    last: bool
    data: Annotated[bytes, msgspec.Meta(min_length=1, max_length=MAX_FRAME)]


class Credit(_Message, frozen=True, tag=15):
    """You may send this many frames more."""

    slot: Slot
    frames: Annotated[int, msgspec.Meta(ge=1, le=MAX_CREDIT)]


class Served(_Message, frozen=True, tag=16):
    """That was all of your last `Want`."""

    slot: Slot


class Done(_Message, frozen=True, tag=17):
    """I want nothing more of this log in this round, and what came is on my disk."""

    slot: Slot


class Push(_Message, frozen=True, tag=18):
    """New small operations that nobody asked for; takes no credit and may be dropped."""

    slot: Slot
    operations: Annotated[tuple[WireOperation, ...], msgspec.Meta(min_length=1, max_length=32)]


# --- /commons/join/1 ---


class Welcome(_Message, frozen=True, tag=30):
    """The node's first frame, the same for everybody."""

    version: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    nonce: Bytes32


class Knock(_Message, frozen=True, tag=31):
    """The invite's id, and a signature by its key over the nonce and both transport keys."""

    invite: Bytes32
    signature: Bytes64


class Realm(_Message, frozen=True, tag=32):
    """The community that the invite leads to."""

    realm: Bytes32


class Enter(_Message, frozen=True, tag=33):
    """Who wants in: the canonical bytes of an ``Identity``, possession, consent."""

    identity: Annotated[bytes, msgspec.Meta(max_length=1024)]
    possession: Bytes64
    consent: Bytes64


class Page(_Message, frozen=True, tag=34):
    """Log-0 operations, the admission among them, in causal order."""

    last: bool
    operations: tuple[WireOperation, ...]


class Turned(_Message, frozen=True, tag=35):
    """Why an honest newcomer cannot come in."""

    code: Annotated[str, msgspec.Meta(min_length=1, max_length=24)]


class KnockKey(_Message, frozen=True, tag=36):
    """A key that the community knows by its hash, or of a device; a signature as in ``Knock``."""

    key: Bytes32
    signature: Bytes64


WireEnding = tuple[Bytes32, Bytes32, EndSeq, Bytes32, EndSeq, Bytes32]
"""A member's device; it, or the node that goes with it, and where its log 0 and its log 1 end."""


class Subject(_Message, frozen=True, tag=37):
    """Whom a good knock is about: the identity's head, and where its devices end, as known here."""

    realm: Bytes32
    member: Bytes32
    base: Bytes32
    endings: Annotated[tuple[WireEnding, ...], msgspec.Meta(max_length=128)]


class Apply(_Message, frozen=True, tag=38):
    """A new device of that member with its consent, its node's (or nothing), and a claim.

    ``claim``: possession of the ticket, the recovery key's signature over the statement, or the
    old device's release. ``retire``: the devices, of those in the ``Subject``, that end.
    """

    device: Annotated[bytes, msgspec.Meta(max_length=128)]
    consent: Bytes64
    node: Annotated[bytes, msgspec.Meta(max_length=128)]
    node_consent: Annotated[bytes, msgspec.Meta(max_length=64)]
    claim: Bytes64
    retire: Annotated[tuple[Bytes32, ...], msgspec.Meta(max_length=128)]


class Pending(_Message, frozen=True, tag=39):
    """It waits for people. Their digits depend on ``salt``."""

    salt: Bytes16


SyncMessage = (
    Hello | Tags | Proof | AskPath | Path | Members
    | Digest | Ranges | Want | Operations | Piece | Credit | Served | Done | Push
)  # fmt: skip
JoinMessage = Welcome | Knock | Realm | Enter | Page | Turned | KnockKey | Subject | Apply | Pending

_BUILTIN = (bytes,)


def pack(message: _Message) -> bytes:
    """The frame of a message."""
    return encode(msgspec.to_builtins(message, builtin_types=_BUILTIN))


def unpack_sync(frame: bytes) -> SyncMessage:
    """A message of the sync protocol; ``Refused`` with ``size``, ``encoding`` or ``message``."""
    return _often(frame) if len(frame) <= _OFTEN else _unpack_sync(frame)


def _unpack_sync(frame: bytes) -> SyncMessage:
    found: SyncMessage = _read(frame, SyncMessage)
    return found


def _read(data: bytes, kind: Any, limit: int = MAX_FRAME) -> Any:
    try:
        return msgspec.convert(decode(data, limit), kind)
    except msgspec.ValidationError as error:
        raise Refused("message") from error


_OFTEN = 8192
_often = lru_cache(maxsize=128)(_unpack_sync)
"""After one change every neighbour has the same digest to tell."""


def unpack_join(frame: bytes) -> JoinMessage:
    """A message of the join protocol; refusals as for ``unpack_sync``."""
    found: JoinMessage = _read(frame, JoinMessage)
    return found


# --- operations on the wire ---


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
    return unpack_operation(_read(data, WireOperation, MAX_OPERATION + 64))
