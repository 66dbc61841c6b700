"""Who pushes much has one place in the realm's queue, like everybody else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from commons_crdt.ids import RealmId, digest
from commons_crdt.operation import Operation
from commons_node.peering.conversation import Conversation
from commons_protocol.effects import Ingest
from commons_protocol.limits import Bucket
from commons_protocol.replica import Ingested

REALM = RealmId(digest("t-realm"))
PUSHES = 30


class Disk:
    """A replica that stores when it is told to."""

    realm = REALM

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.free = asyncio.Event()

    def credential(self) -> None:
        return None

    async def ingest(self, operations: Sequence[Operation], _source: str) -> Ingested:
        self.batches.append(len(operations))
        await self.free.wait()
        return Ingested(new=len(operations))


class Ears:
    """A session that hears what came of each push."""

    closed = ""

    def __init__(self) -> None:
        self.told: list[Ingested] = []

    def on_ingested(self, _realm: RealmId, purpose: str, result: Ingested, _now: int) -> list[Any]:
        assert purpose == "push"
        self.told.append(result)
        return []


@pytest.mark.anyio
async def test_pushes_that_come_while_one_is_stored_are_stored_together() -> None:
    disk, ears = Disk(), Ears()
    eve: Any = SimpleNamespace(peer="eve")
    talk = Conversation(
        eve, ears, [disk], lambda: 0, opened_here=False,  # type: ignore[arg-type,list-item]  # as much as is asked for
        tell=lambda *_: None, stored=lambda *_: None,
    )  # fmt: skip
    operation = Operation(b"header", bytes(64), None)
    for _ in range(PUSHES):
        talk.perform([Ingest(REALM, (operation,), "push")])
        await asyncio.sleep(0)
    assert disk.batches == [1], "the first is being stored, the others wait for it"
    disk.free.set()
    await talk.drained()
    assert disk.batches == [1, PUSHES - 1], "all that came meanwhile takes one turn more"
    assert len(ears.told) == PUSHES, "each push is answered"
    assert sum(result.new for result in ears.told) == PUSHES, "and counted once"


def test_who_is_ahead_of_the_pace_is_told_how_long_to_wait() -> None:
    pace = Bucket(burst=10, per_second=100)
    assert [pace.wait(0) for _ in range(10)] == [0] * 10, "a burst is free"
    assert [pace.wait(0) for _ in range(3)] == [10, 20, 30], "what follows is owed"
    assert pace.wait(40) == 0, "and flows in with time"
