"""Applies stored edits to their documents, in verifier workers, batched per document.

Whether a change applies is a result of its document, not the operation's verdict. It depends on
the document's standing edits alone, however they are cut into batches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec

from commons_crdt.authority.judge import Judge
from commons_crdt.ids import DeviceId, DocumentId, OperationId
from commons_crdt.kinds import Rules
from commons_crdt.operation import content, decode_header
from commons_crdt.roles import Role
from commons_crdt.verdict import Verdict
from commons_node.realm.folding import Fields
from commons_node.store.reading import HELD, NOT_STANDING, EditRow, Past
from commons_node.store.realm_store import RealmStore
from commons_node.verifier.pool import VerifierPool
from commons_node.verifier.work import DocumentJob, Proposed, Read, apply_documents, form

_SLICE = 128
_RETRY_MS = 60_000
_RETRY_MAX_MS = 24 * 3_600_000


class Edit(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A judged edit that its document has not seen: ``deps`` are Automerge hashes.

    Plain values, so that those which wait can be packed: as objects they take three times as much.
    """

    id: OperationId
    device: DeviceId
    kind: str
    role: Role
    change: bytes
    hash: bytes
    deps: tuple[bytes, ...]
    refs: tuple[bytes, ...]


@dataclass(slots=True)
class Outcome:
    """``applied``: "" or the reason, by operation; ``fields`` of every document that was read.

    A document that does not exist (nothing of it stands) has None for its fields. One whose edits
    kill their worker has none at all; the edits are ``HELD``.
    """

    applied: dict[OperationId, str] = field(default_factory=dict)
    fields: dict[DocumentId, Fields | None] = field(default_factory=dict)


class Retries:
    """When held documents are tried again: after a minute, then twice as long each time."""

    def __init__(self) -> None:
        """Nothing was tried."""
        self._next: dict[DocumentId, tuple[int, int]] = {}

    def due(self, document: DocumentId, now_ms: int) -> bool:
        """True if it may be tried now; the next time is set then."""
        at, wait = self._next.get(document, (now_ms, _RETRY_MS))
        if at <= now_ms:
            self._next[document] = (now_ms + wait, min(2 * wait, _RETRY_MAX_MS))
        return at <= now_ms


@dataclass(slots=True)
class _Work:
    """New edits of one document that may be applied on top of its past."""

    document: DocumentId
    kind: str
    past: list[Past]
    edits: list[Edit]


