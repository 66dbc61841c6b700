"""What seals in force say of the branches of log 1: which lost, which is awaited, what is final.

Source: docs/protocol/authority.md "Seals", "Pruning".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from commons_crdt.authority.book import Book
from commons_crdt.authority.flips import Anchor
from commons_crdt.authority.pruning import Finality, finality
from commons_crdt.authority.records import Records, Spot
from commons_crdt.authority.settled import Settled
from commons_crdt.authority.strata import Polity
from commons_crdt.ids import DeviceId, OperationId
from commons_crdt.operation import Header


@dataclass(slots=True)
class Branches:
    """Asked of a judge, which says first what it is to ``look`` at."""

    book: Book
    records: Records
    settled: Settled
    _polity: Polity | None = None
    _split: bool = False
    _pin: OperationId | None = None
    _awaited: dict[DeviceId, Anchor] = field(default_factory=dict)
    _awaited_of: tuple[Polity, int] | None = None

    def look(self, polity: Polity | None, *, split: bool, pin: OperationId | None) -> None:
        """What log 0 amounts to now; ``polity`` None: the pin is not here, nothing is decided."""
        self._polity, self._split, self._pin = polity, split, pin

    def newest_seal(self) -> OperationId | None:
        """The newest seal in force whose tips are all here, and those of earlier ones.

        None while the council is split: which of its acts hold is not known then.
        """
        found = None
        if self._polity is not None and not self._split:
            for layer in self._polity.layers:
                if not self.settled.complete(layer):
                    break
                found = self.book.entries[layer.seal].id
        return found

    def finality(self, pin: OperationId | None = None) -> Finality | None:
        """What the seals up to the pin make final; None if there is none, or its tips are missing.

        A node never leaves the chain below its pin: what is beyond it could be undone. ``pin``:
        as if that were the pin.
        """
        named = pin or self._pin
        number = None if named is None else self.book.numbers.get(named)
        if self._polity is None or number is None:
            return None
        return finality(self._polity, self.records, self.settled, number)

    def goes_on(self, header: Header) -> bool:
        """True for what comes in log 0 behind the highest tip that a seal lists, on its line.

        The forks below are decided; what it follows must be here.
        """
        if self._polity is None or header.log:
            return False
        tip = self._polity.ground.tips.get(DeviceId(header.device))
        before = self.book.numbers.get(OperationId(header.prev))
        return tip is not None and before is not None and self.book.leads(tip, before)

    def open_fork(self, device: DeviceId) -> int | None:
        """The lowest doubled seq of a log 0 that no seal has decided."""
        return self._polity.ground.fork(device) if self._polity is not None else None

    def last(self, device: DeviceId, log: int) -> OperationId | None:
        """The last operation here of the branch of a forked chain that a seal decided for.

        Its writer goes on from there. None where no fork is decided, or one behind it is not.
        """
        if log:
            return self.records.last(device)
        tip = self._polity.ground.tips.get(device) if self._polity is not None else None
        if tip is None or device not in self.book.doubled or self.open_fork(device) is not None:
            return None
        line = [n for n in self.book.lines.get(device, ()) if self.book.leads(tip, n)]
        entries = self.book.entries
        return entries[max(line, key=lambda n: entries[n].seq)].id

    def awaited(self, device: DeviceId) -> int:
        """The highest seq of log 1 that a seal in force lists and that is not here; 0 if none."""
        tip = self._tips_that_lack().get(device)
        return tip.seq if tip is not None else 0

    def awaited_tips(self) -> tuple[Anchor, ...]:
        """Of chains of log 1 the highest tip that a seal in force lists, and that is not here."""
        lacking = self._tips_that_lack()
        return tuple(lacking[device] for device in sorted(lacking))

    def _tips_that_lack(self) -> Mapping[DeviceId, Anchor]:
        polity = self._polity
        if polity is None or not polity.layers:
            return {}
        version, before = self.records.version, self._awaited_of
        if before is None or before[0] is not polity or before[1] != version:
            self._awaited_of = (polity, version)
            self._awaited = {}
            for tip in (tip for layer in polity.layers for tip in layer.tips):
                known = self._awaited.get(tip.device)
                if not self.records.answers.get(tip) and (known is None or known.seq < tip.seq):
                    self._awaited[tip.device] = tip
        return self._awaited

    def beside(self, header: Header, ident: OperationId) -> bool:
        """True if an operation of log 1 certainly lies on a branch that a seal decided against."""
        if header.log == 0:
            return False
        prev = OperationId(header.prev)
        return self.records.beside(Spot(DeviceId(header.device), header.seq, ident, prev, False))

    # --- starting again ---------------------------------------------------------------------------

    def sealed_forks(self) -> list[tuple[DeviceId, int]]:
        """Forked chains of log 1 with a sealed tip, and the seq behind it.

        ``follows`` must be told of these from there on, ascending, after everything was restored.
        """
        tops = self.records.tops
        return [(d, tops[d].seq + 1) for d in sorted(tops) if d in self.records.forks]

    def follows(self, device: DeviceId, seq: int, ident: OperationId, prev: OperationId) -> None:
        """Learn again the place of a stored operation of log 1."""
        self.records.note(Spot(device, seq, ident, prev, False))
