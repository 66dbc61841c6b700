"""One life of a node, from a start to the next crash: what is not on its disk dies with it."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from commons_node.peering.types import KnownPeer
from commons_node.testing.air import Air
from commons_node.testing.disk import Power
from commons_node.testing.loop import WHO
from commons_protocol.names import NodeId

_FEW = 64
"""Tasks that have ended and are still remembered."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Life:
    """Owns every task of the node while it lives."""

    def __init__(self, name: str, skew_ms: int, goes: Callable[[], None]) -> None:
        """``skew_ms``: how far the node's clock is from the true one. ``goes``: its end."""
        self.name = name
        self.skew_ms = skew_ms
        self.power = Power(goes)
        self.context = contextvars.copy_context()
        self.context.run(WHO.set, self)
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._many = _FEW

    @property
    def alive(self) -> bool:
        """True until the crash."""
        return self.power.on

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """A task began in this life."""
        self._tasks[task] = None
        if len(self._tasks) > self._many:
            self._tasks = {one: None for one in self._tasks if not one.done()}
            self._many = 2 * len(self._tasks) + _FEW

    def end(self) -> int:
        """Every task stops where it stands; how many there were."""
        self.power.on = False
        tasks = [task for task in self._tasks if not task.done()]
        return sum(task.cancel() for task in tasks)


@dataclass(slots=True)
class Shelf:
    """The peer book of one node: a new entry is durable only some time after it was made."""

    durable: dict[NodeId, KnownPeer] = field(default_factory=dict)
    _fresh: dict[NodeId, KnownPeer] = field(default_factory=dict)

    async def load(self) -> Sequence[KnownPeer]:
        """All known peers."""
        return tuple(self.durable.values())

    async def save(self, peer: KnownPeer) -> None:
        """See ``PeerBook``."""
        self._fresh[peer.node] = peer
        if peer.blocked or (old := self.durable.get(peer.node)) is None or old.blocked:
            self.settle()
        elif len(self._fresh) == 1:
            asyncio.get_running_loop().call_later(2.0, self.settle)

    async def forget(self, node: NodeId) -> None:
        """See ``PeerBook``."""
        self.durable.pop(node, None)
        self._fresh.pop(node, None)

    def settle(self) -> None:
        """What was fresh is durable."""
        self.durable.update(self._fresh)
        self._fresh.clear()

    def lose(self) -> int:
        """A crash: how many entries were not durable yet."""
        gone = len(self._fresh)
        self._fresh.clear()
        return gone


@dataclass(slots=True)
class Workers:
    """Verifier workers without processes; one may die on an item, which is then held."""

    air: Air

    async def call(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """Run ``work`` here."""
        await asyncio.sleep(0)
        return work(*arguments)

    async def aside(self, work: Callable[..., Result], *arguments: Any, seconds: float) -> Result:
        """Run ``work`` here; ``seconds`` pass by nobody's clock."""
        assert seconds > 0
        return await self.call(work, *arguments)

    async def map(
        self, work: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item], _slice: int
    ) -> list[Result | None]:
        """Run ``work`` over all items."""
        await asyncio.sleep(0.001)
        results: list[Result | None] = list(work(items)) if items else []
        for n in range(len(results)):
            if self.air.strikes("worker_deaths", self.air.weather.worker_death):
                results[n] = None
        return results


@dataclass(slots=True)
class Keys:
    """``node.key`` without a file."""

    secrets: dict[str, bytes]

    def load(self) -> dict[str, bytes]:
        """All secrets."""
        return dict(self.secrets)

    def add(self, secrets: dict[str, bytes]) -> None:
        """Add or replace, durably."""
        self.secrets.update(secrets)
