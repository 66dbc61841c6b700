"""A neighbour tells a newcomer of a seal, and not everything that it lists."""

from __future__ import annotations

from typing import Any

import pytest
from tests.simulation.test_pruned_nodes import branch, seal, the_end, told

from commons_crdt.operation import operation_id
from commons_crdt.roles import Role
from commons_node.certainty import standing_of_seals
from commons_node.sealing.comparing import Comparer
from commons_node.testing.node import Node
from commons_node.testing.town import Town


async def stands(node: Node) -> dict[str, Any]:
    """What `status` says of seals at a node that is connected with its peers."""
    said = await node.run(standing_of_seals(node.community, node.peering.peers()))
    assert said is not None
    return dict(said)


@pytest.mark.parametrize("claims", [False, True])
def test_a_tip_that_a_neighbour_withholds_is_named_with_that_neighbour(claims: bool) -> None:
    """``claims``: bob says that he has it, and never gives it."""

    async def story(town: Town) -> None:
        await town.found([Role.MEMBER, Role.MEMBER, Role.MEMBER])
        alice, bob, carol, dave = town.nodes
        for one in town.nodes:
            for two in town.nodes:
                if one is not two:
                    one.knows(two)
                    town.air.mute.add((one.peer, two.peer))
        for node in town.nodes:
            await node.start()
        mine = await carol.run(branch(carol, 3))
        assert mine
        await told(alice, mine)
        await alice.run(seal(alice, mine[-1]))
        whole = await alice.run(alice.realm.store.everything("1 = 1"))
        assert whole is not None
        last = operation_id(mine[-1].header)
        await told(bob, [op for s, op in whole if claims or s.id != last])
        withheld = 0
        if claims:
            honest = bob.realm.read

            async def reads(*arguments: Any, **options: Any) -> Any:
                nonlocal withheld
                found, after = await honest(*arguments, **options)
                kept = [op for op in found if operation_id(op.header) != last]
                withheld += len(found) - len(kept)
                return kept, after

            bob.realm.read = reads  # type: ignore[method-assign]  # bob lies
        alice.crash()
        carol.crash()
        town.air.mute.clear()
        await the_end(town, seconds=300)
        assert dave.realm.judge.seals(), "dave heard of the seal"
        said = await stands(dave)
        assert said["compared"] == "unsealed"
        assert withheld > 0 or not claims, "bob was asked for it"
        doubt = said["doubt"]
        assert doubt["code"] == "seal_withheld"
        (tip,) = doubt["awaited"]
        assert tip["operation"] == last.hex()
        assert tip["withheld_by"] == [bob.node]
        assert bob.node[:8] in doubt["sentence"]
        if claims:
            return
        await alice.start()
        await the_end(town, seconds=300)
        assert (await stands(dave))["compared"] == "unknown", "it came from alice"
        found = await dave.run(Comparer().look(dave.realm, dave.now_ms()))
        assert found is not None
        assert found.state == "differs", "alice's hash was of nothing"
        assert (await stands(dave))["doubt"]["code"] == "seal_differs"

    Town(3).play(story)
