"""Whole nodes that pruned and that did not meet over sessions: they agree, and then they rest."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from commons_crdt.author import Draft
from commons_crdt.authority.council_facts import CouncilAct, Seal, Tip
from commons_crdt.ids import OperationId, digest
from commons_crdt.operation import Operation, decode_header, operation_id
from commons_crdt.roles import Role
from commons_node.certainty import standing_of_seals
from commons_node.testing.liars import behind, craft, renaming, tip
from commons_node.testing.node import Node
from commons_node.testing.town import Town
from commons_protocol.names import NodeId

LONG = 5


async def branch(node: Node, length: int = LONG) -> list[Operation]:
    """What a device signs one after the other, from what its node knows; said to nobody."""
    made = [await craft(node, renaming(node, node.town.rng), await tip(node))]
    while len(made) < length:
        made.append(behind(node, made[-1]))
    return made


async def seal(alice: Node, branch_tip: Operation) -> OperationId:
    """Alice, the only coordinator, seals one branch."""
    council = alice.realm.judge.authority.council
    header = decode_header(branch_tip.header)
    mine = await tip(alice, 0)
    listed = [
        Tip(header.device, 1, header.seq, operation_id(branch_tip.header)),
        Tip(mine.device, 0, mine.seq, mine.id),
    ]
    act = CouncilAct(council.base, 0, Seal(tuple(sorted(listed)), digest("state", b"town")))
    written = await alice.write([Draft.fact("council.act.1", act, log=0)])
    assert written is not None
    assert not written[0].judgement.reason
    return written[0].id


def held(node: Node, ones: Sequence[Operation]) -> list[bool]:
    here = {ident for ident, _, _ in node.stored()}
    return [operation_id(op.header) in here for op in ones]


async def told(node: Node, ones: Sequence[Operation]) -> None:
    await node.run(node.realm.ingest(ones, "somebody"))


async def the_end(town: Town, *, seconds: float) -> None:
    """Sessions go on for a while."""
    await asyncio.sleep(seconds)


def others(town: Town, node: Node) -> list[NodeId]:
    """The nodes that run, but for this one."""
    return [one.node for one in town.nodes if one is not node and one.alive]


@pytest.mark.parametrize("hoards", [False, True])
def test_who_pruned_and_who_did_not_converge_and_rest(hoards: bool) -> None:
    """Carol's node was copied: alice met one branch, bob the other, longer one; alice seals."""

    async def story(town: Town) -> None:
        await town.found([Role.MEMBER, Role.MEMBER, Role.MEMBER])
        alice, bob, carol, dave = town.nodes
        pairs = [(one, two) for one in town.nodes for two in town.nodes if one is not two]
        for one, two in pairs:
            one.knows(two)
            town.air.mute.add((one.peer, two.peer))
        for node in town.nodes:
            await node.start()
        mine, other = await carol.run(branch(carol, 3)), await carol.run(branch(carol))
        assert mine
        assert other
        await told(alice, mine)
        await told(bob, other)
        await told(dave, other)
        await told(dave, mine[:1])
        if hoards:
            dave.realm.pruner = None
        carol.crash()
        await alice.run(seal(alice, mine[1]))
        assert held(bob, other) == [True] * LONG, "so far nobody knows better"
        town.air.mute.clear()
        await the_end(town, seconds=400)
        vectors = [node.realm.digest() for node in (alice, bob, dave)]
        assert vectors[0] == vectors[1] == vectors[2]
        for node in (alice, bob, dave):
            assert held(node, mine) == [True] * 3, "the sealed branch, and what follows it"
            states = await node.run(node.peering.wait_converged(others(town, node), timeout=60))
            assert states is not None
            assert states.converged
        assert held(bob, other) == [True] + [False] * (LONG - 1), "bob's branch lost"
        assert held(dave, other) == [True] + [hoards] * (LONG - 1)
        before = {node.name: node.stored() for node in (alice, bob, dave)}
        hashes = [await node.run(node.realm.hashes()) for node in (alice, bob, dave)]
        assert hashes[0] == hashes[1] == hashes[2]
        await the_end(town, seconds=600)
        assert {node.name: node.stored() for node in (alice, bob, dave)} == before, "at rest"
        if hoards:
            dave.crash()
            await dave.start()
            await the_end(town, seconds=30)
            assert held(dave, other) == [True] + [False] * (LONG - 1), "a start prunes, too"
            assert dave.realm.digest() == vectors[0]

    Town(3).play(story)


