"""Changing what was stored: contents that come late, erasures, and whatever the judge flips.

Each happens inside the transaction that brings its cause, so that a crash leaves all of it or
nothing. Of the realm's memory only the judge and what is erased change on the way: both are read
again if the transaction fails.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence, Set

import msgspec
import structlog

from commons_crdt.authority.flips import Chain
from commons_crdt.authority.judge import Judge, Standing
from commons_crdt.folds import Fact
from commons_crdt.ids import DocumentId, OperationId
from commons_crdt.kinds import Rules
from commons_crdt.verdict import Judgement
from commons_node.realm.answers import answer
from commons_node.realm.batches import Parsed
from commons_node.realm.documents import Documents, Outcome
from commons_node.realm.erasing import erases, is_edit, target_of
from commons_node.realm.folding import Folding
from commons_node.realm.memory import Memory
from commons_node.realm.revised import Revised
from commons_node.realm.sealed import Sealed
from commons_node.store.connection import Connection
from commons_node.store.reading import Row
from commons_node.store.realm_store import RealmStore, Stored
from commons_node.verifier.work import form

log = structlog.get_logger(component="realm")
_DOCUMENTS = 500
_ANY = 1 << 62
_STRETCHES = 200
"""Stretches of one view that a query leaves out; SQLite takes so many conditions."""
_TURNS = 100
"""Rounds of asking the judge what else has changed: each needs an answer that it waited for."""


class Revision:
    """Works on one realm's store, inside the realm's lock and transaction."""

    def __init__(
        self,
        memory: Memory,
        store: RealmStore,
        rules: Rules,
        folding: Folding,
        documents: Documents,
        sealed: Sealed,
    ) -> None:
        """Shares everything with its realm."""
        self._sealed = sealed
        self._memory = memory
        self._store = store
        self._rules = rules
        self._folding = folding
        self._documents = documents

    # -- what a batch changes elsewhere ----------------------------------------------------------

    async def fill(self, connection: Connection, late: Sequence[Parsed]) -> None:
        """Store contents that came for operations that lacked some."""
        for item in late:
            kind, body = self._rules.kinds.get(item.header.kind), item.operation.body
            edit = kind is not None and kind.schema is not None and body is not None
            change = form(body).change if edit and body is not None else None
            await self._store.set_contents(connection, item.id, item.operation, change)

    async def follow(
        self,
        connection: Connection,
        stored: Sequence[Stored],
        late: Sequence[OperationId],
    ) -> Revised:
        """Judge again what a batch has touched: ``stored`` just now, or ``late`` contents came.

        Asks the judge until nothing changes any more. In the end verdicts, documents and rows are
        those that the whole set gives.
        """
        revised = Revised()
        erased = await self._named(item for item in stored if erases(item.standing))
        changed = await self._judge_some(connection, await self._store.inside.rows(late), revised)
        chains: set[Chain] = set()
        for _ in range(_TURNS):
            flips = self._memory.judge.flips()
            if not (flips or erased or chains):
                break
            revised.ends |= flips.ends
            chains |= flips.chains
            erased |= flips.erasures
            await self._judged_in_log_0(connection, flips.operations, revised)
            if flips.wanted or flips.closures:
                await answer(self._memory.judge, flips, self._store.inside)
                continue  # verdicts wait for the answers: who was judged now would be judged twice
            for chain in sorted(chains):
                async for rows in await self._moved(chain):
                    changed += await self._judge_some(connection, rows, revised)
            things, erased = erased, set()
            chains.clear()
            changed += await self._erased_or_not(connection, things, revised)
        else:
            log.error("judge_never_rests", realm=self._memory.realm.hex()[:8])
        await self._sealed.follow(self._memory.judge)
        await self._show(connection, changed, revised)
        if any(flip.log == 0 for flip in revised.flips()):
            await self._folding.members(connection, self._memory.judge.authority)
        return revised

    async def _moved(self, chain: Chain) -> AsyncIterator[list[Row]]:
        """What of a chain may be judged otherwise now: most often what lies beyond its end.

        A long chain is asked at the ends of each stretch with one view and one role.
        """
        judge, reader = self._memory.judge, self._store.inside
        end = judge.end(*chain).seq
        most = _ANY if end is None else end
        if chain in judge.forks:
            return reader.chain(*chain)
        stretches = await reader.extremes(*chain, most)
        at = await reader.placed(*chain, {seq for stretch in stretches for seq in stretch[2:]})
        same = [
            (mask, role)
            for mask, role, first, last in stretches
            if judge.unmoved(at[first]) and judge.unmoved(at[last])
        ]
        return reader.chain_but(*chain, most, same[:_STRETCHES])

    async def _judged_in_log_0(
        self,
        connection: Connection,
        operations: Mapping[OperationId, Judgement],
        revised: Revised,
    ) -> None:
        if not operations:
            return
        before = await self._store.inside.standings(operations)
        after = [
            msgspec.structs.replace(before[ident], judgement=judgement)
            for ident, judgement in operations.items()
        ]
        for standing in after:
            revised.put(before[standing.id], standing)
        await self._store.set_standing(connection, after)

    async def _judge_some(
        self, connection: Connection, rows: Sequence[Row], revised: Revised
    ) -> list[tuple[Row, Standing]]:
        """Verdicts of log-1 operations again, ascending in each chain; those that are other now."""
        judge = self._memory.judge
        candidates = [
            self._memory.candidate(row.standing, row.operation)
            for row in rows
            if row.standing.log == 1
        ]
        past = await self._memory.find({i for c in candidates for i in c.header.antecedents})
        changed: list[tuple[Row, Standing]] = []

        def lookup(ident: OperationId) -> Standing | None:
            return revised.get(ident) or past.get(ident)

        by_id = {row.standing.id: row for row in rows}
        for candidate in candidates:
            row = by_id[candidate.id]
            now = revised.get(row.standing.id) or row.standing
            again = judge.rejudge(candidate, now, lookup)
            if (again.judgement, again.role) != (now.judgement, now.role):
                revised.put(now, again)
                changed.append((row, again))
        await self._store.set_standing(connection, [s for _, s in changed])
        return changed

    async def _named(self, stored: Iterable[Stored]) -> set[bytes]:
        """The facts and documents that these erasures name."""
        ids = {t for item in stored if (t := target_of(item.operation.body)) is not None}
        found = (await self._store.inside.standings(ids)).values()
        return {bytes(t.document if self._is_edit(t) else t.id) for t in found}

    async def _erased_or_not(
        self, connection: Connection, things: Set[bytes], revised: Revised
    ) -> list[tuple[Row, Standing]]:
        """Take what is erased now; and judge it, and what is erased no more, by what is here."""
        if not things:
            return []
        reader = self._store.inside
        edits = await reader.edits_of([DocumentId(thing) for thing in sorted(things)])
        facts = await reader.standings(things)
        ids = {row.id: bytes(document) for document, rows in edits.items() for row in rows}
        ids |= {ident: bytes(ident) for ident, s in facts.items() if not self._is_edit(s)}
        gone = self._memory.judge.erased
        taken = [row for row in await reader.rows(list(ids)) if ids[row.standing.id] in gone]
        kinds = self._rules.kinds
        whole = [row for row in taken if kinds[row.standing.kind].erased == "body"]
        await self._store.erase(connection, [row.standing.id for row in taken], body=False)
        await self._store.erase(connection, [row.standing.id for row in whole], body=True)
        about = await self._store.large.forget(connection, things & gone, about=True)
        revised.erased = revised.erased or bool(taken) or bool(about)
        rows = await reader.rows(list(ids))
        changed = await self._judge_some(connection, rows, revised)
        judged = {row.standing.id for row, _ in changed}
        same = [row for row in rows if row.standing.id not in judged]
        return changed + [(row, row.standing) for row in same]

    def _is_edit(self, standing: Standing) -> bool:
        return is_edit(self._rules.kinds.get(standing.kind))

    async def _show(
        self,
        connection: Connection,
        changed: Sequence[tuple[Row, Standing]],
        revised: Revised,
    ) -> None:
        """Bring documents and rows to what the operations are now."""
        if not changed:
            return
        judge = self._memory.judge
        documents = {s.document for _, s in changed if self._is_edit(s)}
        outcome = await self._documents.rebuild(judge, sorted(documents))
        await self._store.set_applied(connection, outcome.applied.items())
        facts: list[tuple[int, Fact]] = []
        for row, after in changed:
            for standing in (row.standing, after, revised.get(after.id) or after):
                fact = self._folding.fact(judge, standing, row.operation.body)
                if fact is not None:
                    facts.append((row.n, fact))
        dirty = await self._folding.note(connection, facts)
        dirty |= self._folding.of_documents(outcome.fields)
        await self._folding.fold(connection, judge, dirty, outcome.fields)

    # -- documents that wait, and everything again -----------------------------------------------

    async def retry(self, connection: Connection, documents: Sequence[DocumentId]) -> None:
        """Apply the edits of documents that wait, or once killed their worker."""
        if documents:
            outcome = await self._documents.rebuild(self._memory.judge, documents)
            await self.settle(connection, outcome)

    async def settle(
        self, connection: Connection, outcome: Outcome, said: str | None = None
    ) -> None:
        """Note what edits that waited came to, and show it; ``said``: what all of them say now."""
        other = [(ident, why) for ident, why in outcome.applied.items() if why != said]
        await self._store.set_applied(connection, other)
        dirty = self._folding.of_documents(outcome.fields)
        await self._folding.fold(connection, self._memory.judge, dirty, outcome.fields)

    async def fold_again(self, connection: Connection, judge: Judge) -> None:
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
            for row in rows:
                fact = self._folding.fact(judge, row.standing, row.operation.body)
                if fact is not None:
                    facts.append((row.n, fact))
            dirty |= await self._folding.note(connection, facts)
        await self._folding.fold(connection, judge, dirty, fields)
        await self._folding.members(connection, judge.authority)
