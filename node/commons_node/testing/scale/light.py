"""A realm without a judge and a store: chains as numbers, operations of the usual size.

`Annals` is what was ever written in one realm, once for the whole simulation; `LightReplica` is
how much of it one node holds. Sessions see the same as with `Realm`: ends, ranges, operations
that wait for the one before. Nothing is forked, refused or erased here: what happens then is the
business of `commons_node.testing.storm`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from nacl.signing import SigningKey

from commons_crdt.device import DeviceKeys, DeviceSecrets
from commons_crdt.ids import DeviceId, OperationId, RealmId, digest
from commons_crdt.operation import SIGNATURE_BYTES, Operation, operation_id
from commons_protocol import carriage
from commons_protocol.ends import ChainEnd, EndSet, Vector
from commons_protocol.gossip import Channel
from commons_protocol.ranges import of_log
from commons_protocol.replica import Credential, Ingested, Range

HEADER = 233
BODY = 150
"""Bytes of an operation's header and body: means over what members do in `testing.deeds`."""
_WRITE_S = 0.004
"""A commit: half of what a daemon needs to answer and to store (`make bench NAME=latency`)."""

Chain = tuple[int, DeviceId]
"""Log and device, in the order of a vector."""
_PLACE = 32 + 1 + 8


def place(operation: Operation) -> tuple[Chain, int]:
    """Where an operation stands: its chain and its seq."""
    head = operation.header
    return (head[32], DeviceId(head[:32])), int.from_bytes(head[33:_PLACE])


@dataclass(slots=True)
class Annals:
    """Everything in one realm, and who its nodes are."""

    realm: RealmId
    chains: dict[Chain, list[Operation]] = field(default_factory=dict)
    nodes: dict[DeviceId, DeviceKeys] = field(default_factory=dict)
    ids: set[OperationId] = field(default_factory=set)
    owners: dict[DeviceId, bytes] = field(default_factory=dict)
    """Whose node it is, of those that are not a member's only one."""

    @property
    def epoch(self) -> tuple[OperationId, bytes]:
        """The only epoch and its key."""
        return OperationId(digest("l-epoch", self.realm)), digest("l-key", self.realm)

    @property
    def topic(self) -> str:
        """Where its hints are heard."""
        return Channel.of(self.epoch[1]).topic

    def write(self, chain: Chain) -> Operation:
        """The next operation of a chain."""
        log, device = chain
        operations = self.chains.setdefault(chain, [])
        begin = device + bytes([log]) + (len(operations) + 1).to_bytes(8)
        noise = (digest("l-noise", self.realm, begin) * 32)[: HEADER - _PLACE]
        operation = Operation(begin + noise, bytes(SIGNATURE_BYTES), bytes(BODY), ())
        operations.append(operation)
        self.ids.add(operation_id(operation.header))
        return operation

    def end(self, chain: Chain, seq: int) -> ChainEnd:
        """The end of a chain whose first ``seq`` operations are held."""
        log, device = chain
        return ChainEnd(device, log, seq, operation_id(self.chains[chain][seq - 1].header))


class Invented(AssertionError):
    """A node was given an operation of another realm, or one that nobody ever wrote."""


