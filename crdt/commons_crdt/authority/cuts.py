"""Cuts, forks and closings: where an operation of log 0 stands in its chain, and where chains end.

Nothing here decides which cuts stand; that is what the strata are for. A *ruling* is what one
standing cut says of one device: a position for each log.

Source: docs/protocol/authority.md "Cuts and ends".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from commons_crdt.authority.book import NOWHERE, Book, Given, View
from commons_crdt.authority.endings import NOTHING, Ending, Position
from commons_crdt.authority.identity_facts import Close
from commons_crdt.ids import DeviceId, MemberId, OperationId


@dataclass(frozen=True, slots=True)
class Cut:
    """An act that ends chains. ``names``: it may name a branch of a forked log.

    Whom it covers: ``whole``, every device of ``member`` (unlisted ones are cut at nothing);
    else only the devices listed; and of these, with a ``root``, those of that root, or with a
    ``target``, those of that grant (listed or not). But never what has the cut in its root's
    past.
    """

    act: int
    endings: Mapping[DeviceId, Ending]
    names: bool
    member: MemberId
    whole: bool = False
    root: int = NOWHERE
    target: int = NOWHERE
    own: bool = False
    """A device retires itself: the log that carries the act ends with it."""


class Ruling(NamedTuple):
    """What a cut says of a device: the last operation in log 0 (a number), and in log 1."""

    act: int
    authority: int
    record: Position
    names: bool


class Shown(NamedTuple):
    """An operation that a fork proof shows; it need not be here."""

    device: DeviceId
    log: int
    seq: int
    id: OperationId
    prev: bytes


def by_device(endings: Iterable[Ending]) -> dict[DeviceId, Ending]:
    """Endings by their device; only the first of a device counts."""
    table: dict[DeviceId, Ending] = {}
    for ending in endings:
        table.setdefault(DeviceId(ending.device), ending)
    return table


def last_in_log_0(book: Book, act: int, ending: Ending) -> int:
    """The position of an ending in log 0: an operation of that chain in the act's past."""
    position = ending.authority
    past = book.entries[act].past
    return book.at(DeviceId(ending.device), position.seq, position.id, past)


