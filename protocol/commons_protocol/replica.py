"""The seam between the protocol and the store: what a peer session may ask of one realm.

The daemon implements ``Replica`` over SQLite, the simulator over memory. Nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from commons_crdt.device import DeviceKeys
from commons_crdt.ids import DeviceId, OperationId, RealmId
from commons_crdt.operation import Operation
from commons_protocol.ends import Vector


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
    just now. ``held``: how many were kept aside, or not taken, for this machine's sake, by reason
    (`reasons.HELD`, and ``load`` for a push at a bad moment): it is tried again by itself.
    ``turned``: the refused ones by name.
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
        """32 bytes over all chain ends, as ``Vector.digest``."""

    def log_zero(self, key: bytes) -> bytes:
        """16 bytes over the ends of log 0, as ``ranges.of_log``; ``key``: the stream's."""

    def size(self) -> int:
        """How many operations stand up to all ends."""

    async def vector(self) -> Vector:
        """Every chain's end, as they are now."""

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

    def whose(self, device: DeviceId) -> bytes:
        """The member whose device it is, who has one share for all of hers; itself if nobody's."""
