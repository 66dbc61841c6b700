"""Kinds: what an operation may be, who may write it, and what erasing it means.

A rules version is a list of kinds. A domain declares its kinds in its ``facts`` and ``rules``;
the daemon hands the whole list to the judge. A released list never changes: new behaviour is a
new major number of a kind, in a new rules version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec

from commons_crdt import canonical
from commons_crdt.document.schema import DocumentSchema
from commons_crdt.errors import Refused
from commons_crdt.ids import ZERO, DocumentId, MemberId, OperationId
from commons_crdt.operation import MAX_BODY, MAX_LARGE_PART, MAX_PARTS_BYTES, SMALL_PART, Header
from commons_crdt.roles import Role

if TYPE_CHECKING:
    from commons_crdt.authority.state import Authority, View


class Antecedent(msgspec.Struct, frozen=True):
    """What a rule may know of an operation that it refers to: facts of bytes, no verdict.

    ``edit``: it changes a document; it created the document if that has the same id.
    """

    id: OperationId
    kind: str
    member: MemberId | None
    document: DocumentId
    log: int
    edit: bool = False


class Claim(msgspec.Struct, frozen=True):
    """What a kind's own rule sees: the operation, its author at that point, its references."""

    id: OperationId
    header: Header
    body: Any
    member: MemberId
    role: Role
    view: View
    authority: Authority
    refs: Mapping[bytes, Antecedent]

    @property
    def document(self) -> DocumentId:
        """The document that the operation is about: itself where the header names none."""
        return own_document(self.id, self.header)


def own_document(identity: OperationId, header: Header) -> DocumentId:
    """``header.document``, with the operation's own id where it could not name itself."""
    return DocumentId(header.document if header.document != ZERO else identity)


T = TypeVar("T", bound=msgspec.Struct)

Rule = Callable[[Claim], str]
"""Returns "" if the claim stands, otherwise a reason that has a sentence in ``verdict``."""


def no_rule(_claim: Claim) -> str:
    """For kinds that need nothing but the role."""
    return ""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: ``domain.name.major``.

    ``body`` is the Struct of a fact, or the schema of the document that an edit changes.
    ``role`` is the lowest role that may write it; ``unattended`` kinds are written by a node's
    own device instead (None: by either). ``parts`` maps each allowed class to its greatest
    length in bytes with salt. ``erased`` says what an erasure takes: the ``body`` with its parts
    (edits: of the whole document), or the ``parts`` only, because sums and custody must survive.
    ``editor`` says which fields of a document somebody of that role may touch (None: all).
    ``since``: the first rules version that lists it.
    """

    name: str
    body: type[msgspec.Struct] | DocumentSchema
    role: Role = Role.MEMBER
    log: Literal[0, 1] = 1
    unattended: bool | None = False
    max_body: int = 4096
    parts: Mapping[str, int] = field(default_factory=dict)
    erased: Literal["body", "parts"] = "parts"
    rule: Rule = no_rule
    editor: Callable[[Role], frozenset[str] | None] = lambda _role: None
    since: int = 1

    def __post_init__(self) -> None:
        """Keep within what a frame can carry; large parts travel alone, and are bounded too."""
        travelling = [most for most in self.parts.values() if most <= SMALL_PART]
        if self.max_body > MAX_BODY or sum(travelling) > MAX_PARTS_BYTES:
            raise ValueError(f"{self.name}: larger than a frame")
        if any(most > MAX_LARGE_PART for most in self.parts.values()):
            raise ValueError(f"{self.name}: a part larger than any")

    @property
    def schema(self) -> DocumentSchema | None:
        """The document schema of an edit, None for a fact."""
        return self.body if isinstance(self.body, DocumentSchema) else None


@dataclass(frozen=True, slots=True)
class Rules:
    """A rules version: its number and its kinds by name, and the version before it, if any."""

    version: int
    kinds: Mapping[str, Kind]
    before: Rules | None = None

    @classmethod
    def of(cls, version: int, kinds: Iterable[Kind], before: Rules | None = None) -> Rules:
        """Collect kinds; a name may come once."""
        table: dict[str, Kind] = {}
        for kind in kinds:
            if kind.name in table:
                raise ValueError(f"two kinds are called {kind.name}")
            table[kind.name] = kind
        return cls(version, table, before)

    @property
    def tables(self) -> dict[int, Rules]:
        """This version and all before it, by number: what a judge takes."""
        older = self.before.tables if self.before is not None else {}
        return {**older, self.version: self}


def encode_fact(fact: msgspec.Struct) -> bytes:
    """The canonical bytes of a fact (the content of a body, without salt)."""
    return canonical.encode(msgspec.to_builtins(fact, builtin_types=(bytes,)))


def _convert(kind: type[T], read: Callable[..., Any], *given: object) -> T:
    try:
        return msgspec.convert(read(*given), kind, builtin_types=(bytes,))
    except (Refused, msgspec.ValidationError) as error:
        raise Refused("malformed") from error


def read_fact(kind: type[T], data: bytes) -> T:
    """A fact that stands, so was decoded before: its encoding is not looked at again.

    ``Refused("malformed")`` if it is not of its type, as where a disk has changed it.
    """
    return _convert(kind, canonical.read, data)


def decode_fact(kind: type[T], data: bytes, limit: int = MAX_BODY) -> T:
    """Parse a fact; ``Refused("malformed")`` if it is not canonical or not of its type."""
    fact = _convert(kind, canonical.decode, data, limit)
    if encode_fact(fact) != data:  # a default left out, a set with repeats
        raise Refused("malformed")
    return fact