@dataclass(slots=True)
class Cuts:
    """Standing cuts, by what they cover."""

    book: Book
    _members: defaultdict[MemberId, list[Cut]] = field(default_factory=lambda: defaultdict(list))
    _roots: defaultdict[int, list[Cut]] = field(default_factory=lambda: defaultdict(list))
    _targets: defaultdict[int, list[Cut]] = field(default_factory=lambda: defaultdict(list))
    _rulings: defaultdict[int, dict[int, tuple[Ruling, ...]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    """By root and grant."""

    def copy(self) -> Cuts:
        """The same cuts, to add to."""
        made = Cuts(self.book)
        made._members.update({key: list(cuts) for key, cuts in self._members.items()})
        made._roots.update({key: list(cuts) for key, cuts in self._roots.items()})
        made._targets.update({key: list(cuts) for key, cuts in self._targets.items()})
        return made

    def add(self, cut: Cut) -> None:
        """One more standing cut."""
        if cut.root != NOWHERE:
            self._roots[cut.root].append(cut)
            self._rulings.pop(cut.root, None)
            return
        if cut.target != NOWHERE:
            self._targets[cut.target].append(cut)
        else:
            self._members[cut.member].append(cut)
        self._rulings.clear()

    def all(self) -> list[Cut]:
        """Every one of them."""
        groups = (*self._members.values(), *self._roots.values(), *self._targets.values())
        return [cut for group in groups for cut in group]

    def on_member(self, member: MemberId) -> Sequence[Cut]:
        """The member cuts (removals, dismissals) on somebody."""
        return [cut for cut in self._members.get(member, ()) if cut.whole]

    def covering(self, root: int) -> Iterable[Cut]:
        """The member cuts that cover a root: those that it does not have in its past."""
        entry = self.book.entries[root]
        member = self.book.given[root].member
        for cut in self._members.get(member, ()) if member else ():
            if cut.whole and not entry.past >> cut.act & 1:
                yield cut

    def on(self, grant: int) -> tuple[Ruling, ...]:
        """What the cuts say of the operations whose chain starts from this grant."""
        given = self.book.given.get(grant)
        if given is None:
            return ()
        known = self._rulings[given.root].get(grant)
        if known is None:
            known = self._rulings[given.root][grant] = tuple(self._find(grant, given))
        return known

    def _find(self, grant: int, given: Given) -> Iterable[Ruling]:
        for cut in self._targets.get(grant, ()):
            yield self._ruling(cut, given.device)
        if given.root == NOWHERE or given.member is None:
            return
        past = self.book.entries[given.root].past
        for cut in self._members.get(given.member, ()):
            if (cut.whole or given.device in cut.endings) and not past >> cut.act & 1:
                yield self._ruling(cut, given.device)
        for cut in self._roots.get(given.root, ()):
            if given.device in cut.endings:
                yield self._ruling(cut, given.device)

    def _ruling(self, cut: Cut, device: DeviceId) -> Ruling:
        ending = cut.endings.get(device)
        if ending is None:
            return Ruling(cut.act, NOWHERE, NOTHING, cut.names)
        if cut.own and self.book.entries[cut.act].device == device:
            last = cut.act
        else:
            last = last_in_log_0(self.book, cut.act, ending)
        return Ruling(cut.act, last, ending.record, cut.names)


@dataclass(slots=True)
class Ground:
    """The forks of log 0 in a view, and the tips that seals list there."""

    book: Book
    view: View
    proofs: dict[DeviceId, list[Shown]] = field(default_factory=dict)
    """What standing proofs show of log 0, by device."""
    tips: Mapping[DeviceId, int] = field(default_factory=dict)
    """The highest sealed operation of each sealed chain."""
    _forks: dict[DeviceId, int | None] = field(default_factory=dict)

    def fork(self, device: DeviceId) -> int | None:
        """The lowest doubled seq of a chain; beyond a sealed tip, of what descends from it."""
        if device not in self._forks:
            self._forks[device] = self._find_fork(device)
        return self._forks[device]

    def hear(self, shown: Iterable[Shown]) -> bool:
        """Take in what one more standing proof shows; True if every fork is where it was."""
        same = True
        for one in shown:
            if one.log == 0 and one not in self.proofs.get(one.device, ()):
                before = self.fork(one.device)
                self.proofs.setdefault(one.device, []).append(one)
                self._forks[one.device] = self._find_fork(one.device)
                same = same and before == self._forks[one.device]
        return same

    def _find_fork(self, device: DeviceId) -> int | None:
        book, tip = self.book, self.tips.get(device)
        proofs = self.proofs.get(device, ())
        if not proofs and device not in book.doubled:
            return None
        seqs = {shown.seq for shown in proofs} | book.doubled.get(device, set())
        above = 0 if tip is None else book.entries[tip].seq
        for seq in sorted(seqs):
            if seq <= above:
                continue
            here = book.among(book.places.get((device, seq), ()), self.view)
            ids = {book.entries[n].id for n in here if tip is None or book.leads(tip, n)}
            for shown in proofs:
                before = self.book.number(shown.prev, self.view)
                if shown.seq == seq and (tip is None or (before >= 0 and book.leads(tip, before))):
                    ids.add(shown.id)
            if len(ids) > 1:
                return seq
        return None

    def place(self, x: int, rulings: Sequence[Ruling], closings: Sequence[int]) -> str:
        """Where an operation is in its chain: "" (inside), "fork", "cut" or "closed".

        ``rulings`` are those of the standing cuts that cover it, ``closings`` the operations that
        closed its device.
        """
        book = self.book
        entry = book.entries[x]
        tip = self.tips.get(entry.device)
        if tip is not None:
            if book.leads(x, tip):
                return ""
            if not book.leads(tip, x):
                return "fork"
        fork = self.fork(entry.device)
        beyond = fork is not None and entry.seq >= fork
        if fork is not None and beyond:
            named = [r.authority for r in rulings if r.names and self._at(r.authority) >= fork]
            if not named or not all(book.leads(x, p) or book.leads(p, x) for p in named):
                return "fork"
        for ruling in rulings:
            if ruling.authority == NOWHERE or not book.leads(x, ruling.authority):
                return "cut"
            if beyond and not ruling.names:
                return "cut"
        if any(not book.leads(x, closing) for closing in closings):
            return "closed"
        return ""

    def _at(self, n: int) -> int:
        return 0 if n == NOWHERE else self.book.entries[n].seq

    def closings(self, device: DeviceId, cuts: Cuts) -> tuple[int, ...]:
        """The closings of a device that are themselves inside, by these cuts."""
        counting: tuple[int, ...] = ()
        for n in self.book.among(self.book.closings.get(device, ()), self.view):
            if not self.place(n, cuts.on(self.book.entries[n].grant), counting):
                counting = (*counting, n)
        return counting

    def closed_record(self, closing: int) -> Position:
        """The last operation of log 1 that a closing leaves."""
        body = self.book.entries[closing].body
        return body.record if isinstance(body, Close) else NOTHING
