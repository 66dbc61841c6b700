"""Eve's device forks, and honest neighbours had built on what she wrote: they must still meet."""

from __future__ import annotations

from tests.simulation.meeting import Home, Meeting, neighbourhood
from tests.unit import town

from commons_crdt.author import Draft
from commons_crdt.authority.judge import Standing
from commons_crdt.operation import operation_id

ALICE, BOB, EVE = (town.person(name) for name in ("alice", "bob", "eve"))


def answer(home: Home, who: town.Person, to: Standing) -> Standing:
    draft = Draft.fact(town.LOAN, town.Number(1), refs=[to.id])
    return home.copy.write(who.device, draft)


def meet(one: Home, other: Home, seed: int) -> None:
    meeting = Meeting([one], [other], seed=seed).run()
    for _ in range(3):
        meeting.poke(meeting.d)
        meeting.run()
    assert meeting.converged
    assert one.digest() == other.digest()
    counts = [
        {i: v for i, v in home.copy.verdicts().items() if v != ("contested", "fork")}
        for home in (one, other)
    ]
    assert counts[0] == counts[1]


def test_who_comes_after_a_fork_still_gets_what_honest_members_wrote() -> None:
    alice, bob, carol, _ = neighbourhood("bob", "carol", "eve")
    last = [alice.copy.note(EVE, n) for n in range(6)][-1]
    for n in range(4):
        bob.copy.note(EVE, 100 + n)
    answer(alice, ALICE, last)
    then = alice.copy.note(ALICE, 7)
    meet(alice, bob, 1)
    assert then.id in bob.copy.standings, "alice answered before anybody knew of the fork"
    meet(carol, bob, 2)
    assert then.id in carol.copy.standings


def test_a_third_branch_under_an_honest_answer_is_found() -> None:
    alice, bob, carol, _ = neighbourhood("bob", "carol", "eve")
    branches = sorted(
        (alice.copy.draw(EVE.device, Draft.fact(town.NOTE, town.Number(n))) for n in range(3)),
        key=lambda one: operation_id(one.header),
    )
    highest = town.decided(bob.copy.receive(branches[2]))
    then = answer(bob, BOB, highest)
    for home in (alice, bob, carol):
        home.copy.receive(branches[0])
        home.copy.receive(branches[1])
    meet(carol, bob, 3)
    assert then.id in carol.copy.standings, "bob answered what only he had seen of eve"
