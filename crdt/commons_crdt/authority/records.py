"""Where an operation of log 1 stands in its chain: by positions that a node must look up.

Log 1 is not kept in memory. What cuts and closings name there is asked for once, as an *anchor*,
and remembered with the ids of its branch.

Source: docs/protocol/authority.md "Cuts and ends"; the questions are in ``flips``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from commons_crdt.authority.cuts import Ruling
from commons_crdt.authority.endings import Position
from commons_crdt.authority.flips import Anchor
from commons_crdt.ids import DeviceId, OperationId


class Spot(NamedTuple):
    """One operation of log 1: its place, and whether the one before it is ``fork`` (contested)."""

    device: DeviceId
    seq: int
    id: OperationId
    prev: OperationId
    prev_forked: bool


@dataclass(slots=True)
class Records:
    """What is known of named positions. ``forks``: the lowest doubled seq of each chain."""

    forks: dict[DeviceId, int] = field(default_factory=dict)
    answers: dict[Anchor, tuple[OperationId, ...] | None] = field(default_factory=dict)
    by_device: dict[DeviceId, set[Anchor]] = field(default_factory=dict)

    def known(self, anchor: Anchor) -> bool:
        """True if it was asked for already, or answered."""
        return anchor in self.answers

    def put(self, anchor: Anchor, ids: Sequence[OperationId] | None) -> None:
        """Remember an answer; None: it is not here."""
        self.answers[anchor] = None if ids is None else tuple(ids)
        self.by_device.setdefault(anchor.device, set()).add(anchor)

    def doubted(self, device: DeviceId, seq: int) -> list[Anchor]:
        """The anchors that must be asked for again, since ``seq`` is doubled now."""
        return [
            anchor
            for anchor in self.by_device.get(device, ())
            if anchor.seq >= seq and self.answers[anchor] != ()
        ]

    def upto(self, spot: Spot, position: Position) -> bool | None:
        """Whether a spot is at or before a position; None: at its seq or below, if it comes."""
        if position.seq == 0:
            return False
        ids = self.answers.get(Anchor(spot.device, position.seq, OperationId(position.id)))
        if ids is None:
            return None if spot.seq <= position.seq else False
        if not ids or spot.seq > position.seq:
            return False
        at = spot.seq - position.seq + len(ids) - 1
        return at < 0 or ids[at] == spot.id

    def place(self, spot: Spot, rulings: Iterable[Ruling], closings: Iterable[Position]) -> str:
        """Where a spot is: "" (inside), "fork", "cut", "closed" or "pending"."""
        fork = self.forks.get(spot.device)
        beyond = fork is not None and spot.seq >= fork
        if fork is not None and beyond:
            named = [r.record for r in rulings if r.names and self._seq(spot, r.record) >= fork]
            if not named or (spot.seq > fork and spot.prev_forked):
                return "fork"
            if not all(self._comparable(spot, position, fork) for position in named):
                return "fork"
        unsure = False
        for ruling in rulings:
            upto = self.upto(spot, ruling.record)
            if upto is False or (beyond and not ruling.names):
                return "cut"
            unsure = unsure or upto is None
        for position in closings:
            upto = self.upto(spot, position)
            if upto is False or beyond:
                return "closed"
            unsure = unsure or upto is None
        return "pending" if unsure else ""

    def _seq(self, spot: Spot, position: Position) -> int:
        """The seq of a position; 0 if it turned out to be nothing."""
        anchor = Anchor(spot.device, position.seq, OperationId(position.id))
        return 0 if self.answers.get(anchor) == () else position.seq

    def _comparable(self, spot: Spot, position: Position, fork: int) -> bool:
        """Whether the spot and a position at or beyond the fork are on one line.

        The operation before the spot is on one line with it already, or is below the fork.
        """
        upto = self.upto(spot, position)
        if upto is not False:
            return True
        if spot.seq <= fork:
            return False
        before = self.upto(Spot(spot.device, spot.seq - 1, spot.prev, spot.prev, False), position)
        return before is False or spot.prev == position.id

    def beyond(self, spot: Spot, position: Position) -> bool:
        """True if a spot lies beyond a demotion's position."""
        return self.upto(spot, position) is False
