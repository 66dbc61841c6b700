"""A large sync is stored at once and applied a little later: nobody can tell but by the time."""

from __future__ import annotations

from functools import cache

import pytest
from tests.unit.rooms import (
    Room,
    Rooms,
    Village,
    bytes_of,
    page,
    retitle,
    schema,
    village,
)
from tests.unit.town import PAGE, Replica

from commons_crdt.author import Draft
from commons_crdt.authority.judge import Standing
from commons_crdt.document.write import edit
from commons_crdt.ids import DocumentId
from commons_crdt.operation import content
from commons_node.realm import backlog, catching_up
from commons_node.realm.backlog import MANY
from commons_node.store.database import fetch


@pytest.fixture(autouse=True)
def _by_itself_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is applied before a test asks for it, however slow the machine is."""
    monkeypatch.setattr(catching_up, "QUIET_S", 60.0)


@cache
def library() -> tuple[Replica, Village, list[Standing]]:
    """Many pages of alice's, every third of them changed by bob."""
    home, town = village()
    pages = [page(home, town.alice, f"page {n}") for n in range(MANY)]
    for first in pages[::3]:
        retitle(home, town.bob, first, "bob's")
    return home, town, pages


async def held(room: Room) -> int:
    """How many edits are marked on disk as not applied yet."""
    read = room.realm.store.database.read
    ((count,),) = await fetch(read, "SELECT count(*) FROM edits WHERE applied = 'held'")
    return int(count)


async def test_large_batches_end_as_small_ones_do(rooms: Rooms) -> None:
    home, _, _ = library()
    small = await rooms.open("small", home)
    for start in range(0, len(home.operations), 50):
        await small.take(*bytes_of(home)[start : start + 50])
    assert not await held(small), "small batches are applied at once"
    large = await rooms.open("large", home)
    await large.take(*bytes_of(home))
    assert await held(large) >= MANY, "a large one is not"
    await large.realm.settled()
    assert not await held(large), "until somebody looks"
    assert await large.facts() == await small.facts()


async def test_hashes_are_never_over_what_waits(rooms: Rooms) -> None:
    home, _, _ = library()
    room = await rooms.open("a", home)
    await room.take(*bytes_of(home))
    assert await held(room)
    hashes = await room.realm.hashes()
    assert not await held(room)
    await room.realm.fold_again()
    assert await room.realm.hashes() == hashes


async def test_what_waits_survives_a_stop(rooms: Rooms) -> None:
    home, _, _ = library()
    room = await rooms.open("a", home)
    await room.take(*bytes_of(home))
    room = await rooms.again(room)
    await room.realm.settled()
    assert not await held(room)
    other = await rooms.open("b", home, *bytes_of(home))
    await other.realm.settled()
    assert await room.facts() == await other.facts()


async def test_edits_without_room_in_memory_are_read_from_the_disk(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "MOST_KEPT", 16_384)
    home, _, pages = library()
    room = await rooms.open("a", home)
    together = MANY + 20
    await room.take(*bytes_of(home)[:together])
    await room.take(*bytes_of(home)[together:])
    waiting = room.realm._catching_up.backlog
    kept = waiting.kept(DocumentId(one.id) for one in pages)
    assert 0 < len(kept) < len(pages), "some are in memory, some are not"
    assert any(len(edits) > 1 for edits in kept.values()), "one of two batches among them"
    assert sum(len(backlog._pack(edits)) for edits in kept.values()) <= 16_384
    await room.realm.settled()
    other = await rooms.open("b", home, *bytes_of(home))
    await other.realm.settled()
    assert await room.facts() == await other.facts()


