"""What people tell a node about its pin: where it starts, and which branch of a split it follows.

A node never leaves the council's chain below its pin. Seals move it by themselves (`sealed`);
here it moves because somebody said so. Local: in no hash, never sent.

Source: AUTHORITY.md "Council", docs/protocol/authority.md "Seals".
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from commons_crdt.ids import OperationId
from commons_node.realm.memory import Memory
from commons_node.realm.revised import Revised
from commons_node.realm.revision import Revision
from commons_node.realm.sealed import Sealed
from commons_node.store.realm_store import RealmStore

Alone = Callable[[Callable[[], Coroutine[Any, Any, bool]]], Coroutine[Any, Any, bool]]


class Pinning:
    """See the module; works while nobody else writes."""

    def __init__(
        self,
        memory: Memory,
        store: RealmStore,
        sealed: Sealed,
        revision: Revision,
        alone: Alone,
        told: Callable[[Revised], None],
        remember: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        """``told``: what the move changed; ``remember``: read everything again, it failed."""
        self._memory = memory
        self._store = store
        self._sealed = sealed
        self._revision = revision
        self._alone = alone
        self._told = told
        self._remember = remember

    async def keep_to(self, operation: OperationId) -> bool:
        """Pin the newest seal that was in force for the author of an operation of log 0.

        Who joins by an invite has its id from somebody they trust, and the id commits to all that
        was before: whatever the node that let them in tells, they start from that seal.
        """
        return await self._alone(lambda: self._keep_to(operation))

    async def _keep_to(self, operation: OperationId) -> bool:
        judge = self._memory.judge
        seal = judge.seal_seen_by(operation)
        if seal is None or seal in judge.authority.council.chain:
            return False  # what is in force here leads through it, and is pinned already
        return await self._pin(seal)

    async def follow(self, act: OperationId) -> bool:
        """Go on behind one of the acts that split the council; False if it is none of them.

        There is no way back: a node never leaves the chain below its pin.
        """
        return await self._alone(lambda: self._follow(act))

    async def _follow(self, act: OperationId) -> bool:
        if act not in self._memory.judge.authority.council.split:
            return False
        return await self._pin(act)

    async def _pin(self, act: OperationId) -> bool:
        try:
            async with self._store.database.transaction() as connection:
                await self._sealed.pin_to(self._memory.judge, act)
                revised = await self._revision.follow(connection, (), ())
            await self._memory.advance((), revised)
        except BaseException:
            await self._remember()
            raise
        self._told(revised)
        return True
