"""Strangers who hold places, and a member who floods: everybody else must still be served."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any

import pytest
from tests.simulation.meeting import Meeting, neighbourhood
from tests.unit import town

from commons_crdt.ids import DeviceId, OperationId, digest
from commons_node.peering import entrance
from commons_node.peering.entrance import Entrance
from commons_node.peering.talks import MOST_RUMOURS, Talks
from commons_node.peering.types import Settings
from commons_node.peering.waiting import _Wait
from commons_protocol import wire
from commons_protocol.allowances import INTRODUCTIONS
from commons_protocol.effects import Count, Met
from commons_protocol.ends import ChainEnd
from commons_protocol.names import peer_of_key
from commons_protocol.network import Address, PeerId
from commons_protocol.wants import Memory


class Silent:
    """A stream of a peer that says nothing."""

    def __init__(self, peer: str) -> None:
        self.peer = PeerId(peer)
        self.greeted = asyncio.Event()
        self.gone = asyncio.Event()

    async def send(self, _frame: bytes) -> None:
        self.greeted.set()

    async def receive(self) -> bytes:
        await asyncio.Event().wait()
        return b""

    async def close(self) -> None:
        self.gone.set()

    async def reset(self) -> None:
        self.gone.set()


@pytest.mark.anyio
async def test_silent_strangers_keep_no_newcomer_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrance, "_KNOCK_S", 0.2)
    counts: Counter[str] = Counter()
    door = Entrance(None, Settings(), lambda: 0, lambda code: counts.update([code]))
    own = PeerId("alice")
    eves = [Silent("eve") for _ in range(6)] + [Silent(f"eve{n}") for n in range(6)]
    serving = [asyncio.create_task(door.serve(stream, own)) for stream in eves]
    await asyncio.sleep(0)
    bob = Silent("bob")
    serving.append(asyncio.create_task(door.serve(bob, own)))
    await asyncio.wait_for(bob.greeted.wait(), 1)
    assert counts["join_flood"] == 4, "of one peer, two at a time"
    await asyncio.wait_for(asyncio.gather(*serving), 2)
    assert all(stream.gone.is_set() for stream in eves), "nobody stays who has no invite"
    assert counts["join_timeout"] == 9
    again = Silent("eve")
    task = asyncio.create_task(door.serve(again, own))
    await asyncio.wait_for(again.greeted.wait(), 1)
    await task


class Street:
    """As much of a node's peering as its ways ask for: nobody can be reached."""

    def __init__(self) -> None:
        self.stopped = False
        self.peer = PeerId("alice")
        self.settings = Settings(first_retry=0.001, last_retry=0.001)
        self.book = self
        self.network = self
        self.places = self
        self.blocked: frozenset[PeerId] = frozenset()

    def on_change(self, kind: str, detail: str) -> None:
        pass

    def get(self, _node: object) -> None:
        return None

    def may_dial(self, _peer: PeerId) -> bool:
        return True

    def heard(self, _node: object) -> tuple[Address, ...]:
        return ()

    def peers(self) -> dict[PeerId, object]:
        return {}

    def spawn(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        return asyncio.create_task(work, name=name)


@pytest.mark.anyio
async def test_a_member_who_speaks_of_a_thousand_nodes_makes_us_dial_a_few() -> None:
    talks = Talks(Street())  # type: ignore[arg-type]  # as much of it as is asked for
    for n in range(1000):
        talks.keep(peer_of_key(n.to_bytes(32, "big")), 2)
    assert len(talks.ways) == MOST_RUMOURS
    await asyncio.wait(tuple(talks._tasks.values()), timeout=5)
    await asyncio.sleep(0)
    assert not talks.ways
    talks.keep(peer_of_key(bytes(32)), 2)
    assert len(talks.ways) == 1, "what was tried in vain leaves room and no trace"
    talks.leave(peer_of_key(bytes(32)))
    await asyncio.sleep(0)


def test_introductions_without_end_are_not_listened_to() -> None:
    alice, bob = neighbourhood("bob")
    meeting = Meeting([alice], [bob], seed=1).run()
    nodes = tuple((bytes([n]) * 32, ("/ip4/1.2.3.4/tcp/1",)) for n in range(1, 33))
    slot = next(iter(meeting.d.session._slots))
    frame = wire.pack(wire.Members(slot, nodes))
    effects = [e for _ in range(500) for e in meeting.l.session.on_frame(frame, meeting.now)]
    assert sum(isinstance(e, Met) for e in effects) <= INTRODUCTIONS + 1
    assert sum(isinstance(e, Count) and e.code == "flood" for e in effects) >= 400
    assert not meeting.l.session.closed, "sync goes on"


def test_what_a_peer_said_before_the_call_does_not_count_as_converged() -> None:
    alice, bob = neighbourhood("bob")
    meeting = Meeting([alice], [bob], seed=2).run()
    assert meeting.converged
    meeting.poke(meeting.l)  # bob's digest is on its way
    noted = bob.copy.note(town.person("bob"))
    talk = SimpleNamespace(
        session=meeting.d.session, perform=lambda effects: meeting._do(meeting.d, effects)
    )
    peering: Any = SimpleNamespace(talks=SimpleNamespace(now={bob.peer: talk}))
    wait = _Wait(peering, bob.peer)
    wait.nudge(0.0)
    meeting.deliver(meeting.d)
    said = [wait.done]
    while not said[-1] and len(said) < 6:
        meeting.run()
        said.append(wait.done)
        wait.nudge(len(said) / 10)
    assert not said[0], "bob had written before the call"
    assert said[-1], "and at once, not after a second"
    assert noted.id in alice.copy.standings


def test_chains_that_a_peer_invents_are_forgotten_with_its_next_answers() -> None:
    memory = Memory()
    for n in range(20):
        invented = [
            (None, ChainEnd(DeviceId(digest("t", bytes([n, k]))), 1, 5, OperationId(bytes(32))))
            for k in range(100)
        ]
        asked = memory.plan(1, invented, n)
        assert len(asked) == 100
        memory.served(asked, invented, n)
    assert len(memory.asked) == 100, "not one entry for each lie"
