"""A fork hides no removal: who was removed and forks a chain on purpose is a node no more."""

from __future__ import annotations

import pytest
from tests.unit.rooms import Rooms, bytes_of, village
from tests.unit.tales import position
from tests.unit.town import person, secrets

from commons_crdt.author import Draft
from commons_crdt.authority.endings import NOTHING, Ending
from commons_crdt.authority.facts import Removal
from commons_crdt.authority.kinds import REMOVAL
from commons_crdt.ids import DocumentId


@pytest.mark.parametrize("forks_first", [True, False])
async def test_a_removed_node_that_forks_is_no_node(rooms: Rooms, forks_first: bool) -> None:
    home, people = village()
    node = secrets("eve's node")
    granted = home.grant_node(people.eve, node)
    ticket = home.invite(people.bob, "for two", 2)
    twins = [
        home.draw(node, home.admission(ticket, person(name)), after=granted.id)
        for name in ("mallory", "trudy")
    ]
    room = await rooms.open("a", home, *bytes_of(home))
    known = set(home.operations)
    endings = [
        Ending(people.eve.device.keys.id, position(home, people.eve, 0), NOTHING),
        Ending(node.keys.id, NOTHING, NOTHING),
    ]
    body = Removal(people.eve.member, 0, tuple(sorted(endings, key=lambda e: e.device)), "conduct")
    home.write(
        people.alice.device,
        Draft.fact(REMOVAL, body, log=0, document=DocumentId(people.eve.member)),
    )
    cut = [operation for ident, operation in home.operations.items() if ident not in known]
    for batch in (twins, cut) if forks_first else (cut, twins):
        assert room.realm.node_keys(node.keys.id) is not None or batch is not cut
        await room.take(*batch)
    assert (node.keys.id, 0) in room.realm.judge.forks, "it did fork"
    assert room.realm.judge.end(node.keys.id, 0).why == "fork", "and that is where its chain ends"
    assert room.realm.node_keys(node.keys.id) is None, "but it is out by the removal"
