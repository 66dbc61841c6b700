"""A seal decides which story of a forked chain is told, and its writer goes on from there."""

from __future__ import annotations

import pytest
from tests.unit.rooms import Rooms, bytes_of, note, village
from tests.unit.tales import removal, seal
from tests.unit.town import NOTE, Number, Replica, invitation

from commons_crdt.author import Draft
from commons_crdt.authority.judge import Standing
from commons_node.realm.authoring import Ended, Suspended


class Copied:
    """Eve's machine and a copy of it both wrote; alice seals the shorter story."""

    def __init__(self, log: int) -> None:
        self.log = log
        self.home, self.people = village()
        self.write(self.home, "before")
        self.island = self.home.island("copy")
        self.island.now_ms += 1
        self.mine = [self.write(self.home, f"mine {n}") for n in range(2)]
        self.other = [self.write(self.island, f"other {n}") for n in range(5)]
        self.before = bytes_of(self.home)
        known = set(self.home.operations)
        seal(self.home, self.people.alice, self.mine[-1])
        self.sealing = [op for i, op in self.home.operations.items() if i not in known]

    def write(self, home: Replica, label: str) -> Standing:
        if self.log:
            return note(home, self.people.eve, len(home.operations), label)
        return home.write(self.people.eve.device, self.draft(home, label))

    def draft(self, home: Replica, label: str) -> Draft:
        if self.log:
            return Draft.fact(NOTE, Number(len(label)))
        return invitation(label, 1, home.now_ms + 10**9)


@pytest.mark.parametrize("prune", [True, False])
@pytest.mark.parametrize("log", [0, 1])
async def test_who_forked_goes_on_from_the_sealed_story(
    rooms: Rooms, log: int, prune: bool
) -> None:
    story = Copied(log)
    eve = story.people.eve.device
    hers = await rooms.open("hers", story.home, *bytes_of(story.island))
    if not prune:
        hers.realm.pruner = None
    await hers.take(*story.before)
    grant = hers.realm.judge.authority.devices[eve.keys.id].id
    with pytest.raises(Suspended):
        await hers.realm.write([story.draft(story.home, "too early")], eve, grant)
    await hers.take(*story.sealing)
    await hers.take(*story.before)
    if hers.realm.pruner is not None:
        await hers.realm.pruner.settled()
    elif log:
        top = hers.realm.memory.top(eve.keys.id, log)
        assert top is not None
        assert top.id == story.other[-1].id, "the longer story is still here"
    for label in ("and then", "after that"):
        drafts = [story.draft(story.home, f"{label} {n}") for n in range(2)]
        for written in await hers.realm.write(drafts, eve, grant):
            assert not written.judgement.reason, written
    hers = await rooms.again(hers)
    (last,) = await hers.realm.write([story.draft(story.home, "at last")], eve, grant)
    assert not last.judgement.reason
    everything = await hers.everything()
    theirs = await rooms.open("theirs", story.home, *everything)
    await theirs.take(*everything)
    found = await theirs.said(last.id)
    assert found[0] is not None
    assert found[0][:2] == (1, ""), "others count it as well"
    assert await theirs.facts() == await hers.facts()


@pytest.mark.parametrize("log", [0, 1])
async def test_a_decided_fork_hides_no_removal(rooms: Rooms, log: int) -> None:
    story = Copied(log)
    eve = story.people.eve.device
    room = await rooms.open("a", story.home, *bytes_of(story.island))
    room.realm.pruner = None
    for batch in (story.before, story.sealing, story.before):
        await room.take(*batch)
    known = set(story.home.operations)
    story.home.write(story.people.alice.device, removal(story.home, story.people.eve))
    await room.take(*(op for i, op in story.home.operations.items() if i not in known))
    grant = room.realm.judge.authority.devices[eve.keys.id].id
    with pytest.raises(Ended):
        await room.realm.write([story.draft(story.home, "still here")], eve, grant)


@pytest.mark.parametrize("log", [0, 1])
async def test_who_forks_again_is_suspended_again(rooms: Rooms, log: int) -> None:
    story = Copied(log)
    eve = story.people.eve.device
    again = story.home.island("again")
    twins = [
        home.draw(eve, story.draft(home, f"twin {n}"), after=story.mine[-1].id)
        for n, home in enumerate((story.home, again))
    ]
    room = await rooms.open("a", story.home, *bytes_of(story.home), *bytes_of(story.island))
    for twin in twins:
        await room.take(twin)
    grant = room.realm.judge.authority.devices[eve.keys.id].id
    with pytest.raises(Suspended):
        await room.realm.write([story.draft(story.home, "a third time")], eve, grant)
