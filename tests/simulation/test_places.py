"""Who stays connected with a node whose places are all taken, and who tries to abuse that.

Alice's node has few places, everybody dials her. Simulated, with the daemon's own peering.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from commons_node.peering.places import AGAIN_S, OWN, SPARE
from commons_node.testing.scale.crowd import Crowd, LightNode
from commons_node.testing.scale.light import Annals

PLACES = 8
STAY = PLACES - SPARE


class Door:
    """Alice, and those who come to her door."""

    def __init__(self, members: int) -> None:
        self.crowd = Crowd(1)
        self.street = self.crowd.community(0)
        self.alice = self.crowd.node(PLACES, PLACES)
        self.alice.enter(self.street)
        self.members = [self.comer(self.street) for _ in range(members)]

    def comer(self, annals: Annals, owner: bytes = b"") -> LightNode:
        """A node that dials alice; of its own member, or of ``owner``."""
        node = self.crowd.node()
        node.enter(annals)
        node.knows(self.alice)
        if owner:
            annals.owners[node.device(annals.realm).keys.id] = owner
        return node

    def inside(self, nodes: list[LightNode]) -> set[int]:
        """Those with whom alice talks now."""
        talks = self.alice.peering.talks.now
        return {n for n, node in enumerate(nodes) if node.peer in talks}

    def play(self, story: Callable[[], Coroutine[None, None, None]]) -> None:
        """Alice and the members first."""

        async def whole() -> None:
            await self.crowd.start([self.alice, *self.members], 5.0)
            await asyncio.sleep(115)
            await story()

        self.crowd.play(whole)


def test_who_comes_new_stays_and_who_had_to_go_makes_nobody_go() -> None:
    door = Door(STAY)
    bob = door.comer(door.street)

    async def story() -> None:
        assert door.inside(door.members) == set(range(STAY)), "everybody has a place"
        await bob.start()
        assert await door.crowd.until(lambda: bool(door.inside([bob])), 60), "a spare place"
        gone, codes = set[int](), set[str]()
        for _ in range(int(AGAIN_S) - 60):
            await asyncio.sleep(1)
            gone |= set(range(STAY)) - door.inside(door.members)
            codes |= {peer.sync.code for peer in door.alice.peering.peers() if not peer.connected}
            assert door.inside([bob])
        assert len(gone) == 1, "one had to go; it comes again, and nobody goes for that"
        assert "in_turn" in codes, "and alice says why it is not here"
        assert 2 <= door.alice.refusals["place"] <= 20, "less and less often"
        lost = door.members[gone.pop()]
        await lost.write(lost.replicas[0])
        assert await door.crowd.until(lambda: door.alice.replicas[0].whole, 300), "it is heard"
        assert await door.crowd.until(
            lambda: len(door.inside([*door.members, bob])) == STAY and bool(door.inside([lost])),
            900,
        ), "later it has a place again"

    door.play(story)


def test_strangers_make_nobody_go_and_do_not_stay() -> None:
    door = Door(STAY)
    elsewhere = door.crowd.community(1)
    eve = [door.comer(elsewhere) for _ in range(2 * SPARE)]
    bob = door.comer(door.street)

    async def story() -> None:
        await door.crowd.start(eve, 1.0)
        for _ in range(50):
            await asyncio.sleep(1)
            assert door.inside(door.members) == set(range(STAY)), "eve makes nobody go"
        here = door.alice.host.peers()
        assert sum(node.peer in here for node in eve) == SPARE, "she holds what nobody keeps ..."
        await bob.start()
        assert await door.crowd.until(lambda: bool(door.inside([bob])), 600), "... not for long"
        assert door.alice.refusals["place"] >= SPARE
        assert len(door.inside(door.members)) >= STAY - 1

    door.play(story)


@pytest.mark.long
def test_one_member_with_many_nodes_takes_the_places_of_few() -> None:
    door = Door(STAY)
    eve = [door.comer(door.street, b"eve") for _ in range(STAY)]

    async def story() -> None:
        await door.crowd.start(eve, 10.0)
        most, met = 0, set[int]()
        for _ in range(int(2 * AGAIN_S)):
            await asyncio.sleep(1)
            most = max(most, len(door.inside(eve)))
            met |= door.inside(door.members)
            assert len(door.inside(door.members)) >= STAY - OWN - 1
        assert 1 <= most <= OWN + SPARE, "she has places, and no more of them than anybody may"
        assert met == set(range(STAY))

    door.play(story)
