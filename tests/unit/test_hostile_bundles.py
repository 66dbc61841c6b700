"""A member who makes bundles by no rule: refused within bounds, and nothing of it stays."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.unit.rooms import Rooms, Village, bytes_of, note, village
from tests.unit.sticks import exported, forged, gives_node, imported
from tests.unit.town import Replica, person, resign, secrets, town

from commons_crdt.operation import Operation, decode_header, operation_id
from commons_node.bundles import importing
from commons_protocol.bundles.chunks import CHUNK
from commons_protocol.bundles.contents import Kind
from commons_protocol.bundles.errors import BadBundle
from commons_protocol.bundles.writer import Writer

VERIFIERS = 1
BOBS = "bob's node"
Put = Callable[[bytes], None]


@pytest.fixture
def houses() -> tuple[Replica, Village]:
    home, people = village()
    home.grant_node(people.bob, secrets(BOBS))
    home.grant_node(people.eve, secrets("eve's node"))
    return home, people


def holding(operations: list[Operation]) -> Callable[[Writer, Put], None]:
    def fill(out: Writer, put: Put) -> None:
        for log, kind in ((0, Kind.ZERO), (1, Kind.ONE)):
            for one in operations:
                if decode_header(one.header).log == log:
                    for data in out.add(kind, one):
                        put(data)

    return fill


async def test_forged_operations_are_named_and_not_stored(
    rooms: Rooms, houses: tuple[Replica, Village]
) -> None:
    home, people = houses
    begin = bytes_of(home)
    note(home, people.eve, 1)
    true = bytes_of(home)[-1]
    note(home, people.alice, 2)
    forged_one = resign(bytes_of(home)[-1], people.eve.device)
    bob = await rooms.open("bob", home, *begin)
    stick = forged(home, "eve's node", BOBS, holding([*begin, true, forged_one]))
    report = await imported(bob, stick, BOBS)
    assert report.new == 1
    ((which, why),) = report.turned
    assert (which, why) == (operation_id(forged_one.header), "signature")
    assert await bob.said(which) == [None]


async def test_junk_without_end_is_given_up(
    rooms: Rooms, houses: tuple[Replica, Village], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Her file is as long as she likes; it is not read to its end."""
    monkeypatch.setattr(importing, "JUNK", 20)
    monkeypatch.setattr(importing, "BATCH_OPERATIONS", 50)
    home, people = houses
    begin = bytes_of(home)
    note(home, people.alice, 1, "x" * 500)
    one = bytes_of(home)[-1]
    junk = [resign(one, people.eve.device, lamport=n, body_length=n) for n in range(50, 800)]
    stick = forged(home, "eve's node", BOBS, holding([*begin, *junk]))
    bob = await rooms.open("bob", home, *begin)
    with pytest.raises(BadBundle) as caught:
        await imported(bob, stick, BOBS)
    assert caught.value.code == "bundle_junk"
    assert stick.chunks > 3
    assert max(at for at, _ in stick.reads) < stick.at_chunk(3)
    assert await bob.said(operation_id(junk[0].header)) == [None]


async def test_another_communitys_operations_are_refused(
    rooms: Rooms, houses: tuple[Replica, Village]
) -> None:
    home, people = houses
    begin = bytes_of(home)
    other = town((("budget.newcomer.capacity", 40),))
    other.welcome("eve")
    note(other, people.eve, 7)
    foreign = bytes_of(other)
    bob = await rooms.open("bob", home, *begin)
    stick = forged(home, "eve's node", BOBS, holding([*begin, *foreign]))
    report = await imported(bob, stick, BOBS)
    assert report.new == 0
    assert dict(report.refused) == {"realm": len(foreign)}
    whole = forged(home, "eve's node", BOBS, holding(foreign), realm=other.realm)
    with pytest.raises(BadBundle, match="another community"):
        await imported(bob, whole, BOBS)


async def test_operations_of_unknown_devices_are_refused(
    rooms: Rooms, houses: tuple[Replica, Village]
) -> None:
    home, _ = houses
    begin = bytes_of(home)
    island = home.island("elsewhere")
    stranger = person("mallory")
    island.welcome("mallory")
    note(island, stranger, 1)
    strange = bytes_of(island)[-1]
    bob = await rooms.open("bob", home, *begin)
    stick = forged(home, "eve's node", BOBS, holding([*begin, strange]))
    report = await imported(bob, stick, BOBS)
    assert dict(report.refused) == {"stranger": 1}
    assert await bob.said(operation_id(strange.header)) == [None]


async def test_a_doubled_place_is_a_fork_as_on_the_network(
    rooms: Rooms, houses: tuple[Replica, Village]
) -> None:
    home, people = houses
    begin = bytes_of(home)
    island = home.island("eve's other machine")
    note(home, people.eve, 1)
    note(island, people.eve, 2)
    bob = await rooms.open("bob", home, *begin, bytes_of(home)[-1])
    assert not bob.realm.judge.forks
    stick = forged(island, "eve's node", BOBS, holding(bytes_of(island)))
    await imported(bob, stick, BOBS)
    assert bob.realm.judge.forks == {(people.eve.device.keys.id, 1): 1}


async def test_nothing_larger_than_a_chunk_is_asked_of_the_file(
    rooms: Rooms, houses: tuple[Replica, Village]
) -> None:
    home, people = houses
    begin = bytes_of(home)
    for n in range(400):
        note(home, people.eve, n, "x" * 500)
    alice = await rooms.open("alice", home, *bytes_of(home))
    gives_node(home, alice)
    stick, _ = await exported(alice)
    bob = await rooms.open("bob", home, *begin)
    await imported(bob, stick, BOBS)
    assert max(count for _, count in stick.reads) <= CHUNK
    assert len(stick.reads) < stick.chunks + 4, "each once"
