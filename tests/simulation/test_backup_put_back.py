"""A home is put back as it was last week: its node asks others for its own newest acts first."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest

from commons_crdt.operation import decode_header
from commons_crdt.roles import Role
from commons_node import signing
from commons_node.signing import Copied, Signing
from commons_node.testing.disk import Disk
from commons_node.testing.liars import renaming
from commons_node.testing.node import Node
from commons_node.testing.town import Town


async def writes(node: Node, times: int) -> None:
    for _ in range(times):
        assert await node.write([renaming(node, node.town.rng)]), "it is acknowledged"


async def may_write(node: Node, copied: bool) -> Signing:
    """What the daemon does after a start: the node learns its own tips, and then writes twice."""
    gate = Signing(copied=copied)
    gate.add(node.realm.realm)

    def spawn(work: object) -> None:
        node.peering.spawn(work, "first rounds")  # type: ignore[arg-type]  # a coroutine

    node.peering.spawn(gate.learn(node.peering, spawn), "own tips")
    return gate


def doubled(node: Node) -> list[tuple[bytes, int]]:
    """Places of chains at which a node holds two operations."""
    headers = [decode_header(one.header) for one in node.operations()]
    places = Counter((one.device, one.log, one.seq) for one in headers)
    return [place[:2] for place, count in places.items() if count > 1]


def story(*, online: bool, copied: bool) -> Callable[[Town], object]:
    """Alice's home is put back; ``online``: bob, who knows what she has written since, is there."""

    async def told(town: Town) -> None:
        await town.found([Role.MEMBER])
        alice, bob = town.nodes
        alice.knows(bob)
        bob.knows(alice)
        await alice.start()
        await bob.start()
        await asyncio.sleep(60)
        last_week = Disk()
        last_week.copy_from(alice.disk)
        await writes(alice, 5)
        await asyncio.sleep(120)
        assert bob.realm.digest() == alice.realm.digest(), "bob has heard it all"
        lost = len(alice.stored())
        alice.crash()
        alice.disk = last_week
        if not online:
            bob.crash()
        await alice.start()
        assert len(alice.stored()) < lost, "it is really an old one"
        gate = await may_write(alice, copied)
        for _ in range(600):  # as soon as it may, and a minute at most
            if gate.allowed(alice.realm.realm):
                break
            await asyncio.sleep(0.1)
        if not online and not gate.allowed(alice.realm.realm):
            with pytest.raises(Copied):
                await gate.soon(alice.realm.realm)
            await bob.start()
            await asyncio.sleep(240)
        await gate.soon(alice.realm.realm)
        await writes(alice, 2)
        if not bob.alive:
            await bob.start()
        await asyncio.sleep(240)
        assert not doubled(alice), "nothing was signed at a place that was taken"
        assert not doubled(bob)
        assert alice.realm.digest() == bob.realm.digest()
        assert len(alice.stored()) == lost + 2

    return told


CASES = ((True, False), (True, True), (False, True))


@pytest.mark.parametrize(("online", "copied"), CASES)
def test_a_backup_that_is_put_back_signs_behind_what_it_had_told(
    online: bool, copied: bool
) -> None:
    """Offline and in its old place it cannot know, and forks: the healing has tests of its own."""
    Town(5).play(story(online=online, copied=copied))  # type: ignore[arg-type]  # it is async


@pytest.mark.parametrize(("online", "copied"), CASES)
def test_a_node_that_signs_at_once_is_noticed(
    monkeypatch: pytest.MonkeyPatch, online: bool, copied: bool
) -> None:
    async def at_once(gate: Signing, *_: object) -> None:
        for event in gate._may.values():
            event.set()

    monkeypatch.setattr(signing.Signing, "learn", at_once)
    with pytest.raises(AssertionError, match="a place that was taken"):
        Town(5).play(story(online=online, copied=copied))  # type: ignore[arg-type]  # it is async