async def test_edits_of_documents_that_stand_are_applied_on_top_of_them(rooms: Rooms) -> None:
    home, town, pages = library()
    island = home.island("island")
    for first in pages:
        retitle(island, town.bob, first, "bob's again")
    half = len(island.operations)
    for first in pages:
        retitle(island, town.alice, first, "alice's again")
    room = await rooms.open("a", home)
    await room.take(*bytes_of(home))
    await room.realm.settled()
    await room.take(*bytes_of(island)[len(home.operations) : half])
    await room.take(*bytes_of(island)[half:])
    assert await held(room) == 2 * len(pages), "both changes of each page wait"
    kept = room.realm._catching_up.backlog.kept(DocumentId(one.id) for one in pages)
    assert {len(edits) for edits in kept.values()} == {2}, "in memory, without what stands"
    await room.realm.settled()
    assert not await held(room)
    other = await rooms.open("b", home)
    for start in range(0, len(island.operations), 50):
        await other.take(*bytes_of(island)[start : start + 50])
    assert await room.facts() == await other.facts(), "as if nothing had waited"


async def test_what_an_earlier_start_held_waits_from_this_one_on(rooms: Rooms) -> None:
    home, _, pages = library()
    room = await rooms.open("a", home, *bytes_of(home))
    await room.realm.settled()
    first = bytes(pages[0].id)
    query = "UPDATE operations SET applied = 'held' WHERE document = ?"
    await room.realm.store.database.write.execute(query, (first,))
    room = await rooms.again(room)
    waits = await fetch(room.realm.store.database.read, "SELECT document FROM behind")
    assert waits == [(first,)], "what comes for it meanwhile is not called applied"
    await room.realm.settled()
    assert not await held(room)
    assert not await fetch(room.realm.store.database.read, "SELECT 1 FROM behind")


async def test_an_own_edit_waits_for_its_document_and_no_other(rooms: Rooms) -> None:
    home, town, pages = library()
    room = await rooms.open("a", home)
    await room.take(*bytes_of(home))
    waiting = await held(room)
    first = DocumentId(pages[0].id)
    await room.realm.settled([first])
    rows = [row for row in await room.realm.store.edits(first) if row.applied == ""]
    assert len(rows) == 2, "its author sees what bob made of it"
    change, deps = edit(
        [content(row.body or b"") for row in rows],
        town.alice.device.keys.id,
        {"title": "alice's again"},
        schema(),
    )
    assert change is not None
    refs = [row.id for row in rows if row.change in deps]
    grant = room.realm.judge.authority.devices[town.alice.device.keys.id].id
    draft = Draft(PAGE, change, document=first, refs=refs)
    (written,) = await room.realm.write([draft], town.alice.device, grant)
    rows = await room.realm.store.edits(first)
    assert {row.id: row.applied for row in rows}[written.id] == "", "and it is applied at once"
    assert await held(room) == waiting - 2, "the others still wait"
    await room.realm.settled()
    facts = await room.facts()
    other = await rooms.open("b", home, *await room.everything())
    await other.realm.settled()
    assert await other.facts() == facts


async def test_an_erasure_meets_what_waits(rooms: Rooms) -> None:
    home, town, pages = library()
    island = home.island("island")
    island.erase(town.alice, pages[0])
    room = await rooms.open("a", home)
    await room.take(*bytes_of(home))
    await room.take(*bytes_of(island)[-1:])
    await room.realm.settled()
    other = await rooms.open("b", home, *bytes_of(island))
    await other.realm.settled()
    facts = await room.facts()
    assert facts == await other.facts()
    assert pages[0].id not in {row[0] for row in facts.rows["pages"]}


@pytest.mark.parametrize("act", ["edit", "erasure"])
async def test_what_was_read_ahead_is_read_again_when_more_comes(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    monkeypatch.setattr(backlog, "AT_ONCE", 10)
    home, town, pages = library()
    island = home.island("island")
    if act == "edit":
        retitle(island, town.alice, pages[15], "after all")
    else:
        island.erase(town.alice, pages[15])
    room = await rooms.open("a", home)
    await room.take(*bytes_of(home))
    catching_up = room.realm._catching_up
    await catching_up._alone(catching_up._turn)
    ahead = catching_up._ahead
    assert ahead is not None, "workers read the next documents"
    assert DocumentId(pages[15].id) in ahead.documents, "the page among them"
    await ahead.outcome
    await room.take(*bytes_of(island)[-1:])
    await room.realm.settled()
    other = await rooms.open("b", home, *bytes_of(island))
    await other.realm.settled()
    assert await room.facts() == await other.facts(), "what was read before it came is not shown"
