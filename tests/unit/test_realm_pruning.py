"""A node deletes what a seal made superfluous, and nobody can tell: not by hashes, not by peers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from tests.unit.rooms import Room, Rooms, bytes_of, ident, note, page, retitle, village
from tests.unit.tales import council, seal
from tests.unit.town import Replica

from commons_crdt.author import Draft
from commons_crdt.authority.council_facts import Lift, Settings
from commons_crdt.authority.endings import NOTHING, Ending, Position
from commons_crdt.authority.facts import Branch
from commons_crdt.authority.judge import Standing
from commons_crdt.ids import OperationId
from commons_crdt.operation import Operation
from commons_node.realm import pruning
from commons_node.store.connection import Connection
from commons_node.store.database import fetch
from commons_node.store.realm_store import RealmStore


class Story:
    """Eve forks her log 1 by a copy of her node; alice seals one branch."""

    def __init__(self, length: int = 6) -> None:
        self.home, self.people = village()
        home, people = self.home, self.people
        note(home, people.eve, 0)
        self.island = home.island("island")
        self.island.now_ms += 1
        self.mine = [note(home, people.eve, n) for n in range(1, 4)]
        self.other = [note(self.island, people.eve, 10 + n) for n in range(length)]
        self.siblings = [op for i, op in self.island.operations.items() if i not in home.operations]
        self.shared = bytes_of(home)
        self.first = bytes_of(self.island)
        before = set(home.operations)
        self.sealing = seal(home, people.alice, self.mine[1])
        self.after = [note(home, people.eve, 5), note(home, people.bob, 6)]
        self.news = [op for i, op in home.operations.items() if i not in before]


async def grown(rooms: Rooms, name: str, story: Story, *, prune: bool = True) -> Room:
    """A node that met the other branch first, and whom peers tell again what it then lacks."""
    room = await rooms.open(name, story.home, *bytes_of(story.island))
    if not prune:
        room.realm.pruner = None
    await room.take(*story.shared)
    assert await kept(room, story.other) == [True] * len(story.other)
    await room.take(*story.news)
    await room.take(*story.shared)
    await room.take(*story.news)
    return room


async def late(rooms: Rooms, home: Replica, sibling: Operation) -> Room:
    """Who never had the other branch, and was shown the proof of the fork, as peers do."""
    room = await rooms.open("late", home, *bytes_of(home))
    await room.take(sibling)
    return room


async def kept(room: Room, standings: Sequence[Standing]) -> list[bool]:
    return [one is not None for one in await room.said(*(s.id for s in standings))]


async def pruned(room: Room) -> int:
    """How much it has deleted, when it is done."""
    assert room.realm.pruner is not None
    await room.realm.pruner.settled()
    return room.realm.pruner.pruned


async def test_the_branch_that_lost_goes_but_for_the_proof(rooms: Rooms) -> None:
    story = Story()
    room = await grown(rooms, "a", story)
    assert await pruned(room) == 5
    assert await kept(room, story.other) == [True] + [False] * 5
    assert await kept(room, [*story.mine, *story.after]) == [True] * 5
    other = await late(rooms, story.home, story.siblings[0])
    assert await other.facts() == await room.facts(), "as one who never had it"


async def test_who_pruned_and_who_did_not_agree_and_nothing_comes_again(rooms: Rooms) -> None:
    story = Story()
    room = await grown(rooms, "a", story)
    hoarder = await grown(rooms, "hoarder", story, prune=False)
    assert await pruned(room) == 5
    assert await kept(hoarder, story.other) == [True] * 6
    facts = await room.facts()
    assert await hoarder.facts() == facts
    result = await room.take(*(await hoarder.everything()))
    assert result.new == 0, "what was pruned is not taken as new"
    assert sum(result.refused.values()) >= 3, result
    assert await room.facts() == facts
    room = await rooms.again(room)
    assert await pruned(room) == 0, "a start does not prune twice by one seal"
    assert await room.facts() == facts
    assert (await room.take(*(await hoarder.everything()))).new == 0
    hoarder = await rooms.again(hoarder)
    assert await pruned(hoarder) == 5, "who starts with pruning prunes what there is"
    assert await hoarder.facts() == facts


async def test_later_operations_find_the_sealed_branch_after_a_start(rooms: Rooms) -> None:
    """What comes after a tip of a forked chain must still be told from what is beside it."""
    story = Story()
    room = await grown(rooms, "a", story)
    await pruned(room)
    room = await rooms.again(room)
    known = set(story.home.operations)
    later = [note(story.home, story.people.eve, n) for n in (20, 21)]
    await room.take(*(op for i, op in story.home.operations.items() if i not in known))
    assert [(await room.said(s.id))[0] for s in later] == [(1, "", None)] * 2
    other = await late(rooms, story.home, story.siblings[0])
    assert await other.facts() == await room.facts()


async def test_what_somebody_built_on_stays_and_what_is_needed_comes_back(rooms: Rooms) -> None:
    """Bob answered eve's other branch; a node pruned it before it heard bob."""
    story = Story()
    cited = story.other[3]
    known = set(story.island.operations)
    story.island.write(story.people.bob.device, _note(7, refs=[cited.id]))
    answer = [op for i, op in story.island.operations.items() if i not in known]
    with_it = await grown(rooms, "with", story)
    assert await pruned(with_it) == 2
    assert await kept(with_it, story.other) == [True] * 4 + [False] * 2
    without = await late(rooms, story.home, story.siblings[0])
    result = await without.take(*answer)
    assert result.missing == (cited.id,)
    await without.take(*story.siblings)
    await with_it.take(*answer)
    assert await without.facts() == await with_it.facts()


