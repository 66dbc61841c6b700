"""One realm of this node: the store's memory, the one way in, and what sessions may read.

Implements ``commons_protocol.replica.Replica``. Everything that enters, own or foreign, goes
through ``_absorb``: verify, judge, apply, one transaction, then tell.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import structlog

from commons_crdt.author import Draft
from commons_crdt.authority.judge import Judge, Standing
from commons_crdt.device import DeviceKeys, DeviceSecrets
from commons_crdt.folds import View
from commons_crdt.ids import DeviceId, DocumentId, OperationId, RealmId
from commons_crdt.kinds import Rules
from commons_crdt.operation import Operation, operation_id
from commons_node.disk import Room
from commons_node.realm.authoring import NotWritten, Told, Written, told_of, write_down
from commons_node.realm.batches import Reading, read
from commons_node.realm.catching_up import CatchingUp
from commons_node.realm.documents import Documents, Outcome
from commons_node.realm.folding import Folding
from commons_node.realm.hashing import Hashes
from commons_node.realm.intake import Batch, Intake, Sight
from commons_node.realm.memory import Memory
from commons_node.realm.notices import Notices
from commons_node.realm.parts import RealmParts
from commons_node.realm.pinning import Pinning
from commons_node.realm.pruning import Pruner
from commons_node.realm.revised import Revised
from commons_node.realm.revision import Revision
from commons_node.realm.sealed import Sealed
from commons_node.realm.told import Change, Telling
from commons_node.store.connection import Connection
from commons_node.store.realm_store import RealmStore, Stored
from commons_node.verifier.pool import VerifierPool
from commons_protocol.ends import Vector
from commons_protocol.ranges import of_log
from commons_protocol.replica import Credential, Ingested, Range

log = structlog.get_logger(component="realm")

Result = TypeVar("Result")


class Realm:
    """See the module. ``open`` loads it; one instance per realm and process."""

    def __init__(
        self,
        realm: RealmId,
        store: RealmStore,
        rules: Rules,
        views: Sequence[View],
        pool: VerifierPool,
        now_ms: Callable[[], int],
        *,
        prune: bool = True,
        room: Room | None = None,
    ) -> None:
        """``now_ms`` is this machine's clock in milliseconds UTC.

        ``prune``: delete what seals make superfluous. ``room``: of the disk; None: without end.
        """
        self.store = store
        self.rules = rules
        self.memory = Memory(realm, store, rules)
        self.folding = Folding(store, rules, views)
        self.documents = Documents(store, rules, pool)
        self.pool = pool
        self._sealed = Sealed(store)
        self._revision = Revision(
            self.memory, store, rules, self.folding, self.documents, self._sealed
        )
        self.notices = Notices(store)
        self.refusals: Counter[str] = Counter()
        self._tell = Telling(realm)
        self.epoch_keys: dict[OperationId, bytes] = {}
        self.own_credential: Credential | None = None
        self._now_ms = now_ms
        self._room = room
        self._lock = asyncio.Lock()
        self._working: asyncio.Task[Any] | None = None
        self._unsure = False
        self._hashes = Hashes(store, self.folding)
        self._catching_up = CatchingUp(
            store, self.documents, self._revision, self._alone, self._lock.locked,
            self._hashes.forget,
        )  # fmt: skip
        self.pinning = Pinning(
            self.memory, store, self._sealed, self._revision, self._alone, self._pinned,
            self._remember,
        )  # fmt: skip
        self.pruner = Pruner(self.memory, store, self._alone) if prune else None
        self.parts = RealmParts(self.memory, store, self._alone, now_ms)

    @property
    def realm(self) -> RealmId:
        """The realm's id."""
        return self.memory.realm

    @property
    def listeners(self) -> list[Callable[[Change], None]]:
        """Who is told of every commit."""
        return self._tell.listeners

    @property
    def judge(self) -> Judge:
        """The judge; a new one after a failed commit."""
        return self.memory.judge

    # -- opening -------------------------------------------------------------------------------

    async def open(self) -> None:
        """Load what stays in memory: authority, chain ends, forks, erasures."""
        await self.memory.load()
        await self.store.waiting.newer_program()
        async with self.store.database.transaction() as connection:
            if await self.folding.create(connection):
                await self._revision.fold_again(connection, self.judge)
            await self._sealed.follow(self.judge)
            held = await self.store.inside.held_documents()
            await self.store.fall_behind(connection, held)
        if held:
            self._catching_up.wait_with(held)
        self._prune()

    def _prune(self) -> None:
        if self.pruner is not None:
            self.pruner.wake()

    def _pinned(self, revised: Revised) -> None:
        self._hashes.forget()
        self._tell((), revised.flips())

    # -- the one way in ------------------------------------------------------------------------

    async def ingest(self, operations: Sequence[Operation], source: str) -> Ingested:
        """Verify, judge and store a batch, durable before it returns; see ``Replica``."""
        reading = read(operations, self.realm)
        theirs = self._room is not None and source != "join"  # who joins asked for it
        withheld = self._room.withhold(reading) if self._room and theirs else Counter()
        early = asyncio.create_task(self._intake().check_early(reading, self._now_ms()))
        try:
            result = await self._alone(lambda: self._take_in(reading, early))
        finally:
            early.cancel()
        if withheld:
            result = replace(result, held=Counter(result.held) + withheld)
        if result.refused:
            log.info("refused", realm=self.realm.hex()[:8], source=source, why=dict(result.refused))
        return result

    async def _take_in(self, reading: Reading, early: asyncio.Task[None]) -> Ingested:
        await early
        return await self._absorb(reading, own=False)

    async def _alone(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Let ``work`` have the realm, to its end even if the caller gives up waiting for it.

        A caller's timeout must not fall between two commits, or between the disk and the judge.
        """

        async def whole() -> Result:
            try:
                if self._unsure:
                    await self._remember()
                return await work()
            finally:
                self._lock.release()

        await self._lock.acquire()
        self._working = asyncio.create_task(whole(), name="realm")
        return await asyncio.shield(self._working)

    async def _remember(self) -> None:
        """Read everything again: the judge may have learned what the disk has not."""
        self._unsure = True
        self._catching_up.backlog.read_again()
        self._sealed.forget()
        await self.memory.load()
        self._hashes.forget()
        self._unsure = False

    async def _absorb(
        self, reading: Reading, released: Sequence[OperationId] = (), *, own: bool
    ) -> Ingested:
        """``released``: operations of the batch that were kept aside until now."""
        total = Ingested()
        while reading.parsed or reading.refused or released:
            batch, ids = await self._absorb_once(reading, released, own=own)
            self.refusals.update(batch.refused)
            total = batch.added_to(total, ids)
            own = False  # what waited for ours is somebody else's
            waited = await self.store.waiting.released(ids)
            reading, released = read(waited.values(), self.realm), list(waited)
        return total

    def _intake(self) -> Intake:
        return Intake(Sight.of(self.memory, self.store), self.pool)

    async def _absorb_once(
        self, reading: Reading, released: Sequence[OperationId], *, own: bool
    ) -> tuple[Batch, tuple[OperationId, ...]]:
        try:
            batch = await self._intake().take(reading, self._now_ms())
            self.memory.need(sorted(batch.missing))
            if own:  # an author sees at once what was written
                await self._catching_up.apply(self._catching_up.backlog.among(batch.edits))
            if own and len(batch.stored) < len(reading.parsed):
                # kept aside it would come back later, beside what its author then wrote instead
                why = {*batch.refused, *(one.why for one in batch.aside)} or {"missing"}
                raise NotWritten(why=", ".join(sorted(why)))
            stored, revised = await self._commit(batch, released, own=own)
        except BaseException:
            await self._remember()
            raise
        if stored or revised:
            self._prune()
        if stored or revised.flips():
            self._tell(stored, revised.flips(), own=own, forked=batch.forked)
        return batch, tuple(item.standing.id for item in stored)

    async def _commit(
        self, batch: Batch, released: Sequence[OperationId], *, own: bool
    ) -> tuple[Sequence[Stored], Revised]:
        """Everything that a batch changes, in one transaction; then memory follows."""
        backlog = self._catching_up.backlog
        later = [] if own else backlog.postpone(batch.edits)
        waits = set(later)
        now = {d: new for d, new in batch.edits.items() if d not in waits}
        outcome = await self.documents.apply(now)
        outcome.applied.update({edit.id: "" for d in later for edit in batch.edits[d]})
        stored, revised = batch.stored, Revised()
        if not (stored or batch.aside or batch.late or released):
            return stored, revised
        async with self.store.database.transaction() as connection:
            first = await self.store.insert(connection, stored, outcome.applied, own=own)
            new = [document for document in later if document not in backlog]
            await self.store.fall_behind(connection, new, first)
            await self.store.waiting.remove([*released, *(item.standing.id for item in stored)])
            batch.refused += Counter(
                limit=await self.store.waiting.keep(batch.aside, self.memory.whose)
            )
            await self._revision.fill(connection, batch.late)
            await self._fold(connection, first, stored, outcome)
            late = [item.id for item in batch.late]
            revised = await self._revision.follow(connection, stored, late)
            flips, now_ms = revised.flips(), self._now_ms()
            await self.notices.note(connection, self.judge.authority, flips, now_ms)
        self._hashes.forget()
        await self.memory.advance([item.standing for item in stored], revised)
        if revised.erased:
            await self.store.database.forget_erased()
        if later:
            self._catching_up.wait_with(later, batch.edits)
        if revised or revised.erased:
            backlog.read_again()
        return stored, revised

    async def settled(self, documents: Sequence[DocumentId] | None = None) -> None:
        """Wait until the views show everything that is stored, or all of some documents."""
        await self._catching_up.settled(documents)

    async def _fold(
        self,
        connection: Connection,
        first: int,
        stored: Sequence[Stored],
        outcome: Outcome,
    ) -> None:
        facts = [
            (n, fact)
            for n, item in enumerate(stored, first)
            if self.folding.heeds(item.standing.kind)  # the row of an edit is its document's
            and (fact := self.folding.fact(self.judge, item.standing, item.operation.body))
        ]
        dirty = await self.folding.note(connection, facts)
        dirty |= self.folding.of_documents(outcome.fields)
        await self.folding.fold(connection, self.judge, dirty, outcome.fields)
        if any(item.standing.log == 0 for item in stored):
            await self.folding.members(connection, self.judge.authority)

    # -- writing -------------------------------------------------------------------------------

    async def write(
        self, drafts: Sequence[Draft], author: DeviceSecrets, grant: OperationId
    ) -> list[Written]:
        """Sign ``drafts`` one after the other at the end of the author's chains, and store them.

        All or nothing: durable when it returns. Raises ``Budget``, ``DiskShort`` or ``NotWritten``.
        """
        if self._room is not None:
            self._room.check(drafts)
        told = told_of()
        return await self._alone(lambda: self._write(drafts, author, grant, told))

    async def _write(
        self,
        drafts: Sequence[Draft],
        author: DeviceSecrets,
        grant: OperationId,
        told: Told | None = None,
    ) -> list[Written]:
        operations = await write_down(self.memory, drafts, author, grant, self._now_ms())
        if told is not None:
            await told([operation_id(operation.header) for operation in operations])
        await self._absorb(read(operations, self.realm), own=True)
        ids = [operation_id(operation.header) for operation in operations]
        found = await self.memory.find(ids)
        return [Written(ident, found[ident].judgement) for ident in ids]

    # -- reading -------------------------------------------------------------------------------

    async def standing(self, ident: OperationId) -> Standing | None:
        """The standing of one stored operation."""
        return (await self.store.standings([ident])).get(ident)

    def digest(self) -> bytes:
        """32 bytes over all chain ends; see ``Replica``."""
        return self.memory.ends.digest()

    def log_zero(self, key: bytes) -> bytes:
        """A fingerprint of log 0; see ``Replica``."""
        return of_log(self.memory.ends.vector(), 0, key)

    def size(self) -> int:
        """How many operations stand up to all ends; see ``Replica``."""
        return self.memory.ends.size()

    async def vector(self) -> Vector:
        """Every chain's end; see ``Replica``."""
        return self.memory.ends.vector()

    async def fold_again(self) -> None:
        """Empty every view and fold the stored operations again; the rows must not change."""
        await self._alone(self._fold_again)

    async def _fold_again(self) -> None:
        self._hashes.forget()
        async with self.store.database.transaction() as connection:
            await self._revision.fold_again(connection, self.judge)

    async def read(
        self,
        ranges: Sequence[Range],
        after: int | None,
        limit: int,
        ids: Sequence[OperationId] = (),
    ) -> tuple[Sequence[Operation], int | None]:
        """Operations in causal order; see ``Replica``."""
        return await self.store.operations(ranges, after, limit, ids)

    def epochs(self) -> Sequence[tuple[OperationId, bytes]]:
        """Known epochs, newest first."""
        order = list(self.judge.authority.epochs)
        return [(i, self.epoch_keys[i]) for i in reversed(order) if i in self.epoch_keys]

    def credential(self) -> Credential | None:
        """This node's own standing."""
        return self.own_credential

    def node_keys(self, device: DeviceId) -> DeviceKeys | None:
        """The keys of a node's device whose grant stands; see ``Replica``."""
        return self.memory.node_keys(device)

    def whose(self, device: DeviceId) -> bytes:
        """The member whose device it is; see ``Replica``."""
        return self.memory.whose(device)

    async def hashes(self) -> tuple[bytes, bytes]:
        """(set_hash, state_hash); kept until something changes."""
        known = self._hashes.known
        return known if known is not None else await self._alone(self.hash_now)

    async def hash_now(self) -> tuple[bytes, bytes]:
        """``hashes`` for who has the realm already; never over less than is stored."""
        if self._hashes.known is None:
            await self._catching_up.apply_all()
        return await self._hashes.now()

    async def as_one(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Let ``work`` see the realm while nothing is written."""
        return await self._alone(work)

    async def tick(self) -> None:
        """Try again what was held for the clock or for a worker."""
        await self._alone(self._try_again)

    async def _try_again(self) -> None:
        await self._catching_up.apply_all()
        now = self._now_ms()
        due = await self.store.waiting.due(now)
        if due:
            await self._absorb(read(due.values(), self.realm), list(due), own=False)
        await self._catching_up.retry_held(now)

    async def close(self) -> None:
        """Finish what is being written, then close the file."""
        self._catching_up.stop()
        if self.pruner is not None:
            self.pruner.stop()
        async with self._lock:
            await self.store.database.close()
