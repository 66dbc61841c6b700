"""What peers can make a node remember or keep for them has an end, and who is honest stays."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.simulation.meeting import neighbourhood

from commons_node.peering import KnownPeer, MemoryBook, conversation
from commons_node.peering import book as peer_book
from commons_node.peering.book import Book
from commons_node.peering.conversation import Conversation
from commons_node.store.database import open_database
from commons_node.store.node_store import NODE_SCHEMA, NodeStore
from commons_protocol.effects import Send
from commons_protocol.names import NodeId
from commons_protocol.network import PeerId
from commons_protocol.session import Session
from commons_protocol.wants import Memory


def node(n: int) -> NodeId:
    return NodeId(f"{n:064x}")


@pytest.mark.anyio
async def test_of_too_many_peers_those_go_that_were_not_seen_for_longest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(peer_book, "MOST_KNOWN", 3)
    kept = MemoryBook()
    book = Book(kept)
    await book.load()
    await book.save(KnownPeer(node(1), blocked=True))
    for n, seen in ((2, 500), (3, None), (4, 900)):
        await book.save(KnownPeer(node(n), last_seen_ms=seen))
    assert book.surplus() == [node(3)], "whoever was never seen goes first"
    await book.save(KnownPeer(node(5), last_seen_ms=1000))
    assert book.surplus() == [node(3), node(2)]
    for surplus in book.surplus():
        await book.forget(surplus)
    assert [known.node for known in book.all()] == [node(1), node(4), node(5)]
    assert kept.known.keys() == {node(1), node(4), node(5)}, "on the disk, too"
    assert not book.surplus(), "and a block is never forgotten"


@pytest.mark.anyio
async def test_a_forgotten_peer_is_gone_from_the_disk(tmp_path: Path) -> None:
    database = await open_database(tmp_path / "node.db", NODE_SCHEMA)
    store = NodeStore(database)
    for n in (1, 2):
        await store.save(KnownPeer(node(n)))
    await store.forget(node(1))
    assert [known.node for known in await store.load()] == [node(2)]
    await database.close()


class Deaf:
    """A stream whose far end takes nothing."""

    peer = PeerId("eve")

    async def send(self, _frame: bytes) -> None:
        await asyncio.Event().wait()

    async def receive(self) -> bytes:
        await asyncio.Event().wait()
        return b""

    async def close(self) -> None:
        pass

    async def reset(self) -> None:
        pass


@pytest.mark.anyio
async def test_a_peer_that_takes_nothing_is_not_written_to_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conversation, "MOST_QUEUED", 100_000)
    monkeypatch.setattr(conversation, "_FLUSH_S", 0.05)
    alice, bob = neighbourhood("bob")
    session = Session("dialler", alice.peer, bob.peer, [alice], lambda _r: Memory(), bytes, 0)
    nothing: Any = SimpleNamespace()
    talk = Conversation(
        Deaf(), session, [alice], lambda: 0, opened_here=True,
        tell=lambda *_: nothing, stored=lambda *_: nothing,
    )  # fmt: skip
    running = asyncio.create_task(talk.run())
    await asyncio.sleep(0)
    written = 0
    while not session.closed and written < 1000:
        talk.perform([Send(bytes(1000))])
        written += 1
    assert 90 <= written <= 101, "as much as is allowed"
    assert await asyncio.wait_for(running, 5) == "slow"
