"""What a state machine asks of whoever drives it: values, never calls.

The daemon's driver carries them out with asyncio, the simulator in its own time. Answers to
`NeedVector`, `Read` and `Ingest` come back through the session's method of the same name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from commons_crdt.ids import DeviceId, OperationId, RealmId
from commons_crdt.operation import Operation
from commons_protocol.replica import Range

Purpose = Literal["path", "pull", "push"]
"""Why operations are ingested: to know the peer, because they were wanted, or as a hint."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send this frame on the stream, in the order of the effects."""

    frame: bytes


@dataclass(frozen=True, slots=True)
class NeedVector:
    """Answer with ``Session.on_vector`` and what ``Replica.vector`` gives."""

    realm: RealmId


@dataclass(frozen=True, slots=True)
class Read:
    """Answer with ``Session.on_read`` and what ``Replica.read`` gives for these arguments."""

    realm: RealmId
    ranges: tuple[Range, ...]
    after: int | None
    limit: int
    ids: tuple[OperationId, ...] = ()


@dataclass(frozen=True, slots=True)
class Ingest:
    """Answer with ``Session.on_ingested`` and what ``Replica.ingest`` gives."""

    realm: RealmId
    operations: Sequence[Operation]
    purpose: Purpose


@dataclass(frozen=True, slots=True)
class Proven:
    """The peer's node stands in this realm with this device, and knows that ours does."""

    realm: RealmId
    device: DeviceId


@dataclass(frozen=True, slots=True)
class Compared:
    """Round number ``round`` of this session ended; ``equal`` if it ended in equal digests."""

    realm: RealmId
    equal: bool
    round: int


@dataclass(frozen=True, slots=True)
class Changed:
    """The status of this realm with the peer is another than before."""

    realm: RealmId


@dataclass(frozen=True, slots=True)
class Met:
    """Nodes of this realm and where they may be reached, as the peer says: hints."""

    realm: RealmId
    nodes: tuple[tuple[bytes, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Count:
    """Add one to the refusals of this code."""

    code: str


@dataclass(frozen=True, slots=True)
class Close:
    """End the stream; the code is for our own count and log, the peer sees only the end."""

    code: str


Effect = Send | NeedVector | Read | Ingest | Proven | Compared | Changed | Met | Count | Close