class LightReplica:
    """One node's share of a realm; implements ``commons_protocol.replica.Replica``."""

    def __init__(
        self,
        annals: Annals,
        secrets: DeviceSecrets,
        stored: Callable[[LightReplica, Sequence[OperationId]], None],
    ) -> None:
        """``secrets``: of the node's device in this realm. ``stored`` is told what is new here.

        Begins with everything that was written before.
        """
        self.annals = annals
        self._stored = stored
        keys = secrets.keys
        self.device = keys.id
        annals.nodes[keys.id] = keys
        key = SigningKey(secrets.signing)
        grant = OperationId(digest("l-grant", keys.id))
        self._credential = Credential(keys.id, grant, lambda data: key.sign(data).signature, ())
        self._waiting: dict[Chain, dict[int, Operation]] = {}
        self._seqs: dict[Chain, int] = {}
        self._ends = EndSet()
        self._sum = 0
        for chain, operations in annals.chains.items():
            self._move(chain, len(operations))

    @property
    def realm(self) -> RealmId:
        """See ``Replica``."""
        return self.annals.realm

    # --- what sessions ask ---

    def digest(self) -> bytes:
        """See ``Replica``; kept up to date end by end, for a thousand nodes look at it."""
        return digest("l-ends", self._sum.to_bytes(32))

    def log_zero(self, key: bytes) -> bytes:
        """See ``Replica``."""
        return of_log(self._ends.vector(), 0, key)

    def size(self) -> int:
        """See ``Replica``."""
        return self._ends.size()

    async def vector(self) -> Vector:
        """See ``Replica``."""
        return self._ends.vector()

    async def read(
        self,
        ranges: Sequence[Range],
        after: int | None,
        limit: int,
        ids: Sequence[OperationId] = (),
    ) -> tuple[Sequence[Operation], int | None]:
        """See ``Replica``; nothing lies beside the ranges here, so ``ids`` find nothing."""
        del ids
        wanted = [
            operation
            for r in sorted(ranges, key=lambda r: (r.log, r.device))
            for operation in self.annals.chains.get((r.log, r.device), ())[
                r.first - 1 : min(r.last, self._seqs.get((r.log, r.device), 0))
            ]
        ]
        first, size = after or 0, 0
        for n, operation in enumerate(wanted[first:], first):
            size += carriage.operation_size(operation)
            if size > limit and n > first:
                return wanted[first:n], n
        return wanted[first:], None

    async def ingest(self, operations: Sequence[Operation], source: str) -> Ingested:
        """See ``Replica``; raises ``Invented``."""
        del source
        await asyncio.sleep(_WRITE_S)
        known = 0
        new: list[OperationId] = []
        missing: list[OperationId] = []
        for operation in operations:
            if operation_id(operation.header) not in self.annals.ids:
                raise Invented
            chain, seq = place(operation)
            have = self._seqs.get(chain, 0)
            if seq <= have:
                known += 1
            elif seq > have + 1:
                self._waiting.setdefault(chain, {})[seq] = operation
                missing.append(self.annals.end(chain, seq - 1).id)
            else:
                new += self._advance(chain, seq)
        self._stored(self, new)
        return Ingested(len(new), known, missing=tuple(missing), new_ids=tuple(new))

    def epochs(self) -> Sequence[tuple[OperationId, bytes]]:
        """See ``Replica``."""
        return (self.annals.epoch,)

    def credential(self) -> Credential | None:
        """See ``Replica``."""
        return self._credential

    def node_keys(self, device: DeviceId) -> DeviceKeys | None:
        """See ``Replica``."""
        return self.annals.nodes.get(device)

    def whose(self, device: DeviceId) -> bytes:
        """See ``Replica``."""
        return self.annals.owners.get(device, device)

    # --- what the simulation asks ---

    async def write(self, wrote: Callable[[OperationId], None]) -> Operation:
        """Write one operation at the end of this node's chain; ``wrote`` hears of it at once."""
        chain: Chain = (1, self.device)
        assert self._seqs.get(chain, 0) == len(self.annals.chains.get(chain, ())), "its own chain"
        operation = self.annals.write(chain)
        wrote(operation_id(operation.header))
        await asyncio.sleep(_WRITE_S)
        self._stored(self, self._advance(chain, len(self.annals.chains[chain])))
        return operation

    @property
    def whole(self) -> bool:
        """True if nothing that was ever written is missing here."""
        return all(self._seqs.get(c, 0) == len(o) for c, o in self.annals.chains.items())

    # --- moving on ---

    def _advance(self, chain: Chain, seq: int) -> list[OperationId]:
        """Take in one operation, and those that waited for it."""
        waiting = self._waiting.get(chain, {})
        last = seq
        while waiting.pop(last + 1, None) is not None:
            last += 1
        self._move(chain, last)
        operations = self.annals.chains[chain][seq - 1 : last]
        return [operation_id(operation.header) for operation in operations]

    def _move(self, chain: Chain, seq: int) -> None:
        before = self._seqs.get(chain, 0)
        self._seqs[chain] = seq
        end = self.annals.end(chain, seq)
        if before:
            self._sum ^= _weight(self.annals.end(chain, before))
        self._ends.put(end)
        self._sum ^= _weight(end)


def _weight(end: ChainEnd) -> int:
    return int.from_bytes(digest("l-end", end.device, bytes([end.log]), end.id))
