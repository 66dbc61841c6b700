"""Alice removes carol, who has a node, and lowers dave: nobody here is a resident without one."""

from __future__ import annotations

import asyncio

import pytest

from commons_crdt.author import Draft
from commons_crdt.authority.facts import Demotion
from commons_crdt.authority.kinds import DEMOTION
from commons_crdt.authority.state import Authority
from commons_crdt.ids import DocumentId
from commons_crdt.roles import Role
from commons_crdt.verdict import Verdict
from commons_node.standing import open_epochs
from commons_node.testing.liars import renaming
from commons_node.testing.node import Node
from commons_node.testing.town import Town

CALM_S = 200


async def writes(node: Node) -> bytes:
    """What a node's member has just written."""
    written = await node.write([renaming(node, node.town.rng)])
    assert written is not None
    return bytes(written[0].id)


def held(node: Node) -> set[bytes]:
    return {bytes(ident) for ident, _, _ in node.stored()}


async def story(town: Town) -> None:
    await town.found([Role.MEMBER, Role.MEMBER, Role.STEWARD])
    alice, bob, carol, dave = town.nodes
    for one in town.nodes:
        for two in town.nodes:
            if one is not two:
                one.knows(two)
        await one.start()
    before = await writes(carol)
    await asyncio.sleep(CALM_S)
    assert all(before in held(node) for node in town.nodes), "so far carol is one of them"
    old = set(alice.realm.epoch_keys)
    done = await alice.run(alice.desk.do("member.remove", who=carol.member.hex(), reason="conduct"))
    assert done, "the verb works on a member with a node"
    await asyncio.sleep(CALM_S)
    fresh = set(alice.realm.epoch_keys) - old
    assert fresh, "new keys are made"
    secret, of_carol = await writes(bob), await writes(carol)
    await asyncio.sleep(2 * CALM_S)
    for node in (alice, bob, dave):
        assert secret in held(node), "the others go on"
        assert fresh <= set(node.realm.epoch_keys)
        said = {bytes(ident): verdict for ident, verdict, _ in node.stored()}
        assert said.get(of_carol) != int(Verdict.ACCEPTED), "what she writes counts for nothing"
    assert secret not in held(carol), "a removed node hears nothing more"
    assert fresh.isdisjoint(carol.realm.epoch_keys)
    device = carol.standing.device(carol.realm.realm)
    assert device is not None
    everything = await alice.run(alice.realm.store.everything("c.log = 0"))
    assert everything is not None
    for secrets in (device, carol.secrets):
        opened = open_epochs(everything, secrets)
        assert fresh.isdisjoint(opened), "with all that was ever sealed, her disk opens none of it"
    assert len({node.realm.digest() for node in (alice, bob, dave)}) == 1


def test_a_removed_node_hears_nothing_more_and_the_others_go_on() -> None:
    Town(7).play(story)


def test_a_rotation_that_remembers_the_removed_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Authority, "standing_devices", lambda authority: authority.devices)
    with pytest.raises(AssertionError, match="opens none of it"):
        Town(7).play(story)


def test_a_lowered_steward_with_a_node_goes_on_as_a_member() -> None:
    async def lowered(town: Town) -> None:
        await town.found([Role.MEMBER, Role.STEWARD])
        alice, _, dave = town.nodes
        for one in town.nodes:
            for two in town.nodes:
                if one is not two:
                    one.knows(two)
            await one.start()
        await asyncio.sleep(CALM_S)
        member = dave.member
        body = Demotion(member, int(Role.MEMBER), (), "request")
        draft = Draft.fact(DEMOTION, body, log=0, document=DocumentId(member))
        written = await alice.write([draft])
        assert written is not None
        assert written[0].judgement.reason == ""
        await asyncio.sleep(CALM_S)
        actor = dave.actor()
        assert actor is not None
        assert actor.role is Role.MEMBER, "his own node knows"
        mine = await writes(dave)
        await asyncio.sleep(CALM_S)
        assert all(mine in held(node) for node in town.nodes), "what a member may do, he does"
        assert len({node.realm.digest() for node in town.nodes}) == 1

    Town(7).play(lowered)
