"""What is erased is gone from the disk, and counts the same whoever still holds the bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.unit.rooms import Rooms, bytes_of, note, page, retitle, village
from tests.unit.town import LOAN, PAGE, Number, erasure

from commons_crdt.author import Draft
from commons_crdt.ids import DocumentId
from commons_node.store.database import fetch

SECRET = "meet me behind the greenhouse"


def found_in(folder: Path, text: str) -> list[str]:
    """The files that have this text in their bytes."""
    return [p.name for p in folder.iterdir() if p.is_file() and text.encode() in p.read_bytes()]


async def test_the_bytes_are_gone_from_every_file(rooms: Rooms) -> None:
    home, town = village()
    first = page(home, town.bob, SECRET)
    for n in range(30):
        retitle(home, town.bob, first, f"{n} {SECRET}")
    secrets = [note(home, town.bob, n, f"{SECRET} {'x' * 300}") for n in range(30)]
    others = [note(home, town.eve, n, "nothing to hide") for n in range(30)]
    room = await rooms.open("a", home, *bytes_of(home))
    assert found_in(rooms.folder, SECRET), "as long as nobody erases it, it is there"
    known = len(home.operations)
    for one in (first, *secrets):
        home.erase(town.bob, one)
    await room.take(*bytes_of(home)[known:])
    assert not found_in(rooms.folder, SECRET), "nor in the log beside the file, while it runs"
    await room.close()
    rooms.opened.remove(room)
    assert not found_in(rooms.folder, SECRET), "nor in a free page after it has stopped"
    room = await rooms.open("a", home)
    facts = await room.facts()
    assert all(facts.verdicts[one.id] == (1, "") for one in (*secrets, *others))
    assert facts.rows["pages"] == []
    texts = await fetch(room.realm.store.database.read, "SELECT bytes FROM parts")
    assert sum(text is not None for (text,) in texts) == 30, "what others wrote is untouched"


async def test_erased_here_and_held_there_gives_one_hash(rooms: Rooms) -> None:
    """One node erased before it was sent the bytes, one after, one only by headers."""
    home, town = village()
    mine = note(home, town.bob, 5, SECRET)
    first = page(home, town.bob, SECRET)
    edit = retitle(home, town.alice, first, "Alice's")
    home.erase(town.bob, mine)
    home.erase(town.bob, first)
    everything = bytes_of(home)
    after = await rooms.open("after", home, *everything)
    one_by_one = await rooms.open("one by one", home)
    for operation in everything:
        await one_by_one.take(operation)
    hollow = await rooms.open("hollow", home)
    named = {mine.id, first.id, edit.id}
    await hollow.take(
        *(
            replace(op, body=None, parts=()) if i in named else op
            for i, op in home.operations.items()
        )
    )
    expected = await after.facts()
    assert await one_by_one.facts() == expected
    assert await hollow.facts() == expected
    before = found_in(rooms.folder, SECRET)
    await hollow.take(*everything)
    assert await hollow.facts() == expected, "late bytes of what is erased are not taken"
    assert found_in(rooms.folder, SECRET) == before == []


async def test_an_edit_that_comes_after_the_erasure_of_its_document(rooms: Rooms) -> None:
    home, town = village()
    first = page(home, town.bob, "Tools")
    island = home.island("island")
    later = retitle(island, town.alice, first, SECRET)
    home.erase(town.bob, first)
    room = await rooms.open("a", home, *bytes_of(home))
    await room.take(*bytes_of(island))
    facts = await room.facts()
    assert facts.verdicts[later.id] == (1, ""), "it stands, by its header"
    assert facts.rows["pages"] == []
    assert not found_in(rooms.folder, SECRET), "its contents are never stored"


async def test_a_fact_about_an_erased_document_keeps_what_must_survive(rooms: Rooms) -> None:
    """A loan of a thing whose description is erased is still a loan, in either order."""
    home, town = village()
    thing = page(home, town.bob, "A drill")
    draft = Draft.fact(LOAN, Number(7), document=DocumentId(thing.id), refs=[thing.id])
    island = home.island("island")
    loan = island.write(town.eve.device, draft)
    home.erase(town.bob, thing)
    late = await rooms.open("late", home, *bytes_of(home))
    await late.take(*bytes_of(island))
    early = await rooms.open("early", home, *bytes_of(island))
    await early.take(*bytes_of(home))
    facts = await late.facts()
    assert facts == await early.facts()
    assert facts.rows["loans"] == [(thing.id, 7)], "custody survives the description"
    assert facts.verdicts[loan.id] == (1, "")


async def test_a_loan_loses_its_text_and_keeps_its_value(rooms: Rooms) -> None:
    home, town = village()
    draft = Draft.fact(LOAN, Number(0), parts=[("text", SECRET.encode())])
    loan = home.write(town.bob.device, draft)
    room = await rooms.open("a", home, *bytes_of(home))
    home.erase(town.bob, loan)
    await room.take(*bytes_of(home))
    facts = await room.facts()
    assert facts.rows["loans"] == [(loan.id, 0)]
    assert not found_in(rooms.folder, SECRET)
    (op,) = [op for op in await room.everything() if op.header == home.operations[loan.id].header]
    assert (op.body is not None, op.parts) == (True, (None,)), "peers get what is left of it"


async def test_an_erasure_whose_contents_come_late_erases_then(rooms: Rooms) -> None:
    home, town = village()
    mine = note(home, town.bob, 5, SECRET)
    gone = home.erase(town.bob, mine)
    room = await rooms.open("a", home)
    hollow = replace(home.operations[gone.id], body=None)
    await room.take(*bytes_of(home)[:-1], hollow)
    assert found_in(rooms.folder, SECRET), "nobody can know yet what it erases"
    await room.take(*bytes_of(home))
    assert not found_in(rooms.folder, SECRET)
    expected = await (await rooms.open("whole", home, *bytes_of(home))).facts()
    assert await room.facts() == expected


async def test_who_may_not_erase_erases_nothing(rooms: Rooms) -> None:
    home, town = village()
    mine = note(home, town.bob, 5, SECRET)
    tried = home.write(town.eve.device, erasure(mine))
    room = await rooms.open("a", home, *bytes_of(home))
    assert (await room.facts()).verdicts[tried.id] == (2, "target")
    assert found_in(rooms.folder, SECRET)
    assert PAGE in home.rules.kinds


async def test_parts_that_were_absent_are_filled_in(rooms: Rooms) -> None:
    home, town = village()
    mine = note(home, town.bob, 5, "the shed is open")
    room = await rooms.open("a", home)
    bare = [replace(op, parts=()) for op in bytes_of(home)]
    await room.take(*bare)
    lie = replace(home.operations[mine.id], parts=(bytes(32) + b"the shed is shut",))
    result = await room.take(lie)
    assert dict(result.refused) == {"part": 1}, "a part must be the one that its header names"
    await room.take(home.operations[mine.id])
    (op,) = [op for op in await room.everything() if op.parts]
    assert op == home.operations[mine.id]