def _note(value: int, refs: Sequence[OperationId] = ()) -> Draft:
    from tests.unit.town import NOTE, Number

    return Draft.fact(NOTE, Number(value), refs=refs)


async def test_a_lost_edit_goes_with_its_parts_and_rows(rooms: Rooms) -> None:
    home, people = village()
    first = page(home, people.alice, "Tools")
    note(home, people.eve, 0)
    island = home.island("island")
    island.now_ms += 1
    mine = [note(home, people.eve, n) for n in range(3)]
    note(island, people.eve, 9)
    bad = retitle(island, people.eve, first, "Eve's tools")
    lost = note(island, people.eve, 10)
    room = await rooms.open("a", home, *bytes_of(island))
    seal(home, people.alice, mine[-1])
    await room.take(*bytes_of(home))
    assert await pruned(room) == 2
    assert await room.said(bad.id, lost.id) == [None, None]
    read = room.realm.store.database.read
    for table in ("parts", "subjects"):
        query = f"SELECT count(*) FROM {table} WHERE operation NOT IN (SELECT n FROM operations)"  # noqa: S608 - own names
        assert await fetch(read, query) == [(0,)], table
    facts = await room.facts()
    assert [row[1] for row in facts.rows["pages"]] == ["Tools"]
    await room.realm.fold_again()
    assert await room.facts() == facts
    proof = next(op for i, op in island.operations.items() if i not in home.operations)
    other = await late(rooms, home, proof)
    assert await other.facts() == facts


