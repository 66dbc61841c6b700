"""Documents whose edits are stored and judged but not applied yet.

While much arrives at once, applying waits: a document's edits cost least when they are applied
together, and a first sync brings them far apart. What waits is marked in the store as ``HELD``,
so that a crash forgets nothing; hashes are never computed over it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

import msgspec

from commons_crdt.ids import DocumentId
from commons_node.realm.documents import Edit

MANY = 256
"""Edits in one batch from which on applying waits; below it they are applied at once."""
AT_ONCE = 256
"""Documents that are applied in one transaction."""
QUIET_S = 0.2
"""Without a new batch for so long, what waits is applied."""
MOST_KEPT = 32 * 1024 * 1024
"""Bytes of edits, packed, that are kept in memory while they wait."""
PATIENCE_S = 10.0
"""It is applied after so long at the latest, whatever still arrives."""


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[Edit]).decode


class Backlog:
    """The documents that wait, in the order in which they came."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._documents: dict[DocumentId, list[bytes] | None] = {}
        self._kept = 0
        self.version = 0
        """Another one when edits came, or some may stand no more."""

    def __bool__(self) -> bool:
        """True if any document waits."""
        return bool(self._documents)

    def __contains__(self, document: DocumentId) -> bool:
        """True if the document waits."""
        return document in self._documents

    def add(
        self,
        documents: Sequence[DocumentId],
        edits: Mapping[DocumentId, Sequence[Edit]] | None = None,
    ) -> None:
        """Let documents wait that are marked as such in the store.

        ``edits``: those of each that wait from now on. They are kept, to spare reading them again.
        """
        self.version += 1
        for document in documents:
            new = edits[document] if edits is not None else ()
            if document not in self._documents:
                self._documents[document] = [] if new else None
            if new:
                self._keep(document, new)

    def _keep(self, document: DocumentId, new: Sequence[Edit]) -> None:
        kept = self._documents[document]
        if kept is None:
            return
        packed = _pack(new)
        if self._kept + len(packed) <= MOST_KEPT:
            kept.append(packed)
            self._kept += len(packed)
        else:
            self._let_go(document)
            self._documents[document] = None

    def _let_go(self, document: DocumentId) -> None:
        self._kept -= sum(map(len, self._documents[document] or ()))

    def read_again(self) -> None:
        """Some of what waits may stand no more: it is read from the store when its time comes."""
        self.version += 1
        self._documents = dict.fromkeys(self._documents)
        self._kept = 0

    def kept(self, documents: Iterable[DocumentId]) -> dict[DocumentId, list[Edit]]:
        """Those of ``documents`` of which all edits that wait are here."""
        return {
            document: [edit for one in packed for edit in _unpack(one)]
            for document in documents
            if (packed := self._documents.get(document))
        }

    def postpone(self, edits: Mapping[DocumentId, Sequence[Edit]]) -> list[DocumentId]:
        """Those whose new edits wait: all of a large batch, otherwise what waits already."""
        many = sum(len(new) for new in edits.values()) >= MANY
        return [document for document in edits if many or document in self._documents]

    def among(self, documents: Iterable[DocumentId]) -> list[DocumentId]:
        """Those of ``documents`` that wait."""
        return [document for document in documents if document in self._documents]

    def next(self, behind: int = 0) -> list[DocumentId]:
        """The documents to apply next, or those ``behind`` so many."""
        return list(islice(self._documents, behind, behind + AT_ONCE))

    def done(self, documents: Iterable[DocumentId]) -> None:
        """They wait no more."""
        for document in documents:
            if document in self._documents:
                self._let_go(document)
                del self._documents[document]
