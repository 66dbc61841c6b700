"""Trust by ways that share nobody: a ring of made-up people, a bought edge, two friends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations, pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from commons_node.domains.reputation.counting import Exchange, among, counts
from commons_node.domains.reputation.flow import Graph, ways
from commons_node.domains.reputation.telling import weight
from commons_node.domains.reputation.trusting import MOST_WAYS, graph_of, trust
from commons_node.domains.reputation.views import COLUMNS

RING = 200
"""Made-up people of one attacker (domain.md §4.3)."""
HONEST = 60


def who(name: str, n: int) -> bytes:
    return f"{name}{n:04}".encode().ljust(32, b".")


def town(seed: int = 1) -> list[tuple[bytes, bytes]]:
    """60 honest people, each with 6 others; a ring of 200 in which everybody lent to 10 others."""
    chance = Random(seed)
    honest = [who("h", n) for n in range(HONEST)]
    lent = [(one, other) for one in honest for other in chance.sample(honest, 6) if one != other]
    ring = [who("r", n) for n in range(RING)]
    lent += [(one, other) for one in ring for other in chance.sample(ring, 10) if one != other]
    return lent


def graph(lent: Iterable[tuple[bytes, bytes]]) -> Graph:
    pairs = list(lent)
    return graph_of(pairs, {one for pair in pairs for one in pair})


SEEDS = (who("h", 0), who("h", 1))
RINGS = [who("r", n) for n in range(RING)]


def test_a_ring_of_200_that_nobody_lent_to_has_nothing() -> None:
    known = graph(town())
    assert all(ways(known, SEEDS, [one], MOST_WAYS) == [] for one in RINGS)
    assert ways(known, SEEDS, RINGS, 10**6) == [], "nor all of them together"
    honest = [len(ways(known, SEEDS, [who("h", n)], MOST_WAYS)) for n in range(2, HONEST)]
    assert min(honest) >= 4, "honest people are known by several ways"


def test_one_bought_edge_gives_each_and_all_of_the_ring_one_way() -> None:
    known = graph([*town(), (who("h", 7), who("r", 3))])
    alone = [len(ways(known, SEEDS, [one], MOST_WAYS)) for one in RINGS]
    assert alone == [1] * RING, "each: what the one edge carries"
    assert len(ways(known, SEEDS, RINGS, 10**6)) == 1, "all 200 together: the same one"
    honest = sum(len(ways(known, SEEDS, [who("h", n)], MOST_WAYS)) for n in range(2, HONEST))
    share = 1 / (1 + honest)
    assert share < 0.005, "of all ways to anybody: EigenTrust with seeds gave the ring 2.2 %"
    thrice = graph([*town(), *((who("h", n), who("r", 3)) for n in (7, 8, 9))])
    assert (
        max(len(ways(thrice, SEEDS, [one], MOST_WAYS)) for one in RINGS if one != who("r", 3)) == 1
    )
    assert len(ways(thrice, SEEDS, [who("r", 3)], MOST_WAYS)) == 3, "three lent to this one person"
    assert len(ways(thrice, SEEDS, [r for r in RINGS if r != who("r", 3)], 10**6)) == 1
    apart = graph([*town(), *((who("h", n), who("r", n)) for n in (7, 8, 9))])
    assert len(ways(apart, SEEDS, RINGS, 10**6)) == 3, "three edges bought by three: three"


def test_a_ring_counts_for_nothing_from_the_seeds_of_the_community_either() -> None:
    lent = [*town(), (who("h", 7), who("r", 3))]
    known = trust(graph(lent), lent, SEEDS[0], [SEEDS[1]], who("r", 100))
    assert (known.known, len(known.ways), known.capped, known.own) == ((), 1, False, False)
    eve = trust(graph(lent), lent, who("r", 5), [SEEDS[1]], who("r", 100))
    assert len(eve.ways) > 1, "to themselves they look as they like: it is their own view"


def exchange(loan: int, giver: bytes, borrower: bytes) -> Exchange:
    """A loan out and back between two, of which nobody has said anything."""
    known = dict.fromkeys(COLUMNS)
    row = {**known, "giver": giver, "borrower": borrower, "receiver": giver, "back_ms": 1}
    return Exchange(who("l", loan), row)


def test_what_friends_swap_is_counted_and_weighs_nothing_outside_their_circle() -> None:
    a, b, c = (who("f", n) for n in range(3))
    swaps = [exchange(n, *((a, b) if n % 2 else (b, a))) for n in range(50)]
    pairs = [*town(), *[(a, b), (b, a)] * 25]
    known = trust(graph(pairs), pairs, SEEDS[0], [SEEDS[1]], b)
    assert counts(b, swaps)["returned"] == 25, "nothing is kept from anybody"
    assert counts(b, among(b, swaps, known.witnesses))["returned"] == 0
    told = weight(counts(b, swaps), counts(b, among(b, swaps, known.witnesses)))
    assert told == " 50 loans are counted and weigh nothing from here."
    honest = [*swaps, exchange(50, who("h", 5), b), exchange(51, c, b)]
    pairs += [(who("h", 5), b), (c, b)]
    known = trust(graph(pairs), pairs, SEEDS[0], [SEEDS[1]], b)
    assert known.witnesses == {who("h", 5)}, "one edge to the town is one witness"
    heavy = counts(b, among(b, honest, known.witnesses))
    assert (heavy["returned"], heavy["lenders"]) == (1, 1)
    ring = [exchange(n, RINGS[n % 199], RINGS[199]) for n in range(500)]
    lent = [*town(), (who("h", 7), who("r", 3)), *((RINGS[n], RINGS[199]) for n in range(199))]
    known = trust(graph(lent), lent, SEEDS[0], [SEEDS[1]], RINGS[199])
    assert len(known.witnesses) == 1, "200 made-up people behind one bought edge are one"
    ring_weighs = counts(RINGS[199], among(RINGS[199], ring, known.witnesses))
    assert ring_weighs["returned"] in {2, 3}, "those with the one through whom the way comes"


def test_fifty_loans_between_two_friends_are_one_edge_and_weigh_nothing_outside() -> None:
    a, b, c = (who("f", n) for n in range(3))
    swapped = [(a, b), (b, a)] * 25
    known = graph([*town(), *swapped])
    assert ways(known, SEEDS, [a], MOST_WAYS) == ways(known, SEEDS, [b], MOST_WAYS) == []
    joined = graph([*town(), *swapped, (who("h", 7), a)])
    assert len(ways(joined, SEEDS, [a], MOST_WAYS)) == 1, "b adds nothing to a: b is reached by a"
    assert len(ways(joined, SEEDS, [b], MOST_WAYS)) == 1
    assert c not in joined


def test_people_you_know_are_named() -> None:
    me, anna, bo, cia = (who("m", n) for n in range(4))
    lent = [(anna, me), (bo, me), (anna, cia), (bo, cia), (cia, who("x", 0))]
    known = trust(graph(lent), lent, me, [], cia)
    assert known.known == (anna, bo)
    assert known.ways == ((me, anna, cia), (me, bo, cia))
    assert trust(graph(lent), lent, None, [], cia).ways == ()
    removed = graph_of(lent, {me, anna, cia})
    assert trust(removed, lent, me, [], cia).known == (anna,), "who is gone vouches for nobody"


# --- the flow itself ------------------------------------------------------------------------------

edges = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=16)


def slow(pairs: Sequence[tuple[int, int]], seeds: set[int], target: int) -> int:
    """The fewest people (no seeds) and direct edges that keep seeds from a target (Menger)."""
    beside = {(a, b) for a, b in pairs if a != b} | {(b, a) for a, b in pairs if a != b}
    direct = sum((seed, target) in beside for seed in seeds)
    others = sorted({one for pair in beside for one in pair} - seeds - {target})
    rest = {(a, b) for a, b in beside if not (a in seeds and b == target)}

    def cut(gone: tuple[int, ...]) -> bool:
        seen, stack = set(seeds), list(seeds)
        while stack:
            here = stack.pop()
            for a, b in rest:
                if a == here and b not in seen and b not in gone:
                    seen.add(b)
                    stack.append(b)
        return target not in seen

    size = next(n for n in range(len(others) + 1) if any(cut(c) for c in combinations(others, n)))
    return direct + size


@given(edges, st.sets(st.integers(0, 7), min_size=1, max_size=2), st.integers(0, 7))
@settings(max_examples=150)
def test_as_many_ways_as_people_would_have_to_be_taken_out(
    pairs: list[tuple[int, int]], seeds: set[int], target: int
) -> None:
    seeds -= {target}
    known = graph((who("p", a), who("p", b)) for a, b in pairs)
    found = ways(known, [who("p", n) for n in seeds], [who("p", target)], 100)
    assert len(found) == (slow(pairs, seeds, target) if seeds else 0)
    inner = [one for way in found for one in way[1:-1]]
    assert len(inner) == len(set(inner)), "no two share anybody"
    for way in found:
        assert way[0] in {who("p", n) for n in seeds}
        assert way[-1] == who("p", target)
        assert all(b in known[a] for a, b in pairwise(way)), "each step is a loan"
    turned = graph((who("p", b), who("p", a)) for a, b in reversed(pairs))
    again = ways(
        turned, [who("p", n) for n in sorted(seeds, reverse=True)], [who("p", target)], 100
    )
    assert again == found, "the order in which loans became known decides nothing"
