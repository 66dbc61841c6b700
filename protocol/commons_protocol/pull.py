"""Fetching what is wanted from one peer: batches, credit, and what that builds on.

The peer may send as many frames as it was granted; more is granted when a batch is on our disk,
so a slow disk slows the peer and fills no memory. While one batch is being stored, the next two are
handed over too, so that there is always one whose signatures can be verified meanwhile. Decides
nothing about what is wanted at first. What counts for nothing any more (the other branch of a fork,
what somebody wrote beyond a cut) stands in no range; where an honest member has built on it in good
faith, it is asked for by its id, and its chain back from there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from commons_crdt.errors import Refused
from commons_crdt.ids import OperationId, RealmId
from commons_crdt.operation import Operation
from commons_protocol import carriage, wire
from commons_protocol.effects import Close, Effect, Ingest, Send
from commons_protocol.ends import Chain
from commons_protocol.replica import Ingested, Range
from commons_protocol.wants import BACK, before

WINDOW = 32
"""Frames that may be on their way: 2 MiB, enough for the batches at once and one to come."""
BATCH_OPERATIONS = 1_000
BATCH_BYTES = 524_288
BATCHES_AT_ONCE = 3
_MOST_WAYS_BACK = 24
_MOST_NAMED = 4096
"""Operations that are asked for by their ids in one round."""
_ENDED = "ended"


class Pull:
    """The fetching half of one realm with one peer."""

    def __init__(self, realm: RealmId, slot: int) -> None:
        """Nothing is wanted yet."""
        self._realm = realm
        self._slot = slot
        self._queue: deque[Range] = deque()
        self._open = False
        self._credit = 0
        self._pieces = bytearray()
        self._batch: list[Operation] = []
        self._bytes = 0
        self._frames = 0
        self._ingesting: deque[int] = deque()
        self._first = True
        self._allowed = 0
        self._back: dict[Chain, int] = {}
        self._ways_back = 0
        self.active = False
        self.new = 0
        """Operations that were new here, in this round."""
        self.refused: dict[str, int] = {}
        self._named: set[OperationId] = set()
        self._missing: dict[OperationId, None] = {}
        self.held: dict[str, int] = {}

    def begin(self, ranges: Sequence[Range]) -> list[Effect]:
        """Fetch ``ranges``; ``active`` is False when all of it came and is on the disk."""
        self.active = True
        self.new = 0
        self.refused = {}
        self.held = {}
        self._back.clear()
        self._ways_back = 0
        self._named.clear()
        self._missing.clear()
        self._queue.extend(ranges)
        return self._next()

    def _next(self) -> list[Effect]:
        if not self._queue:
            if self._missing:
                return self._ask_by_id()
            self.active = False
            return []
        chains: set[Chain] = set()
        ranges: list[Range] = []
        rest: deque[Range] = deque()
        while self._queue:
            r = self._queue.popleft()
            # One range for each chain in a want, and no log 1 before all of log 0.
            waits = r.log and rest and not rest[0].log
            if len(ranges) < wire.MAX_RANGES and (r.device, r.log) not in chains and not waits:
                chains.add((r.device, r.log))
                ranges.append(r)
            else:
                rest.append(r)
        self._queue = rest
        # Forks make siblings; still, a peer may not send without end what nobody asked for.
        self._allowed = 4 * sum(r.last - r.first + 1 for r in ranges) + 64
        return self._want(tuple(ranges), ())

    def _ask_by_id(self) -> list[Effect]:
        """What others here wait for and no range has brought."""
        ids = tuple(self._missing)[: wire.MAX_IDS]
        for ident in ids:
            del self._missing[ident]
        self._named.update(ids)
        self._allowed = len(ids)
        return self._want((), ids)

    def _want(self, ranges: tuple[Range, ...], ids: tuple[OperationId, ...]) -> list[Effect]:
        self._open = self._first = True
        self._credit = WINDOW
        return [Send(wire.pack(wire.Want(self._slot, WINDOW, ranges, ids)))]

    def on_operations(self, message: wire.Operations) -> list[Effect]:
        """A frame of what was wanted."""
        refusal = self._spend()
        if refusal:
            return refusal
        operations = carriage.unpack_operations(message.operations)
        return self._take(operations)

    def on_piece(self, message: wire.Piece) -> list[Effect]:
        """A part of a large operation."""
        refusal = self._spend()
        if refusal:
            return refusal
        self._pieces += message.data
        if len(self._pieces) > carriage.MAX_OPERATION + 64:
            return [Close("size")]
        if not message.last:
            return self._flush()
        data = bytes(self._pieces)
        self._pieces.clear()
        try:
            return self._take((carriage.unpack_pieces(data),))
        except Refused as error:
            return [Close(error.why)]

    def _spend(self) -> list[Effect]:
        if not self._open:
            return [Close("unasked")]
        if self._credit <= 0:
            return [Close("credit")]
        self._credit -= 1
        self._frames += 1
        return []

    def _take(self, operations: tuple[Operation, ...]) -> list[Effect]:
        self._allowed -= len(operations)
        if self._allowed < 0:
            return [Close("flood")]
        self._batch.extend(operations)
        self._bytes += sum(len(o.header) + len(o.body or b"") + 64 for o in operations)
        return self._flush()

    def on_served(self) -> list[Effect]:
        """The peer has sent all of the want."""
        if not self._open or self._pieces:
            return [Close("order")]
        self._open = False
        return self._flush()

    def _flush(self) -> list[Effect]:
        """Ingest what came, if it is enough to be worth a transaction or nothing else comes."""
        if len(self._ingesting) >= BATCHES_AT_ONCE:
            return []
        if self._batch:
            due = (
                not self._open
                or self._first
                or len(self._batch) >= BATCH_OPERATIONS
                or self._bytes >= BATCH_BYTES
                or self._credit <= WINDOW // 2
            )
            if not due:
                return []
            # The first frame at once: a removal must not wait for what comes behind it.
            self._first = False
            batch, self._batch, self._bytes = self._batch, [], 0
            self._ingesting.append(self._frames)
            self._frames = 0
            return [Ingest(self._realm, batch, "pull")]
        if self._ingesting:
            return []
        if self._open:
            # Pieces of an operation that is not whole yet hold credit, too.
            return self._grant(self._frames) if self._credit <= WINDOW // 2 else []
        self._frames = 0
        return self._next()

    def _grant(self, frames: int) -> list[Effect]:
        self._frames = 0
        if not frames or not self._open:
            return []
        self._credit += frames
        return [Send(wire.pack(wire.Credit(self._slot, frames)))]

    def on_ingested(self, result: Ingested) -> list[Effect]:
        """The oldest batch is on the disk."""
        done = self._ingesting.popleft()
        self.new += result.new
        for ident in result.missing:
            if ident not in self._named and len(self._named) + len(self._missing) < _MOST_NAMED:
                self._missing[ident] = None
        for ident in result.new_ids:
            self._missing.pop(ident, None)
        for code, count in result.refused.items():
            if code != _ENDED:  # it counts for nothing, there as here: the digests are equal
                self.refused[code] = self.refused.get(code, 0) + count
        for why, count in result.held.items():
            self.held[why] = self.held.get(why, 0) + count
        self._go_back(result)
        waiting, self._frames = self._frames, 0
        effects = self._grant(done)
        self._frames = waiting
        return [*effects, *self._flush()]

    def _go_back(self, result: Ingested) -> None:
        lowest: dict[Chain, int] = {}
        for device, log, seq in result.unlinked:
            lowest[device, log] = min(seq, lowest.get((device, log), seq))
        for chain, seq in lowest.items():
            back = self._back.get(chain, BACK)
            span = before(seq, back)
            if span is None or self._ways_back >= _MOST_WAYS_BACK * (1 + len(self._back)):
                continue
            self._ways_back += 1
            self._back[chain] = back * 2
            self._queue.append(Range(*chain, *span))
