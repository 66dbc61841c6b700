"""What to ask a peer for, from what differs: pure rules, and the memory of what was in vain.

A chain's end is what counts of it, so that a removal shows as an end that went back, and lifting
it as one that went on. A fork that only one side knows shows in the end's ``fork``; one that
neither knows shows as equal positions with different ids, or as operations that do not link, and
is found by going back along the peer's branch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from commons_crdt.ids import ZERO, OperationId
from commons_crdt.operation import MAX_COUNTER
from commons_protocol.ends import Chain, ChainEnd
from commons_protocol.replica import Range

BACK = 64
"""How far to go back first where two branches meet somewhere below; doubles each time."""

_FIRST_RETRY_MS = 5_000
_LAST_RETRY_MS = 600_000

Pair = tuple[ChainEnd | None, ChainEnd]
"""Mine, or None, and theirs: two ends of one chain that differ."""


def wanted(mine: ChainEnd | None, theirs: ChainEnd) -> list[Range]:
    """What this node lacks of one chain, all siblings of each position included, ascending."""
    own = mine or ChainEnd(theirs.device, theirs.log, 0, OperationId(ZERO))
    found: list[Range] = []
    for first, last in sorted(_spans(own, theirs)):
        if found and first <= found[-1].last + 1:
            found[-1] = found[-1]._replace(last=max(last, found[-1].last))
        else:
            found.append(Range(theirs.device, theirs.log, first, last))
    return found


def _spans(mine: ChainEnd, theirs: ChainEnd) -> Iterator[tuple[int, int]]:
    if theirs.fork and (not mine.fork or theirs.fork < mine.fork):
        yield theirs.fork, theirs.fork  # the siblings that prove it
    if theirs.seq > mine.seq:
        # Who does not know our fork yet has nothing for us beyond it: nothing counts there.
        if not mine.fork or mine.fork == theirs.fork or theirs.seq < mine.fork:
            yield mine.seq + 1, theirs.seq
    elif theirs.seq == mine.seq and theirs.id != mine.id:
        yield max(1, theirs.seq - BACK + 1), theirs.seq
    if theirs.more == mine.more:
        return
    if mine.hollow:
        yield mine.hollow, max(mine.seq, mine.hollow)
    if theirs.log == 0 and theirs.more != ZERO:
        yield theirs.seq + 1, MAX_COUNTER


def size(ranges: Iterable[Range]) -> int:
    """How many operations are wanted, as far as that can be told."""
    return sum(r.last - r.first + 1 for r in ranges if r.last < MAX_COUNTER)


def before(seq: int, back: int) -> tuple[int, int] | None:
    """The ``back`` positions below ``seq``; None at the start of the chain."""
    return (max(1, seq - back), seq - 1) if seq > 1 else None


def lacking(pairs: Iterable[Pair], absent: Iterable[ChainEnd]) -> int:
    """How many operations stand here beyond the peer's ends; ``absent``: chains it has not."""
    beyond = (max(0, mine.seq - theirs.seq) for mine, theirs in pairs if mine is not None)
    return sum(beyond) + sum(end.seq for end in absent)


@dataclass(slots=True)
class _Asked:
    """A range that was served to the end, and what both ends were then."""

    theirs: ChainEnd
    mine: ChainEnd | None
    size: int
    retry_at: int
    tries: int = 0
    in_vain: bool = False


@dataclass(slots=True)
class Memory:
    """What was asked of one peer in one realm; outlives a session, not the process.

    A range that was served, yet changed nothing, was refused here: it is not asked for again
    until the peer's chain changes, or ours, or (ever more seldom) some time has passed.
    """

    asked: dict[Chain, _Asked] = field(default_factory=dict)
    codes: Mapping[str, int] = field(default_factory=dict)
    """Why something was refused, the last time that something was."""
    held: Mapping[str, int] = field(default_factory=dict)
    """How many were held here when they were last asked for, by reason."""

    def forget(self) -> None:
        """Nothing differs any more."""
        self.asked.clear()
        self.codes, self.held = {}, {}

    def outcome(self, refused: Mapping[str, int], held: Mapping[str, int]) -> bool:
        """What came of the last questions; True if it is another answer than before."""
        if not (refused or held or not self.refused):
            return False  # it was about something else
        before = (self.codes, self.held)
        self.codes, self.held = dict(refused), dict(held)
        return before != (self.codes, self.held)

    def plan(self, log: int, pairs: Iterable[Pair], now: int) -> list[Range]:
        """What to ask for now in this log, where these ends differ; ``now`` in milliseconds."""
        pairs = tuple(pairs)
        listed = {(theirs.device, theirs.log) for _, theirs in pairs}
        # A peer may invent chains without end: what it does not list now is not remembered.
        self.asked = {
            chain: asked
            for chain, asked in self.asked.items()
            if chain[1] != log or chain in listed
        }
        plan = []
        for own, end in pairs:
            chain = (end.device, end.log)
            found = wanted(own, end)
            before_ = self.asked.get(chain)
            if not found:
                self.asked.pop(chain, None)
                continue
            if before_ is not None and (before_.theirs, before_.mine) == (end, own):
                before_.in_vain = True
                if before_.retry_at - _LAST_RETRY_MS <= now < before_.retry_at:
                    continue  # nearer than any wait is long: the clock was not set back
            plan.extend(found)
        return sorted(plan, key=lambda r: (r.log, r.device, r.first))

    def served(self, ranges: Iterable[Range], pairs: Iterable[Pair], now: int) -> None:
        """These were asked for where these ends differ, and everything that came was ingested."""
        asked: dict[Chain, list[Range]] = {}
        for one in ranges:
            asked.setdefault((one.device, one.log), []).append(one)
        ends = (
            {(theirs.device, theirs.log): (mine, theirs) for mine, theirs in pairs} if asked else {}
        )
        for chain, some in asked.items():
            mine, theirs = ends[chain]
            last = self.asked.get(chain)
            same = last is not None and (last.theirs, last.mine) == (theirs, mine)
            tries = last.tries + 1 if last is not None and same else 0
            wait = min(_LAST_RETRY_MS, _FIRST_RETRY_MS << min(tries, 10))
            self.asked[chain] = _Asked(theirs, mine, size(some), now + wait, tries)

    @property
    def refused(self) -> int:
        """How many of the peer's operations this node was offered in vain."""
        return sum(asked.size for asked in self.asked.values() if asked.in_vain)
