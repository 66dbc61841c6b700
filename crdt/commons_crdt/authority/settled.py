"""What seals settle of log 1: the closure of their tips, as a node finds it.

Source: docs/protocol/authority.md "Seals".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from commons_crdt.authority.book import Book, View
from commons_crdt.authority.endings import Position
from commons_crdt.authority.flips import Anchor
from commons_crdt.authority.records import Line, Records, Spot, on_line
from commons_crdt.authority.seals import Layer
from commons_crdt.ids import DeviceId, OperationId

Tops = Mapping[DeviceId, Sequence[tuple[int, Line]]]
"""The last operations of each chain in a closure: (seq, branch) each."""


@dataclass(frozen=True, slots=True)
class InForce:
    """A seal in force and what it settles.

    ``view``: log 0, with that of earlier seals; ``own``: the closure of its own tips of log 0,
    which the view of an operation of log 1 must not exceed. ``tops``: the last operation of each
    branch of log 1 in its closure; None while a tip is missing here.
    """

    seal: OperationId
    view: View
    own: View
    tops: Tops | None


@dataclass(frozen=True, slots=True)
class SettledField:
    """Log 1 as what some seals settle sees it (a ``Field``)."""

    records: Records
    tops: Mapping[DeviceId, Position]
    within: Sequence[Tops]

    def fork(self, device: DeviceId) -> int | None:
        """The lowest seq at which two branches are settled."""
        seen: dict[int, OperationId] = {}
        doubled: list[int] = []
        for tops in self.within:
            for seq, line in tops.get(device, ()):
                first = seq - len(line) + 1
                for i, ident in enumerate(line):
                    if seen.setdefault(first + i, ident) != ident:
                        doubled.append(first + i)
        top = self.tops.get(device)
        return min((seq for seq in doubled if top is None or seq > top.seq), default=None)

    def top(self, device: DeviceId) -> Position | None:
        """The highest sealed operation of a chain."""
        return self.tops.get(device)

    def descends(self, spot: Spot) -> bool:
        """True if a spot comes after the highest sealed operation of its chain."""
        top = self.tops[spot.device]
        for tops in self.within:
            for seq, line in tops.get(spot.device, ()):
                tip = Spot(spot.device, top.seq, OperationId(top.id), spot.prev, False)
                if on_line(spot, seq, line) and on_line(tip, seq, line):
                    return spot.seq > top.seq
        return False

    def line(self, device: DeviceId, position: Position) -> Line | None:
        """The branch of a position that is settled too; None of any other."""
        line = self.records.line(device, position)
        if not line:
            return line
        spot = Spot(device, position.seq, OperationId(position.id), OperationId(b""), False)
        return line if _holds(self.within, spot) else None


def _holds(within: Sequence[Tops], spot: Spot) -> bool:
    return any(
        on_line(spot, seq, line) for tops in within for seq, line in tops.get(spot.device, ())
    )


@dataclass(slots=True)
class Settled:
    """The closures that are known, by their seal (a number)."""

    records: Records
    closures: dict[int, Tops] = field(default_factory=dict)
    _fields: dict[int, SettledField] = field(default_factory=dict)

    def forget(self) -> None:
        """An answer came, or a chain forked: what was derived from answers is stale."""
        self._fields.clear()

    def ready(self, layer: Layer) -> bool:
        """True if every tip of a seal is here, so that its closure can be asked for."""
        return all(self.records.answers.get(tip) for tip in layer.tips)

    def complete(self, layer: Layer) -> bool:
        """True if what the seal settles of log 1 is known."""
        return not layer.tips or (layer.seal in self.closures and self.ready(layer))

    def put(self, seal: int, tops: Mapping[Anchor, Sequence[OperationId]]) -> None:
        """Remember a closure."""
        found: dict[DeviceId, list[tuple[int, Line]]] = {}
        for anchor, ids in tops.items():
            found.setdefault(anchor.device, []).append((anchor.seq, tuple(ids)))
        self.closures[seal] = found

    def holds(self, layer: Layer, spot: Spot, view: View) -> bool:
        """True if a seal, by itself, settles an operation of log 1 with this view."""
        tops = self.closures.get(layer.seal)
        return tops is not None and not view & ~layer.own and _holds((tops,), spot)

    def holds_any(self, layers: Sequence[Layer], spot: Spot, view: View) -> bool:
        """True if one of these seals settles it; what comes after an unknown closure waits."""
        for layer in layers:
            if not self.complete(layer):
                return False
            if self.holds(layer, spot, view):
                return True
        return False

    def in_force(self, layers: Sequence[Layer], book: Book) -> tuple[InForce, ...]:
        """These seals, with what each settles."""
        return tuple(
            InForce(
                book.entries[one.seal].id,
                one.view,
                one.own,
                self.closures.get(one.seal, {}) if self.complete(one) else None,
            )
            for one in layers
        )

    def touching(self, device: DeviceId) -> list[int]:
        """The seals whose closures have operations of a device."""
        return [seal for seal, tops in self.closures.items() if device in tops]

    def highest(self, layers: Sequence[Layer]) -> dict[DeviceId, Position]:
        """The highest tip of each chain; one beside an earlier seal's tip names nothing."""
        kept: dict[DeviceId, list[tuple[Anchor, Line]]] = {}
        for layer in layers:
            for tip in layer.tips:
                line = self.records.answers.get(tip)
                if not line:
                    continue
                known = kept.setdefault(tip.device, [])
                if all(_comparable(tip, line, *other) for other in known):
                    known.append((tip, line))
        return {
            device: max(Position(tip.seq, tip.id) for tip, _ in tips)
            for device, tips in kept.items()
        }

    def field_of(self, layers: Sequence[Layer]) -> SettledField:
        """Log 1 as the last of these seals settles it."""
        last = layers[-1].seal
        known = self._fields.get(last)
        if known is None:
            within = [self.closures[one.seal] for one in layers if one.seal in self.closures]
            known = SettledField(self.records, self.highest(layers), within)
            self._fields[last] = known
        return known


def _comparable(one: Anchor, line: Line, other: Anchor, others: Line) -> bool:
    lower, higher, branch = (one, other, others) if one.seq <= other.seq else (other, one, line)
    spot = Spot(lower.device, lower.seq, lower.id, OperationId(b""), False)
    return on_line(spot, higher.seq, branch)
