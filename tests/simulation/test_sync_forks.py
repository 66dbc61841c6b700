"""A device that wrote two stories: whoever meets whom, all end with the same evidence."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulation.meeting import Home, Meeting, neighbourhood
from tests.unit import town

from commons_protocol.effects import Compared
from commons_protocol.ends import ChainEnd
from commons_protocol.wants import BACK, wanted

ALICE, BOB, CAROL, EVE = (town.person(name) for name in ("alice", "bob", "carol", "eve"))


def restored(source: Home, name: str) -> Home:
    """The same device at another node, from a copy of its keys: what nobody should do."""
    return Home(source.copy.island(name), town.secrets(f"{name}'s node"))


def tell(home: Home, count: int, first: int) -> None:
    for n in range(count):
        home.copy.note(EVE, first + n)


def agree(*homes: Home) -> None:
    assert len({home.digest() for home in homes}) == 1, "the same ends and the same evidence"
    stands = [
        {i: v for i, v in home.copy.verdicts().items() if v != ("contested", "fork")}
        for home in homes
    ]
    assert all(found == stands[0] for found in stands), "beyond a fork nothing counts"


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    common=st.integers(0, 5),
    left=st.integers(0, 8),
    right=st.integers(1, 8),
)
def test_two_branches_that_neither_side_knew_to_be_branches_become_one_proof(
    seed: int, common: int, left: int, right: int
) -> None:
    alice, bob, _ = neighbourhood("bob", "eve")
    tell(alice, common, 0)
    for operation in list(alice.copy.operations.values()):
        bob.copy.receive(operation)
    tell(alice, left, 100)
    tell(bob, right, 200)
    meeting = Meeting([alice], [bob], seed=seed).run()
    for _ in range(3):
        meeting.poke(meeting.l)
        meeting.run()
    agree(alice, bob)
    assert meeting.converged
    if left and right:
        assert alice.copy.judge.forks, "the fork is known to both"


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**32), ahead=st.sampled_from([0, 70]))
def test_a_branching_point_far_below_is_found_by_going_back(seed: int, ahead: int) -> None:
    alice, bob, _ = neighbourhood("bob", "eve")
    tell(alice, 100 + ahead, 1000)
    tell(bob, 100, 5000)
    meeting = Meeting([alice], [bob], seed=seed).run()
    for _ in range(4):
        meeting.poke(meeting.d)
        meeting.run()
    agree(alice, bob)
    rounds = [e for e in meeting.log["dialler"] if isinstance(e, Compared)]
    assert len(rounds) < 12, "and not by trying for ever"


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), lengths=st.lists(st.integers(1, 4), min_size=3, max_size=3))
def test_three_branches_at_three_nodes_end_in_the_same_two_siblings(
    seed: int, lengths: list[int]
) -> None:
    alice, bob, carol, _ = neighbourhood("bob", "carol", "eve")
    for n, (home, length) in enumerate(zip((alice, bob, carol), lengths, strict=True)):
        tell(home, length, 100 * n)
    pairs = [(alice, bob), (bob, carol), (alice, carol), (alice, bob), (bob, carol)]
    for n, (one, other) in enumerate(pairs):
        meeting = Meeting([one], [other], seed=seed + n).run()
        assert not meeting.d.closed
        assert not meeting.l.closed
    agree(alice, bob, carol)


def test_a_fork_reaches_who_holds_a_longer_branch() -> None:
    alice, bob, carol, _ = neighbourhood("bob", "carol", "eve")
    tell(alice, 1, 100)
    tell(bob, 1, 200)
    tell(carol, 30, 300)
    Meeting([alice], [bob], seed=1).run()
    meeting = Meeting([bob], [carol], seed=2).run()
    assert meeting.converged
    agree(bob, carol)


def test_what_is_wanted_of_a_chain_follows_from_both_ends() -> None:
    none, device, other, third, more = (bytes([n]) * 32 for n in range(5))

    def end(seq: int, ident: bytes = other, fork: int = 0, hollow: int = 0, log: int = 1,
            mark: bytes = none) -> ChainEnd:  # fmt: skip
        return ChainEnd(device, log, seq, ident, fork, hollow, mark)  # type: ignore[arg-type]  # ids by shape

    def span(mine: ChainEnd | None, theirs: ChainEnd) -> list[tuple[int, int]]:
        return [(found.first, found.last) for found in wanted(mine, theirs)]

    assert span(None, end(5)) == [(1, 5)], "a chain that is not here, whole"
    assert span(None, end(5, fork=6)) == [(1, 6)], "with the siblings that prove its fork"
    assert span(None, end(0, none, fork=1)) == [(1, 1)]
    assert span(end(3), end(5)) == [(4, 5)]
    assert span(end(5), end(5)) == []
    assert span(end(7), end(5)) == []
    assert span(end(7), end(5, fork=6)) == [(6, 6)], "a fork below our end"
    assert span(end(5), end(5, fork=6)) == [(6, 6)]
    assert span(end(5, fork=6), end(5, fork=6)) == [], "two siblings are proof, whichever they are"
    assert span(end(5, fork=6), end(5)) == [], "they will want ours"
    assert span(end(5, fork=6), end(9)) == [], "beyond our fork nothing counts"
    assert span(end(7, fork=8), end(5, fork=6)) == [(6, 6)], "a lower fork"
    assert span(end(5, fork=6), end(9, fork=6)) == [(6, 9)], "the branch that a cut names"
    assert span(end(9), end(9, fork=6)) == [(6, 6)], "the same, and the proof of its fork"
    assert span(end(5, third), end(5, other)) == [(1, 5)]
    assert span(end(500, third), end(500, other)) == [(500 - BACK + 1, 500)], "some way back"
    assert span(end(9, hollow=4, mark=more), end(9)) == [(4, 9)], "contents that are absent here"
    assert span(end(9, hollow=4, mark=more), end(12)) == [(4, 12)]
    assert span(end(9, hollow=4, mark=more), end(9, hollow=4, mark=more)) == [], "and there too"
    assert span(end(9), end(9, hollow=4, mark=more)) == [], "they will ask"
    beyond = [(6, 2**53 - 1)]
    assert span(end(5, log=0), end(5, log=0, mark=more)) == beyond, "what is passed on beyond"
    assert span(end(3, log=0), end(5, log=0, mark=more)) == [(4, 2**53 - 1)]
    assert span(end(5, log=0, mark=more), end(5, log=0)) == []
