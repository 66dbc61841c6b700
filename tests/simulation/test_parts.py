"""Whole nodes that fetch photos from each other: cut off, lied to, full, erased, forgetful."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.pictures import jpeg

from commons_crdt.roles import Role
from commons_node.disk import FOR_ACTS, MIB, Room
from commons_node.domains.resources.photos import strip
from commons_node.parts.keeper import NoRoom, NotHere
from commons_node.registry import File
from commons_node.store.large_parts import SEVERAL, LargePart
from commons_node.testing.node import Node
from commons_node.testing.town import Town
from commons_node.testing.weather import Weather
from commons_protocol.part_messages import CHUNK
from commons_protocol.parts import PartId

SIZE = 700_000
Story = Callable[[Town], Awaitable[None]]


async def street(town: Town, members: int = 2) -> list[Node]:
    """Alice, who describes things, and her neighbours; everybody knows everybody and is here."""
    await town.found([Role.MEMBER] * members)
    for one in town.nodes:
        for two in town.nodes:
            if one is not two:
                one.knows(two)
        await one.start()
    await asyncio.sleep(10)
    return town.nodes


async def photo(node: Node, size: int = SIZE, seed: int = 1) -> bytes:
    """A thing with a photo; the photo as it was signed."""
    await node.run(node.desk.do("resource.add", name=f"Drill {seed}", number=str(seed)))
    data = jpeg(size, seed=seed)
    file = File("drill.jpg", data)
    added = await node.run(node.desk.do("resource.photo.add", resource=str(seed), file=file))
    assert added is not None
    assert added["verdict"] == "accepted"
    return strip("drill.jpg", data).data


def rows(node: Node) -> list[tuple[int, int, int, str]]:
    """(length, have, whole, giver) of each large part on a node's disk."""
    return node.disk.rows("SELECT length, have, whole, giver FROM large ORDER BY n")


def whole(*nodes: Node) -> list[int]:
    """How many large parts each holds whole."""
    return [sum(row[2] for row in rows(node)) for node in nodes]


def chunks(node: Node) -> int:
    """Bytes of large parts on a node's disk."""
    ((size,),) = node.disk.rows("SELECT coalesce(sum(length(bytes)), 0) FROM chunks")
    return int(size)


async def part(node: Node, n: int = 0) -> LargePart:
    found = await node.run(node.realm.store.large.parts())
    assert found is not None
    return found[n]


async def until(true: Callable[[], object], seconds: float = 300) -> None:
    for _ in range(int(seconds * 4)):
        if true():
            return
        await asyncio.sleep(0.25)
    raise AssertionError("it never happens")


async def looks(node: Node, n: int = 0) -> bytes:
    """Somebody looks at the node's n-th photo."""
    data = await node.run(node.parts.look(node.realm, await part(node, n)))
    assert data is not None
    return data[32:]


async def agree(*nodes: Node) -> None:
    hashes = [await node.run(node.realm.hashes()) for node in nodes]
    assert hashes.count(hashes[0]) == len(hashes)


def plays(story: Story, seed: int = 1, **given: Any) -> Town:
    town = Town(seed, **given)
    town.play(story)  # type: ignore[arg-type]  # a story is a coroutine function
    assert not town.errors, town.errors
    return town


def test_photos_come_by_themselves_to_everybody() -> None:
    async def story(town: Town) -> None:
        alice, bob, carol = await street(town)
        data = await photo(alice)
        await until(lambda: whole(alice, bob, carol) == [1, 1, 1], 60)
        assert await looks(bob) == await looks(carol) == data
        await agree(alice, bob, carol)
        assert await bob.run(bob.realm.parts.lacking()) == []
        assert not bob.refusals + carol.refusals

    plays(story)


@pytest.mark.parametrize("seed", range(1, 4))
def test_photos_arrive_through_lines_that_are_cut_and_late(seed: int) -> None:
    async def story(town: Town) -> None:
        nodes = await street(town, 3)
        for n in range(1, 4):
            await photo(nodes[0], SIZE, n)
        await until(lambda: whole(*nodes) == [3, 3, 3, 3], 1200)
        await agree(*nodes)
        assert town.faults["cut_off"], "lines were cut"
        assert not any(node.refusals["part_liar"] for node in nodes), "and nobody was blamed for it"

    plays(story, seed, weather=Weather(cut=0.02, resent=0.1, resend=(0.1, 2.0)))


