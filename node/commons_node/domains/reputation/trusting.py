"""How a member is known to whoever looks: through people, never as a number of its own.

Pure. Two people are joined by a loan that both signed out and back. Trust starts from whoever
looks and from the community's founder, and reaches as far as ways that share nobody (``flow``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from commons_node.domains.reputation.flow import Graph, ways

MOST_WAYS = 8
"""Ways that are looked for: eight or more are all the same to a neighbour."""
Lent = tuple[bytes, bytes]
"""(who handed the thing over or took it back, who had borrowed it)."""


@dataclass(frozen=True, slots=True)
class Trust:
    """``known``: people whom the viewer has lent to or borrowed from, and who lent to the subject.

    ``ways`` lead from the viewer or a founder to the subject and share nobody; ``capped`` if there
    may be more. ``own``: the viewer has lent to or borrowed from the subject themselves.
    """

    known: tuple[bytes, ...]
    ways: tuple[tuple[bytes, ...], ...]
    capped: bool
    own: bool

    @property
    def witnesses(self) -> frozenset[bytes]:
        """Those by whom the ways reach the subject: at most one a way, so whoever stands behind
        one edge is one, however many loans are signed there.
        """
        return frozenset(way[-2] for way in self.ways)


def graph_of(lent: Iterable[Lent], members: Collection[bytes]) -> Graph:
    """Who is joined to whom: one edge for two people, however often; only who is a member now."""
    beside: defaultdict[bytes, set[bytes]] = defaultdict(set)
    for one, other in lent:
        if one != other and one in members and other in members:
            beside[one].add(other)
            beside[other].add(one)
    return {one: sorted(others) for one, others in beside.items()}


def trust(
    graph: Graph,
    lent: Collection[Lent],
    viewer: bytes | None,
    founders: Collection[bytes],
    subject: bytes,
) -> Trust:
    """How ``subject`` is known to ``viewer``, None for somebody who is not unlocked here."""
    seeds = {one for one in (viewer, *founders) if one is not None and one != subject}
    mine = set(graph.get(viewer, ())) if viewer is not None else set()
    lenders = {giver for giver, borrower in lent if borrower == subject and giver in graph}
    known = sorted((mine & lenders) - {subject})
    found = ways(graph, seeds, [subject], MOST_WAYS)
    return Trust(
        tuple(known),
        tuple(tuple(way) for way in found),
        len(found) == MOST_WAYS,
        subject in mine,
    )
