"""Houses that meet by stick only: what is carried amounts to the same, whatever happens to it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.unit.rooms import Room, Rooms, Village, bytes_of, note, page, retitle, village
from tests.unit.sticks import Stick, exported, forged, frames, gives_node, imported
from tests.unit.tales import TALES, removal
from tests.unit.town import DAY_MS, Replica, secrets

from commons_crdt.operation import Operation, operation_id
from commons_node.bundles import importing
from commons_node.bundles.carried import ends_of, makers, missing_of
from commons_node.bundles.exporting import NotStanding
from commons_node.bundles.standing_with import standing_with
from commons_node.community import Community
from commons_protocol.bundles.contents import Kind
from commons_protocol.bundles.errors import BadBundle
from commons_protocol.status import SyncStatus

VERIFIERS = 1
BOBS = "bob's node"
Tale = Callable[[], tuple[Replica, Village]]


def houses() -> tuple[Replica, Village]:
    """The village; bob has a node, too."""
    home, people = village()
    home.grant_node(people.bob, secrets(BOBS))
    return home, people


async def two(rooms: Rooms, home: Replica, begin: int) -> tuple[Room, Room]:
    """Alice's house with everything, bob's with the first ``begin`` operations."""
    ops = bytes_of(home)
    alice, bob = await rooms.open("alice", home, *ops), await rooms.open("bob", home, *ops[:begin])
    gives_node(home, alice)
    if begin > 2:
        gives_node(home, bob, BOBS)
    return alice, bob


async def test_a_stick_makes_two_houses_equal(rooms: Rooms) -> None:
    home, people = houses()
    begin = len(home.operations)
    first = page(home, people.alice, "Tools")
    retitle(home, people.bob, first, "Our tools")
    erased = note(home, people.eve, 3, "my words")
    home.erase(people.eve, erased)
    alice, bob = await two(rooms, home, begin)
    stick, done = await exported(alice)
    assert done.operations == len(home.operations)
    assert done.bytes == stick.size
    report = await imported(bob, stick, BOBS)
    assert (report.read, report.new, report.known) == (done.operations, 4, begin)
    assert not report.turned
    assert report.missing == 0
    assert await bob.facts() == await alice.facts(), "by stick as by any other way"
    again = await imported(bob, stick, BOBS)
    assert (again.new, again.known) == (0, done.operations), "the same stick brings nothing twice"


@pytest.mark.parametrize("tale", TALES, ids=lambda tale: tale.__name__)
async def test_every_tale_by_stick_is_the_same_tale(rooms: Rooms, tale: Tale) -> None:
    """Forks, removals, erasures: one function gives the verdict, whatever way they came."""
    home, people = tale()
    home = home.island("stick")
    home.grant_node(people.alice, secrets("alice's second"))
    alice = await rooms.open("alice", home, *bytes_of(home))
    gives_node(home, alice)
    stick, done = await exported(alice)
    assert done.devices >= 3
    bob = await rooms.open("bob", home, *bytes_of(home)[:1])
    report = await imported(bob, stick, "alice's second")
    assert await bob.facts() == await alice.facts()
    assert report.missing == 0


async def test_what_comes_first_in_a_bundle(rooms: Rooms) -> None:
    """Authority, then the rest, then what is large: a removal is not behind a thousand photos."""
    home, people = houses()
    for n in range(3):
        note(home, people.eve, n, "x" * 60 * n)
    alice, _ = await two(rooms, home, 1)
    stick, _ = await exported(alice)
    kinds = [kind for kind, _ in frames(stick, BOBS)]
    assert kinds[0] is None, "what it says of itself, with the pin"
    sections = [kind for kind in kinds if kind is not None]
    assert sections == sorted(sections)
    assert set(sections) >= {Kind.ZERO, Kind.ONE}


async def test_large_parts_come_last_and_may_stay_behind(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commons_node.bundles.exporting.SMALL_PARTS", 50)
    home, people = houses()
    begin = len(home.operations)
    note(home, people.eve, 1, "a long story" * 5)
    alice, bob = await two(rooms, home, begin)
    light, done = await exported(alice, parts_up_to=60)
    assert done.parts_left == 1
    assert not [f for kind, f in frames(light, BOBS) if kind is Kind.PARTS]
    assert (await imported(bob, light, BOBS)).new == 1
    stick, done = await exported(alice)
    assert done.parts_left == 0
    kinds = [kind for kind, _ in frames(stick, BOBS)]
    assert kinds[-2] is Kind.PARTS
    await imported(bob, stick, BOBS)
    assert await bob.everything() == await alice.everything(), "the words came behind the facts"


async def test_only_who_stood_when_it_was_made_opens_it(rooms: Rooms) -> None:
    home, people = houses()
    alice, _ = await two(rooms, home, 1)
    before, _ = await exported(alice)
    home.write(people.alice.device, removal(home, people.bob))
    await alice.take(*bytes_of(home))
    after, done = await exported(alice)
    assert frames(before, BOBS), "what he could have had when it was made is no secret from him"
    with pytest.raises(BadBundle, match="not for this node"):
        frames(after, BOBS)
    with pytest.raises(BadBundle, match="not for this node"):
        frames(after, "somebody else")
    assert done.devices < len(after.slots)


async def test_a_pulled_stick_leaves_what_was_read_and_the_next_goes_on(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "_MARK_EVERY", 1)
    home, people = houses()
    begin = len(home.operations)
    for n in range(450):
        note(home, people.eve, n, "x" * 500)
    alice, bob = await two(rooms, home, begin)
    stick, done = await exported(alice)
    stick.pulled_at = stick.at_chunk(2)
    report = await imported(bob, stick, BOBS)
    assert report.damage is not None
    assert report.damage.code == "bundle_unreadable"
    assert 0 < report.new < 450
    assert report.missing == 450 - report.new, "it says exactly what is not here"
    (gap,) = report.gaps
    assert (gap.device, gap.first, gap.last) == (people.eve.device.keys.id, report.new + 1, 450)
    stick.pulled_at, stick.reads = None, []
    bob = await rooms.again(bob)  # as after kill -9
    gives_node(home, bob, BOBS)
    rest = await imported(bob, stick, BOBS)
    assert rest.skipped > 0, "it goes on where it was"
    assert rest.skipped + rest.read == done.operations
    assert (rest.missing, rest.damage) == (0, None)
    assert await bob.facts() == await alice.facts()
    whole = await imported(bob, stick, BOBS)
    assert (whole.skipped, whole.new) == (0, 0), "and then from its beginning again"


@pytest.mark.parametrize(
    ("how", "code"), [("torn", "bundle_truncated"), ("bent", "bundle_damaged")]
)
async def test_what_stands_before_the_damage_is_taken(rooms: Rooms, how: str, code: str) -> None:
    home, people = houses()
    begin = len(home.operations)
    for n in range(260):
        note(home, people.eve, n, "x" * 500)
    alice, bob = await two(rooms, home, begin)
    stick, _ = await exported(alice)
    at = stick.at_chunk(1) + 500
    if how == "torn":
        del stick.data[at:]
    else:
        stick.data[at] ^= 1
    report = await imported(bob, stick, BOBS)
    assert report.damage is not None
    assert (report.damage.code, report.damaged_at) == (code, stick.at_chunk(1))
    assert report.new > 0
    assert report.new + report.missing == 260


async def test_what_a_bundle_told_is_said_with_its_day(rooms: Rooms) -> None:
    """Never synced by a letter: what somebody had, as of that day, and what to do."""
    home, people = houses()
    begin = len(home.operations)
    for n in range(260):
        note(home, people.eve, n, "x" * 500)
    alice, bob = await two(rooms, home, begin)
    stick, _ = await exported(alice)
    torn = Stick(stick.data[: stick.at_chunk(1) + 500])

    async def stands() -> SyncStatus:
        (maker,) = await makers(bob.realm)
        return await standing_with(Community(bob.realm), maker)

    report = await imported(bob, torn, BOBS)
    said = await stands()
    assert (said.code, said.state) == ("bundle_behind", "behind")
    assert said.missing == said.count == report.missing > 0
    await imported(bob, stick, BOBS)
    said = await stands()
    assert (said.code, said.state, said.missing) == ("bundle_even", "unknown", 0)
    assert said.detail in said.reason, "as of which day"
    one = note(home, people.eve, 999)
    await bob.take(home.operations[one.id])
    said = await stands()
    assert (said.code, said.count) == ("bundle_lacked", 1)
    assert "bundle export FILE --for" in said.action("f" * 64)


async def test_a_delta_holds_what_somebody_lacks(rooms: Rooms) -> None:
    home, people = houses()
    begin = len(home.operations)
    alice, bob = await two(rooms, home, begin)
    for n in range(3):
        note(home, people.eve, n)
    await bob.take(*bytes_of(home))
    back, _ = await exported(bob)
    assert (await imported(alice, back, "alice's node")).new == 3
    (maker,) = await makers(alice.realm)
    assert maker.created_ms == bob.now
    for n in range(2):
        note(home, people.eve, n)
    note(home, people.alice, 5)
    await alice.take(*bytes_of(home))
    for_bob = {maker.device: await ends_of(alice.realm, maker.device)}
    delta, done = await exported(alice, for_ends=for_bob)
    assert done.operations == 3
    report = await imported(bob, delta, BOBS)
    assert (report.read, report.new, report.missing) == (3, 3, 0)
    assert await bob.facts() == await alice.facts()
    assert await missing_of(alice.realm, maker.device) == 0


async def test_a_delta_for_who_has_a_fork_or_nothing_is_whole(rooms: Rooms) -> None:
    home, people = houses()
    note(home, people.eve, 1)
    island = home.island("eve's other machine")
    note(home, people.eve, 2)
    note(island, people.eve, 3)
    home.meet(island)
    begin = len(home.operations)
    alice, bob = await two(rooms, home, begin)
    assert alice.realm.judge.forks
    stick, _ = await exported(bob)
    await imported(alice, stick, "alice's node")
    (maker,) = await makers(alice.realm)
    for_bob = {maker.device: await ends_of(alice.realm, maker.device)}
    _, done = await exported(alice, for_ends=for_bob)
    assert 0 < done.operations < begin, "of a forked chain everything from the fork on"
    _, done = await exported(alice, for_ends={maker.device: [], secrets("x").keys.id: []})
    assert done.operations == begin


async def test_since_a_day_is_closed(rooms: Rooms) -> None:
    home, people = houses()
    note(home, people.eve, 1)
    await_day = home.now_ms + DAY_MS
    home.now_ms = await_day
    begin = len(home.operations)
    note(home, people.eve, 2)
    note(home, people.bob, 3)
    alice, bob = await two(rooms, home, begin)
    stick, done = await exported(alice, since_ms=await_day)
    ones = [f for kind, f in frames(stick, BOBS) if kind is Kind.ONE]
    assert len(ones) == 2
    assert done.operations > 2, "all of log 0 is in it"
    report = await imported(bob, stick, BOBS)
    assert (report.new, report.missing) == (2, 0)
    fresh = await rooms.open("cia", home, *bytes_of(home)[:2])
    report = await imported(fresh, stick, BOBS)
    assert report.missing >= 1, "who lacks what was before is told so"
    none, _ = await exported(alice, since_ms=await_day + 9 * DAY_MS)
    assert not [f for kind, f in frames(none, BOBS) if kind is Kind.ONE]


async def test_a_time_that_has_not_come_is_held_as_live(rooms: Rooms) -> None:
    home, people = houses()
    begin = len(home.operations)
    alice, bob = await two(rooms, home, begin)
    home.now_ms += 3 * DAY_MS
    note(home, people.eve, 1)
    alice.now = home.now_ms
    await alice.take(*bytes_of(home))
    stick, _ = await exported(alice)
    report = await imported(bob, stick, BOBS)
    assert (report.new, dict(report.held)) == (0, {"clock": 1})
    bob.now = home.now_ms
    await bob.realm.tick()
    assert await bob.facts() == await alice.facts()


async def test_an_old_stick_is_taken_only_when_asked_twice(rooms: Rooms) -> None:
    home, people = houses()
    begin = len(home.operations)
    note(home, people.eve, 1)
    alice, bob = await two(rooms, home, begin)
    stick, _ = await exported(alice, lifetime_ms=DAY_MS)
    bob.now += 3 * DAY_MS
    with pytest.raises(BadBundle, match="its time was over 2 days ago") as caught:
        await imported(bob, stick, BOBS)
    assert caught.value.code == "bundle_expired"
    assert (await imported(bob, stick, BOBS, even_expired=True)).new == 1


async def test_an_older_bundle_does_not_make_its_maker_younger(rooms: Rooms) -> None:
    home, people = houses()
    begin = len(home.operations)
    alice, bob = await two(rooms, home, begin)
    old, _ = await exported(alice)
    note(home, people.eve, 1)
    await alice.take(*bytes_of(home))
    alice.now += DAY_MS
    new, _ = await exported(alice)
    await imported(bob, new, BOBS)
    (maker,) = await makers(bob.realm)
    assert maker.created_ms == bob.now < alice.now, "nobody is known later than now"
    bob.now = alice.now
    await imported(bob, new, BOBS)
    await imported(bob, old, BOBS)
    (maker,) = await makers(bob.realm)
    assert maker.created_ms == alice.now


async def test_who_does_not_stand_makes_none_and_is_not_believed(rooms: Rooms) -> None:
    home, people = houses()
    begin = len(home.operations)
    note(home, people.eve, 1)
    alice, bob = await two(rooms, home, begin)
    ops = bytes_of(home)
    eves = forged(home, "eve's node", BOBS, lambda w, put: _put_all(w, put, ops))
    with pytest.raises(BadBundle) as caught:
        await imported(bob, eves, BOBS)
    assert caught.value.code == "bundle_maker"
    assert await bob.said(operation_id(ops[-1].header)) == [None], "log 1 was not even looked at"
    assert await makers(bob.realm) == []
    alice.realm.own_credential = None
    with pytest.raises(NotStanding):
        await exported(alice)


def _put_all(writer: object, put: object, operations: list[Operation]) -> None:
    from commons_crdt.operation import decode_header

    for log, kind in ((0, Kind.ZERO), (1, Kind.ONE)):
        for one in operations:
            if decode_header(one.header).log == log:
                for data in writer.add(kind, one):  # type: ignore[attr-defined]
                    put(data)  # type: ignore[operator]
