"""A community as a file: what was written is verified from its bytes alone, and nothing else is."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzz.vectors import vectors
from tests.unit.rooms import VIEWS, Room, Rooms, bytes_of, note, page, retitle, village
from tests.unit.test_realm_pruning import Story, grown, pruned
from tests.unit.town import RULES

from commons_crdt.operation import Operation, operation_id
from commons_node.archive.format import BadArchive, Head, Reader, Writer
from commons_node.archive.verifying import verify_archive
from commons_node.archive.writing import write_archive


async def archived(room: Room, name: str = "town.archive") -> Path:
    path = room.path.with_name(name)
    await write_archive(room.realm, path)
    return path


async def verified(rooms: Rooms, path: Path) -> Any:
    return await verify_archive(path, RULES, VIEWS, rooms.pool)


def read(data: bytes) -> tuple[Head, list[Operation]]:
    reader = Reader(io.BytesIO(data))
    return reader.head, list(reader.operations())


def written(head: Head, operations: list[Operation]) -> bytes:
    """An archive of version 1, as somebody might write it who is no node of ours."""
    out = io.BytesIO()
    writer = Writer(out, head, 1)
    for operation in operations:
        writer.add(operation)
    writer.close()
    writer.end()
    return out.getvalue()


async def test_what_a_node_wrote_is_verified_without_it(rooms: Rooms) -> None:
    home, people = village()
    first = page(home, people.alice, "Tools")
    retitle(home, people.bob, first, "Our tools")
    erased = note(home, people.eve, 3)
    home.erase(people.eve, erased)
    room = await rooms.open("a", home, *bytes_of(home))
    path = await archived(room)
    of_set, of_state = await room.realm.hashes()
    found = await verified(rooms, path)
    assert (found["set_hash"], found["state_hash"]) == (of_set.hex(), of_state.hex())
    assert found["operations"] == len(home.operations)
    assert path.stat().st_mode & 0o777 == 0o600, "it is in plain, like the node's own file"
    assert not [p for p in path.parent.iterdir() if p.suffix == ".part"]


async def test_after_pruning_it_still_verifies(rooms: Rooms) -> None:
    """And so does the archive of who did not prune: both say the same set and state."""
    story = Story()
    room = await grown(rooms, "a", story)
    hoarder = await grown(rooms, "hoarder", story, prune=False)
    assert await pruned(room) == 5
    small, large = await archived(room, "small"), await archived(hoarder, "large")
    one, two = await verified(rooms, small), await verified(rooms, large)
    assert two["operations"] - one["operations"] == 5
    assert (one["set_hash"], one["state_hash"]) == (two["set_hash"], two["state_hash"])
    assert one["council_acts"] == 1


async def test_the_archive_is_of_one_moment(rooms: Rooms) -> None:
    """What is written while the file is written is not in it."""
    home, people = village()
    room = await rooms.open("a", home, *bytes_of(home))
    known = len(home.operations)
    taken = 0

    async def more() -> None:
        nonlocal taken
        note(home, people.eve, taken)
        taken += (await room.take(*bytes_of(home)[-1:])).new

    path = room.path.with_name("moment")
    writing = asyncio.create_task(write_archive(room.realm, path))
    for _ in range(5):
        await more()
    await writing
    assert taken == 5
    found = await verified(rooms, path)
    assert known <= found["operations"] <= known + 5


Forgery = Callable[[Head, list[Operation]], tuple[Head, list[Operation]]]


def _without_one(head: Head, ones: list[Operation]) -> tuple[Head, list[Operation]]:
    return _head(head, operations=len(ones) - 1), ones[:-1]


def _head(head: Head, **changes: Any) -> Head:
    return msgspec.structs.replace(head, **changes)


def _swapped(head: Head, ones: list[Operation]) -> tuple[Head, list[Operation]]:
    return head, [*ones[:-2], ones[-1], ones[-2]]


def _signed_by_nobody(head: Head, ones: list[Operation]) -> tuple[Head, list[Operation]]:
    last = ones[-1]
    return head, [*ones[:-1], Operation(last.header, bytes(64), last.body, last.parts)]


def _other_body(head: Head, ones: list[Operation]) -> tuple[Head, list[Operation]]:
    last = ones[-1]
    body = (last.body or b"")[:-1] + b"\x07"
    return head, [*ones[:-1], Operation(last.header, last.signature, body, last.parts)]


def _twice(head: Head, ones: list[Operation]) -> tuple[Head, list[Operation]]:
    return _head(head, operations=len(ones) + 1), [*ones, ones[-1]]


FORGERIES: dict[str, tuple[str, Forgery]] = {
    "one is left out": ("archive_set", _without_one),
    "two are swapped": ("archive_order", _swapped),
    "one is there twice": ("archive_order", _twice),
    "one is signed by nobody": ("archive_operation", _signed_by_nobody),
    "one has another body": ("archive_operation", _other_body),
    "another state": ("archive_state", lambda h, o: (_head(h, state_hash=bytes(32)), o)),
    "another set": ("archive_set", lambda h, o: (_head(h, set_hash=bytes(32)), o)),
    "another council": (
        "archive_council",
        lambda h, o: (_head(h, chain=(*h.chain, bytes(32))), o),
    ),
}


@pytest.mark.parametrize("name", FORGERIES)
async def test_who_writes_the_hash_anew_is_found_out_by_what_it_holds(
    rooms: Rooms, name: str
) -> None:
    code, forge = FORGERIES[name]
    home, people = village()
    for n in range(3):
        note(home, people.eve, n)
    room = await rooms.open("a", home, *bytes_of(home))
    path = await archived(room)
    head, operations = read(path.read_bytes())
    path.write_bytes(written(*forge(head, operations)))
    with pytest.raises(BadArchive) as caught:
        await verified(rooms, path)
    assert caught.value.code == code, caught.value


@pytest.fixture(scope="module")
def whole() -> bytes:
    home, people = village()
    note(home, people.eve, 1)
    ops = bytes_of(home)
    realm = bytes(home.realm)
    return written(Head(realm, realm, (realm,), len(ops), bytes(32), bytes(32)), ops)


@given(data=st.data())
@settings(deadline=None, max_examples=150)
def test_torn_flipped_and_shuffled_bytes_are_refused_with_a_code(
    whole: bytes, data: st.DataObject
) -> None:
    how = data.draw(st.sampled_from(["cut", "flip", "grow", "swap"]))
    at = data.draw(st.integers(0, len(whole) - 1))
    if how == "cut":
        bad = whole[:at]
    elif how == "flip":
        bit = 1 << data.draw(st.integers(0, 7))
        bad = whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :]
    elif how == "grow":
        bad = whole + data.draw(st.binary(min_size=1, max_size=40))
    else:
        other = data.draw(st.integers(0, len(whole) - 1).filter(lambda n: whole[n] != whole[at]))
        swapped = bytearray(whole)
        swapped[at], swapped[other] = swapped[other], swapped[at]
        bad = bytes(swapped)
    with pytest.raises(BadArchive) as caught:
        read(bad)
    assert caught.value.code.startswith("archive_")


def test_the_vectors_are_read_and_refused_as_they_say() -> None:
    found = vectors("archive")
    head, operations = read(bytes.fromhex(found["file"]))
    assert [operation_id(op.header).hex() for op in operations] == found["operations"]
    assert (head.realm.hex(), head.set_hash.hex()) == (found["realm"], found["set_hash"])
    assert written(head, operations).hex() == found["file"]
    for bad in found["bad"]:
        with pytest.raises(BadArchive) as caught:
            read(bytes.fromhex(bad["file"]))
        assert caught.value.code == bad["code"], bad["name"]


def test_the_file_is_read_a_frame_at_a_time(whole: bytes) -> None:
    """However large the file says its frames are: nothing is allocated that is not there."""

    class Source(io.BytesIO):
        most = 0

        def read(self, size: int | None = -1, /) -> bytes:
            assert size is not None
            assert size >= 0, "never the rest of the file"
            self.most = max(self.most, size)
            return super().read(size)

    source = Source(whole)
    assert len(list(Reader(source).operations())) > 5
    assert source.most < 1 << 16
    lying = whole[:16] + b"\xff\xff\xff\xff" + whole[20:]
    with pytest.raises(BadArchive) as caught:
        read(lying)
    assert caught.value.code == "archive_size"
