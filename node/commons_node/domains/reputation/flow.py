"""How many ways that share nobody lead from people who are trusted to somebody (maximum flow).

Pure. The graph has an edge for two people who have signed a loan out and back, however many such
loans there were; a way passes each person at most once, and no two ways pass the same (Menger).
So a ring of made-up people, joined to the rest by one person, is led to by one way at most, each
of its people and all of them together: the figure is never a sum over identities.

Augmenting paths by breadth first search, shortest first (Edmonds and Karp 1972), people split into
an entrance and an exit of capacity one. Neighbours are taken in the order of their ids: equal
graphs give equal ways. Bounded by ``most``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

Graph = Mapping[bytes, Sequence[bytes]]
"""Each person's neighbours, both directions, sorted."""
_State = tuple[bytes, bool]
"""(person, True: at the exit)."""
_Arc = tuple[bytes, bytes]


def ways(
    graph: Graph, seeds: Collection[bytes], targets: Collection[bytes], most: int
) -> list[list[bytes]]:
    """At most ``most`` ways from a seed to a target that share nobody but seeds and targets.

    Targets are taken together, as one. Each way is the people on it, both ends included.
    """
    wanted = frozenset(targets)
    starts = sorted(one for one in set(seeds) - wanted if one in graph)
    arcs: set[_Arc] = set()
    ends: set[_Arc] = set()
    while len(ends) < most:
        walk = _augmenting(graph, starts, wanted, arcs, ends)
        if walk is None:
            break
        target, _ = walk.pop()
        ends.add((walk[-1][0], target))
        gone = {(b[0], a[0]) for a, b in pairwise(walk) if not a[1] and b[1] and a[0] != b[0]}
        new = {(a[0], b[0]) for a, b in pairwise(walk) if a[1] and not b[1] and a[0] != b[0]}
        arcs = (arcs - gone) | (new - gone)
    before = {b: a for a, b in arcs}
    found = []
    for last, target in ends:
        way = [target, last]
        while way[-1] in before:
            way.append(before[way[-1]])
        found.append(way[::-1])
    return sorted(found, key=lambda way: (len(way), way))


def _augmenting(
    graph: Graph,
    starts: Sequence[bytes],
    wanted: frozenset[bytes],
    arcs: set[_Arc],
    ends: set[_Arc],
) -> list[_State] | None:
    """A shortest path in what is left of the graph, from a seed's exit to a target."""
    before = {b: a for a, b in arcs}
    used = set(before) | {last for last, _ in ends}
    spent = {last for last, _ in ends}
    sources = set(starts)
    came: dict[_State, _State | None] = {(one, True): None for one in starts}
    queue = deque(came)
    while queue:
        here = queue.popleft()
        person, at_exit = here
        if not at_exit:
            # an entrance that is taken leads back along the way that takes it
            back = before[person] if person in used else person
            _go(came, queue, here, (back, True))
            continue
        for other in graph[person]:
            if other in wanted:
                if person not in spent or (person in sources and (person, other) not in ends):
                    return _walk(came, here, other)
            elif other not in sources and (person, other) not in arcs:
                _go(came, queue, here, (other, False))
        if person in used and person not in sources:
            _go(came, queue, here, (person, False))
    return None


def _go(
    came: dict[_State, _State | None], queue: deque[_State], here: _State, there: _State
) -> None:
    if there not in came:
        came[there] = here
        queue.append(there)


def _walk(came: Mapping[_State, _State | None], last: _State, target: bytes) -> list[_State]:
    walk: list[_State] = [(target, False)]
    step: _State | None = last
    while step is not None:
        walk.append(step)
        step = came[step]
    return walk[::-1]
