"""What stands behind an archive's operations: verdicts, rows and large parts, each against a hash.

Nothing is judged here: the verdicts must give the set hash of the head, the rows its state hash,
and each large part the hash in the header that names it. The parts that stand in the file are those
that its operations name, each once and in their order, with all of its bytes or none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from commons_crdt.errors import Refused
from commons_crdt.folds import set_hash
from commons_crdt.ids import hasher
from commons_crdt.operation import SMALL_PART, Operation, decode_header, operation_id
from commons_crdt.texts import _
from commons_crdt.verdict import Verdict
from commons_node.archive.format import BadArchive, PartOf, Reader

_VERDICTS = frozenset({0, *(int(one) for one in Verdict if one.final)})


@dataclass(slots=True)
class Contents:
    """What was read; 0 of everything but operations in a file of version 1."""

    rows: int = 0
    parts: int = 0
    parts_missing: int = 0
    ids: list[bytes] = field(default_factory=list)
    named: list[tuple[PartOf, int, bytes]] = field(default_factory=list)
    """Large parts that the operations name, with length and hash."""

    def noted(self, operations: Iterable[Operation]) -> Iterator[Operation]:
        """The same operations, while what the rest of the file must fit is remembered."""
        for operation in operations:
            ident = operation_id(operation.header)
            self.ids.append(ident)
            try:
                parts = decode_header(operation.header).parts
            except Refused:
                parts = ()  # it is refused as an operation
            self.named += [
                (PartOf(ident, position), part.length, part.hash)
                for position, part in enumerate(parts)
                if part.length > SMALL_PART
            ]
            yield operation

    def check(self, reader: Reader) -> None:
        """Read the rest of the file. Raises ``BadArchive``."""
        if reader.version == 1:
            return
        self._verdicts(reader)
        self._rows(reader)
        self._parts(reader)

    def _verdicts(self, reader: Reader) -> None:
        said = bytearray()
        for some in reader.verdicts():
            said += some
            if len(said) > len(self.ids):
                break
        if len(said) != len(self.ids) or not _VERDICTS.issuperset(said):
            raise BadArchive("verdicts", _("its verdicts are not those of its operations"))
        if set_hash(zip(self.ids, said, strict=True)) != reader.head.set_hash:
            raise BadArchive("verdicts", _("its verdicts do not give the set that it names"))

    def _rows(self, reader: Reader) -> None:
        hashed, last = hasher("state"), ("", b"")
        for row, packed in reader.rows():
            if self.rows and (row.view, row.key) <= last:
                raise BadArchive("rows", _("its rows are out of their order"))
            last = row.view, row.key
            hashed.update(packed)
            self.rows += 1
        if hashed.digest() != reader.head.state_hash:
            raise BadArchive("rows", _("its rows do not give the state that it names"))

    def _parts(self, reader: Reader) -> None:
        expected = iter(self.named)
        for one, pieces in reader.parts():
            wanted, length, expects = next(expected, (None, 0, b""))
            if one != wanted:
                raise BadArchive("parts", _("it holds other large parts than it names"))
            hashed, size = hasher("part"), 0
            for data in pieces:
                size += len(data)
                if size > length:
                    break
                hashed.update(data)
            if size and (size != length or hashed.digest() != expects):
                raise BadArchive("parts", _("a large part in it is not the one that was signed"))
            self.parts += bool(size)
            self.parts_missing += not size
        if next(expected, None) is not None:
            raise BadArchive("parts", _("it holds other large parts than it names"))
