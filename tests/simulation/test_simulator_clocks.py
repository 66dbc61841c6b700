"""A neighbour whose clock is wrong: nothing is lost, nobody is misled, and everybody says why."""

from __future__ import annotations

import asyncio
from typing import Any

from commons_crdt.author import Draft
from commons_crdt.ids import DocumentId
from commons_crdt.roles import Role
from commons_node.domains.membership.facts import NAME, PROFILE, Profile
from commons_node.registry import Request
from commons_node.testing.node import Node
from commons_node.testing.town import Town
from commons_node.verbs import Nothing, status
from commons_protocol.status import SyncStatus

HOUR_MS = 3_600_000


async def _write(node: Node) -> None:
    document = DocumentId(node.member)
    name = [(NAME, f"{node.name}, again".encode())]
    await node.write([Draft.fact(PROFILE, Profile(), document=document, parts=name)])


async def _three(town: Town, skew_ms: int, whose: str) -> list[Node]:
    """Alice, bob and carol know the same; the clock of one of them is wrong."""
    await town.found([Role.MEMBER, Role.MEMBER])
    town.node(whose).skew_ms = skew_ms
    town.faults["clock_jumps"] += 1
    for node in town.nodes:
        for other in town.nodes:
            if other is not node:
                node.knows(other)
        await node.start()
    await asyncio.sleep(30)
    return town.nodes


def _of(node: Node, other: Node) -> SyncStatus:
    return next(peer.sync for peer in node.peering.peers() if peer.node == other.node)


async def _community(node: Node) -> dict[str, Any]:
    """The line of `commons-node status`."""
    reading = await node.run(status(Request(node.as_daemon), Nothing()))
    assert reading is not None
    communities: Any = reading.value["communities"]
    (line,) = communities
    return dict(line)


def test_a_fast_clock_is_named_by_those_who_hold_its_operations_until_they_can_be_taken() -> None:
    async def story(town: Town) -> None:
        alice, bob, carol = await _three(town, 3 * HOUR_MS, "carol")
        await carol.run(_write(carol))
        await asyncio.sleep(30)
        for node in (alice, bob):
            said = _of(node, carol)
            assert (said.state, said.missing, said.refused) == ("held", 1, 0), said
            assert "clock" in said.reason, "the reason names it"
            assert "clocks" in said.next_action, "and what a person can do about it"
            line = await _community(node)
            assert (line["sync"], line["held"]) == ("held", {"clock": 1})
            assert "clock" in line["reason"]
            assert "clocks" in line["next_action"]
            assert _of(carol, node).state == "ahead", "carol is not behind anybody"
            assert "1 operations" in _of(carol, node).reason
            assert "sync why" in _of(carol, node).next_action
        assert _of(alice, bob).state == "synced", "those two hold the same"
        await asyncio.sleep(3 * 3600)
        for node in town.nodes:
            for other in town.nodes:
                if other is not node:
                    assert _of(node, other).state == "synced", "its time has come"
            line = await _community(node)
            assert (line["sync"], line["held"], line["reason"], line["next_action"]) == (
                "synced", {}, "", "",
            )  # fmt: skip
        assert len({tuple(n.stored()) for n in town.nodes}) == 1

    Town(1).play(story)


def test_a_slow_clock_is_named_on_the_node_that_has_it() -> None:
    async def story(town: Town) -> None:
        alice, bob, carol = await _three(town, -5 * HOUR_MS, "alice")
        await bob.run(_write(bob))
        await carol.run(_write(carol))
        await asyncio.sleep(30)
        assert _of(bob, carol).state == "synced"
        for other in (bob, carol):
            assert _of(alice, other).state == "held"
            assert "this machine's clock" in _of(alice, other).reason
        assert (await _community(alice))["held"] == {"clock": 2}
        assert alice.life is not None
        alice.life.skew_ms = 0
        await asyncio.sleep(180)
        assert _of(alice, bob).state == _of(alice, carol).state == "synced", "it was set right"
        assert (await _community(alice))["held"] == {}

    Town(2).play(story)


def test_what_is_held_is_named_after_its_author_has_gone() -> None:
    async def story(town: Town) -> None:
        alice, bob, carol = await _three(town, 3 * HOUR_MS, "carol")
        await carol.run(_write(carol))
        await asyncio.sleep(30)
        await carol.stop()
        await bob.stop()
        await asyncio.sleep(60)
        line = await _community(alice)
        assert line["sync"] == "unreachable", "they are known, and not here"
        assert "does not answer" in line["reason"]
        assert "clock" in line["reason"]

    Town(3).play(story)
