"""Every message that nodes send each other.

A message is one frame: a CBOR array that starts with the message's number. What does not fit the
types and bounds here is refused before any state machine sees it. This module knows shapes only:
who may say what, and when, stands in `proof`, `sync` and `joining`.

How the operations in it travel stands in `carriage`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

import msgspec

from commons_crdt.operation import MAX_COUNTER
from commons_protocol.carriage import WireOperation
from commons_protocol.frame import encode, read
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
    found: SyncMessage = read(frame, SyncMessage)
    return found


_OFTEN = 8192
_often = lru_cache(maxsize=128)(_unpack_sync)
"""After one change every neighbour has the same digest to tell."""


def unpack_join(frame: bytes) -> JoinMessage:
    """A message of the join protocol; refusals as for ``unpack_sync``."""
    found: JoinMessage = read(frame, JoinMessage)
    return found
