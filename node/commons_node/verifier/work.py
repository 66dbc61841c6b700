"""What runs inside a verifier worker: pure functions of plain, picklable values.

Never opens a file or a socket and keeps nothing between calls. Automerge is only ever loaded in
these processes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from commons_crdt.document.change import MalformedChange, parse_change
from commons_crdt.document.schema import DocumentSchema
from commons_crdt.document.values import Applied, Candidate, Value
from commons_crdt.errors import Refused
from commons_crdt.operation import Commitment, Operation, check_contents, content, verify
from commons_node.verifier.packing import Packed, packed


class Check(NamedTuple):
    """One operation to verify: its bytes, its device's signing key, and whether it is an edit.

    ``contents``: what its header, which was read already, says of them.
    """

    header: bytes
    signature: bytes
    body: bytes | None
    parts: tuple[bytes | None, ...]
    key: bytes
    contents: Commitment
    edit: bool


class Checked(NamedTuple):
    """``refused``: why nothing may be stored, or "". ``fault``: "" or "malformed".

    ``change`` and ``deps``: the Automerge hash of an edit and the hashes it builds on.
    """

    refused: str = ""
    fault: str = ""
    change: bytes | None = None
    deps: tuple[bytes, ...] = ()


class Proposed(NamedTuple):
    """A change for a document: its bytes, its author, and the fields they may touch (None: all)."""

    change: bytes
    device: bytes
    may: frozenset[str] | None


class DocumentJob(NamedTuple):
    """New changes for one document, with the changes that it has taken, in a causal order."""

    schema: str
    history: Sequence[bytes]
    changes: Sequence[Proposed]


class Read(NamedTuple):
    """A document after a job: "" or the reason for each new change, and its fields."""

    reasons: tuple[str, ...]
    fields: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Failed:
    """The work raised, instead of killing its process."""

    error: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """A list function that never raises: what it raises comes back as ``Failed``.

    An error of Automerge's core is no ``Exception`` and does not always survive the way back.
    """

    work: Callable[[Any], Sequence[object]]

    def __call__(self, items: Sequence[object]) -> Sequence[object] | Packed | Failed:
        """Do it."""
        try:
            return packed(self.work(items))
        except BaseException as error:  # see above
            return Failed(f"{type(error).__name__}: {error}"[:200])


def check(items: Sequence[Check]) -> list[Checked]:
    """Verify signatures, hashes of contents, and the outer form of edits."""
    # all signatures first: one kind of work after the other takes a tenth less of the processor
    signed = [verify(item.header, item.signature, item.key) for item in items]
    return [_check(item) if good else _UNSIGNED for item, good in zip(items, signed, strict=True)]


def _check(item: Check) -> Checked:
    try:
        check_contents(item.contents, Operation(item.header, item.signature, item.body, item.parts))
    except Refused as error:
        return Checked(error.why)
    return form(item.body) if item.edit and item.body is not None else Checked()


_UNSIGNED = Checked("signature")


def form(body: bytes) -> Checked:
    """The outer form of an edit's body: exactly one Automerge change, or ``malformed``."""
    try:
        change = parse_change(content(body))
    except MalformedChange:
        return Checked(fault="malformed")
    return Checked(change=change.hash, deps=tuple(change.deps))


def apply_documents(
    schemas: Mapping[str, DocumentSchema], jobs: Sequence[DocumentJob]
) -> list[Read]:
    """Apply each job's changes."""
    from commons_crdt.document.apply import Job, apply_each  # noqa: PLC0415 - loads Automerge, here only

    done = apply_each(
        Job(job.history, [Candidate(*proposed) for proposed in job.changes], schemas[job.schema])
        for job in jobs
    )
    return [
        Read(
            tuple(["" if isinstance(r, Applied) else r.reason for r in result.results]),
            dict(result.fields),
        )
        for result in done
    ]


def create_documents(
    actor: bytes, rows: Sequence[Mapping[str, Value]], schema: DocumentSchema
) -> list[bytes]:
    """One creating change a row, by this device."""
    from commons_crdt.document.write import create_many  # noqa: PLC0415 - likewise

    return list(create_many(actor, rows, schema))


def edit_document(
    history: Sequence[bytes], actor: bytes, fields: Mapping[str, Value], schema: DocumentSchema
) -> tuple[bytes | None, tuple[bytes, ...]]:
    """The change that sets ``fields``, or None if nothing changes; and the hashes it builds on."""
    from commons_crdt.document.write import edit  # noqa: PLC0415 - likewise

    return edit(history, actor, fields, schema)


def ready() -> int:
    """Load what the first real call would wait for; the process's id."""
    import os  # noqa: PLC0415 - nothing else here has a use for it

    import commons_crdt.document.apply  # noqa: F401, PLC0415 - likewise

    return os.getpid()
