"""Where an operation of log 1 stands in its chain: by positions that a node must look up.

Log 1 is not kept in memory. What cuts, closings and seals name there is asked for once, as an
*anchor*, and remembered with the ids of its branch. A ``Field`` is log 1 as one set sees it: the
whole set, or what a seal settles.

Source: docs/protocol/authority.md "Cuts and ends"; the questions are in ``flips``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from commons_crdt.authority.cuts import Ruling, Shown
from commons_crdt.authority.endings import Position
from commons_crdt.authority.flips import Anchor
from commons_crdt.ids import DeviceId, OperationId

Line = tuple[OperationId, ...]
"""The ids of a branch up to a position, ascending; only the position where nothing is doubled."""


class Spot(NamedTuple):
    """One operation of log 1: its place, and whether the one before it is contested (fork)."""

    device: DeviceId
    seq: int
    id: OperationId
    prev: OperationId
    prev_forked: bool


def on_line(spot: Spot, seq: int, line: Line) -> bool:
    """True if a spot is at or before the last operation of a line, which has this seq."""
    if spot.seq > seq:
        return False
    at = spot.seq - seq + len(line) - 1
    return at < 0 or line[at] == spot.id


class Field(Protocol):
    """Log 1 as one set sees it."""

    def fork(self, device: DeviceId) -> int | None:
        """The lowest doubled seq; above a sealed tip, of what descends from it."""

    def top(self, device: DeviceId) -> Position | None:
        """The highest sealed operation of a chain."""

    def descends(self, spot: Spot) -> bool:
        """True if a spot comes after the highest sealed operation of its chain."""

    def line(self, device: DeviceId, position: Position) -> Line | None:
        """The branch of a position; empty if it is nothing, None if it is not here."""


def upto(log: Field, spot: Spot, position: Position) -> bool | None:
    """Whether a spot is at or before a position; None: at its seq or below, if it comes."""
    if position.seq == 0:
        return False
    line = log.line(spot.device, position)
    if line is None:
        return None if spot.seq <= position.seq else False
    return bool(line) and on_line(spot, position.seq, line)


def beyond(log: Field, spot: Spot, position: Position) -> bool:
    """True if a spot certainly lies beyond a demotion's position."""
    return upto(log, spot, position) is False


def place(log: Field, spot: Spot, rulings: Sequence[Ruling], closings: Iterable[Position]) -> str:
    """Where a spot is: "" (inside), "fork", "cut", "closed" or "pending"."""
    top = log.top(spot.device)
    if top is not None:
        if upto(log, spot, top):
            return ""
        if not log.descends(spot):
            return "fork"
    fork = log.fork(spot.device)
    doubled = fork is not None and spot.seq >= fork
    if fork is not None and doubled:
        named = [r.record for r in rulings if r.names and _seq(log, spot, r.record) >= fork]
        if not named or (spot.seq > fork and spot.prev_forked):
            return "fork"
        if not all(_comparable(log, spot, position, fork) for position in named):
            return "fork"
    unsure = False
    for ruling in rulings:
        before = upto(log, spot, ruling.record)
        if before is False or (doubled and not ruling.names):
            return "cut"
        unsure = unsure or before is None
    for position in closings:
        before = upto(log, spot, position)
        if before is False or doubled:
            return "closed"
        unsure = unsure or before is None
    return "pending" if unsure else ""


def _seq(log: Field, spot: Spot, position: Position) -> int:
    """The seq of a position; 0 if it turned out to be nothing."""
    return 0 if log.line(spot.device, position) == () else position.seq


def _comparable(log: Field, spot: Spot, position: Position, fork: int) -> bool:
    """Whether the spot and a position at or beyond the fork are on one line.

    The operation before the spot is on one line with it already, or is below the fork.
    """
    if upto(log, spot, position) is not False:
        return True
    if spot.seq <= fork:
        return False
    earlier = Spot(spot.device, spot.seq - 1, spot.prev, spot.prev, False)
    return spot.prev == position.id or upto(log, earlier, position) is False


