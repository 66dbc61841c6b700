"""Photos by stick: behind everything else, good by their hash alone, and into the room there is."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from tests.unit.rooms import Room, Rooms, Village, bytes_of, note, village
from tests.unit.sticks import Stick, exported, forged, frames, gives_node, imported, space
from tests.unit.town import PHOTO, Number, Person, Replica, secrets

from commons_crdt.author import Draft
from commons_crdt.authority.standing import Standing
from commons_crdt.operation import decode_header, operation_id
from commons_node.bundles import importing
from commons_node.bundles.carried import ends_of, makers, wants_of
from commons_node.store.database import fetch
from commons_node.store.large_parts import LargePart
from commons_protocol.bundles.chunks import CHUNK, open_chunk
from commons_protocol.bundles.contents import (
    MAX_PIECE,
    End,
    Kind,
    Last,
    Piece,
    Wanted,
    decode_frame,
)
from commons_protocol.bundles.errors import BadBundle, Damaged
from commons_protocol.bundles.reader import unlock
from commons_protocol.bundles.writer import Writer
from commons_protocol.parts import PartId

VERIFIERS = 1
BOBS = "bob's node"
Put = Callable[[bytes], None]


def photo(home: Replica, who: Person, seed: int, size: int = 150_000) -> Standing:
    """Somebody adds a picture."""
    draft = Draft.fact(PHOTO, Number(seed), parts=[("picture", Random(seed).randbytes(size))])
    return home.write(who.device, draft)


async def houses(rooms: Rooms) -> tuple[Replica, Village, Room, Room]:
    """Alice's house with two pictures; bob's, who has seen none of it."""
    home, people = village()
    home.grant_node(people.bob, secrets(BOBS))
    begin = bytes_of(home)
    for seed, size in ((1, 150_000), (2, 80_000)):
        photo(home, people.eve, seed, size)
    note(home, people.eve, 3, "a word")
    alice = await rooms.open("alice", home, *bytes_of(home))
    bob = await rooms.open("bob", home, *begin)
    gives_node(home, alice)
    gives_node(home, bob, BOBS)
    return home, people, alice, bob


async def large(room: Room) -> list[LargePart]:
    return await room.realm.store.large.parts("1 ORDER BY l.length")


async def rows_of(room: Room) -> list[tuple[int, int]]:
    return list(await fetch(room.realm.store.database.read, "SELECT max(n), count(*) FROM chunks"))


async def content(room: Room) -> list[bytes | None]:
    return [await room.realm.parts.content(part) for part in await large(room)]


async def test_photos_come_by_stick_and_twice_bring_nothing(rooms: Rooms) -> None:
    _, _, alice, bob = await houses(rooms)
    stick, done = await exported(alice)
    assert (done.large_parts, done.wanted) == (2, 0)
    report = await imported(bob, stick, BOBS)
    assert (report.new, report.missing, report.damage) == (3, 0, None)
    told = report.large
    assert (told.new, told.known, told.lacking, dict(told.left)) == (2, 0, 0, {})
    assert told.bytes == 230_000 + 2 * 32
    assert await content(bob) == await content(alice)
    assert [part.own for part in await large(bob)] == [False, False], "others have them, too"
    before = await rows_of(bob)
    told = (await imported(bob, stick, BOBS)).large
    assert (told.new, told.known) == (0, 2)
    assert await rows_of(bob) == before, "nothing is written a second time"
    assert await bob.facts() == await alice.facts()


async def test_photos_stand_behind_everything_else_and_the_smaller_ones_first(
    rooms: Rooms,
) -> None:
    _, _, alice, bob = await houses(rooms)
    found = [one for _, one in frames((await exported(alice))[0], BOBS)]
    end = next(at for at, one in enumerate(found) if isinstance(one, End))
    behind = found[end + 1 :]
    assert all(isinstance(one, Piece) for one in behind[:-1])
    assert behind[-1] == Last(0, 2)
    sizes = [one.offset for one in behind if isinstance(one, Piece)]
    assert sizes == [*range(0, 80_032, MAX_PIECE), *range(0, 150_032, MAX_PIECE)]
    light, done = await exported(alice, parts_up_to=100_000)
    assert (done.large_parts, done.parts_left) == (1, 1)
    report = await imported(bob, light, BOBS)
    assert (report.large.new, report.large.lacking) == (1, 1), "and it is said what is missing"


def read_as_before(stick: Stick, by: str) -> list[int]:
    """The kinds that a program reads that knows none behind the end, by its own rules."""
    opened = unlock(bytes(stick.data[: stick.at_chunk(0)]), [secrets(by).sealing])
    kinds: list[int] = []
    number = 0
    while 6 not in kinds:
        chunk = bytes(stick.data[stick.at_chunk(number) :][:CHUNK])
        payload = open_chunk(opened.key, opened.name, number, chunk).payload
        assert payload, "no chunk before the end is without frames"
        at = 0
        while at < len(payload):
            assert 6 not in kinds, "the end is the last of its chunk"
            length = int.from_bytes(payload[at + 1 : at + 5])
            kinds.append(payload[at])
            decode_frame(payload[at], payload[at + 5 : at + 5 + length])
            at += 5 + length
        number += 1
    return kinds


async def test_an_earlier_program_reads_all_operations(rooms: Rooms) -> None:
    home, _, alice, _ = await houses(rooms)
    kinds = read_as_before((await exported(alice))[0], BOBS)
    assert kinds == sorted(kinds)
    assert set(kinds) == {1, 2, 3, 4, 5, 6}
    assert kinds.count(3) + kinds.count(4) == len(home.operations)
    assert kinds.count(5) == 1, "an operation that it has, for parts that do not come: announced"


async def test_a_bundle_of_an_earlier_program_is_whole_as_it_was(rooms: Rooms) -> None:
    home, _, _, bob = await houses(rooms)

    def fill(out: Writer, put: Put) -> None:
        for log, kind in ((0, Kind.ZERO), (1, Kind.ONE)):
            for one in bytes_of(home):
                if decode_header(one.header).log == log:
                    bare = one.__class__(one.header, one.signature, one.body, ())
                    for data in out.add(kind, bare if kind is Kind.ONE else one):
                        put(data)

    report = await imported(bob, forged(home, "alice's node", BOBS, fill), BOBS)
    assert (report.damage, report.large.new, report.large.lacking) == (None, 0, 2)


@pytest.mark.parametrize("pulled", [False, True], ids=["torn", "pulled"])
async def test_a_torn_stick_leaves_what_came_and_the_next_goes_on(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch, *, pulled: bool
) -> None:
    monkeypatch.setattr(importing, "_MARK_EVERY", 1)
    home, _, alice, bob = await houses(rooms)
    stick, _ = await exported(alice)
    assert stick.chunks == 3, "the operations, and two with photos"
    torn = Stick(stick.data[:], None) if pulled else Stick(stick.data[: stick.at_chunk(2) + 99])
    torn.pulled_at = stick.at_chunk(2) if pulled else None
    report = await imported(bob, torn, BOBS)
    assert report.damage is not None
    assert (report.new, report.missing) == (3, 0), "of the operations nothing is missing"
    assert (report.large.new, report.large.lacking) == (1, 1)
    half = (await large(bob))[1]
    assert 0 < half.have < half.length
    bob = await rooms.again(bob)  # as after kill -9
    gives_node(home, bob, BOBS)
    stick.reads = []
    rest = await imported(bob, stick, BOBS)
    assert (rest.damage, rest.large.new, rest.large.lacking) == (None, 1, 0)
    assert rest.large.bytes == half.length
    assert [at for at, _ in stick.reads].count(stick.at_chunk(1)) == 0, "it goes on where it was"
    assert await content(bob) == await content(alice)


async def test_a_file_that_ends_right_behind_the_operations_is_torn(rooms: Rooms) -> None:
    _, _, alice, bob = await houses(rooms)
    stick, _ = await exported(alice)
    report = await imported(bob, Stick(stick.data[: stick.at_chunk(1)]), BOBS)
    assert report.damage is not None
    assert report.damage.code == "bundle_truncated"
    assert (report.new, report.large.lacking) == (3, 2)


async def test_photos_go_into_the_room_that_there_is(rooms: Rooms) -> None:
    _, _, alice, bob = await houses(rooms)
    stick, _ = await exported(alice)
    told = (await imported(bob, stick, BOBS, space(quota=100_000))).large
    assert (told.new, dict(told.left), told.lacking) == (1, {"quota": 1}, 1)
    told = (await imported(bob, stick, BOBS, space(fits=lambda _missing: False))).large
    assert (told.new, dict(told.left)) == (0, {"disk": 1}), "the reserve of the disk is left alone"
    told = (await imported(bob, stick, BOBS)).large
    assert (told.new, told.known, told.lacking) == (1, 1, 0)


async def test_who_makes_a_bundle_asks_for_the_photos_it_has_not(rooms: Rooms) -> None:
    """Bob has heard of a photo that never came; alice's next stick for him has it."""
    _, _, alice, bob = await houses(rooms)
    light, _ = await exported(alice, parts_up_to=100_000)
    await imported(bob, light, BOBS)
    back, done = await exported(bob)
    assert done.wanted == 1
    assert [one for _, one in frames(back, "alice's node") if isinstance(one, Wanted)]
    await imported(alice, back, "alice's node")
    (maker,) = await makers(alice.realm)
    known = {maker.device: await ends_of(alice.realm, maker.device)}
    asked = await wants_of(alice.realm, maker.device)
    delta, done = await exported(alice, for_ends=known, for_wants=frozenset(asked))
    assert (done.operations, done.large_parts) == (0, 1), "nothing but what he asked for"
    assert (await imported(bob, delta, BOBS)).large.new == 1
    assert await content(bob) == await content(alice)
    back, done = await exported(bob)
    assert done.wanted == 0
    await imported(alice, back, "alice's node")
    assert await wants_of(alice.realm, maker.device) == set(), "he asks for nothing any more"


