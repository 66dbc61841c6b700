"""Changing what was stored: contents that come late, erasures, and forks that change everything.

Rare, and never the way in. Each happens inside the transaction that brings its cause, so that a
crash leaves all of it or nothing. Changes no memory: the realm does, after the commit.
"""

from __future__ import annotations

from collections.abc import Sequence

import aiosqlite
import structlog

from commons_crdt.authority.judge import ERASURE, Judge, Missing, Standing
from commons_crdt.errors import Refused
from commons_crdt.folds import Fact
from commons_crdt.ids import DeviceId, DocumentId, OperationId
from commons_crdt.kinds import Rules
from commons_crdt.operation import Operation
from commons_crdt.verdict import Verdict
from commons_node.realm.documents import Documents, Outcome
from commons_node.realm.folding import Folding
from commons_node.realm.intake import Parsed, is_named
from commons_node.realm.memory import Memory
from commons_node.store.database import placeholders
from commons_node.store.realm_store import RealmStore
from commons_node.verifier.work import form

log = structlog.get_logger(component="realm")
_DOCUMENTS = 500
_IN = 400


class Revision:
    """Works on one realm's store, inside the realm's lock and transaction."""

    def __init__(
        self,
        memory: Memory,
        store: RealmStore,
        rules: Rules,
        folding: Folding,
        documents: Documents,
    ) -> None:
        """Shares everything with its realm."""
        self._memory = memory
        self._store = store
        self._rules = rules
        self._folding = folding
        self._documents = documents

    async def fill(self, connection: aiosqlite.Connection, late: Sequence[Parsed]) -> None:
        """Store contents that came for operations that lacked some."""
        for item in late:
            kind, body = self._rules.kinds.get(item.header.kind), item.operation.body
            edit = kind is not None and kind.schema is not None and body is not None
            change = form(body).change if edit and body is not None else None
            await self._store.set_contents(connection, item.id, item.operation, change)

    async def complete(
        self, connection: aiosqlite.Connection, late: Sequence[Parsed]
    ) -> list[Standing]:
        """Judge operations again whose contents were filled in; what they are now."""
        found = await self._memory.find([item.id for item in late])
        return await self._judge_some(connection, [found[item.id] for item in late])

    async def erase(
        self, connection: aiosqlite.Connection, erasures: Sequence[OperationId]
    ) -> list[Standing]:
        """Take away what accepted erasures name, and judge it by its headers alone."""
        if not erasures:
            return []
        affected: dict[OperationId, Standing] = {}
        for target in (await self._memory.erased(erasures)).values():
            kind = self._rules.kinds.get(target.kind)
            whole = kind is not None and kind.schema is not None
            if not whole:
                affected[target.id] = target
                continue
            rows = await self._store.inside.edits_of([target.document])
            affected |= {row.id: row.standing for row in rows[target.document]}
        takes_body = [
            standing.id
            for standing in affected.values()
            if (kind := self._rules.kinds.get(standing.kind)) is not None and kind.erased == "body"
        ]
        await self._store.erase(connection, affected, body=False)
        await self._store.erase(connection, takes_body, body=True)
        return await self._judge_some(connection, list(affected.values()))

    async def freeze(
        self, connection: aiosqlite.Connection, forks: Sequence[tuple[DeviceId, int, int]]
    ) -> None:
        """Forks in log 1 were learned: from there on nothing counts of those chains.

        Nothing else changes, for who may do what stands in log 0; so that a member who forks, and
        forks again below, costs us a chain each time and not the realm. Unless an erasure goes.
        """
        frozen: list[Standing] = []
        for device, log_number, seq in forks:
            where = "c.device = ? AND c.log = ? AND o.seq >= ? AND o.reason != 'fork'"
            rows = await self._store.inside.everything(where, (device, log_number, seq))
            frozen += [standing for standing, _ in rows]
        if any(s.kind == ERASURE and s.judgement.verdict is Verdict.ACCEPTED for s in frozen):
            await self.judge_again(connection)
        else:
            await self._judge_some(connection, frozen)

    async def _judge_some(
        self, connection: aiosqlite.Connection, standings: Sequence[Standing]
    ) -> list[Standing]:
        """Verdicts of log-1 operations again, and everything that is or was folded from them."""
        if not standings:
            return []
        judge = self._memory.judge
        bytes_of = await self._operations([standing.id for standing in standings])
        changed: list[Standing] = []
        documents: set[DocumentId] = set()
        for standing in standings:
            if standing.log == 0:
                continue
            candidate = self._memory.candidate(standing, bytes_of[standing.id])
            past = await self._memory.find(candidate.header.antecedents)
            changed.append(judge.rejudge(candidate, standing, past.get))
            kind = self._rules.kinds.get(standing.kind)
            if kind is not None and kind.schema is not None:
                documents.add(standing.document)
        await self._store.set_standing(connection, changed)
        outcome = await self._documents.rebuild(judge, list(documents))
        await self._store.set_applied(connection, outcome.applied.items())
        numbers = await self._store.inside.numbers([standing.id for standing in changed])
        facts = [
            (numbers[standing.id], fact)
            for standing in (*standings, *changed)
            if (fact := self._folding.fact(judge, standing, bytes_of[standing.id].body))
        ]
        dirty = await self._folding.note(connection, facts)
        await self._folding.fold(connection, judge, dirty, outcome.fields)
        return changed

    async def _operations(self, ids: Sequence[OperationId]) -> dict[OperationId, Operation]:
        found: dict[OperationId, Operation] = {}
        for i in range(0, len(ids), _IN):
            chunk = ids[i : i + _IN]
            where = f"o.id IN ({placeholders(len(chunk))})"
            rows = await self._store.inside.everything(where, chunk)
            found |= {standing.id: operation for standing, operation in rows}
        return found

    async def retry(
        self, connection: aiosqlite.Connection, documents: Sequence[DocumentId]
    ) -> None:
        """Apply the edits of documents that wait, or once killed their worker."""
        if documents:
            outcome = await self._documents.rebuild(self._memory.judge, documents)
            await self.settle(connection, outcome)

    async def settle(self, connection: aiosqlite.Connection, outcome: Outcome) -> None:
        """Note what edits that waited came to, and show it."""
        await self._store.set_applied(connection, outcome.applied.items())
        dirty = self._folding.of_documents(outcome.fields)
        await self._folding.fold(connection, self._memory.judge, dirty, outcome.fields)

    async def judge_again(self, connection: aiosqlite.Connection) -> None:
        """A fork was learned: judge and fold everything from nothing, in a causal order.

        What is refused now (the budget of a role that does not stand) goes, with what follows.
        """
        forks = self._memory.judge.forks
        log.warning("judging_again", realm=self._memory.realm.hex()[:8], forks=len(forks))
        judge = Judge(self._memory.realm, self._rules)
        judge.forks.update(forks)
        fresh: dict[OperationId, Standing] = {}
        gone: list[OperationId] = []
        changed: list[Standing] = []
        async for rows in self._store.inside.stream():
            for _, standing, operation in rows:
                try:
                    again = judge.judge(self._memory.candidate(standing, operation), fresh.get)
                except Refused:
                    again = Missing(())
                if isinstance(again, Missing):
                    gone.append(standing.id)
                    continue
                fresh[standing.id] = again
                if again != standing:
                    changed.append(again)
        await self._store.remove(connection, gone)
        await self._store.set_standing(connection, changed)
        if judge.erased:
            await self._judge_erased(connection, judge, fresh)
        await self.fold_again(connection, judge)

    async def _judge_erased(
        self,
        connection: aiosqlite.Connection,
        judge: Judge,
        fresh: dict[OperationId, Standing],
    ) -> None:
        """What an erasure names was judged before the erasure was: once more, by its header."""
        changed = []
        bodies: list[OperationId] = []
        parts: list[OperationId] = []
        async for rows in self._store.inside.stream():
            for _, standing, operation in rows:
                kind = self._rules.kinds.get(standing.kind)
                if is_named(judge, kind, standing):
                    parts.append(standing.id)
                if kind is not None and judge.is_erased(kind, standing.id, standing.document):
                    bodies.append(standing.id)
                    candidate = self._memory.candidate(standing, operation)
                    again = judge.rejudge(candidate, fresh[standing.id], fresh.get)
                    if again != standing:
                        changed.append(again)
        await self._store.erase(connection, parts, body=False)
        await self._store.erase(connection, bodies, body=True)
        await self._store.set_standing(connection, changed)

    async def fold_again(self, connection: aiosqlite.Connection, judge: Judge) -> None:
        """Empty every view and fold the stored operations again; the rows must not change."""
        documents = await self._store.inside.documents()
        fields = {}
        held: set[DocumentId] = set()
        for i in range(0, len(documents), _DOCUMENTS):
            some = documents[i : i + _DOCUMENTS]
            outcome = await self._documents.rebuild(judge, some)
            await self._store.set_applied(connection, outcome.applied.items())
            fields.update(outcome.fields)
            held.update(document for document in some if document not in outcome.fields)
        await self._folding.clear(connection, held)
        dirty: set[tuple[str, bytes]] = set()
        async for rows in self._store.inside.stream():
            facts: list[tuple[int, Fact]] = []
            for n, standing, operation in rows:
                fact = self._folding.fact(judge, standing, operation.body)
                if fact is not None:
                    facts.append((n, fact))
            dirty |= await self._folding.note(connection, facts)
        await self._folding.fold(connection, judge, dirty, fields)
        await self._folding.members(connection, judge.authority)
