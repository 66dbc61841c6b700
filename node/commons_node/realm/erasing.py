"""What erasures name: facts, or documents with all their edits."""

from __future__ import annotations

from commons_crdt.authority.facts import Erasure
from commons_crdt.authority.judge import ERASURE, Judge, Standing
from commons_crdt.errors import Refused
from commons_crdt.ids import OperationId
from commons_crdt.kinds import Kind, decode_fact
from commons_crdt.operation import content
from commons_crdt.verdict import Verdict


def target_of(body: bytes | None) -> OperationId | None:
    """The operation that an erasure names; None if the body says nothing."""
    try:
        return OperationId(decode_fact(Erasure, content(body or bytes(32))).target)
    except Refused:
        return None


def erases(standing: Standing) -> bool:
    """True for an erasure that stands."""
    return standing.kind == ERASURE and standing.judgement.verdict is Verdict.ACCEPTED


def is_edit(kind: Kind | None) -> bool:
    """True for a kind that changes a document."""
    return kind is not None and kind.schema is not None


def is_named(judge: Judge, kind: Kind | None, standing: Standing) -> bool:
    """True if an accepted erasure names the operation, or as an edit its document."""
    return (standing.document if is_edit(kind) else standing.id) in judge.erased
