"""What goes into the judge, and what comes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from commons_crdt.authority.book import View
from commons_crdt.ids import DeviceId, DocumentId, OperationId
from commons_crdt.operation import Header
from commons_crdt.verdict import Judgement

GENESIS = "council.genesis.1"
ERASURE = "record.erasure.1"


class Candidate(msgspec.Struct, frozen=True):
    """An operation whose signature and contents were checked, ready to be judged.

    ``body`` is the parsed fact (None for edits and absent bodies); ``fault`` is "" or
    "malformed" (a fact that is not of its type, an edit that is not one Automerge change).
    """

    id: OperationId
    header: Header
    body: msgspec.Struct | None
    present: bool
    fault: str = ""


class Standing(msgspec.Struct, frozen=True, gc=False):
    """A judged operation, as much of it as later ones need.

    ``view``: the log-0 operations in its past, itself included if it is one; ``left``: the
    milli-tokens that its chain has left; ``grant``: the operation that its chain starts from;
    ``role``: the author's that counts, 0 where none was asked for, and in log 0.
    """

    id: OperationId
    device: DeviceId
    log: int
    seq: int
    lamport: int
    time_ms: int
    kind: str
    document: DocumentId
    grant: OperationId
    view: View
    left: int
    judgement: Judgement
    role: int = 0


@dataclass(frozen=True, slots=True)
class Missing:
    """The operation cannot be judged before these are here."""

    ids: tuple[OperationId, ...]


Lookup = Callable[[OperationId], Standing | None]
