"""What a bundle for somebody holds, and what its maker had beyond it: pure rules over ends.

What is left out is always closed: of a chain only a beginning that the other side is known to
have, operation for operation. Where forks, cuts or absent contents make that doubtful, the whole
chain is sent; what is known already costs no more than its bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from commons_crdt.ids import DeviceId, OperationId
from commons_protocol.ends import ChainEnd
from commons_protocol.replica import Range

Chain = tuple[DeviceId, int]
Ends = Mapping[Chain, ChainEnd]


class Start(NamedTuple):
    """Where to begin with a chain; ``after``: only if that operation is here, otherwise at 1."""

    first: int
    after: OperationId | None = None


def by_chain(ends: Iterable[ChainEnd]) -> Ends:
    """The ends by (device, log)."""
    return {(end.device, end.log): end for end in ends}


def starts(theirs: Sequence[Ends], mine: Ends, tips: Mapping[Chain, int]) -> dict[Chain, Start]:
    """Where to begin with each chain that is stored here, so that all of ``theirs`` have it all.

    ``tips``: the highest seq that is stored. None of ``theirs``: everything.
    """
    return {chain: _start([one.get(chain) for one in theirs], mine.get(chain)) for chain in tips}


def _start(theirs: Sequence[ChainEnd | None], mine: ChainEnd | None) -> Start:
    known = [end for end in theirs if end is not None]
    if mine is None or not known or len(known) < len(theirs):
        return Start(1)
    if all(end == mine for end in known):
        # Beyond the end, and on the other branch of a fork, may lie what somebody built on.
        return Start(mine.fork or mine.seq + 1)
    if any(end.fork or end.hollow or any(end.more) for end in (mine, *known)):
        return Start(1)
    lowest = min(known, key=lambda end: end.seq)
    if lowest.seq == 0 or any(end.seq == lowest.seq and end.id != lowest.id for end in known):
        return Start(1)
    return Start(lowest.seq + 1, lowest.id)


def ranges(
    starts: Mapping[Chain, Start], tips: Mapping[Chain, int], here: Iterable[OperationId]
) -> list[Range]:
    """What to send, by log; ``here``: those operations of ``Start.after`` that are stored."""
    known = frozenset(here)
    found = []
    for chain, start in starts.items():
        first = start.first if start.after is None or start.after in known else 1
        if first <= tips[chain]:
            found.append(Range(*chain, first, tips[chain]))
    return sorted(found, key=lambda one: (one.log, one.device))


def lacking(
    theirs: Iterable[ChainEnd], tips: Mapping[Chain, int], closed: Iterable[Chain]
) -> list[Range]:
    """What others have of chains and is not stored here; ``closed``: chains that ended here."""
    ended = frozenset(closed)
    return [
        Range(end.device, end.log, tips.get((end.device, end.log), 0) + 1, end.seq)
        for end in theirs
        if end.seq > tips.get((end.device, end.log), 0) and (end.device, end.log) not in ended
    ]


def count(spans: Iterable[Range]) -> int:
    """How many operations these are."""
    return sum(one.last - one.first + 1 for one in spans)
