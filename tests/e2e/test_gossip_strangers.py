"""A stranger subscribes to every topic that a node is seen to hear: real hosts tell it nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, cast

import pytest
from tests.e2e.eve import Stranger
from tests.e2e.neighbourhood import House
from tests.e2e.test_peering import ALICE, running, written
from tests.simulation.meeting import neighbourhood

from commons_crdt.ids import digest
from commons_crdt.operation import operation_id
from commons_protocol import gossip
from commons_protocol.gossip import Channel
from commons_protocol.names import NodeId


@dataclass
class Door:
    """All of a house that a stranger knows."""

    address: str


async def overheard() -> None:
    """What a stranger to alice and bob hears, and that it gives nothing away."""
    a, b = neighbourhood("bob")
    async with running(a) as alice, running(b) as bob:
        await alice.connect(bob.addresses[0])
        assert (await alice.wait_converged(timeout=40)).converged
        alice.book.hear(NodeId("f" * 64), ())  # somebody is out of reach: it is said whole
        stranger = await asyncio.to_thread(Stranger().__enter__)
        try:
            door = cast("House", Door(str(alice.addresses[0])))
            topics: set[str] = set()
            for _ in range(100):
                topics = await asyncio.to_thread(stranger.topics, door)
                if topics:
                    break
                await asyncio.sleep(0.05)
            assert topics, "libp2p tells everybody what a node listens to"
            stranger.listen_to(topics)
            secrets = [bytes(a.realm), bytes(ALICE.member), bytes(a.device.keys.id), b"town.note"]
            for _ in range(100):
                (operation,) = written(a, ALICE)
                secrets += [bytes(operation_id(operation.header)), operation.header]
                alice._hints.written(a.realm, [operation])
                await asyncio.sleep(0.1)
                if stranger.heard:
                    break
            heard = list(stranger.heard)
        finally:
            await asyncio.to_thread(stranger.__exit__)
    assert heard, "and lets them listen"
    for topic in topics:
        assert len(topic) == 48
        assert not any(one.hex()[:12] in topic for one in secrets), "a topic names nothing"
    for _, _, data in heard:
        assert not any(one in data for one in secrets), "what is said is sealed"
        assert len(data) in gossip.SIZES, "and padded to one of few sizes"


async def test_who_listens_to_all_topics_learns_nothing() -> None:
    await overheard()


def _bare(channel: Channel, plain: bytes, nonce: bytes) -> bytes:
    size = next(s for s in gossip.SIZES if len(plain) + len(nonce) <= s)
    return (nonce + plain).ljust(size, b"\0")


def _unpadded(channel: Channel, plain: bytes, nonce: bytes) -> bytes:
    return nonce + bytes(byte ^ 0x55 for byte in plain)


MUTANTS: dict[str, tuple[str, Any]] = {
    "what is said is sealed": ("seal", _bare),
    "padded to one of few sizes": ("seal", _unpadded),
    "a topic names nothing": (
        "of",
        classmethod(
            lambda cls, key: cls((neighbourhood()[0].realm.hex() * 2)[:48], digest("gossip", key))
        ),
    ),
}


@pytest.mark.parametrize("why", MUTANTS)
async def test_gossip_that_tells_strangers_something_is_noticed(
    why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, broken = MUTANTS[why]
    monkeypatch.setattr(Channel, name, broken)
    with pytest.raises(AssertionError, match=why):
        await overheard()
