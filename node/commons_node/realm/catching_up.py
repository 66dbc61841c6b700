"""Applying the edits that wait, when no more arrives for a moment.

The realm hands over its lock as ``alone``; every turn takes it for some documents only, so that who
writes meanwhile waits for little. While one turn is written to the disk, workers read the documents
of the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, NamedTuple

from commons_crdt.ids import DocumentId
from commons_node.realm.backlog import PATIENCE_S, QUIET_S, Backlog
from commons_node.realm.documents import Documents, Edit, Outcome, Retries
from commons_node.realm.revision import Revision
from commons_node.store.realm_store import RealmStore

Alone = Callable[[Callable[[], Coroutine[Any, Any, None]]], Awaitable[None]]
"""Runs work while it has the realm for itself."""


class _Reading(NamedTuple):
    """Documents that workers read, with edits that were ``kept``; good for one state of all."""

    documents: Sequence[DocumentId]
    version: int
    kept: Mapping[DocumentId, Sequence[Edit]]
    outcome: asyncio.Task[Outcome]


class CatchingUp:
    """What waits in one realm, and the task that applies it."""

    def __init__(
        self,
        store: RealmStore,
        documents: Documents,
        revision: Revision,
        alone: Alone,
        busy: Callable[[], bool],
        changing: Callable[[], None],
    ) -> None:
        """``busy``: somebody has the realm; ``changing`` is called before anything is applied."""
        self.backlog = Backlog()
        self._store = store
        self._documents = documents
        self._revision = revision
        self._alone = alone
        self._busy = busy
        self._changing = changing
        self._retries = Retries()
        self._arrived = 0.0
        self._task: asyncio.Task[None] | None = None
        self._ahead: _Reading | None = None

    def wait_with(
        self,
        documents: Sequence[DocumentId],
        edits: Mapping[DocumentId, Sequence[Edit]] | None = None,
    ) -> None:
        """Apply these when no more arrives for a moment."""
        self.backlog.add(documents, edits)
        self._arrived = asyncio.get_running_loop().time()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._catch_up(), name="backlog")

    async def _catch_up(self) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        while self.backlog:
            quiet = clock() - self._arrived >= QUIET_S and not self._busy()
            if quiet or clock() - began >= PATIENCE_S:
                began = clock()
                await self._in_turns()
            else:
                await asyncio.sleep(QUIET_S / 4)

    async def settled(self, documents: Sequence[DocumentId] | None = None) -> None:
        """Wait until the views show everything that is stored, or all of some documents."""
        if documents is None:
            await self._in_turns()
        elif self.backlog.among(documents):
            await self._alone(lambda: self.apply(self.backlog.among(documents)))

    async def _in_turns(self) -> None:
        """Apply all that waits; who writes meanwhile has to wait for some documents only."""
        while self.backlog:
            await self._alone(self._turn)

    async def apply_all(self) -> None:
        """Apply all that waits; the caller has the realm."""
        while self.backlog:
            await self._turn()

    async def _turn(self) -> None:
        documents = self.backlog.next()
        if documents:
            await self._write(self._read(documents), self.backlog.next(len(documents)))

    async def apply(self, documents: Sequence[DocumentId]) -> None:
        """Apply some of what waits, as who has the realm; it waits on if that fails."""
        if documents:
            await self._write(self._read(documents))

    def _read(self, documents: Sequence[DocumentId]) -> _Reading:
        """Have workers read documents, unless they have begun to."""
        ahead, self._ahead = self._ahead, None
        version = self.backlog.version
        if ahead is not None:
            if ahead.documents == documents and ahead.version == version:
                return ahead
            ahead.outcome.cancel()
        kept = self.backlog.kept(documents)
        reading = asyncio.create_task(self._documents.apply(kept), name="read documents")
        reading.add_done_callback(
            lambda task: task.cancelled() or task.exception()
        )  # may be let go
        return _Reading(documents, version, kept, reading)

    async def _write(self, reading: _Reading, next_: Sequence[DocumentId] = ()) -> None:
        """Note what reading came to; ``next_`` is read meanwhile."""
        self._changing()
        documents, kept = reading.documents, reading.kept
        outcome = await reading.outcome
        if next_:
            self._ahead = self._read(next_)
        async with self._store.database.transaction() as connection:
            await self._revision.settle(connection, outcome, "")
            await self._revision.retry(connection, [d for d in documents if d not in kept])
            await self._store.catch_up(connection, documents)
        self.backlog.done(documents)

    async def retry_held(self, now_ms: int) -> None:
        """Try documents again whose edits killed their worker, if their time has come."""
        held = [
            document
            for document in await self._store.inside.held_documents()
            if document not in self.backlog and self._retries.due(document, now_ms)
        ]
        if held:
            self._changing()
            async with self._store.database.transaction() as connection:
                await self._revision.retry(connection, held)

    def stop(self) -> None:
        """Apply no more."""
        if self._task is not None:
            self._task.cancel()
        if self._ahead is not None:
            self._ahead.outcome.cancel()
