"""A device signs twice at one place: every node that meets both comes to the same end."""

from __future__ import annotations

import random

import pytest
from tests.unit.rooms import Rooms, bytes_of, ident, note, page, retitle, village
from tests.unit.tales import forked
from tests.unit.town import (
    NOTE,
    NOTICE,
    Number,
    Replica,
    invitation,
    person,
    role_act,
    town,
)

from commons_crdt.author import Draft
from commons_crdt.operation import Operation
from commons_crdt.roles import Role
from commons_node.realm.authoring import Suspended


def news(island: Replica, home: Replica) -> list[Operation]:
    """What the island wrote by itself."""
    return [op for i, op in island.operations.items() if i not in home.operations]


@pytest.mark.parametrize("log", [0, 1])
@pytest.mark.parametrize("first", [True, False])
async def test_two_rooms_with_a_branch_each_end_equal(rooms: Rooms, log: int, first: bool) -> None:
    """With successors on both branches; at seq 1 or later; in log 0 and in log 1."""
    home, people = village()
    if not first and log:
        note(home, people.eve, 0)
    elif not first:
        home.invite(people.eve, "old")
    here, there = home.island("here"), home.island("there")
    here.now_ms += 1
    for n, island in enumerate((here, there)):
        for _ in range(3):
            if log:
                note(island, people.eve, n)
            else:
                island.invite(people.eve, f"invite {n}")
    note(here, people.bob, 1)
    note(there, people.cia, 1)
    left = await rooms.open("left", home, *bytes_of(here))
    right = await rooms.open("right", home, *bytes_of(there))
    assert left.realm.digest() != right.realm.digest(), "the digests tell that they differ"
    result = await left.take(*news(there, home)[1:3])
    if not result.new:
        assert result.unlinked or result.missing, "what does not fit is asked for"
    await left.take(*news(there, home))
    await right.take(*reversed(news(here, home)))
    await right.take(*news(here, home))
    facts = await left.facts()
    assert facts == await right.facts(), "both know the fork and think the same of all else"
    eves = [
        i
        for island in (here, there)
        for i, s in island.standings.items()
        if i not in home.operations and (s.device, s.log) == (people.eve.device.keys.id, log)
    ]
    assert len(eves) == 6
    for room in (left, right):
        said = [one for one in await room.said(*eves) if one is not None]
        assert len(said) >= 4, "three of its own, and a sibling of the first at least"
        assert {one[:2] for one in said} == {(3, "fork")}, "nothing behind the fork counts"
    (end,) = [e for e in await left.realm.vector() if e.fork]
    assert (end.log, end.seq, end.fork) == ((log, 0, 1) if first else (log, 1, 2))
    left = await rooms.again(left)
    assert await left.facts() == facts


async def test_two_siblings_are_proof_whichever_they_are(rooms: Rooms) -> None:
    """Who forks may sign a thousand siblings at one place: nobody keeps or passes on them all."""
    home, people = village()
    tip = note(home, people.eve, 0)
    twins = sorted(
        (home.draw(people.eve.device, Draft.fact(NOTE, Number(n)), after=tip.id) for n in range(5)),
        key=ident,
        reverse=True,
    )
    late = await rooms.open("late", home, *bytes_of(home))
    for twin in twins:
        await late.take(twin)
    early = await rooms.open("early", home, *bytes_of(home), *reversed(twins))
    assert late.realm.digest() == early.realm.digest()
    assert await late.facts() == await early.facts()
    held = [[one is not None for one in await r.said(*map(ident, twins))] for r in (late, early)]
    assert [sum(one) for one in held] == [2, 2], "a third proves nothing more"
    assert held[0] != held[1], "and it is not the same two"
    assert late.realm.refusals["ended"] == 3


