"""Drafts that create and change documents, such as of things, made in the verifier's processes.

Automerge never runs here. Signs and stores nothing: the drafts are for ``community.write``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from commons_crdt.author import Draft
from commons_crdt.document.schema import DocumentSchema
from commons_crdt.document.values import Value
from commons_crdt.ids import DocumentId, OperationId
from commons_crdt.operation import content
from commons_crdt.texts import _
from commons_node.community import Actor, Community, WrongState
from commons_node.verifier.work import create_documents, edit_document

_SLICE = 500

Fields = Mapping[str, Value]


def _schema(community: Community, kind: str) -> DocumentSchema:
    schema = community.realm.rules.kinds[kind].schema
    if schema is None:
        raise ValueError(f"{kind} is no kind of edit")
    return schema


async def creations(
    community: Community, actor: Actor, kind: str, rows: Sequence[Fields]
) -> list[Draft]:
    """One draft a row that creates a document. Raises ``FieldError``."""
    slices = [rows[at : at + _SLICE] for at in range(0, len(rows), _SLICE)]
    calls = (
        community.realm.pool.call(create_documents, actor.device, part, _schema(community, kind))
        for part in slices
    )
    made = await asyncio.gather(*calls)
    return [Draft(kind, change) for changes in made for change in changes]


async def changes(
    community: Community, actor: Actor, kind: str, wanted: Mapping[DocumentId, Fields]
) -> list[Draft]:
    """One draft a document whose fields change; none where nothing does. Raises ``FieldError``."""
    documents = list(wanted)
    await community.realm.settled(documents)  # an edit builds on all that is stored
    drafts: list[Draft] = []
    for at in range(0, len(documents), _SLICE):
        part = documents[at : at + _SLICE]
        made = await asyncio.gather(
            *(_change(community, actor, kind, document, wanted[document]) for document in part)
        )
        drafts.extend(draft for draft in made if draft is not None)
    return drafts


async def _change(
    community: Community, actor: Actor, kind: str, document: DocumentId, fields: Fields
) -> Draft | None:
    rows = [row for row in await community.realm.store.edits(document) if row.applied == ""]
    history = [content(row.body) for row in rows if row.body is not None]
    if not history:
        raise WrongState(why=_("It was erased."), next="commons-node resource list")
    change, deps = await community.realm.pool.call(
        edit_document, history, actor.device, fields, _schema(community, kind)
    )
    if change is None:
        return None
    by_hash = {row.change: row.id for row in rows}
    refs: list[OperationId] = [by_hash[dep] for dep in deps]
    return Draft(kind, change, document=document, refs=refs)
