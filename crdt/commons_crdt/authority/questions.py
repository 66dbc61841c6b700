"""What the judge asks of who keeps log 1: positions that are named, and what seals settle there.

Source: the contract in ``flips``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from commons_crdt.authority.book import Book
from commons_crdt.authority.flips import Anchor, Chain
from commons_crdt.authority.records import Records
from commons_crdt.authority.settled import Settled
from commons_crdt.authority.standing import Candidate
from commons_crdt.authority.strata import Polity
from commons_crdt.ids import DeviceId, OperationId


@dataclass(slots=True)
class Questions:
    """Open questions, and the chains to be judged again once they are answered.

    ``wanted`` and ``closures`` are to be told; ``chains`` to be judged again.
    """

    book: Book
    records: Records
    settled: Settled
    chains: set[Chain] = field(default_factory=set)
    wanted: set[Anchor] = field(default_factory=set)
    closures: dict[OperationId, tuple[Anchor, ...]] = field(default_factory=dict)
    fresh_layers: bool = False
    """The polity is another one: a seal may say otherwise than it does."""
    _open: set[Anchor] = field(default_factory=set)
    _open_closures: set[int] = field(default_factory=set)
    _named: dict[OperationId, set[Anchor]] = field(default_factory=dict)
    _waiting: bool = False
    _complete: frozenset[int] = frozenset()
    """The seals before the first that waits for a tip: what they list does not wait."""
    _pended: set[Chain] = field(default_factory=set)

    # --- positions --------------------------------------------------------------------------------

    def need(self, anchors: Iterable[Anchor]) -> None:
        """Ask for what was never asked for."""
        for anchor in anchors:
            if not self.records.known(anchor):
                self._ask(anchor)

    def _ask(self, anchor: Anchor) -> None:
        if anchor.id in self.book.numbers:
            self.records.put(anchor, ())  # an operation of log 0
            return
        self.records.put(anchor, None)
        self._named.setdefault(anchor.id, set()).add(anchor)
        self.wanted.add(anchor)
        self._open.add(anchor)

    def answer(self, anchor: Anchor, ids: Sequence[OperationId] | None) -> None:
        """An answer came."""
        self.records.put(anchor, ids)
        self.settled.forget()
        self._open.discard(anchor)
        if ids is not None:
            self._named.get(anchor.id, set()).discard(anchor)
            self.chains.add((anchor.device, 1))

    def arrive(self, candidate: Candidate) -> None:
        """Answer what asked for an operation that is here now."""
        header = candidate.header
        for anchor in self._named.pop(candidate.id, ()):
            self.settled.forget()
            self.wanted.discard(anchor)
            self._open.discard(anchor)
            fork = self.records.forks.get(anchor.device, header.seq + 1)
            if (header.device, header.log, header.seq) != (anchor.device, 1, anchor.seq):
                self.records.put(anchor, ())
            elif fork > header.seq:
                self.records.put(anchor, (candidate.id,))
            else:
                self._ask(anchor)
            self.chains.add((anchor.device, 1))

    def forked(self, device: DeviceId, seq: int) -> None:
        """A chain of log 1 is doubled at a lower place than was known."""
        self.records.forks[device] = seq
        self.records.version += 1
        for anchor in self.records.doubted(device, seq):
            self._ask(anchor)
        for seal in self.settled.touching(device):
            self.settled.closures.pop(seal)
        self.settled.forget()
        self.chains.add((device, 1))

    # --- seals ------------------------------------------------------------------------------------

    def closure(self, seal: int, tops: Mapping[Anchor, Sequence[OperationId]]) -> None:
        """An answer came."""
        self._open_closures.discard(seal)
        self.settled.put(seal, tops)
        self.settled.forget()

    def pend(self, chain: Chain) -> None:
        """An operation of this chain waits for a seal."""
        self._pended.add(chain)

    def heed(self, polity: Polity) -> None:
        """Ask for closures, and flip what a seal settles otherwise, or makes wait."""
        if not (polity.layers or self._waiting):
            return
        for layer in polity.layers:
            unknown = layer.seal not in self.settled.closures and layer.tips
            asked = layer.seal in self._open_closures
            if unknown and not asked and self.settled.ready(layer):
                self._open_closures.add(layer.seal)
                self.closures[self.book.entries[layer.seal].id] = layer.tips
        tips = {tip for layer in polity.layers for tip in layer.tips}
        if self._open_closures or tips & self._open:
            return  # the answers decide
        complete = frozenset(la.seal for la in takewhile(self.settled.complete, polity.layers))
        waiting = len(complete) < len(polity.layers)
        tops = self.settled.highest(polity.layers)
        moved = self.records.set_tops(tops)
        self.chains |= {(d, 1) for d in moved if d in self.records.forks or polity.ends_log_1(d)}
        if waiting != self._waiting:
            self.all_chains()
        elif not waiting:
            self.chains |= self._pended
            if self.fresh_layers:
                self.chains |= self._unlike(polity)
        if waiting == self._waiting:
            self.chains |= self._resettled(polity, complete ^ self._complete)
        self._waiting, self._complete = waiting, complete
        if not waiting:
            self._pended.clear()
            self.fresh_layers = False

    def all_chains(self) -> None:
        """Everything of log 1 must be judged again."""
        self.chains |= {(given.device, 1) for given in self.book.given.values()}

    def _resettled(self, polity: Polity, seals: Iterable[int]) -> set[Chain]:
        """The chains of which these seals settle something that waited, or lay beyond an end."""
        devices = {d for seal in seals for d in self.settled.closures.get(seal, ())}
        return {(d, 1) for d in devices if self._waiting or polity.ends_log_1(d)}

    def _unlike(self, polity: Polity) -> set[Chain]:
        """The chains of which a seal may say otherwise than the whole set does."""
        found = {(device, 1) for device in self.records.forks}
        for layer in polity.layers:
            for grant, given in self.book.given.items():
                if layer.own >> grant & 1 and (
                    layer.polity.bearing(grant) != polity.bearing(grant)
                ):
                    found.add((given.device, 1))
        return found
