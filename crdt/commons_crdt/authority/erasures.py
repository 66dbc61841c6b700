"""Which facts and documents accepted erasures name, and by which operations.

Source: docs/protocol/README.md, `record.erasure.1`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from commons_crdt.authority.budgets import Budgets
from commons_crdt.authority.facts import Erasure
from commons_crdt.authority.ledger import KindOf
from commons_crdt.authority.standing import Candidate, Standing
from commons_crdt.ids import DocumentId, OperationId
from commons_crdt.kinds import Kind
from commons_crdt.verdict import Judgement, Verdict


@dataclass(slots=True)
class Erasures:
    """``named``: each fact (by its id) or document that is erased, with the erasures of it."""

    budgets: Budgets
    kind_of: KindOf
    named: dict[bytes, set[OperationId]] = field(default_factory=dict)

    def is_edit(self, standing: Standing) -> bool:
        """True if the operation changes a document."""
        kind = self.kind_of(self.budgets.state(standing.view).rules, standing.kind)
        return kind is not None and kind.schema is not None

    def add(self, target: Standing, by: OperationId) -> None:
        """An accepted erasure names this."""
        self.named.setdefault(self._key(target), set()).add(by)

    def learn(
        self, candidate: Candidate, past: Mapping[bytes, Standing], judgement: Judgement
    ) -> None:
        """An operation was judged: if it is an erasure, it counts now or does not."""
        if not isinstance(candidate.body, Erasure):
            return
        target = past.get(candidate.body.target)
        if target is None:
            return
        if judgement.verdict is Verdict.ACCEPTED:
            self.add(target, candidate.id)
            return
        key = self._key(target)
        by = self.named.get(key, set())
        by.discard(candidate.id)
        if not by:
            self.named.pop(key, None)

    def takes_body(self, kind: Kind, identity: OperationId, document: DocumentId) -> bool:
        """True if an erasure takes the body: of one fact, or of a document's edits."""
        return kind.erased == "body" and (document if kind.schema else identity) in self.named

    def _key(self, target: Standing) -> bytes:
        return target.document if self.is_edit(target) else target.id
