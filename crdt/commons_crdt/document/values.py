"""What crosses the border between a process and its verifier worker: plain, frozen, picklable.

Never holds an Automerge object, and never imports one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

Value: TypeAlias = str | int | bool | None
"""What a field holds. `True` is never an integer here: see `schema.Field`."""

Fields: TypeAlias = Mapping[str, Value]

Reason: TypeAlias = Literal[
    "malformed",  # not one canonical change chunk; detail = code of MalformedChange
    "form",  # canonical, but not what a commons node writes: clock time, message
    "author",  # the actor is not the device that signed
    "dependency",  # a dependency is unknown here, or was refused
    "sequence",  # seq is not one more than the author's last change in the causal past
    "counter",  # start_op is not one more than the largest operation of the dependencies
    "predecessor",  # does not overwrite exactly what its author saw
    "field",  # unknown field, wrong type, out of bounds, or something that is not a field
    "permission",  # this author may not touch this field
    "full",  # its causal past holds 1,000 changes already: use a successor document
    # Given only to a change that nothing above is wrong with, by what arrived before it:
    "duplicate",  # this very change is applied already
    "root",  # a second creation
    "equivocation",  # another applied change has the same author and seq
    "limit",  # too many concurrent branches for this machine
    "unreadable",  # Automerge failed on it; never seen, see `engine`
]
"""Why a change is not applied. All but the last five depend on nothing but the change, its causal
past, the schema and `may`. Of those, `duplicate`, `root` and `equivocation` go to whoever comes
second: the caller keeps contested operations away; `limit` and `unreadable` are local states."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A change that is new here. Units: `change` one Automerge chunk, `device` 32 bytes (the
    author, whose signature was verified), `may` the fields that the author may touch, None = all.
    """

    change: bytes
    device: bytes
    may: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """The change is part of the document. `hash` is the Automerge hash, 32 bytes."""

    hash: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """The change is not part of the document, nor is any change that depends on it."""

    reason: Reason
    detail: str = ""


Result: TypeAlias = Applied | Refused


@dataclass(frozen=True, slots=True)
class DocumentView:
    """What a document shows. `heads`: sorted hashes, 32 bytes each. `fields`: sorted by name, only
    those that were ever written. `conflicts`: the contended fields, each with the different values
    that stand, the displayed one first. Automerge's choice of that one decides nothing else.
    """

    heads: tuple[bytes, ...]
    fields: Fields
    conflicts: Mapping[str, tuple[Value, ...]]


@dataclass(frozen=True, slots=True)
class DocumentResult:
    """One result per candidate, in their order; and the `DocumentView` after them."""

    results: tuple[Result, ...]
    heads: tuple[bytes, ...]
    fields: Fields
    conflicts: Mapping[str, tuple[Value, ...]]
