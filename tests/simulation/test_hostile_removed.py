"""Eve is removed, and her old node does not want to know: nothing of it reaches anybody."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace
from tests.simulation.talk import Talk, asks_once, meet, stand
from tests.unit.rooms import (
    HOUR_MS,
    Room,
    Rooms,
    Village,
    bytes_of,
    ident,
    note,
    page,
    retitle,
    village,
)
from tests.unit.tales import lift, position, removal
from tests.unit.town import LOAN, NOTE, Number, Person, Replica, Ticket, person, secrets

from commons_crdt.author import Draft, Place, compose
from commons_crdt.authority.facts import Revocation
from commons_crdt.authority.judge import Standing
from commons_crdt.authority.kinds import REVOCATION
from commons_crdt.ids import DocumentId
from commons_crdt.operation import Operation, decode_header, operation_id
from commons_node.store.realm_store import Stored
from commons_protocol import wire
from commons_protocol.effects import Effect
from commons_protocol.replica import Ingested
from commons_protocol.sync import RealmSync

VERIFIERS = 1


def town_of_nodes() -> tuple[Replica, Village]:
    """Everybody has a node."""
    home, people = village()
    for who in people[1:]:
        home.grant_node(who, secrets(f"{who.name}'s node"))
    note(home, people.eve, 1)
    return home, people


async def at(rooms: Rooms, name: str, home: Replica, *operations: Operation) -> Room:
    """The room of somebody's node, that has heard all of ``home`` and these."""
    room = await rooms.open(name, home, *bytes_of(home), *operations)
    await stand(room, secrets(f"{name}'s node"))
    return room


def behind(home: Replica, people: Village, count: int) -> list[Operation]:
    """What eve writes on her island, seen by nobody."""
    island = home.island("eve's island")
    for n in range(count):
        note(island, people.eve, n)
        island.invite(people.eve, f"friend {n}")
    return [op for i, op in island.operations.items() if i not in home.operations]


async def kept(room: Room, operations: list[Operation]) -> int:
    """How many of these a room has stored."""
    return sum(one is not None for one in await room.said(*map(ident, operations)))


async def test_her_old_node_is_served_no_more(rooms: Rooms) -> None:
    home, people = town_of_nodes()
    hers = behind(home, people, 5)
    eves = await at(rooms, "eve", home, *hers)
    home.write(people.alice.device, removal(home, people.eve))
    alices = await at(rooms, "alice", home)
    talk = await Talk(eves, alices).begin()
    assert not talk.l.session.proven, "her node's log has ended with hers"
    assert not set(map(ident, hers)) & set(talk.told(alices)), "she shows her grant, and no more"


async def test_what_reaches_a_node_through_somebody_who_had_not_heard_is_not_kept(
    rooms: Rooms,
) -> None:
    """Eve still reaches bob, bob reaches alice: alice's removal comes back, eve's acts do not."""
    home, people = town_of_nodes()
    hers = behind(home, people, 40)
    bobs = await at(rooms, "bob", home, *hers)
    before = len(await bobs.everything())
    home.write(people.alice.device, removal(home, people.eve))
    alices = await at(rooms, "alice", home)
    talk = await meet(alices, bobs)
    assert talk.converged
    assert await alices.facts() == await bobs.facts()
    assert await kept(alices, hers) == 1, "alice keeps nothing of it but the next of her log 0"
    ones = {ident(one) for one in hers if decode_header(one.header).log}
    assert not ones & set(talk.told(alices)), "of log 1 nothing was even asked for"
    assert len(await bobs.everything()) == before + 1, "bob keeps what he had, and tells nobody"
    cias = await at(rooms, "cia", home)
    talk = await meet(bobs, cias)
    assert not set(map(ident, hers)) & set(talk.told(cias)), "not even offered"
    for one, other in ((alices, bobs), (bobs, cias), (cias, alices)):
        assert await asks_once(one, other), "equal, whatever else they hold"
    await talk.push(talk.d, hers[:2])
    assert talk.told(cias)[-2:] == [ident(one) for one in hers[:2]], "pushed all the same"
    assert await kept(cias, hers) == 2, "again the next of each log, which could prove a fork"
    await talk.push(talk.d, hers[2:20])
    assert await kept(cias, hers) == 2
    assert cias.realm.refusals["ended"] == 18
    assert await asks_once(bobs, cias)