def test_who_gives_wrong_bytes_is_left_for_another_and_not_asked_again() -> None:
    lied = 0

    async def story(town: Town) -> None:
        nonlocal lied
        alice, bob, carol = await street(town)
        town.air.mute |= {(alice.peer, carol.peer), (carol.peer, alice.peer)}
        data = await photo(alice)
        await until(lambda: whole(bob) == [1])
        read = bob.realm.parts.read

        async def lies(part: PartId, offset: int, length: int) -> bytes:
            nonlocal lied
            lied += length
            return bytes(len(await read(part, offset, length)))

        bob.realm.parts.read = lies  # type: ignore[method-assign]  # bob lies
        await until(lambda: carol.refusals["part_liar"], 600)
        assert chunks(carol) == 0, "nothing wrong is kept"
        assert lied <= 2 * len(data), "it costs no more than the part"
        town.air.mute.clear()
        await until(lambda: whole(carol) == [1])
        assert await looks(carol) == data
        before = lied
        await photo(alice, seed=2)
        await until(lambda: whole(carol) == [2])
        assert lied == before or carol.refusals["part_liar"] == 1, "bob was not asked"

    plays(story)
    assert lied


def test_of_two_who_gave_a_part_that_is_wrong_the_right_one_is_found_out() -> None:
    async def story(town: Town) -> None:
        alice, bob, carol = await street(town)
        town.air.mute |= {(bob.peer, carol.peer), (carol.peer, bob.peer)}
        data = await photo(alice, 3_000_000)

        async def half() -> None:
            await until(lambda: any(row[1] > CHUNK for row in rows(carol)))

        await half()
        assert whole(carol) == [0]
        town.air.mute.clear()
        town.air.mute |= {(alice.peer, carol.peer), (carol.peer, alice.peer)}
        await until(lambda: whole(bob) == [1])
        read = bob.realm.parts.read
        lied = 0

        async def lies(part: PartId, offset: int, length: int) -> bytes:
            nonlocal lied
            lied += 1
            return bytes(len(await read(part, offset, length)))

        bob.realm.parts.read = lies  # type: ignore[method-assign]  # bob lies
        seen = set()
        for _ in range(100_000):  # often: the rest of it may come within half a second
            seen |= {row[3] for row in rows(carol)}
            if carol.refusals["part_liar"]:
                break
            await asyncio.sleep(0.02)
        assert lied
        assert SEVERAL in seen, "half was alice's"
        assert carol.refusals["part_liar"] == 1
        town.air.mute.clear()
        await until(lambda: whole(carol) == [1], 600)
        assert await looks(carol) == data, "alice was not blamed"

    plays(story)


def test_a_crash_in_the_middle_goes_on_where_it_was() -> None:
    async def story(town: Town) -> None:
        alice, bob = await street(town, 1)
        await photo(alice, 4_000_000)
        await until(lambda: any(0 < row[1] < row[0] for row in rows(bob)))
        bob.crash()
        ((size, have, done, _),) = rows(bob)
        assert 0 < have < size
        assert not done
        assert chunks(bob) == have
        given = 0
        read = alice.realm.parts.read

        async def counts(part: PartId, offset: int, length: int) -> bytes:
            nonlocal given
            data = await read(part, offset, length)
            given += len(data)
            return data

        alice.realm.parts.read = counts  # type: ignore[method-assign]  # counted
        await bob.start()
        await until(lambda: whole(bob) == [1])
        assert given <= size - have + 16 * CHUNK, "what was on the disk was not sent again"

    plays(story)


def change_a_byte(node: Node) -> None:
    """Of the only photo on a node's disk, past its realm: SQLite finds nothing wrong."""
    ((row, data),) = node.disk.rows("SELECT rowid, bytes FROM chunks WHERE first = 0")
    changed = data[:9] + bytes([data[9] ^ 1]) + data[10:]
    node.disk.rows("UPDATE chunks SET bytes = ? WHERE rowid = ?", (changed, row))


def test_a_photo_that_the_disk_has_changed_is_neither_shown_nor_told() -> None:
    """Whoever looks first, somebody here or a peer: it is let go, and comes again."""

    async def story(town: Town) -> None:
        alice, bob, carol = await street(town)
        data = await photo(alice)
        await until(lambda: whole(alice, bob, carol) == [1, 1, 1])
        town.air.mute |= {(carol.peer, one.peer) for one in (alice, bob)}
        town.air.mute |= {(one.peer, carol.peer) for one in (alice, bob)}
        gone: list[LargePart] = []
        for one in (alice, bob):
            one.crash()
            change_a_byte(one)
            await one.start()  # neither has looked at it in this life
            one.realm.parts.on_damage = gone.append
        await until(lambda: bob.parts._asking.around(bob.realm))
        with pytest.raises(NotHere):
            await looks(bob)
        assert len(gone) == 2, "alice looked as well, before she gave it"
        assert (chunks(alice), chunks(bob)) == (0, 0)
        town.air.mute.clear()
        await until(lambda: whole(alice, bob) == [1, 1], 900)
        assert await looks(alice) == await looks(bob) == data
        assert not any(one.refusals["part_liar"] for one in town.nodes), "nobody was blamed for it"

    plays(story)


