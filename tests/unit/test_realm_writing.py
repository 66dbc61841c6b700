"""Writing: all or nothing, within the budget, and never twice at one place."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.rooms import Rooms, bytes_of, village
from tests.unit.tales import plain
from tests.unit.town import NOTE, Number, Replica, person, replica, secrets, town

from commons_crdt.author import Draft
from commons_crdt.ids import OperationId
from commons_node.realm.authoring import Budget, Unheard, Written
from commons_node.realm.told import Change


def notes(count: int) -> list[Draft]:
    return [Draft.fact(NOTE, Number(n)) for n in range(count)]


async def test_two_writers_on_one_chain_never_fork(rooms: Rooms) -> None:
    home, people = plain()
    room = await rooms.open("a", home, *bytes_of(home))
    device = people.bob.device
    grant = room.realm.judge.authority.devices[device.keys.id].id

    async def scribble() -> list[Written]:
        written: list[Written] = []
        for size in (1, 3, 2):
            written += await room.realm.write(notes(size), device, grant)
            await asyncio.sleep(0)
        return written

    async def listen() -> None:
        for operation in bytes_of(home):
            await room.take(operation)

    results = await asyncio.gather(*(scribble() for _ in range(6)), listen())
    written = [one for part in results if part for one in part]
    assert len({one.id for one in written}) == 36
    assert not room.realm.judge.forks, "one signer at a time"
    assert all(not one.judgement.reason for one in written)


def poor() -> Replica:
    """A town where the founder may write five small operations, and one more an hour."""
    settings = (("budget.coordinator.capacity", 10), ("budget.coordinator.hour", 2))
    return town(constitution=settings)


async def test_a_budget_is_checked_before_anything_is_signed(rooms: Rooms) -> None:
    home = poor()
    room = await rooms.open("a", home, *bytes_of(home))
    alice, grant = person("alice").device, OperationId(home.realm)
    before = await room.facts()
    with pytest.raises(Budget) as refused:
        await room.realm.write(notes(6), alice, grant)
    assert refused.value.details["seconds"] == 3600, "it says how long to wait"
    assert await room.facts() == before, "nothing of it was written"
    assert len(await room.realm.write(notes(5), alice, grant)) == 5
    room.now += 3_600_000
    assert len(await room.realm.write(notes(1), alice, grant)) == 1
    other = await rooms.open("b", home)
    other.now = room.now
    await other.take(*await room.everything())
    assert await other.facts() == await room.facts(), "nobody else refuses it either"


async def test_beyond_the_budget_every_node_refuses_alike(rooms: Rooms) -> None:
    home = poor()
    alice = person("alice").device
    rich = replica(home.realm, "rich", bytes_of(home))
    for draft in notes(5):
        rich.write(alice, draft)
    sixth = rich.draw(alice, Draft.fact(NOTE, Number(6)))
    room = await rooms.open("a", home, *bytes_of(rich))
    before = await room.facts()
    for _ in range(2):
        result = await room.take(sixth)
        assert (result.new, dict(result.refused)) == (0, {"budget": 1})
    assert await room.facts() == before, "nothing of it is stored"


async def test_what_an_act_builds_on_must_be_here(rooms: Rooms) -> None:
    home, people = village()
    room = await rooms.open("a", home, *bytes_of(home))
    grant = room.realm.judge.authority.devices[people.bob.device.keys.id].id
    unknown = OperationId(bytes(32))
    with pytest.raises(Unheard):
        await room.realm.write(
            [Draft.fact("town.loan.1", Number(1), refs=[unknown])], people.bob.device, grant
        )
    with pytest.raises(Unheard):
        await room.realm.write(notes(1), secrets("mallory"), unknown)


async def test_own_acts_that_the_rules_reject_say_so(rooms: Rooms) -> None:
    home, people = village()
    room = await rooms.open("a", home, *bytes_of(home))
    grant = room.realm.judge.authority.devices[people.bob.device.keys.id].id
    (written,) = await room.realm.write(
        [Draft.fact("town.notice.1", Number(1))], people.bob.device, grant
    )
    assert (written.judgement.verdict, written.judgement.reason) == (2, "role")


async def test_listeners_hear_what_is_on_disk_and_cannot_break_it(rooms: Rooms) -> None:
    home, people = village()
    room = await rooms.open("a", home, *bytes_of(home))
    heard: list[Change] = []

    def broken(_change: Change) -> None:
        raise ValueError

    room.realm.listeners.extend([broken, heard.append])
    grant = room.realm.judge.authority.devices[people.bob.device.keys.id].id
    written = await room.realm.write(notes(2), people.bob.device, grant)
    await room.take(*bytes_of(home))
    assert [change.ids for change in heard] == [tuple(one.id for one in written)]
    assert heard[0].own
    assert not heard[0].log_zero