async def test_a_lift_brings_back_what_was_not_kept(rooms: Rooms) -> None:
    home, people = town_of_nodes()
    first = page(home, people.bob, "Tools")
    island = home.island("unheard")
    note(island, people.eve, 2)
    edit = retitle(island, people.eve, first, "Eve's tools")
    bobs = await at(rooms, "bob", home, *bytes_of(island))
    cut = home.write(people.alice.device, removal(home, people.eve))
    alices = await at(rooms, "alice", home)
    await meet(alices, bobs)
    assert await alices.said(edit.id) == [None]
    assert await bobs.said(edit.id) == [(2, "cut", "verdict")]
    undo = home.write(people.alice.device, lift(home, cut))
    await alices.take(home.operations[undo.id])
    talk = await meet(alices, bobs)
    assert talk.converged
    assert await alices.said(edit.id) == await bobs.said(edit.id) == [(1, "", "")]
    assert (await alices.facts()).rows["pages"] == [(first.id, "Eve's tools")]
    assert await alices.facts() == await bobs.facts()
    assert await asks_once(alices, bobs)


async def test_what_an_honest_member_built_on_comes_with_what_it_needs(rooms: Rooms) -> None:
    """Bob answered eve's fourth act before he had heard: his answer stands, at every node."""
    home, people = town_of_nodes()
    island = home.island("unheard")
    for n in range(3):
        note(island, people.eve, n)
    asked = note(island, people.eve, 9)
    more = [note(island, people.eve, 10 + n) for n in range(30)]
    draft = Draft.fact(LOAN, Number(5), refs=[asked.id])
    answer = island.write(people.bob.device, draft)
    bobs = await at(rooms, "bob", home, *bytes_of(island))
    last = position(home, people.eve, 1)
    home.write(people.alice.device, removal(home, people.eve, last))
    alices = await at(rooms, "alice", home)
    talk = await meet(alices, bobs)
    assert talk.converged
    assert (await alices.facts()).rows["loans"] == [(answer.id, 5)]
    assert await alices.said(asked.id) == [(2, "cut", None)], "kept, for bob's sake"
    assert await alices.said(*(one.id for one in more)) == [None] * 30, "and nothing behind it"
    cias = await at(rooms, "cia", home)
    assert (await meet(cias, alices)).converged, "alice can pass it on, too"
    assert await cias.facts() == await alices.facts() == await bobs.facts()
    assert await asks_once(cias, bobs)


async def test_what_counts_by_its_bytes_comes_from_a_removed_members_chain(rooms: Rooms) -> None:
    """Eve's node let fay in, after the cut; the invite was bob's: fay is in, at every node."""
    home, people = town_of_nodes()
    ticket = home.invite(people.bob, "fay")
    island = home.island("unheard")
    island.invite(people.eve, "nobody")
    fay = person("fay")
    let_in = island.admit(secrets("eve's node"), ticket, fay)
    word = note(island, fay, 77)
    bobs = await at(rooms, "bob", home, *bytes_of(island))
    home.write(people.alice.device, removal(home, people.eve))
    alices = await at(rooms, "alice", home)
    talk = await meet(alices, bobs)
    assert talk.converged
    said = await alices.said(let_in.id, word.id)
    assert said == await bobs.said(let_in.id, word.id) == [(1, "", None), (1, "", None)]
    assert await alices.facts() == await bobs.facts()
    assert await asks_once(alices, bobs)


def taking_back(ticket: Ticket, who: Person) -> Draft:
    """What somebody writes to take an invite of their own back."""
    body = Revocation(ticket.id, (), "moved")
    return Draft.fact(REVOCATION, body, log=0, document=DocumentId(who.member))


async def test_what_a_removed_member_took_back_in_time_is_taken_back_at_every_node(
    rooms: Rooms,
) -> None:
    """Eve took her invite back before she heard of her removal, two acts behind where it ends her.

    No cut by a coordinator voids a revocation of one's own (it is of the same stratum): fay, whom
    the invite had let in meanwhile, is no member, whoever hears of what first.
    """
    home, people = town_of_nodes()
    ticket = home.invite(people.eve, "fay")
    island = home.island("unheard")
    fay = person("fay")
    let_in = home.admit(secrets("alice's node"), ticket, fay)
    spare = island.invite(people.eve, "nobody")
    undone = island.write(people.eve.device, taking_back(ticket, people.eve))
    bobs = await at(rooms, "bob", home, *bytes_of(island))
    home.write(people.alice.device, removal(home, people.eve))
    alices = await at(rooms, "alice", home)
    await bobs.take(*bytes_of(home))
    taken = [(1, "", None), (2, "revoked", None)]
    assert await bobs.said(undone.id, let_in.id) == taken
    talk = await meet(alices, bobs)
    assert talk.converged
    assert await alices.said(undone.id, let_in.id) == taken, "alice heard of the removal first"
    assert await alices.said(spare.id) == [(2, "cut", None)], "here for what builds on it"
    assert await alices.facts() == await bobs.facts()
    cias = await at(rooms, "cia", home)
    assert (await meet(cias, alices)).converged, "alice passes it on, too"
    assert await cias.facts() == await alices.facts()
    assert await asks_once(cias, bobs)