@dataclass(slots=True)
class Records:
    """What is known of log 1, and the field of the whole set.

    ``forks``: the lowest doubled seq of each chain. ``tops``: the highest sealed tips.
    """

    forks: dict[DeviceId, int] = field(default_factory=dict)
    tops: dict[DeviceId, Position] = field(default_factory=dict)
    answers: dict[Anchor, Line | None] = field(default_factory=dict)
    shown: defaultdict[DeviceId, list[Shown]] = field(default_factory=lambda: defaultdict(list))
    """What fork proofs show of log 1."""
    version: int = 0
    """Counts what was learned; unchanged, every answer is."""
    _by_device: defaultdict[DeviceId, set[Anchor]] = field(default_factory=lambda: defaultdict(set))
    _above: dict[DeviceId, defaultdict[int, set[OperationId]]] = field(default_factory=dict)
    """What descends from a sealed tip of a forked chain, by seq."""

    # --- the field of the whole set ---------------------------------------------------------------

    def fork(self, device: DeviceId) -> int | None:
        """See ``Field``."""
        top = self.tops.get(device)
        known = self.forks.get(device)
        if top is None or known is None:
            return known
        above: Mapping[int, set[OperationId]] = self._above.get(device, {})
        shown = self._shown_above(device, top)
        doubled = {
            seq
            for seq in above.keys() | shown.keys()
            if len(above.get(seq, set()) | shown.get(seq, set())) > 1
        }
        return min(doubled, default=None)

    def _shown_above(self, device: DeviceId, top: Position) -> Mapping[int, set[OperationId]]:
        """What proofs show that descends from a sealed tip, by seq; not what is beside it."""
        above: Mapping[int, set[OperationId]] = self._above.get(device, {})
        found: defaultdict[int, set[OperationId]] = defaultdict(set)
        for one in sorted(self.shown.get(device, ()), key=lambda one: one.seq):
            first = one.seq == top.seq + 1 and one.prev == top.id
            before = above.get(one.seq - 1, set()) | found.get(one.seq - 1, set())
            if first or one.prev in before:
                found[one.seq].add(one.id)
        return found

    def top(self, device: DeviceId) -> Position | None:
        """See ``Field``."""
        return self.tops.get(device)

    def descends(self, spot: Spot) -> bool:
        """See ``Field``. Spots must have been ``note``d in ascending seq."""
        if spot.device not in self.forks:
            return True
        above: Mapping[int, set[OperationId]] = self._above.get(spot.device, {})
        return spot.id in above.get(spot.seq, ())

    def line(self, device: DeviceId, position: Position) -> Line | None:
        """See ``Field``."""
        return self.answers.get(Anchor(device, position.seq, OperationId(position.id)))

    def last(self, device: DeviceId) -> OperationId | None:
        """The last operation here of the branch that a seal decided for; None without one."""
        top = self.tops.get(device)
        if top is None or device not in self.forks or self.fork(device) is not None:
            return None
        above = self._above.get(device)
        if above:
            (last,) = above[max(above)]
            return last
        return OperationId(top.id) if self.line(device, top) else None

    def beside(self, spot: Spot) -> bool:
        """True if a spot of a forked chain, here or not, is certainly not on its sealed branch."""
        top = self.tops.get(spot.device)
        if top is None or spot.device not in self.forks:
            return False
        if spot.seq == top.seq + 1:
            return spot.prev != top.id
        line = self.line(spot.device, top)
        return spot.seq <= top.seq and bool(line) and not on_line(spot, top.seq, line or ())

    # --- learning ---------------------------------------------------------------------------------

    def note(self, spot: Spot) -> bool:
        """Take note of an operation; True if its chain must be judged again for it."""
        top = self.tops.get(spot.device)
        if top is None or spot.device not in self.forks or spot.seq <= top.seq:
            return False
        above = self._above.setdefault(spot.device, defaultdict(set))
        if spot.prev == top.id or spot.prev in above.get(spot.seq - 1, ()):
            before = self.fork(spot.device)
            above[spot.seq].add(spot.id)
            moved = self.fork(spot.device) != before
            self.version += moved
            return moved
        return False

    def set_tops(self, tops: Mapping[DeviceId, Position]) -> set[DeviceId]:
        """The highest sealed tips are others now; the chains where they moved."""
        changed = {
            device
            for device in self.tops.keys() | tops.keys()
            if self.tops.get(device) != tops.get(device)
        }
        self.tops = dict(tops)
        self.version += bool(changed)
        for device in changed:
            self._above.pop(device, None)
        return changed

    def known(self, anchor: Anchor) -> bool:
        """True if it was asked for already, or answered."""
        return anchor in self.answers

    def put(self, anchor: Anchor, ids: Sequence[OperationId] | None) -> None:
        """Remember an answer; None: it is not here."""
        self.answers[anchor] = None if ids is None else tuple(ids)
        self.version += 1
        self._by_device[anchor.device].add(anchor)

    def doubted(self, device: DeviceId, seq: int) -> list[Anchor]:
        """The anchors that must be asked for again, since ``seq`` is doubled now."""
        return [
            anchor
            for anchor in self._by_device.get(device, ())
            if anchor.seq >= seq and self.answers[anchor] != ()
        ]