def test_what_is_erased_in_the_middle_is_fetched_no_further_and_leaves_nothing() -> None:
    async def story(town: Town) -> None:
        alice, bob = await street(town, 1)
        await photo(alice, 4_000_000)
        await until(lambda: any(0 < row[1] < row[0] for row in rows(bob)))
        await alice.run(alice.desk.do("resource.photo.remove", resource="1", photo=1))
        assert chunks(alice) == 0, "with the transaction of the erasure"
        await until(lambda: chunks(bob) == 0)
        await asyncio.sleep(120)
        assert (chunks(bob), whole(bob)) == (0, [0])
        await agree(alice, bob)
        assert not bob.refusals["part_liar"]

    plays(story)


def test_photos_of_a_thing_that_is_erased_are_let_go_whoever_added_them() -> None:
    async def story(town: Town) -> None:
        alice, bob = await street(town, 1)
        await photo(alice)
        await until(lambda: whole(bob) == [1])
        await alice.run(alice.desk.do("resource.erase", resource="1"))
        await until(lambda: chunks(bob) == chunks(alice) == 0)
        await asyncio.sleep(120)
        assert chunks(bob) == 0, "nothing refers to it, so nobody asks for it again"
        await agree(alice, bob)

    plays(story)


def test_a_policy_says_what_comes_by_itself_and_a_look_brings_the_rest() -> None:
    async def story(town: Town) -> None:
        alice, bob = await street(town, 1)
        data = await photo(alice)
        await asyncio.sleep(300)
        assert chunks(bob) == 0, "nobody looked"
        assert bob.parts.why(bob.realm) == "policy"
        assert await looks(bob) == data
        await photo(alice, seed=2)
        await asyncio.sleep(60)
        assert whole(bob) == [1]
        await bob.run(bob.parts.choose(bob.realm, "all"))
        await until(lambda: whole(bob) == [2])

    plays(story, parts="texts")


def test_nobody_has_it_is_said_and_it_comes_when_somebody_is_back() -> None:
    async def story(town: Town) -> None:
        alice, bob, carol = await street(town)
        town.air.mute |= {(alice.peer, bob.peer), (bob.peer, alice.peer)}
        carol.parts._policy = "on-demand"
        await photo(alice)
        await until(lambda: rows(bob) != [])
        await asyncio.sleep(60)  # until bob's node knows that alice's is not there
        with pytest.raises(NotHere) as caught:
            await looks(bob)
        assert caught.value.details["asked"] == 1, "carol is here, and has it not"
        assert "commons-node peer list" in caught.value.way_out
        assert bob.parts.why(bob.realm) == "nobody"
        town.air.mute.clear()
        await until(lambda: whole(bob) == [1])

    plays(story)


def test_the_quota_holds_and_what_others_have_goes_first() -> None:
    async def story(town: Town) -> None:
        alice, bob = await street(town, 1)
        for n in range(1, 4):
            await photo(alice, SIZE, n)
        await until(lambda: whole(bob) == [2], 120)
        await asyncio.sleep(120)
        assert whole(bob) == [2], "in the background nothing goes beyond it"
        assert bob.parts.why(bob.realm) == "quota"
        said, refuses = [], bob.parts._room.refuses

        async def listening(*given: Any) -> Any:
            said.append(bob.parts.why(bob.realm))
            return await refuses(*given)

        bob.parts._room.refuses = listening  # type: ignore[method-assign,assignment]  # hears all
        await asyncio.sleep(120)
        assert set(said) == {"quota"}, "and status says why at every moment, also while it looks"
        await bob.run(bob.parts.choose(bob.realm, quota=SIZE + 100_000))
        await until(lambda: whole(bob) == [1])
        assert bob.parts.why(bob.realm) == "quota", "as soon as one is gone"
        await bob.run(bob.parts.choose(bob.realm, quota=town.parts_quota))
        await until(lambda: whole(bob) == [2], 120)
        await looks(bob, 0)
        (missing,) = [n for n, row in enumerate(rows(bob)) if not row[2]]
        await looks(bob, missing)
        assert chunks(bob) <= town.parts_quota
        assert [row[2] for row in rows(bob)][missing] == 1, "what somebody looks at comes"
        assert rows(bob)[0][2] == 1, "and what was looked at last stayed"
        assert whole(alice) == [3], "what was added here stays, whatever the quota"

    plays(story, parts_quota=2 * SIZE + 100_000)


