"""Cuts, closings, forks: where the chains of a set end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.authority.oracle import signatures
from tests.authority.oracle.archive import Archive, Id, remembered

from commons_crdt.authority.council_facts import Tip
from commons_crdt.authority.endings import Ending, Position
from commons_crdt.authority.identity_facts import Close, ForkProof
from commons_crdt.ids import MemberId

Status = Literal["in", "fork", "cut", "closed", "pending"]


@dataclass(frozen=True)
class Cut:
    """Something that takes away: ``op`` did it, to whom or what ``form`` says.

    ``names``: it may name the branch of a fork. ``own``: a device retires itself; the log that
    carries the act ends with it, as with a closing.
    """

    op: Id
    form: Literal["member", "branch", "recovery", "grant"]
    subject: bytes
    endings: tuple[Ending, ...]
    names: bool = True
    own: bool = False

    @property
    def table(self) -> Mapping[bytes, Ending]:
        return {e.device: e for e in reversed(self.endings)}


@dataclass(frozen=True)
class Demoting:
    """A demotion: what it lowers to, beyond which endings."""

    op: Id
    member: MemberId
    role: int
    endings: tuple[Ending, ...]


@dataclass
class Chains:
    """The chains of one set, with the tips that its seals list (in the order of the seals).

    ``here``: where tips are looked for. A tip that sees more than its seal is not in the sealed
    set, and still names its branch there.
    """

    archive: Archive
    set: frozenset[Id]
    tips: Sequence[Tip]
    listed: Callable[[Id], bool]
    here: frozenset[Id]
    memo: dict[Any, Any] = field(default_factory=dict)

    def covers(self, cut: Cut, x: Id) -> bool:
        archive = self.archive
        root = archive.root(x)
        if cut.form == "grant":
            return archive.grant(x) == cut.subject
        if root is None:
            return False
        listed = archive.ops[x].header.device in cut.table
        if cut.form == "recovery":
            return listed and root == cut.subject
        mine = archive.member_of(root) == cut.subject and not archive.before(cut.op, root)
        return mine and (listed or cut.form == "member")

    def place(self, op: Id, device: bytes, log: int, position: Position) -> Id | int:
        """Where a position of ``op`` is: an operation, 0 for nothing, or a seq that is not here."""
        if position.seq == 0:
            return 0
        found = self.archive.at(device, log, position)
        if log == 0:
            return found if found is not None and self.archive.before(found, op) else 0
        if Id(position.id) in self.set:
            return found if found is not None else 0
        return position.seq

    def named(self, cut: Cut | Demoting, x: Id) -> Id | int:
        """Where ``cut`` ends x's chain."""
        device, log = self.archive.chain(x)
        if isinstance(cut, Cut) and cut.own and self.archive.chain(cut.op) == (device, log):
            return cut.op
        endings = {e.device: e for e in reversed(cut.endings)}
        ending = endings.get(device)
        if ending is None:
            return 0
        return self.place(cut.op, device, log, ending.record if log else ending.authority)

    def beyond(self, x: Id, place: Id | int) -> bool:
        """x is certainly not at or before ``place``."""
        if isinstance(place, int):
            return self.archive.seq(x) > place
        return not self.archive.upto(x, place)

    def beyond_or_nothing(self, x: Id, demoting: Demoting) -> bool:
        """x lies beyond the endings of a demotion."""
        return self.beyond(x, self.named(demoting, x))

    # --- forks -----------------------------------------------------------------------------------

    @remembered
    def places(self, chain: tuple[bytes, int]) -> Mapping[Id, tuple[int, Id]]:
        """(seq, prev) of every operation of a chain, those that proofs show included."""
        known = {}
        for proof in filter(self.listed, self.archive.of(self.set, ForkProof)):
            for ident, header in signatures.doubled(self.archive, proof):
                if (header.device, header.log) == chain:
                    known[ident] = (header.seq, Id(header.prev))
        for x in self.set:
            if self.archive.chain(x) == chain:
                known[x] = (self.archive.seq(x), Id(self.archive.ops[x].header.prev))
        return known

    @remembered
    def anchors(self, chain: tuple[bytes, int]) -> tuple[Id, ...]:
        """The sealed tips of a chain that are here, each comparable with those before it."""
        archive = self.archive
        kept: list[Id] = []
        for tip in self.tips:
            if (tip.device, tip.log) != chain or Id(tip.id) not in self.here:
                continue
            x = archive.at(tip.device, tip.log, Position(tip.seq, tip.id))
            if x is not None and all(archive.upto(x, t) or archive.upto(t, x) for t in kept):
                kept.append(x)
        return tuple(sorted(kept, key=archive.seq))

    @remembered
    def forked(self, chain: tuple[bytes, int]) -> int | None:
        """The lowest doubled seq, above what is sealed."""
        places = self.places(chain)
        top = self.anchors(chain)[-1:]
        seqs = [
            seq
            for x, (seq, _) in places.items()
            if not top or (x != top[0] and self._descends(x, top[0], places))
        ]
        return min((s for s in seqs if seqs.count(s) > 1), default=None)

    def _descends(self, x: Id, top: Id, places: Mapping[Id, tuple[int, Id]]) -> bool:
        while x != top:
            if x not in places or places[x][0] <= self.archive.seq(top):
                return False
            x = places[x][1]
        return True

    # --- ends ------------------------------------------------------------------------------------

    def status(self, x: Id, cuts: Sequence[Cut], closings: bool = True) -> Status:
        """Where x stands, given these cuts and the closings of its device."""
        archive, chain, seq = self.archive, self.archive.chain(x), self.archive.seq(x)
        anchors = self.anchors(chain)
        if any(archive.upto(x, tip) for tip in anchors):
            return "in"
        if anchors and not archive.upto(anchors[-1], x):
            return "fork"
        f = self.forked(chain)
        inside_fork = f is not None and seq >= f
        covering = [(cut, self.named(cut, x)) for cut in cuts if self.covers(cut, x)]
        if inside_fork:
            naming = [p for c, p in covering if c.names and self._reaches(p, f)]
            if not naming or not all(self._comparable(x, p) for p in naming):
                return "fork"
        if any(self.beyond(x, p) or (inside_fork and not c.names) for c, p in covering):
            return "cut"
        places = [p for _, p in covering]
        if closings:
            closed = [self.closed(x, closing) for closing in self.closings(x, cuts)]
            if any(c == "closed" for c in closed) or (closed and inside_fork and chain[1] == 1):
                return "closed"
            if "pending" in closed:
                return "pending"
        return "pending" if any(isinstance(p, int) for p in places) else "in"

    def _reaches(self, place: Id | int, f: int | None) -> bool:
        assert f is not None
        return (place if isinstance(place, int) else self.archive.seq(place)) >= f

    def _comparable(self, x: Id, place: Id | int) -> bool:
        if isinstance(place, int):
            return self.archive.seq(x) <= place
        return self.archive.upto(x, place) or self.archive.upto(place, x)

    def closings(self, x: Id, cuts: Sequence[Cut]) -> list[Id]:
        """The closings of x's device that count, x itself aside."""
        device, log = self.archive.chain(x)
        return [
            c
            for c in self.archive.of(self.set, Close)
            if self.archive.ops[c].header.device == device
            and c != x
            and self.listed(c)
            and (log == 1 or self.archive.upto(c, x))
            and self.status(c, cuts) == "in"
        ]

    def closed(self, x: Id, closing: Id) -> Status:
        if self.archive.log(x) == 0:
            return "closed"
        place = self.place(
            closing, self.archive.ops[x].header.device, 1, self.archive.body(closing).record
        )
        if self.beyond(x, place):
            return "closed"
        return "pending" if isinstance(place, int) else "in"