async def test_a_crash_in_the_middle_loses_nothing(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The power goes at every step: what is left is a whole set, and the next start goes on."""
    monkeypatch.setattr(pruning, "STEP", 2)
    story = Story(9)
    torn = room_steps = 0
    delete = RealmStore.delete

    async def tearing(self: RealmStore, connection: Connection, numbers: Sequence[int]) -> None:
        nonlocal torn, room_steps
        await delete(self, connection, list(numbers)[:1])
        room_steps -= 1
        if room_steps < 0:
            torn += 1
            raise OSError("the power is gone")
        await delete(self, connection, list(numbers)[1:])

    expected = await (await late(rooms, story.home, story.siblings[0])).facts()
    for steps in range(4):
        room_steps = steps
        with monkeypatch.context() as failing:
            failing.setattr(RealmStore, "delete", tearing)
            room = await grown(rooms, f"torn {steps}", story)
            assert await pruned(room) == 2 * steps, "what was committed is gone"
        found = {ident(op) for op in await room.everything()}
        assert all(s.id in found for s in story.other[: 9 - 2 * steps]), "nothing else is"
        assert await room.facts() == expected
        room = await rooms.again(room)
        await pruned(room)
        assert await kept(room, story.other) == [True] + [False] * 8
        assert await room.facts() == expected
    assert torn >= 4, "the power was gone in every round"


async def test_much_goes_in_many_rounds_of_many_steps(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "STEP", 2)
    monkeypatch.setattr(pruning, "MOST", 3)
    story = Story(12)
    steps: list[int] = []
    delete = RealmStore.delete

    async def counting(self: RealmStore, connection: Connection, numbers: Any) -> None:
        steps.append(len(list(numbers)))
        await delete(self, connection, numbers)

    monkeypatch.setattr(RealmStore, "delete", counting)
    room = await grown(rooms, "a", story)
    assert await pruned(room) == 11
    assert await kept(room, story.other) == [True] + [False] * 11
    assert max(steps) == 2, "a writer waits for two at most"
    assert len(steps) >= 6


async def test_what_is_cited_while_others_are_deleted_stays(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bob's answer to the branch arrives between two steps."""
    monkeypatch.setattr(pruning, "STEP", 1)
    story = Story()
    cited = story.other[2]
    known = set(story.island.operations)
    story.island.write(story.people.bob.device, _note(7, refs=[cited.id]))
    answer = [op for i, op in story.island.operations.items() if i not in known]
    arriving: list[asyncio.Task[Any]] = []
    delete = RealmStore.delete

    async def answered(self: RealmStore, connection: Connection, numbers: Any) -> None:
        if not arriving:
            arriving.append(asyncio.create_task(room.take(*answer)))
            await asyncio.sleep(0.05)  # by then it waits for its turn
        await delete(self, connection, numbers)

    monkeypatch.setattr(RealmStore, "delete", answered)
    room = await rooms.open("a", story.home, *story.first)
    await room.take(*story.shared)
    await room.take(*story.news)
    await room.take(*story.shared)
    await room.take(*story.news)
    assert await pruned(room) == 3
    assert (await arriving[0]).new == 1
    assert await kept(room, story.other) == [True] * 3 + [False] * 3


async def test_who_pruned_stays_below_its_pin(rooms: Rooms) -> None:
    """Alice's key signs another act on the same base: for others the council is split."""
    story = Story()
    base = OperationId(story.home.realm)
    room = await grown(rooms, "a", story)
    assert await pruned(room) == 5
    copy = story.island
    council(copy, story.people.alice, Settings((("timezone", "UTC"),)), base)
    await room.take(*bytes_of(copy))
    chain = room.realm.judge.authority.council.chain
    assert chain == (base, story.sealing.id)
    room = await rooms.again(room)
    assert room.realm.judge.authority.council.chain == chain, "a start forgets no pin"
    assert await kept(room, story.other[1:]) == [False] * 5


async def test_a_rival_act_that_comes_before_the_first_step_is_below_the_pin(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It arrives while the node looks for what may go: for this node nothing is split any more."""
    story = Story()
    copy, base = story.island, OperationId(story.home.realm)
    council(copy, story.people.alice, Settings((("timezone", "UTC"),)), base)
    rival = bytes_of(copy)[-1]
    links = pruning.Pruner._links
    came = 0

    async def splitting(self: pruning.Pruner, judge: Any, chain: Any) -> Any:
        nonlocal came
        if not came:
            came = (await room.take(rival)).new
        return await links(self, judge, chain)

    monkeypatch.setattr(pruning.Pruner, "_links", splitting)
    room = await rooms.open("a", story.home, *story.first)
    await room.take(*story.shared)
    await room.take(*story.news)
    await room.take(*story.shared)
    await room.take(*story.news)
    assert await pruned(room) == 5
    assert came == 1
    assert not room.realm.judge.authority.council.split
    assert room.realm.judge.pin == story.sealing.id
    assert await kept(room, story.other[1:]) == [False] * 5


async def test_a_host_that_lies_about_what_is_sealed_is_found_out(rooms: Rooms) -> None:
    """It withholds a tip, or gives it with another body or signature; somebody else has it."""
    home, people = village()
    first, tip = note(home, people.eve, 1), note(home, people.eve, 2)
    seal(home, people.alice, tip)
    true = home.operations[tip.id]
    rest = [op for i, op in home.operations.items() if i != tip.id]
    room = await rooms.open("a", home, *rest)
    assert await room.said(first.id, tip.id) == [(0, "seal", None), None], "log 1 waits for it"
    assert "seal" in await room.why(), "`sync why` says that a seal is withheld"
    forged = {
        "body": Operation(true.header, true.signature, bytes(40), true.parts),
        "signature": Operation(true.header, bytes(64), true.body, true.parts),
    }
    for why, lie in forged.items():
        result = await room.take(lie)
        assert (result.new, dict(result.refused)) == (0, {why: 1})
    assert await room.said(first.id) == [(0, "seal", None)]
    await room.take(true)
    assert await room.said(first.id, tip.id) == [(1, "", None)] * 2


async def test_a_cut_that_may_be_lifted_prunes_nothing(rooms: Rooms) -> None:
    home, people = village()
    first = note(home, people.eve, 0)
    beyond = [note(home, people.eve, n) for n in range(1, 4)]
    room = await rooms.open("a", home, *bytes_of(home))
    known = set(home.operations)
    device = people.eve.device.keys.id
    branch = Branch(people.eve.member, Ending(device, NOTHING, Position(first.seq, first.id)))
    cut = home.write(
        people.alice.device,
        Draft.fact("membership.branch.1", branch, log=0, document=people.eve.member),  # type: ignore[arg-type]
    )
    seal(home, people.alice, first)
    await room.take(*(op for i, op in home.operations.items() if i not in known))
    assert await pruned(room) == 0
    known = set(home.operations)
    council(home, people.alice, Lift(cut.id))
    await room.take(*(op for i, op in home.operations.items() if i not in known))
    assert [(await room.said(s.id))[0] for s in beyond] == [(1, "", None)] * 3
