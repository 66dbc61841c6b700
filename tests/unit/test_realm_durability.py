"""What was said to be written is on disk; what failed on its way has left no trace anywhere."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.unit.rooms import Room, Rooms, bytes_of
from tests.unit.tales import erased, forked, plain, removed
from tests.unit.town import NOTE, Number, Person

from commons_crdt.author import Draft
from commons_crdt.authority.kinds import REMOVAL
from commons_crdt.operation import operation_id
from commons_node.realm.authoring import Written
from commons_node.store.upgrading import Unusable


async def jot(room: Room, who: Person, *values: int) -> list[Written]:
    """Somebody writes notes at this node."""
    grant = room.realm.judge.authority.devices[who.device.keys.id].id
    drafts = [Draft.fact(NOTE, Number(value)) for value in values]
    return await room.realm.write(drafts, who.device, grant)


def on_disk(room: Room) -> set[bytes]:
    """The ids that somebody else sees who opens the file now."""
    other = sqlite3.connect(room.path)
    try:
        return {row[0] for row in other.execute("SELECT id FROM operations")}
    finally:
        other.close()


async def test_a_write_is_on_disk_when_it_returns(rooms: Rooms) -> None:
    home, town = plain()
    room = await rooms.open("a", home, *bytes_of(home))
    for value in range(5):
        (written,) = await jot(room, town.bob, value)
        assert written.id in on_disk(room), "an acknowledged act is durable"
        assert await room.realm.standing(written.id) is not None, "and everybody here reads it"


STEPS = {
    "store": ("insert", "set_standing", "set_applied", "set_contents", "erase"),
    "folding": ("note", "fold", "members"),
    "documents": ("apply", "rebuild"),
}


class Stop(Exception):
    """Something that nobody foresaw."""


class Trap:
    """Lets so many steps of a room go well, then fails before or after the next one."""

    def __init__(self, room: Room, patch: pytest.MonkeyPatch, *, after: bool) -> None:
        self.left = 0
        self.sprung: list[str] = []
        self._after = after
        for part, names in STEPS.items():
            owner = getattr(room.realm, part)
            for name in names:
                patch.setattr(owner, name, self._step(name, getattr(owner, name)))

    def _step(self, name: str, real: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        async def step(*args: Any, **kwargs: Any) -> Any:
            self.left -= 1
            if self.left == 0 and not self._after:
                self.sprung.append(name)
                raise Stop(name)
            result = await real(*args, **kwargs)
            if self.left == 0:
                self.sprung.append(name)
                raise Stop(name)
            return result

        return step


@pytest.mark.parametrize("after", [False, True])
async def test_a_failure_at_any_step_leaves_memory_equal_to_disk(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    """Batches that insert, apply, erase and reveal forks; each of their steps fails once."""
    home, _ = forked()
    everything = bytes_of(home)
    expected = await (await rooms.open("expected", home, *everything)).facts()
    room = await rooms.open("failing", home)
    ends = [0, 10, len(bytes_of(plain()[0])), len(bytes_of(erased()[0])), len(everything)]
    trap = Trap(room, monkeypatch, after=after)
    for start, end in pairwise(ends):
        before = await room.facts()
        for step in range(1, 100):
            trap.left = step
            try:
                await room.take(*everything[start:end])
            except Stop:
                assert await room.facts() == before, f"{trap.sprung[-1]} failed: nothing changed"
                await room.realm.memory.load()
                assert room.realm.digest() == before.digest, "memory is what the disk says"
            else:
                break
    assert await room.facts() == expected, "what failed can be done again"
    unseen = {"set_contents"}  # nothing comes late in this tale
    assert set(trap.sprung) == {name for names in STEPS.values() for name in names} - unseen


@pytest.mark.parametrize("after", [False, True])
async def test_a_removal_is_there_whole_or_not_at_all(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    """What it flips, with documents, erasures and rows: each step of the commit fails once."""
    home, _ = removed()
    everything = bytes_of(home)
    (removal,) = [s for s in home.standings.values() if s.kind == REMOVAL]
    cut, heard = home.operations[removal.id], home.judge.authority.bit(removal.id)
    unheard = [op for i, op in home.operations.items() if not home.standings[i].view & heard]
    room = await rooms.open("failing", home, *unheard)
    before = await room.facts()
    undone = [i for i, s in home.standings.items() if s.judgement.reason == "cut"]
    assert len([one for one in await room.said(*undone) if one]) > 3, "it flips some"
    trap = Trap(room, monkeypatch, after=after)
    for step in range(1, 100):
        trap.left = step
        try:
            await room.take(cut)
        except Stop:
            assert await room.facts() == before, f"{trap.sprung[-1]} failed: nothing changed"
        else:
            break
    assert {"insert", "set_standing", "set_applied", "rebuild", "fold"} <= set(trap.sprung)
    trap.left = 0  # enough
    await room.take(*everything)
    expected = await (await rooms.open("expected", home, *everything)).facts()
    if expected.digest != room.realm.digest():
        await room.take(*everything)  # contents that an erasure took which fell are told again
    assert await room.facts() == expected


async def test_a_commit_that_fails_is_no_commit(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, town = plain()
    room = await rooms.open("a", home, *bytes_of(home))
    before = await room.facts()
    connection = room.realm.store.database.write

    async def full() -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "commit", full)
        with pytest.raises(Unusable, match="full"):
            await jot(room, town.bob, 1)
    assert await room.facts() == before
    (written,) = await jot(room, town.bob, 2)
    assert written.id in on_disk(room), "the realm goes on as soon as there is room again"


async def test_a_caller_who_gives_up_leaves_the_realm_usable(rooms: Rooms) -> None:
    """Cancelled after any number of turns of the loop: all of the act is there, or nothing."""
    home, town = plain()
    room = await rooms.open("a", home, *bytes_of(home))
    for turns in range(60):
        task = asyncio.create_task(jot(room, town.bob, turns, turns))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await jot(room, town.bob, 0)
    facts = await room.facts()
    assert not room.realm.judge.forks, "giving up never made a fork"
    room = await rooms.again(room)
    assert await room.facts() == facts, "memory was what the disk said"
    written = [
        op for op in await room.everything() if operation_id(op.header) not in home.operations
    ]
    assert len(written) % 2 == 1, "two acts of one write are there together or not at all"


async def test_a_copied_file_can_be_opened(rooms: Rooms, tmp_path: Path) -> None:
    home, _ = forked()
    room = await rooms.open("a", home, *bytes_of(home))
    facts = await room.facts()
    copy = sqlite3.connect(tmp_path / "copy.db")
    original = sqlite3.connect(room.path)
    original.backup(copy)
    original.close()
    copy.close()
    other = await rooms.open("copy", home)
    assert await other.facts() == facts
