"""Pruning: which operations of log 1 no verdict will ever need again.

What is *dead* lies in its chain where no later operation can make it count: beside a tip that a
seal lists, or behind a closing that a seal settled. Of that goes what nobody holds on to: not the
two siblings that prove a fork, nothing that an operation of log 0 names, nothing in the past of
what stays. Log 0 stays whole. Only seals at or below the pin count, since a node never leaves the
chain below its pin.

Source: docs/protocol/authority.md "Pruning".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from commons_crdt.authority.book import Book
from commons_crdt.authority.council_facts import CouncilAct, Seal
from commons_crdt.authority.endings import NOTHING, Ending, Position
from commons_crdt.authority.flips import Anchor
from commons_crdt.authority.records import Records
from commons_crdt.authority.seals import Layer, highest_tips
from commons_crdt.authority.settled import Settled
from commons_crdt.authority.strata import Polity
from commons_crdt.ids import DeviceId, OperationId


class Link(NamedTuple):
    """One operation of a chain of log 1: its place, and what it follows."""

    seq: int
    id: OperationId
    prev: OperationId


@dataclass(frozen=True, slots=True)
class Final:
    """What is final of one chain of log 1.

    ``top``: the highest operation that a seal lists and that is here, or None. ``closings``: where
    closings that a seal settled leave the chain; ``NOTHING`` for a position that is none.
    """

    device: DeviceId
    top: Position | None
    closings: tuple[Position, ...] = ()


@dataclass(frozen=True, slots=True)
class Finality:
    """What is final of all chains by the seals up to ``seal``, and what of log 1 is named."""

    seal: OperationId
    chains: tuple[Final, ...]
    named: frozenset[OperationId]


def finality(polity: Polity, records: Records, settled: Settled, pin: int) -> Finality | None:
    """What the seals up to the act ``pin`` make final; None while that is nothing, or unknown."""
    book = polity.book
    if pin not in polity.acts:
        return None
    sealed = polity.acts[: polity.acts.index(pin) + 1]
    layers = [layer for layer in polity.layers if layer.seal in sealed]
    if not layers or not all(settled.complete(layer) for layer in layers):
        return None
    tops = settled.highest(layers)
    closings = _closings(polity, records, layers)
    chains = tuple(
        Final(device, tops.get(device), tuple(closings.get(device, ())))
        for device in sorted({*tops, *closings})
    )
    return Finality(book.entries[layers[-1].seal].id, chains, frozenset(_named(book)))


def _closings(
    polity: Polity, records: Records, layers: Sequence[Layer]
) -> dict[DeviceId, list[Position]]:
    """Where settled closings leave log 1: those at or before a sealed tip are always inside."""
    book = polity.book
    tips = highest_tips(book, [layer.seal for layer in layers], polity.view)
    found: dict[DeviceId, list[Position]] = {}
    for device, tip in tips.items():
        for n in polity.strata.identities.closings(device):
            if book.leads(n, tip):
                record = polity.ground.closed_record(n)
                anchor = Anchor(device, record.seq, OperationId(record.id))
                nothing = records.answers.get(anchor) == ()
                found.setdefault(device, []).append(NOTHING if nothing else record)
    return found


def _named(book: Book) -> Iterator[OperationId]:
    """What operations of log 0 name in log 1, whether they stand or not."""
    for entry in book.entries:
        yield from names(entry.body)


def names(body: object) -> Iterator[OperationId]:
    """The operations of log 1 that a body of log 0 names by their positions."""
    if isinstance(body, Ending | Position):
        record = body.record if isinstance(body, Ending) else body
        if record.seq:
            yield OperationId(record.id)
    elif isinstance(body, CouncilAct) and isinstance(body.act, Seal):
        yield from (OperationId(tip.id) for tip in body.act.tips if tip.log)
    elif isinstance(body, msgspec.Struct):
        for name in body.__struct_fields__:
            yield from names(getattr(body, name))
    elif isinstance(body, tuple):
        for one in body:
            yield from names(one)


def dead(final: Final, links: Sequence[Link]) -> set[OperationId]:
    """What of a chain can never count again; ``links``: all of it, or from some seq on.

    Ascending. Whatever is beside the tip must be in it together with its sibling on the tip's line.
    """
    before = {link.id: link for link in links}
    line = _line(final.top, before)
    kept = [(position, _line(position, before)) for position in final.closings]
    found: set[OperationId] = set()
    after = set[OperationId]()
    for link in links:
        if final.top is not None:
            if link.id in line:
                continue  # what a seal lists is inside, closed or not
            if link.prev != final.top.id and link.prev not in after:
                found.add(link.id)
                continue
            after.add(link.id)
        for position, upto in kept:
            here = position.id in before
            if link.seq > position.seq or (here and link.id not in upto):
                found.add(link.id)
    return found


def _line(position: Position | None, before: dict[OperationId, Link]) -> set[OperationId]:
    line = set[OperationId]()
    at = before.get(OperationId(position.id)) if position is not None else None
    while at is not None:
        line.add(at.id)
        at = before.get(at.prev) if at.seq > 1 else None
    return line


def proofs(final: Final, links: Sequence[Link], gone: set[OperationId]) -> set[OperationId]:
    """What of the dead stays, to prove forks: with what stays anyway, two siblings of each.

    A fork within a branch that a seal has decided against proves nothing that counts.
    """
    line = _line(final.top, {link.id: link for link in links})
    beside = dead(Final(final.device, final.top), links)
    siblings: defaultdict[tuple[int, OperationId], list[OperationId]] = defaultdict(list)
    for link in links:
        siblings[link.seq, link.prev if link.seq > 1 else OperationId(b"")].append(link.id)
    kept: set[OperationId] = set()
    for twins in siblings.values():
        if len(twins) < 2 or (all(x in beside for x in twins) and line):
            continue
        staying = sum(x not in gone for x in twins)
        kept.update(sorted(x for x in twins if x in gone)[: max(0, 2 - staying)])
    return kept


@dataclass(slots=True)
class Pruning:
    """One round: ``add`` every chain that has an end, ``look`` at all operations behind, then go.

    ``look`` may come in any order, and again.
    """

    finality: Finality
    candidates: set[OperationId] = field(default_factory=set)
    _behind: dict[OperationId, list[OperationId]] = field(default_factory=dict)
    _kept: set[OperationId] = field(default_factory=set)

    def add(self, final: Final, links: Sequence[Link]) -> None:
        """One chain."""
        gone = dead(final, links)
        self.candidates |= gone
        self.keep(proofs(final, links, gone) | (gone & self.finality.named))

    def keep(self, ids: Iterable[Any]) -> None:
        """These stay, and their pasts."""
        todo = [x for x in ids if x in self.candidates and x not in self._kept]
        while todo:
            at = todo.pop()
            if at not in self._kept:
                self._kept.add(at)
                todo += [x for x in self._behind.get(at, ()) if x not in self._kept]

    def look(self, ident: OperationId, antecedents: Iterable[bytes]) -> None:
        """What an operation builds on stays as long as it does."""
        behind = [OperationId(x) for x in antecedents if x in self.candidates]
        if ident in self.candidates:
            self._behind[ident] = behind
        if ident not in self.candidates or ident in self._kept:
            self.keep(behind)

    @property
    def superfluous(self) -> set[OperationId]:
        """What may go, once all were looked at."""
        return self.candidates - self._kept
