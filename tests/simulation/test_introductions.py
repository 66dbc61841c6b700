"""Nodes that know one of them in common find each other, and find each other again."""

from __future__ import annotations

import asyncio

import pytest

from commons_crdt.roles import Role
from commons_node.testing.node import Node
from commons_node.testing.town import Town
from commons_node.testing.weather import Weather

SLOW = Weather(latency=(0.005, 0.4), jitter=0.3, slow_disk=0.2)
"""So uneven that whoever comes first need not be heard first."""
SEEDS = range(1, 25)


async def founded(town: Town, members: int) -> list[Node]:
    """Everybody runs; the others know where alice is, she knows nobody."""
    await town.found([Role.MEMBER] * members)
    alice, *others = town.nodes
    for other in others:
        other.knows(alice)
    for node in town.nodes:
        await node.start()
    return town.nodes


def strangers(nodes: list[Node]) -> list[str]:
    """Pairs that are not in a conversation in which both have proven themselves."""
    return [
        f"{one.name}-{other.name}"
        for one in nodes
        for other in nodes
        if one is not other
        and ((talk := one.peering.talks.now.get(other.peer)) is None or not talk.session.realms)
    ]


async def within(seconds: float, nodes: list[Node]) -> list[str]:
    """The pairs that are still apart after at most so many (virtual) seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while strangers(nodes) and loop.time() < deadline:  # noqa: ASYNC110 - time is virtual
        await asyncio.sleep(0.25)
    return strangers(nodes)


def test_all_who_know_one_node_know_each_other_soon() -> None:
    async def story(town: Town) -> list[str]:
        return await within(10, await founded(town, 4))

    for seed in SEEDS:
        apart = Town(seed, SLOW).play(story)
        assert not apart, f"seed {seed}: after ten seconds these have not met: {apart}"


def test_a_node_that_could_not_be_reached_when_it_was_spoken_of_is_tried_again() -> None:
    async def story(town: Town) -> tuple[list[str], list[str]]:
        alice, bob, carol = nodes = await founded(town, 2)
        town.air.mute |= {(bob.peer, carol.peer), (carol.peer, bob.peer)}
        before = await within(120, nodes)
        town.air.mute.clear()
        return before, await within(alice.peering.settings.last_retry + 15, nodes)

    town = Town(7)
    before, after = town.play(story)
    assert before == ["bob-carol", "carol-bob"], "they were told of each other in vain"
    assert town.faults["unreachable"] > 4, "and tried"
    assert not after, "nobody told them again"


@pytest.mark.parametrize("away", [3, 30])
def test_who_comes_back_after_long_is_met_by_all_as_soon_as_by_one(away: int) -> None:
    async def story(town: Town) -> tuple[list[str], list[str]]:
        alice, *others, erin = nodes = await founded(town, 4)
        assert not await within(10, nodes)
        town.air.split([[node.peer for node in (alice, *others)], [erin.peer]])
        await asyncio.sleep(away * 60)
        apart = strangers(nodes)
        town.air.heal()
        for other in others:
            other.peering.talks.ways[erin.peer]._failures += 20  # their own next try is far away
        alice.peering.talks.hurry(erin.peer)
        assert not await within(15, [alice, erin]), "alice is told to dial her"
        dial = alice.peering.settings.dial_timeout
        return apart, await within(dial + 5, nodes)  # one that began before is still going on

    for seed in range(1, 9):
        apart, left = Town(seed).play(story)
        assert len(apart) == 8, f"seed {seed}: nobody reached her: {apart}"
        assert not left, f"seed {seed}: some wait for their own next attempt: {left}"
