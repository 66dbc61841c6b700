"""Where chains effectively end, as a node shows it to peers; told again when it changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from commons_crdt.authority.book import Book
from commons_crdt.authority.cuts import Ruling
from commons_crdt.authority.endings import Position
from commons_crdt.authority.flips import Anchor, Chain, End
from commons_crdt.authority.identity import Identities
from commons_crdt.authority.records import Records
from commons_crdt.authority.strata import Polity
from commons_crdt.authority.stratum_c import is_act_of_c
from commons_crdt.ids import DeviceId, OperationId

_GOES_ON = End()


def _reach(end: End) -> float:
    return inf if end.seq is None else end.seq


@dataclass(slots=True)
class Ends:
    """The ends that were told last."""

    book: Book
    records: Records
    _told: dict[Chain, End] = field(default_factory=dict)
    _polity: Polity | None = None
    _seen: tuple[int, int] | None = None
    _known: dict[tuple[Chain, bool], End] = field(default_factory=dict)
    """Ends that were asked for, as long as nothing that bears on them has changed."""
    _known_of: tuple[Polity, int, int] | None = None

    def changed(self, polity: Polity) -> frozenset[Chain]:
        """The chains that end elsewhere than when this was last asked."""
        # a polity grows by what ends no chain; only a sealed branch grows with its chain, and a
        # chain that is cut goes on from another grant
        grown = len(self.book) if polity.layers else len(self.book.given)
        seen = (self.records.version, grown)
        if polity is self._polity and seen == self._seen:
            return frozenset()
        self._polity, self._seen = polity, seen
        now: dict[Chain, End] = {}
        for device in self._touched(polity):
            for log in (0, 1):
                end = self.end(polity, (device, log))
                if end != _GOES_ON:
                    now[device, log] = end
        before, self._told = self._told, now
        chains = before.keys() | now.keys()
        return frozenset(c for c in chains if before.get(c) != now.get(c))

    def _touched(self, polity: Polity) -> set[DeviceId]:
        found = set(self.records.forks) | set(self.book.doubled) | set(polity.ground.proofs)
        found |= set(self.book.closings)
        if polity.strata.identities.cuts.all():
            rulings = polity.strata.identities.rulings
            found |= {given.device for n, given in self.book.given.items() if rulings(n)}
        return found

    def end(self, polity: Polity, chain: Chain, body: object = None) -> End:
        """Where a chain ends: asked for with every operation that arrives.

        ``body``: for an operation of log 0 with these contents. No act of (C) ends another.
        """
        in_c = chain[1] == 0 and is_act_of_c(body) and self._is_somebodys(chain[0])
        of = (polity, self.records.version, len(self.book))
        before = self._known_of
        if before is None or before[0] is not polity or before[1:] != of[1:]:
            self._known.clear()
            self._known_of = of
        known = self._known.get((chain, in_c))
        if known is None:
            stage = polity.b if in_c else polity.strata.identities
            known = self._known[chain, in_c] = self._end(polity, chain, stage)
        return known

    def _is_somebodys(self, device: DeviceId) -> bool:
        """True for a device that a person holds."""
        grants = self.book.grants.get(device, ())
        return any(not self.book.given[grant].unattended for grant in grants)

    def _end(self, polity: Polity, chain: Chain, stage: Identities) -> End:
        device, log = chain
        grants = self.book.grants.get(device, ())
        rulings = {ruling for grant in grants for ruling in stage.rulings(grant)}
        if not log:
            return self._of_0(polity, device, rulings, stage)
        standing = [n for n in grants if polity.granted(n) is None] if len(grants) > 1 else []
        if not standing:
            return self._of_1(polity, device, rulings)
        # what a cut covers starts from its own grant: the chain goes as far as it does from any
        each = [self._of_1(polity, device, set(stage.rulings(n))) for n in standing]
        return max(each, key=_reach)

    def _of_0(
        self, polity: Polity, device: DeviceId, rulings: set[Ruling], identities: Identities
    ) -> End:
        entries = self.book.entries
        closings = identities.closings(device)
        fork = polity.ground.fork(device)
        sealed = device in polity.ground.tips and device in self.book.doubled
        if not rulings and not closings and fork is None and not sealed:
            return _GOES_ON
        top, beyond = None, ""
        for n in self.book.lines.get(device, ()):
            place = identities.place(n)
            if not place:
                top = n if top is None or entries[n].seq > entries[top].seq else top
            elif not beyond or place == "fork":
                beyond = place
        if sealed and not beyond and not rulings and not closings:
            return _GOES_ON
        why = beyond or ("fork" if fork is not None else "cut" if rulings else "closed")
        if top is None:
            return End(0, None, why)
        return End(entries[top].seq, entries[top].id, why)

    def _of_1(self, polity: Polity, device: DeviceId, rulings: set[Ruling]) -> End:
        fork, top = self.records.fork(device), self.records.top(device)
        named = [r.record for r in rulings if r.names and fork and self._seq(device, r) >= fork]
        ends = [(self._seq(device, r), r.record, "cut") for r in rulings]
        ends += [(record.seq, record, "closed") for record in polity.record_closings(device)]
        if fork is not None and (not named or len(named) < len(ends)):
            ends.append((fork - 1, Position(0, bytes(32)), "fork"))
        if not ends:
            return _GOES_ON
        seq, position, why = min(ends, key=lambda one: (one[0], one[2]))
        if top is not None and seq < top.seq:
            return End(top.seq, OperationId(top.id), why)  # never below what a seal lists
        if len(named) > 1 and seq == min(record.seq for record in named):
            return self._common(device, named)
        known = OperationId(position.id) if position.seq == seq and seq else None
        return End(seq, known, why)

    def _seq(self, device: DeviceId, ruling: Ruling) -> int:
        record = ruling.record
        answer = self.records.answers.get(Anchor(device, record.seq, OperationId(record.id)))
        return 0 if answer == () else record.seq

    def _common(self, device: DeviceId, named: list[Position]) -> End:
        """The longest common prefix of branches that several cuts name."""
        lines: list[dict[int, OperationId]] = []
        for record in named:
            ids = self.records.answers.get(Anchor(device, record.seq, OperationId(record.id)))
            if ids:
                first = record.seq - len(ids) + 1
                lines.append({first + i: ident for i, ident in enumerate(ids)})
        if not lines:
            lowest = min(named)
            return End(lowest.seq, OperationId(lowest.id), "cut")
        seq, last = min(lines[0]) - 1, None
        while all(seq + 1 in line for line in lines) and len({li[seq + 1] for li in lines}) == 1:
            seq, last = seq + 1, lines[0][seq + 1]
        return End(seq, last, "cut")
