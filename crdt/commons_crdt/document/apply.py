"""Applies foreign changes to a document: history + candidates -> results, heads, fields.

The rules judge each change by its past alone, in Python; then Automerge takes all that passed at
once and must agree. Never imported by the main process (it loads automerge), never keeps anything
between two calls.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from commons_crdt.document.causality import Causality, same_fields
from commons_crdt.document.engine import EngineFault, settle
from commons_crdt.document.rules import judge, parse
from commons_crdt.document.schema import DocumentSchema
from commons_crdt.document.values import (
    Applied,
    Candidate,
    DocumentResult,
    DocumentView,
    Refused,
    Result,
)

_AT_ONCE = 64
"""Changes, of one document or of several, that the rules judge before Automerge gets any of them:
what each of the two works with stays close to the processor."""


class Job(NamedTuple):
    """One document; see ``apply``."""

    history: Sequence[bytes]
    changes: Sequence[Candidate]
    schema: DocumentSchema


class _Judged(NamedTuple):
    job: Job
    known: Causality
    chunks: list[bytes]
    results: list[Result]


def apply(
    history: Sequence[bytes], changes: Sequence[Candidate], schema: DocumentSchema
) -> DocumentResult:
    """Judges the candidates, in a causal order, and applies those that pass.

    `history`: the chunks that are applied already, in a causal order, from this node's own log.
    Cutting the candidates into batches differently changes no result, head or field; nor does
    another causal order, except for the reasons that `values.Reason` names.

    Raises `MalformedChange`, KeyError or `EngineFault` only for a history that this module did not
    accept: a damaged log, or another version of Automerge.
    """
    (result,) = apply_each([Job(history, changes, schema)])
    return result


def apply_each(jobs: Iterable[Job]) -> list[DocumentResult]:
    """`apply` for several documents, which costs less together."""
    done: list[DocumentResult] = []
    judged: list[_Judged] = []
    size = 0
    for job in jobs:
        judged.append(_judge(job))
        size += len(judged[-1].chunks)
        if size >= _AT_ONCE:
            done += map(_agree, judged)
            judged, size = [], 0
    return [*done, *map(_agree, judged)]


def _judge(job: Job) -> _Judged:
    known = recall(job.history)
    chunks = list(job.history)
    results = [_take(known, chunks, candidate, job.schema) for candidate in job.changes]
    return _Judged(job, known, chunks, results)


def _agree(judged: _Judged) -> DocumentResult:
    job = judged.job
    try:
        view = agreed(judged.known, judged.chunks)
    except EngineFault:
        if len(judged.chunks) == len(job.history):
            raise
        return _one_by_one(job.history, job.changes, job.schema)
    return _result(view, judged.results)


def recall(history: Sequence[bytes]) -> Causality:
    """Replays a trusted history in Python, without judging it."""
    known = Causality()
    for chunk in history:
        known.add(*parse(chunk))
    return known


def agreed(known: Causality, chunks: Sequence[bytes]) -> DocumentView:
    """The view of Automerge, once it equals the one of the rules. Raises `EngineFault`."""
    view = known.view()
    if not same_fields(view.fields, settle(chunks, view.heads)):
        raise EngineFault("the fields are not those of the applied changes")
    return view


def _take(
    known: Causality, chunks: list[bytes], candidate: Candidate, schema: DocumentSchema
) -> Result:
    verdict = judge(known, candidate, schema)
    if isinstance(verdict, Refused):
        return verdict
    known.add(*verdict)
    chunks.append(candidate.change)
    return Applied(verdict.header.hash)


def _one_by_one(
    history: Sequence[bytes], changes: Sequence[Candidate], schema: DocumentSchema
) -> DocumentResult:
    """Finds out which change Automerge fails on, from a new document each time."""
    accepted = list(history)
    view = agreed(recall(accepted), accepted)
    results: list[Result] = []
    for candidate in changes:
        known = recall(accepted)
        chunks = list(accepted)
        result = _take(known, chunks, candidate, schema)
        if isinstance(result, Applied):
            try:
                view = agreed(known, chunks)
                accepted = chunks
            except EngineFault as fault:
                result = Refused("unreadable", str(fault))
        results.append(result)
    return _result(view, results)


def _result(view: DocumentView, results: Sequence[Result]) -> DocumentResult:
    return DocumentResult(tuple(results), view.heads, view.fields, view.conflicts)