@pytest.mark.parametrize("seed", range(1, 6))
def test_the_last_copies_are_never_let_go_by_all_at_once(seed: int) -> None:
    """Alice is gone for good; her neighbours all become short of room at the same moment."""

    async def story(town: Town) -> None:
        alice, *others = await street(town, 3)
        for n in range(1, 4):
            await photo(alice, 100_000, n)
        await until(lambda: whole(*others) == [3, 3, 3])
        await alice.stop()
        await asyncio.sleep(5)
        for node in others:
            await node.run(node.parts.choose(node.realm, quota=1))
        await asyncio.sleep(600)
        holders = [sum(rows(node)[n][2] for node in others) for n in range(3)]
        assert all(holders), "each photo is still somewhere"
        assert sum(holders) < 9, "and room was made"

    plays(story, seed)


def test_a_text_that_got_lost_on_the_way_is_fetched() -> None:
    async def story(town: Town) -> None:
        _alice, bob = await street(town, 1)
        lost = "UPDATE parts SET bytes = NULL WHERE name = 'name'"
        names = bob.disk.rows("SELECT bytes FROM parts ORDER BY operation")
        assert names
        assert all(name for (name,) in names)
        bob.crash()
        bob.disk.rows(lost)
        assert bob.disk.rows("SELECT count(*) FROM parts WHERE bytes IS NULL") != [(0,)]
        await bob.start()
        await until(
            lambda: bob.disk.rows("SELECT bytes FROM parts ORDER BY operation") == names, 120
        )

    plays(story, parts="texts")


@pytest.mark.parametrize("above", [MIB, FOR_ACTS - MIB])
def test_where_the_disk_gets_full_photos_stop_before_anything_else(above: int) -> None:
    """Photos went on into the reserve, and with their last one no act of others was taken in."""
    left = [256 * MIB + above]

    async def story(town: Town) -> None:
        alice, bob = await street(town, 1)
        bob.realm._room = room = Room(Path(), 256 * MIB, lambda: left[0])
        bob.parts._room._fits = room.fits_part
        await photo(alice)
        await asyncio.sleep(120)
        assert chunks(bob) == 0
        assert bob.parts.why(bob.realm) == "disk"
        with pytest.raises(NoRoom, match="disk"):
            await looks(bob)
        await agree(alice, bob)
        assert not room.withheld, "what she wrote beside it came"
        left[0] = 400 * MIB
        await until(lambda: chunks(bob) > 0, 4000)
        await agree(alice, bob)

    plays(story)


@pytest.mark.long
def test_photos_of_what_is_settled_go_where_that_is_chosen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Operations stay, and the hashes are the same; who looks has it from those who keep it."""
    monkeypatch.setattr("commons_node.parts.keeper.LOOKED_AT_MS", 60_000)

    def sealed(node: Node) -> bool:
        query = "SELECT 1 FROM large l JOIN settled s ON s.operation = l.operation"
        return bool(node.disk.rows(query))

    async def story(town: Town) -> None:
        alice, bob, carol = await street(town)
        data = await photo(alice)
        await until(lambda: whole(alice, bob, carol) == [1, 1, 1])
        await bob.run(bob.parts.choose(bob.realm, "recent"))
        await asyncio.sleep(300)
        assert whole(bob) == [1], "nothing is settled yet"
        for n in range(60):
            await alice.run(alice.desk.do("resource.add", name=f"Chair {n}", number=str(100 + n)))
        await until(lambda: sealed(alice) and sealed(bob) and sealed(carol), 4 * 3600)
        await until(lambda: whole(alice, bob, carol) == [1, 0, 1], 600)
        assert chunks(bob) == 0
        assert bob.parts.why(bob.realm) == "policy", "and it says why it is not here"
        await agree(alice, bob, carol)
        fresh = await photo(alice, seed=2)
        await until(lambda: whole(bob) == [1], 60)
        assert await looks(bob, 1) == fresh, "what is new comes by itself"
        assert await looks(bob, 0) == data, "what is old when somebody looks"
        await until(lambda: whole(bob) == [1], 600)
        assert rows(bob)[0][2] == 0, "and goes again"

    plays(story, seals=25)


@pytest.mark.long
def test_nobody_lets_the_last_copy_of_a_settled_photo_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two who both keep only what is new, with a photo that neither of them added."""
    monkeypatch.setattr("commons_node.parts.keeper.LOOKED_AT_MS", 60_000)

    async def story(town: Town) -> None:
        alice, bob, carol = await street(town)
        await photo(alice)
        await until(lambda: whole(alice, bob, carol) == [1, 1, 1])
        for n in range(60):
            await alice.run(alice.desk.do("resource.add", name=f"Chair {n}", number=str(100 + n)))
        query = "SELECT 1 FROM large l JOIN settled s ON s.operation = l.operation"
        await until(lambda: all(one.disk.rows(query) for one in (bob, carol)), 4 * 3600)
        await alice.stop()
        for one in (bob, carol):
            await one.run(one.parts.choose(one.realm, "recent"))
        await asyncio.sleep(1200)
        assert sum(whole(bob, carol)) == 1, "one of them keeps it for both"

    plays(story, seals=25)
