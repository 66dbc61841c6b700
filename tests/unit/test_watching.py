"""Who sees a fork proves it, once."""

from __future__ import annotations

from tests.unit.rooms import Room, Rooms, Village, bytes_of, note, village
from tests.unit.tales import removal
from tests.unit.town import NOTE, Number, Replica, secrets

from commons_crdt.author import Draft
from commons_crdt.authority.kinds_identity import PROOF
from commons_crdt.operation import Operation, decode_header
from commons_crdt.verdict import Verdict
from commons_node.membership.watching import prove_forks
from commons_node.realm.told import Change


def twins(home: Replica, people: Village, seq: int) -> list[Operation]:
    """Two acts of eve behind her act number ``seq`` (from 0) of log 1."""
    after = home.chain(people.eve.device.keys.id, 1)[seq].id
    drafts = [Draft.fact(NOTE, Number(100 + n)) for n in range(2)]
    return [home.draw(people.eve.device, draft, after=after) for draft in drafts]


async def proofs(room: Room) -> list[tuple[int, str]]:
    rows = await room.realm.store.everything("o.kind = ?", (PROOF,))
    return [(int(s.judgement.verdict), s.judgement.reason) for s, _ in rows]


async def test_a_node_that_sees_a_fork_proves_it_once(rooms: Rooms) -> None:
    home, people = village()
    for n in range(3):
        note(home, people.eve, n)
    bobs_node = secrets("bob's node")
    home.grant_node(people.bob, bobs_node)
    one, other = twins(home, people, 1)
    heard: list[Change] = []
    room = await rooms.open("a", home, *bytes_of(home))
    room.realm.listeners.append(heard.append)
    node = secrets("alice's node")
    assert not await prove_forks(room.realm, node, ()), "there is none"
    await room.take(one)
    assert heard[-1].forked, "the listeners hear of it"
    (written,) = await prove_forks(room.realm, node, ())
    assert written.judgement.verdict is Verdict.ACCEPTED
    assert not await prove_forks(room.realm, node, ()), "once"
    await room.take(*twins(home, people, 0))
    assert not await prove_forks(room.realm, node, ()), "and not again for every lower one"

    elsewhere = await rooms.open("b", home, *bytes_of(home))
    proof = [op for op in await room.everything() if decode_header(op.header).kind == PROOF]
    await elsewhere.take(*proof)
    assert await proofs(elsewhere) == [(1, "")]
    assert elsewhere.realm.judge.forks == {(people.eve.device.keys.id, 1): 3}
    said = await elsewhere.said(*(s.id for s in home.chain(people.eve.device.keys.id, 1)))
    assert [one and one[:2] for one in said] == [(1, ""), (1, ""), (3, "fork")], (
        "who has one branch only learns from the proof that there is another"
    )
    assert not await prove_forks(elsewhere.realm, bobs_node, ()), "nobody writes a second proof"
    await elsewhere.take(other)


async def test_a_node_leaves_the_fork_of_who_lives_there_to_others(rooms: Rooms) -> None:
    """A home that runs twice has its node's key twice: two proofs would be a fork of that too."""
    home, people = village()
    note(home, people.eve, 0)
    note(home, people.eve, 1)
    room = await rooms.open("a", home, *bytes_of(home), *twins(home, people, 0))
    node = secrets("alice's node")
    assert not await prove_forks(room.realm, node, {people.eve.member})
    assert len(await prove_forks(room.realm, node, {people.alice.member})) == 1


async def test_a_node_that_does_not_stand_proves_nothing(rooms: Rooms) -> None:
    home, people = village()
    note(home, people.eve, 0)
    note(home, people.eve, 1)
    home.grant_node(people.eve, secrets("eve's node"))
    (one, _) = twins(home, people, 0)
    home.write(people.alice.device, removal(home, people.eve))
    room = await rooms.open("a", home, *bytes_of(home), one)
    assert not await prove_forks(room.realm, secrets("eve's node"), ())
    assert not await prove_forks(room.realm, secrets("a stranger's node"), ())
    assert await proofs(room) == []