class Documents:
    """The documents of one realm: nothing is kept, everything is derived from the log."""

    def __init__(self, store: RealmStore, rules: Rules, pool: VerifierPool) -> None:
        """Uses the realm's store and the daemon's workers."""
        self._store = store
        self._rules = rules
        self._pool = pool
        self._work: Callable[[Sequence[DocumentJob]], list[Read]] = partial(
            apply_documents,
            {name: kind.schema for name, kind in rules.kinds.items() if kind.schema is not None},
        )

    async def apply(self, edits: Mapping[DocumentId, Sequence[Edit]]) -> Outcome:
        """Apply new edits (each list in a causal order) on top of what is stored."""
        old = [d for d, new in edits.items() if bytes(new[0].id) != bytes(d)]
        pasts = await self._store.inside.pasts(old) if old else {}
        return await self._apply(edits, pasts)

    async def rebuild(self, judge: Judge, documents: Sequence[DocumentId]) -> Outcome:
        """Apply all standing edits of ``documents`` again, from nothing."""
        return await self.read(judge, await self._store.inside.edits_of(documents))

    async def read(self, judge: Judge, stored: Mapping[DocumentId, Sequence[EditRow]]) -> Outcome:
        """Apply all standing edits of documents, given with all of their edits, from nothing."""
        outcome = Outcome()
        edits: dict[DocumentId, list[Edit]] = {}
        for document, rows in stored.items():
            for row in rows:
                edit = self._edit(judge, row)
                if edit is None:
                    outcome.applied[row.id] = NOT_STANDING
                else:
                    edits.setdefault(document, []).append(edit)
            if document not in edits:
                outcome.fields[document] = None
        again = await self._apply(edits, {})
        outcome.applied |= again.applied
        outcome.fields |= again.fields
        return outcome

    def _edit(self, judge: Judge, row: EditRow) -> Edit | None:
        standing = row.standing
        kind = self._rules.kinds.get(standing.kind)
        if kind is None or standing.judgement.verdict is not Verdict.ACCEPTED or row.body is None:
            return None
        if judge.is_erased(kind, row.id, standing.document):
            return None
        read = form(row.body)
        if read.change is None:
            return None
        role = Role(standing.role or Role.NEWCOMER)
        return Edit(
            row.id, row.device, kind.name, role, content(row.body), read.change,
            tuple(read.deps), tuple(decode_header(row.header).refs),
        )  # fmt: skip

    async def _apply(
        self,
        edits: Mapping[DocumentId, Sequence[Edit]],
        pasts: Mapping[DocumentId, Sequence[Past]],
    ) -> Outcome:
        outcome = Outcome()
        together: list[_Work] = []
        singly: list[tuple[DocumentId, Sequence[Edit], list[Past]]] = []
        for document, new in edits.items():
            past = list(pasts.get(document, ()))
            if _repeats(new, past):
                singly.append((document, new, past))
            else:
                together.append(_sift(document, new, past, outcome))
        await self._run(together, outcome)
        for document, new, past in singly:
            for edit in new:
                await self._run([_sift(document, [edit], past, outcome)], outcome)
                if not outcome.applied[edit.id]:
                    past.append(Past(edit.id, edit.kind, edit.hash, bytes(32) + edit.change))
        return outcome

    async def _run(self, works: Sequence[_Work], outcome: Outcome) -> None:
        jobs = [
            DocumentJob(
                work.kind,
                [content(past.body) for past in work.past],
                [
                    Proposed(e.change, e.device, self._rules.kinds[e.kind].editor(e.role))
                    for e in work.edits
                ],
            )
            for work in works
            if work.edits
        ]
        done = await self._pool.map(self._work, jobs, _SLICE)
        results = iter(done)
        for work in works:
            if not work.edits:
                if not work.past:
                    outcome.fields[work.document] = None
                continue
            read = next(results)
            if read is None:
                outcome.applied |= {edit.id: HELD for edit in work.edits}
                outcome.fields.pop(work.document, None)
                continue
            for edit, reason in zip(work.edits, read.reasons, strict=True):
                outcome.applied[edit.id] = reason
            outcome.fields[work.document] = Fields(work.kind, read.fields)


def _repeats(edits: Sequence[Edit], past: Sequence[Past]) -> bool:
    """True if one change comes in two operations: then it matters which of them is applied."""
    hashes = [edit.hash for edit in edits] + [one.hash for one in past]
    return len(set(hashes)) < len(hashes)


def _sift(document: DocumentId, edits: Sequence[Edit], past: list[Past], outcome: Outcome) -> _Work:
    """The edits that fit the document's kind and refer to exactly what their change builds on.

    Only the operation that the document is named after creates it: whoever else writes a first
    change has not seen it, and could come before it at some nodes.
    """
    first = next((one.kind for one in past if bytes(one.id) == bytes(document)), "")
    work = _Work(document, first, past, [])
    hashes: dict[bytes, bytes] = {one.id: one.hash for one in past}
    for edit in edits:
        creates = bytes(edit.id) == bytes(document)
        if creates:
            work.kind = edit.kind
        if not edit.deps and not creates:
            outcome.applied[edit.id] = "root"
        elif {hashes.get(ref) for ref in edit.refs} != set(edit.deps) or edit.kind != work.kind:
            outcome.applied[edit.id] = "dependency"
        else:
            work.edits.append(edit)
            hashes[edit.id] = edit.hash
    return work