async def test_what_was_erased_neither_goes_nor_comes(rooms: Rooms) -> None:
    home, people, alice, bob = await houses(rooms)
    before, _ = await exported(alice)
    first = next(one for one in home.standings.values() if one.kind == PHOTO)
    home.erase(people.eve, first)
    await alice.take(bytes_of(home)[-1])
    await bob.take(*bytes_of(home))
    _, done = await exported(alice)
    assert done.large_parts == 1
    told = (await imported(bob, before, BOBS)).large
    assert (told.known, dict(told.left)) == (1, {"unknown": 1}), "an old stick brings nothing back"


def _holding(home: Replica, *pieces: Piece) -> Callable[[Writer, Put], None]:
    def fill(out: Writer, put: Put) -> None:
        ops = bytes_of(home)
        for log, kind in ((0, Kind.ZERO), (1, Kind.ONE)):
            for one in ops:
                if decode_header(one.header).log == log and decode_header(one.header).kind != PHOTO:
                    for data in out.add(kind, one):
                        put(data)
        for data in (*out.announce(ops[0]), *out.end()):
            put(data)
        for piece in pieces:
            for data in out.piece(piece):
                put(data)
        out.end = lambda: out.last(0, len(pieces))  # type: ignore[method-assign]

    return fill


async def test_wrong_bytes_are_dropped_and_say_nothing_of_who_wrote_the_photo(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, people, alice, bob = await houses(rooms)
    home.grant_node(people.eve, secrets("eve's node"))
    await alice.take(*bytes_of(home))
    (small, _) = await large(alice)
    key = PartId(small.operation, small.hash)
    await bob.take(*(one.__class__(one.header, one.signature, one.body, (None,) * len(one.parts))
                     for one in bytes_of(home)))  # fmt: skip
    lies = [Piece(*key, at, b"x" * min(MAX_PIECE, small.length - at))
            for at in range(0, small.length, MAX_PIECE)]  # fmt: skip
    told = (
        await imported(bob, forged(home, "eve's node", BOBS, _holding(home, *lies)), BOBS)
    ).large
    assert (told.new, dict(told.left)) == (0, {"wrong": 1})
    assert [part.have for part in await large(bob)] == [0, 0], "none of it is kept"
    for bad, why in (
        ([Piece(*key, 5, b"x")], "broken"),
        ([Piece(*key, 0, b"x")], "broken"),
        ([*lies[:-1], Piece(*key, lies[-1].offset, b"x" * MAX_PIECE)], "wrong"),
        ([Piece(bytes(32), bytes(32), 0, b"x")], "unknown"),
    ):
        stick = forged(home, "eve's node", BOBS, _holding(home, *bad))
        assert dict((await imported(bob, stick, BOBS)).large.left) == {why: 1}
    stick, _ = await exported(alice)
    assert (await imported(bob, stick, BOBS)).large.new == 2, "an honest stick is believed"
    monkeypatch.setattr(importing, "JUNK", 20)
    junk = [Piece(n.to_bytes(32), bytes(32), 0, b"x") for n in range(1, 200)]
    stick = forged(home, "eve's node", BOBS, _holding(home, *junk))
    with pytest.raises(BadBundle) as caught:
        await imported(bob, stick, BOBS)
    assert caught.value.code == "bundle_junk"


@pytest.mark.parametrize("kind", [7, 8, 9])
async def test_what_belongs_behind_the_end_stands_nowhere_else(rooms: Rooms, kind: int) -> None:
    home, _, _, bob = await houses(rooms)
    frame = {
        7: b"\x81\x82\x58\x20" + bytes(32) + b"\x58\x20" + bytes(32),
        8: b"\x84\x58\x20" + bytes(32) + b"\x58\x20" + bytes(32) + b"\x00\x41x",
        9: b"\x82\x00\x00",
    }[kind]
    assert decode_frame(kind, frame) is not None

    def fill(out: Writer, _put: Put) -> None:
        out._payload += bytes([kind]) + len(frame).to_bytes(4) + frame

    report = await imported(bob, forged(home, "alice's node", BOBS, fill), BOBS)
    assert isinstance(report.damage, Damaged)
    assert report.damage.code == "bundle_order"


async def test_the_writer_keeps_the_order(rooms: Rooms) -> None:
    home, _, _, _ = await houses(rooms)
    ident = operation_id(bytes_of(home)[0].header)

    def fill(out: Writer, _put: Put) -> None:
        with pytest.raises(ValueError, match="order"):
            list(out.wanted([PartId(ident, bytes(32))]))

    forged(home, "alice's node", BOBS, fill)
