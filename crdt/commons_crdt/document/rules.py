"""Judges one change by the change itself and its causal past: the reasons for a refusal.

Never asks Automerge, and never looks at anything that arrived beside the past, except to stop a
second change with the same author and seq, a repetition, and too wide a document.
"""

from typing import NamedTuple

from commons_crdt.document.causality import Causality
from commons_crdt.document.change import ChangeHeader, MalformedChange, parse_change
from commons_crdt.document.operations import Operation, read_operations
from commons_crdt.document.schema import DocumentSchema
from commons_crdt.document.values import Candidate, Refused

CHANGES_LIMIT = 1_000
"""Changes in one causal past, the change included. Applying costs more with each: crdt.md §4."""

BRANCHES_LIMIT = 2_000
"""Changes in one document with all its branches: what this machine is willing to hold."""


class Change(NamedTuple):
    header: ChangeHeader
    operations: tuple[Operation, ...]


def parse(chunk: bytes) -> Change:
    """Parses a whole change. Raises `MalformedChange`."""
    header = parse_change(chunk)
    return Change(header, read_operations(header))


def judge(known: Causality, candidate: Candidate, schema: DocumentSchema) -> Change | Refused:
    """Returns the parsed change when it may be applied to what is known, else why not."""
    try:
        header = parse_change(candidate.change)
    except MalformedChange as error:
        return Refused("malformed", error.code)
    if header.actor != candidate.device:
        return Refused("author")
    if header.time or header.message:
        return Refused("form", "time" if header.time else "message")
    try:
        operations = read_operations(header)
    except MalformedChange as error:
        if error.code == "unsupported":
            return Refused("field", "unsupported")
        return Refused("malformed", error.code)
    return (
        _place(known, header)
        or _predecessors(known, header, operations)
        or _fields(header, operations, schema, candidate.may)
        or _arrival(known, header)
        or Change(header, operations)
    )


def _place(known: Causality, header: ChangeHeader) -> Refused | None:
    """Is this the author's next change after exactly this past?"""
    deps = header.deps
    if any(dep not in known for dep in deps):
        return Refused("dependency")
    past = known.past(deps)
    if header.seq != known.last_seq(header.actor, past) + 1:
        return Refused("sequence")
    if header.start_op != known.max_op(deps) + 1:
        return Refused("counter")
    if past.bit_count() >= CHANGES_LIMIT:
        return Refused("full")
    return None


def _predecessors(
    known: Causality, header: ChangeHeader, operations: tuple[Operation, ...]
) -> Refused | None:
    """Does it overwrite exactly what its author saw?

    Else a change to a permitted field could name an operation of another field, or one outside its
    past, and make it vanish without any view at its dependencies showing that.
    """
    standing = known.standing(header.deps)
    for field, _, predecessors, settles in operations:
        seen = standing.get(field, ())
        if predecessors != (seen[:-1] if settles else seen) or (settles and not predecessors):
            return Refused("predecessor", field)
    return None


def _fields(
    header: ChangeHeader,
    operations: tuple[Operation, ...],
    schema: DocumentSchema,
    may: frozenset[str] | None,
) -> Refused | None:
    """Are all written fields, and only permitted ones, within their bounds?

    A field counts as touched when it is written, even with the value that it had: stricter than
    comparing views, and it also sees a write that loses against a concurrent one.
    """
    for field, value, _, settles in operations:
        if field not in schema.fields:
            return Refused("field", f"{field} is not a field of this document")
        if not settles and (problem := schema.fields[field].problem(value)):
            return Refused("field", f"{field} {problem}")
        if may is not None and field not in may:
            return Refused("permission", field)
    if not header.deps and (missing := schema.missing({op.field: op.value for op in operations})):
        return Refused("field", f"{missing} is missing")
    return None


def _arrival(known: Causality, header: ChangeHeader) -> Refused | None:
    """Is there room beside what arrived before? Last, so that no other answer depends on it."""
    if header.hash in known:
        return Refused("duplicate")
    if not header.deps and len(known):
        return Refused("root")
    if header.seq <= known.count_by(header.actor):
        return Refused("equivocation")
    if len(known) >= BRANCHES_LIMIT:
        return Refused("limit")
    return None