async def test_nothing_else_of_a_removed_member_rides_on_that(rooms: Rooms) -> None:
    """Neither what eve writes behind such an act, nor a node of hers that writes one."""
    home, people = town_of_nodes()
    ticket = home.invite(people.eve, "fay")
    island = home.island("unheard")
    device, node = people.eve.device, secrets("eve's node")
    draft = taking_back(ticket, people.eve)
    before = island.invite(people.eve, "nobody").id
    undone = island.write(device, draft).id
    behind_it = [island.invite(people.eve, f"friend {n}").id for n in range(5)]
    apart = home.island("what her node writes by itself")
    nodes = [apart.write(node, draft).id for _ in range(5)]
    home.write(people.alice.device, removal(home, people.eve))
    alices = await at(rooms, "alice", home)
    await alices.take(*bytes_of(island), *bytes_of(apart))
    assert await alices.said(before, undone) == [(2, "cut", None), (1, "", None)]
    assert await alices.said(*behind_it) == [None] * 5, "no invite behind it was kept"
    assert await alices.said(*nodes) == [(2, "cut", None), *[None] * 4], "the next of a node's log"
    assert alices.realm.refusals["ended"] == 9


FRAME = 64 * 1024


class Enough(Exception):
    """The rest need not travel."""


def imported(home: Replica, who: Person, last: Standing, acts: int) -> list[Stored]:
    """So many notes, signed one after the other, as a node keeps them that has judged them."""
    made: list[Stored] = []
    for n in range(acts):
        home.now_ms += 1000
        draft = Draft.fact(NOTE, Number(n))
        operation = compose(draft, Place(home.realm, last), who.device, home.now_ms, home.salt)
        last = replace(
            last, id=operation_id(operation.header), seq=last.seq + 1, lamport=last.lamport + 1,
            time_ms=home.now_ms,
        )  # fmt: skip
        made.append(Stored(last, operation))
    return made


async def removal_behind(rooms: Rooms, acts: int) -> int:
    """Bob has missed a removal and so many acts, written before it; the bytes until it is his."""
    home, people = town_of_nodes()
    bobs = await at(rooms, "bob", home)
    first = home.note(people.cia)
    alices = await rooms.open("alice", home, *bytes_of(home))
    store = alices.realm.store
    async with store.database.transaction() as connection:  # it has verified them long ago
        await store.insert(connection, imported(home, people.cia, first, acts), {})
    alices = await rooms.again(alices)
    await stand(alices, secrets("alice's node"))
    cut = home.write(people.alice.device, removal(home, people.eve))
    alices.now = bobs.now = home.now_ms + HOUR_MS
    await alices.take(home.operations[cut.id])
    ends = await alices.realm.vector()
    assert sum(end.seq for end in ends if end.log == 1) > acts, "they are all in front of it"
    talk, honest = Talk(bobs, alices), bobs.realm.ingest

    async def takes(operations: Sequence[Operation], source: str) -> Ingested:
        await honest(operations, source)
        raise Enough

    bobs.realm.ingest = takes  # type: ignore[method-assign]  # looks at what comes first
    with pytest.raises(Enough):
        await talk.begin()
    assert await bobs.realm.standing(cut.id) is not None, "the removal is the first thing he gets"
    sizes = [len(frame) for frame in talk.l.sent]
    (carrying,) = [
        n
        for n, message in enumerate(talk.frames(talk.l))
        if isinstance(message, wire.Operations)
        and cut.id in {operation_id(one[0]) for one in message.operations}
    ]
    assert sum(sizes) <= FRAME, "and nothing of log 1 is even compared before it is his"
    return sum(sizes[: carrying + 1])


async def test_a_removal_behind_thousands_of_acts_comes_in_the_first_frame(rooms: Rooms) -> None:
    """Log 0 goes first, however much of log 1 there is: nobody imports in front of a removal."""
    assert await removal_behind(rooms, 2_000) <= FRAME


@pytest.mark.long
async def test_a_removal_behind_50_000_acts_comes_within_the_first_64_kib(rooms: Rooms) -> None:
    assert await removal_behind(rooms, 50_000) <= FRAME


async def test_log_1_first_is_noticed(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = RealmSync._begin

    def backwards(sync: RealmSync, log: int) -> list[Effect]:
        return begin(sync, 1 - log)

    monkeypatch.setattr(RealmSync, "_begin", backwards)
    with pytest.raises(AssertionError, match="the first thing he gets"):
        await removal_behind(rooms, 2_000)
