"""Deleting what a seal has made superfluous: some hundred operations at a time, last ones first.

A round looks for what may go without having the realm for itself; then each step takes the realm,
looks at what was stored meanwhile, and deletes a little in one transaction, always what nothing
that is here builds on. A node that has pruned by a seal never leaves the council's chain below it:
the pin has moved there when the seal came into force. A crash leaves a whole, smaller set; the next
start goes on.

Source: docs/protocol/authority.md "Pruning".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import structlog

from commons_crdt.authority.judge import Judge
from commons_crdt.authority.pruning import Final, Finality, Link, Pruning
from commons_crdt.ids import OperationId
from commons_crdt.operation import decode_header
from commons_node.realm.memory import Memory
from commons_node.store.realm_store import RealmStore

log = structlog.get_logger(component="realm")

STEP = 500
"""Operations that are deleted in one transaction."""
MOST = 50_000
"""Operations that one round deletes: the newest; another round follows."""

PRUNED = "pruned_operations"
"""The setting that counts what was deleted on this disk."""

Alone = Callable[[Callable[[], Coroutine[Any, Any, bool]]], Awaitable[bool]]
"""Runs work while it has the realm for itself."""


class Pruner:
    """What prunes one realm; ``wake`` it whenever a seal may have come into force."""

    def __init__(self, memory: Memory, store: RealmStore, alone: Alone) -> None:
        """Shares everything with its realm."""
        self._memory = memory
        self._store = store
        self._alone = alone
        self._task: asyncio.Task[None] | None = None
        self.pruned = 0
        """Operations deleted since the start."""

    def wake(self) -> None:
        """Begin a round if there is a seal that was not pruned by."""
        seal = self._memory.judge.branches.newest_seal()
        if seal is None or seal == self._memory.pruned:
            return
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._rounds(), name="pruning")

    async def settled(self) -> None:
        """Wait until a round that has begun is over."""
        if self._task is not None:
            await asyncio.wait([self._task])

    def stop(self) -> None:
        """Prune no more."""
        if self._task is not None:
            self._task.cancel()

    async def _rounds(self) -> None:
        try:
            more = True
            while more:
                more = await self._round()
        except Exception:
            log.exception("pruning_failed", realm=self._memory.realm.hex()[:8])

    async def _round(self) -> bool:
        """Prune by the newest seal; True if there may be more to do."""
        seal = self._memory.judge.branches.newest_seal()
        final = self._memory.judge.branches.finality(seal) if seal is not None else None
        if final is None or seal == self._memory.pruned:
            return False
        plan = Pruning(final)
        for chain in final.chains:
            if links := await self._links(self._memory.judge, chain):
                plan.add(chain, links)
        numbers = await self._store.outside.numbers(sorted(plan.candidates))
        chosen = sorted(numbers, key=lambda x: -numbers[x])[:MOST]
        plan.candidates.intersection_update(chosen)  # nothing but the rest builds on these
        seen = min((numbers[x] for x in chosen), default=1) - 1
        async for last in self._look(plan, seen if chosen else -1):
            seen = last
        deleting = _Deleting(self, plan, final, numbers, seen)
        while await self._alone(deleting.step):
            pass
        if deleting.count:
            log.info("pruned", realm=self._memory.realm.hex()[:8], count=deleting.count)
        if deleting.stopped:
            return False
        if len(numbers) > len(chosen) and deleting.count:
            return True
        await self._alone(lambda: self._note(final))
        return True

    async def _links(self, judge: Judge, chain: Final) -> list[Link]:
        """A chain of log 1 from where it may have something dead."""
        fork = judge.forks.get((chain.device, 1))
        if fork is None and not chain.closings:
            return []
        starts = [position.seq + 1 for position in chain.closings]
        if chain.top is not None:
            starts.append(chain.top.seq + 1)
        if fork is not None:
            starts.append(fork)
        return [
            Link(seq, ident, OperationId(decode_header(header).prev))
            async for rows in self._store.outside.links(chain.device, 1, min(starts))
            for seq, ident, header in rows
        ]

    async def _look(self, plan: Pruning, after: int) -> AsyncIterator[int]:
        """Look at all that was stored behind a number; yields how far that came."""
        if after < 0:
            return
        async for rows in self._store.outside.headers(after):
            for _, ident, header in rows:
                plan.look(ident, decode_header(header).antecedents)
            yield rows[-1][0]

    async def _note(self, final: Finality) -> bool:
        async with self._store.database.transaction() as connection:
            await self._store.set_setting(connection, "pruned", final.seal)
        self._memory.pruned = final.seal
        return False


class _Deleting:
    """The second half of a round."""

    def __init__(
        self,
        pruner: Pruner,
        plan: Pruning,
        final: Finality,
        numbers: dict[OperationId, int],
        seen: int,
    ) -> None:
        self._pruner = pruner
        self._plan = plan
        self._final = final
        self._numbers = numbers
        self._seen = seen
        self._gone: set[OperationId] = set()
        self.count = 0
        self.stopped = False

    async def step(self) -> bool:
        """Delete some, the last ones first; True if there are more. The caller has the realm."""
        memory, store = self._pruner._memory, self._pruner._store
        now = memory.judge.branches.finality(self._final.seal)
        if now is None or memory.judge.branches.newest_seal() is None:
            self.stopped = True  # the council is split meanwhile, or its seal was not committed
            return False
        self._plan.keep(now.named)
        async for rows in store.inside.headers(self._seen):
            for _, ident, header in rows:
                self._plan.look(ident, decode_header(header).antecedents)
            self._seen = rows[-1][0]
        left = self._plan.superfluous - self._gone
        some = sorted(left, key=lambda x: -self._numbers[x])[:STEP]
        if not some:
            return False
        try:
            async with store.database.transaction() as connection:
                await store.delete(connection, [self._numbers[x] for x in some])
                gone = int.from_bytes(await store.inside.setting(PRUNED) or b"") + len(some)
                await store.set_setting(connection, PRUNED, gone.to_bytes(8))
        except BaseException:
            await memory.load()
            raise
        await memory.forget(some)
        self._gone.update(some)
        self.count += len(some)
        self._pruner.pruned += len(some)
        return len(left) > len(some)
