"""The seam between the protocol and the store: what a peer session may ask of one realm.

The daemon implements ``Replica`` over SQLite, the simulator over memory. Nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from commons_crdt.device import DeviceKeys
from commons_crdt.ids import ZERO, DeviceId, OperationId, RealmId, digest
from commons_crdt.operation import Operation


class ChainEnd(NamedTuple):
    """One chain's effective end: its last operation that is here and counts.

    ``fork``: the lowest doubled seq, if it is at most ``seq + 1``, otherwise 0. ``hollow``: the
    lowest seq whose contents are absent here, or 0. ``more``: 32 zero bytes, or a hash of what else
    must be equal: in log 1 the positions whose contents are absent, in log 0 the operations beyond
    the end that are passed on for their contents' sake.
    """

    device: DeviceId
    log: int
    seq: int
    id: OperationId
    fork: int = 0
    hollow: int = 0
    more: bytes = ZERO


def ends_digest(ends: Iterable[ChainEnd]) -> bytes:
    """32 bytes over all chain ends, in whatever order: equal digests mean equal sets."""
    packed = (
        e.device + bytes([e.log]) + e.seq.to_bytes(8) + e.id + e.fork.to_bytes(8) + e.more
        for e in sorted(ends)
    )
    return digest("ends", *packed)


class Range(NamedTuple):
    """Operations ``first`` to ``last`` (seq, both included) of one chain, all siblings."""

    device: DeviceId
    log: int
    first: int
    last: int


class Turned(NamedTuple):
    """An operation that was refused, and by which code."""

    operation: OperationId
    reason: str


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a batch.

    ``refused``: code to count; ``ended`` is for what lies beyond its chain's end and is not
    wanted. ``missing``: operations that others wait for. ``unlinked``: chains of which an operation
    came whose predecessor is not stored here (a branch that neither side knew to be one, or what
    counts for nothing and was not fetched), with the seq of that operation. ``new_ids``: stored
    just now. ``held``: how many were kept aside for this machine's sake, by reason (``clock``,
    ``verifier``): they are tried again by themselves. ``turned``: the refused ones by name.
    """

    new: int = 0
    known: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    missing: tuple[OperationId, ...] = ()
    unlinked: tuple[tuple[DeviceId, int, int], ...] = ()
    new_ids: tuple[OperationId, ...] = ()
    held: Mapping[str, int] = field(default_factory=dict)
    turned: tuple[Turned, ...] = ()


@dataclass(frozen=True, slots=True)
class Credential:
    """How this node proves its standing: its device, the grant, and the log-0 path to it.

    ``sign`` signs a 32-byte digest with the node's device key (64 bytes).
    """

    device: DeviceId
    grant: OperationId
    sign: Callable[[bytes], bytes]
    operations: tuple[Operation, ...]


class Replica(Protocol):
    """One realm on this node, as sessions see it."""

    @property
    def realm(self) -> RealmId:
        """The realm's id."""

    def digest(self) -> bytes:
        """``ends_digest`` of all chain ends."""

    def size(self) -> int:
        """How many operations stand up to all ends."""

    async def vector(self) -> Sequence[ChainEnd]:
        """Every chain's end, sorted by (log, device)."""

    async def read(
        self,
        ranges: Sequence[Range],
        after: int | None,
        limit: int,
        ids: Sequence[OperationId] = (),
    ) -> tuple[Sequence[Operation], int | None]:
        """Operations of ``ranges``, or those of ``ids`` that are here, in causal order.

        Log 0 comes first, about ``limit`` bytes at a time. ``after`` is the cursor of the call
        before; the cursor returned is None at the end.
        """

    async def ingest(self, operations: Sequence[Operation], source: str) -> Ingested:
        """Verify, judge and store a batch, durable when it returns; bad bytes raise nothing."""

    def epochs(self) -> Sequence[tuple[OperationId, bytes]]:
        """Known epochs with their 32-byte keys, the one to send under first."""

    def credential(self) -> Credential | None:
        """This node's own standing, or None while it has none."""

    def node_keys(self, device: DeviceId) -> DeviceKeys | None:
        """The keys of a node's device whose grant stands here, or None."""