async def test_contested_edits_are_taken_back_out_of_documents(rooms: Rooms) -> None:
    """An edit is applied before its fork is known; afterwards its document has never seen it."""
    home, people = village()
    first = page(home, people.alice, "Tools")
    retitle(home, people.alice, first, "Our tools")
    tip = note(home, people.eve, 0)
    island = home.island("island")
    home.write(people.eve.device, Draft.fact(NOTE, Number(1)))
    bad = retitle(home, people.eve, first, "Eve's tools")
    built = retitle(home, people.alice, first, "Eve's and our tools")
    room = await rooms.open("a", home, *bytes_of(home))
    facts = await room.facts()
    assert [row[1] for row in facts.rows["pages"]] == ["Eve's and our tools"]
    twin = island.draw(people.eve.device, Draft.fact(NOTE, Number(2)), after=tip.id)
    await room.take(twin)
    facts = await room.facts()
    assert await room.said(bad.id) == [(3, "fork", "verdict")]
    assert (facts.verdicts[built.id], facts.applied[built.id]) == ((1, ""), "dependency")
    assert [row[1] for row in facts.rows["pages"]] == ["Our tools"]
    again = await rooms.open("b", home, twin, *bytes_of(home))
    await again.take(twin)
    assert await again.facts() == facts, "who learned of the fork first says the same"
    retitle(island, people.bob, first, "Bob's tools")
    for one in (room, again):
        await one.take(*bytes_of(island))
    facts = await room.facts()
    assert [row[1] for row in facts.rows["pages"]] == ["Bob's tools"], "and edits go on"
    assert await again.facts() == facts


async def test_what_waited_for_a_branch_is_judged_with_it(rooms: Rooms) -> None:
    home, _ = forked()
    everything = bytes_of(home)
    rng = random.Random(3)
    expected = await (await rooms.open("told", home, *everything)).facts()
    for n in range(4):
        room = await rooms.open(f"shuffled {n}", home)
        order = everything[:]
        rng.shuffle(order)
        for _ in range(20):
            if not (await room.take(*order)).new:
                break
        assert await room.facts() == expected
        assert not room.realm.store.waiting.counts


async def test_a_suspended_device_signs_nothing_more(rooms: Rooms) -> None:
    home, people = village()
    tip = note(home, people.eve, 0)
    twins = [
        home.draw(people.eve.device, Draft.fact(NOTE, Number(n)), after=tip.id) for n in range(2)
    ]
    room = await rooms.open("a", home, *bytes_of(home), *twins)
    grant = room.realm.judge.authority.devices[people.eve.device.keys.id].id
    with pytest.raises(Suspended):
        await room.realm.write([Draft.fact(NOTE, Number(3))], people.eve.device, grant)
    terms = invitation("eve's", 1, home.now_ms + 10**9)
    (written,) = await room.realm.write([terms], people.eve.device, grant)
    assert not written.judgement.reason, "a fork freezes its own log only"


async def test_a_fork_that_takes_a_role_away_refuses_nothing(rooms: Rooms) -> None:
    """Eve became a steward by alice's act; alice forks there. Eve's budget is what it was."""
    home = town(constitution=(("budget.newcomer.capacity", 4), ("budget.newcomer.hour", 1)))
    alice, eve = person("alice"), home.welcome("eve")
    act = home.draw(alice.device, role_act(eve, Role.STEWARD))
    twin = home.draw(alice.device, role_act(eve, Role.HOST))
    known = len(home.operations)
    home.receive(act)
    written = [note(home, eve, n, f"eve's {n}") for n in range(4)]
    notice = home.write(eve.device, Draft.fact(NOTICE, Number(1)))
    room = await rooms.open("a", home, *bytes_of(home))
    assert (await room.facts()).verdicts[notice.id] == (1, "")
    await room.take(twin)
    facts = await room.facts()
    assert facts.verdicts[notice.id] == (2, "role"), "alice made her no steward after all"
    assert {facts.verdicts[one.id] for one in written} == {(1, "")}, "the notes stand"
    early = await rooms.open("b", home, *bytes_of(home)[:known], act, twin)
    await early.take(*bytes_of(home))
    assert await early.facts() == facts, "who met the fork first says the same"
    room = await rooms.again(room)
    assert await room.facts() == facts
