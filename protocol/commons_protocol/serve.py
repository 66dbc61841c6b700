"""Giving a peer what it wants, as fast as its credit and our disk allow. Decides nothing else.

Frames are made as credit allows; at most two reads' worth of them wait in memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from commons_crdt.ids import OperationId, RealmId
from commons_crdt.operation import Operation
from commons_protocol import carriage, wire
from commons_protocol.effects import Close, Effect, Read, Send
from commons_protocol.replica import Range

READ_BYTES = 262_144
_LOW = 2
"""Frames left when the next read begins."""


class Serve:
    """The serving half of one realm with one peer."""

    def __init__(self, realm: RealmId, slot: int) -> None:
        """Nothing is wanted yet."""
        self._realm = realm
        self._slot = slot
        self._ranges: tuple[Range, ...] = ()
        self._ids: tuple[OperationId, ...] = ()
        self._frames: deque[tuple[bytes, int]] = deque()
        self._after: int | None = None
        self._reading = False
        self._ended = True
        self._credit = 0
        self.sent = 0
        """Operations sent so far."""

    @property
    def busy(self) -> bool:
        """True while a want is being served."""
        return bool(self._ranges or self._ids)

    def on_want(self, message: wire.Want) -> list[Effect]:
        """A new want; one at a time, one range for each chain, or ids."""
        ranges = tuple(Range(*r) for r in message.ranges)  # type: ignore[arg-type]  # ids by shape
        chains = {(r.device, r.log) for r in ranges}
        ids = tuple(OperationId(ident) for ident in message.ids)
        if bool(ranges) == bool(ids) or len(chains) != len(ranges):
            return [Close("order")]
        if self.busy or any(r.first > r.last for r in ranges):
            return [Close("order")]
        self._ranges, self._ids, self._after = ranges, ids, None
        self._credit = message.credit
        self._ended, self._reading = False, True
        return [self._read()]

    def _read(self) -> Read:
        return Read(self._realm, self._ranges, self._after, READ_BYTES, self._ids)

    def on_credit(self, message: wire.Credit) -> list[Effect]:
        """More frames may go. Credit that comes after the end is void."""
        if self._credit + message.frames > 4 * wire.MAX_CREDIT:
            return [Close("credit")]
        self._credit += message.frames
        return self._pump()

    def on_read(self, operations: Sequence[Operation], after: int | None) -> list[Effect]:
        """What ``Read`` gave."""
        self._reading = False
        self._after = after
        self._frames.extend(carriage.frames(self._slot, operations))
        if after is None:
            self._ended = True
        return self._pump()

    def _pump(self) -> list[Effect]:
        effects: list[Effect] = []
        while self._frames and self._credit > 0:
            frame, count = self._frames.popleft()
            self._credit -= 1
            self.sent += count
            effects.append(Send(frame))
        if self._reading:
            return effects
        if not self._ended:
            if len(self._frames) <= _LOW:
                self._reading = True
                effects.append(self._read())
        elif not self._frames and self.busy:
            self._ranges, self._ids = (), ()
            effects.append(Send(wire.pack(wire.Served(self._slot))))
        return effects