@pytest.mark.parametrize("through", ["bob", "dave"])
def test_a_joiner_keeps_what_the_seal_has_left_and_nothing_else(through: str) -> None:
    """Bob pruned, dave hoards; erin joins through either, and all of them agree and rest."""

    async def story(town: Town) -> None:
        await town.found([Role.MEMBER, Role.MEMBER, Role.MEMBER])
        alice, bob, carol, dave = town.nodes
        pairs = [(one, two) for one in town.nodes for two in town.nodes if one is not two]
        for one, two in pairs:
            one.knows(two)
            town.air.mute.add((one.peer, two.peer))
        for node in town.nodes:
            await node.start()
        mine, other = await carol.run(branch(carol, 3)), await carol.run(branch(carol))
        assert mine
        assert other
        await told(alice, mine)
        await told(bob, other)
        await told(dave, other)
        await told(dave, mine[:1])
        dave.realm.pruner = None
        carol.crash()
        await alice.run(seal(alice, mine[1]))
        town.air.mute.clear()
        await the_end(town, seconds=400)
        superfluous = [operation_id(op.header) for op in other[1:]]
        assert held(dave, other) == [True] * LONG, "dave keeps the old history"
        assert held(bob, other) == [True] + [False] * (LONG - 1), "bob does not"
        assert await history(bob) == (False, LONG - 1)
        assert await history(dave) == (True, 0)

        host = town.node(through)
        code = await host.run(town.invite(host, "erin"))
        assert code is not None
        erin = town.newcomer(Role.NEWCOMER)
        assert await town.join(erin, code, host)
        for node in (alice, bob, host):
            await erin.run(erin.peering.connect(node.host.address))
        await the_end(town, seconds=200)
        await erin.run(erin.peering.connect(dave.host.address))
        await the_end(town, seconds=200)
        offered = {ident for _, ident in erin.ears.offered} & set(superfluous)
        assert set(superfluous[2:]).isdisjoint(offered), "beyond the sealed tip nobody offers any"
        assert held(erin, other) == [True] + [False] * (LONG - 1)
        assert held(erin, mine) == [True] * 3
        nodes = (alice, bob, dave, erin)
        hashes = [await node.run(node.realm.hashes()) for node in nodes]
        assert hashes.count(hashes[0]) == len(nodes), "set and state alike"
        whole, pruned = await history(erin)
        assert not whole, "it says what it has not got"
        assert pruned <= len(offered), "what came before the sealed tip did has gone again"
        for node in nodes:
            states = await node.run(node.peering.wait_converged(others(town, node), timeout=60))
            assert states is not None
            assert states.converged, "nobody looks behind"
        asked = {ident: n for ident, n in bob.ears.offered.items() if ident[1] in superfluous}
        await the_end(town, seconds=600)
        assert asked == {i: n for i, n in bob.ears.offered.items() if i[1] in superfluous}, "rest"

    Town(5).play(story)


async def history(node: Node) -> tuple[bool, int]:
    """Whether all that was written is here, and how much was deleted, as ``status`` says it."""
    said = await node.run(standing_of_seals(node.community))
    assert said is not None
    found = said["history"]
    assert isinstance(found, dict)
    assert bool(found["next_action"]) != found["whole"], "what is not here has a next action"
    return found["whole"], found["pruned"]
