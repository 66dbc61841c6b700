"""The archive's bytes: frames of canonical CBOR between a magic and a hash over all before it.

Reads and writes one frame at a time, each bounded before it is built, and judges nothing. Behind
the operations stand, since version 2, their verdicts, the rows of the views, and large parts.

Source: docs/protocol/archive.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Annotated, Any, BinaryIO, ClassVar, NamedTuple, TypeVar

import msgspec

from commons_crdt import canonical
from commons_crdt.errors import CommonsError, Refused
from commons_crdt.folds import Value
from commons_crdt.ids import ID_BYTES
from commons_crdt.operation import MAX_PARTS, Operation
from commons_crdt.texts import _
from commons_protocol.filed import MAX_OPERATION, decode_operation, encode_operation

MAGIC = b"commons-archive"
VERSION = 2
READ = (1, 2)
"""Versions that are read; 1 has no more than operations."""
MAX_VERDICTS = 1 << 16
"""Verdicts, a byte each, in one frame."""
MAX_ROW = 1 << 20
MAX_PIECE = 1 << 16
"""Bytes of a large part in one frame."""
MAX_CHAIN = 10_000
MAX_HEAD = 1 << 19
_LENGTH = 4
_HASH = ID_BYTES
_T = TypeVar("_T")

Hash = Annotated[bytes, msgspec.Meta(min_length=_HASH, max_length=_HASH)]
_Count = Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]


class BadArchive(CommonsError):
    """The file is no archive that can be believed: {why}."""

    code: ClassVar[str] = "archive"
    hint: ClassVar[str] = "take another copy of it, or write it again with community archive"

    def __init__(self, code: str, why: str) -> None:
        """``code`` names the fault for programs."""
        super().__init__(why=why)
        self.code = f"archive_{code}"  # type: ignore[misc]  # one class, several codes


class Head(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What the file says of itself. ``chain``: the council's acts from the genesis on.

    ``pin``: the act below which the writing node never goes, or the genesis. ``operations``: how
    many follow. ``set_hash`` and ``state_hash``: what ``community hash`` said.
    """

    realm: Hash
    pin: Hash
    chain: Annotated[tuple[Hash, ...], msgspec.Meta(min_length=1, max_length=MAX_CHAIN)]
    operations: _Count
    set_hash: Hash
    state_hash: Hash


class Row(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One row of a view, as the state hash has it."""

    view: str
    key: bytes
    values: list[Any]


class PartOf(NamedTuple):
    """Which large part: the operation that names it, and its position there."""

    operation: bytes
    position: int


class _Part(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    operation: Hash
    position: Annotated[int, msgspec.Meta(ge=0, lt=MAX_PARTS)]


class Writer:
    """Writes one archive to ``out``: the head, then four lists, each ended by ``close``.

    Operations, verdicts, rows, large parts; the pieces of each part are a list of their own.
    """

    def __init__(self, out: BinaryIO, head: Head, version: int = VERSION) -> None:
        """Begin with the head. A file of version 1 has only the first list."""
        self._out = out
        self._hash = blake2b(digest_size=_HASH)
        self.bytes = 0
        self._put(MAGIC + bytes([version]))
        self._frame(canonical.encode(msgspec.to_builtins(head, builtin_types=(bytes,))))

    def add(self, operation: Operation) -> None:
        """One operation, behind everything in its past."""
        self._frame(encode_operation(operation))

    def verdicts(self, verdicts: bytes) -> None:
        """Those of the next operations, a byte each; 0 for what stands in no hash."""
        self._frame(verdicts)

    def row(self, view: str, key: bytes, values: Sequence[Value]) -> None:
        """One row, behind those of lower views and keys."""
        self._frame(canonical.encode([view, key, list(values)]))

    def part(self, one: PartOf) -> None:
        """A large part that an operation here names; its pieces follow, none if it is absent."""
        self._frame(canonical.encode(list(one)))

    def piece(self, data: bytes) -> None:
        """The next bytes of the part, salt first."""
        self._frame(data)

    def close(self) -> None:
        """End a list."""
        self._put(bytes(_LENGTH))

    def end(self) -> None:
        """The hash over everything before it."""
        self._put(self._hash.digest())

    def _frame(self, packed: bytes) -> None:
        self._put(len(packed).to_bytes(_LENGTH) + packed)

    def _put(self, data: bytes) -> None:
        self._hash.update(data)
        self._out.write(data)
        self.bytes += len(data)


class Reader:
    """Reads one archive: ``head``, then ``operations``, ``verdicts``, ``rows`` and ``parts``.

    Each list is read to its end before the next. ``BadArchive`` says why it is none.
    """

    def __init__(self, source: BinaryIO) -> None:
        """Read magic, version and head."""
        self._in = source
        self._hash = blake2b(digest_size=_HASH)
        begin = self._take(len(MAGIC) + 1, "magic")
        if begin[:-1] != MAGIC:
            raise BadArchive("magic", _("it does not begin like one"))
        self.version = begin[-1]
        if self.version not in READ:
            raise BadArchive(
                "version",
                _("it has version {begin}, this program reads {version}").format(
                    begin=self.version, version=VERSION
                ),
            )
        frame = self._frame(MAX_HEAD)
        if frame is None:
            raise BadArchive("format", _("it has no head"))
        self.head = _decoded(frame, MAX_HEAD, Head)
        if self.head.chain[0] != self.head.realm or self.head.pin not in self.head.chain:
            raise BadArchive("format", _("its head contradicts itself"))

    def operations(self) -> Iterator[Operation]:
        """Every operation, as it stands in the file."""
        for _operation in range(self.head.operations):
            frame = self._frame(MAX_OPERATION)
            if frame is None:
                raise BadArchive("truncated", _("it ends before its last operation"))
            try:
                yield decode_operation(frame)
            except Refused as error:
                raise _unreadable(error) from error
        if self._frame(MAX_OPERATION) is not None:
            raise BadArchive("format", _("it goes on behind its last operation"))
        if self.version == 1:
            self._finish()

    def verdicts(self) -> Iterator[bytes]:
        """The verdicts of the operations, some at a time, in their order; none in version 1."""
        if self.version > 1:
            yield from self._frames(MAX_VERDICTS)

    def rows(self) -> Iterator[tuple[Row, bytes]]:
        """Every row with its bytes, as it stands in the file; none in version 1."""
        if self.version > 1:
            for frame in self._frames(MAX_ROW):
                yield _decoded(frame, MAX_ROW, Row), frame

    def parts(self) -> Iterator[tuple[PartOf, Iterator[bytes]]]:
        """Every large part with its pieces; none in version 1. After the last, the hash was right.

        The pieces of one are read to their end before the next comes.
        """
        if self.version == 1:
            return
        for frame in self._frames(MAX_PIECE):
            found = _decoded(frame, MAX_PIECE, _Part)
            pieces = self._frames(MAX_PIECE)
            yield PartOf(found.operation, found.position), pieces
            for _piece in pieces:
                pass
        self._finish()

    def _frames(self, most: int) -> Iterator[bytes]:
        """One list."""
        while (frame := self._frame(most)) is not None:
            yield frame

    def _finish(self) -> None:
        found = self._hash.digest()
        if self._take(_HASH, "truncated") != found:
            raise BadArchive("hash", _("its bytes are not those that were written"))
        if self._in.read(1):
            raise BadArchive("format", _("something follows its end"))

    def _frame(self, most: int) -> bytes | None:
        """The next frame; None for the end."""
        length = int.from_bytes(self._take(_LENGTH, "truncated"))
        if length == 0:
            return None
        if length > most:
            raise BadArchive("size", _("a frame is larger than any may be"))
        return self._take(length, "truncated")

    def _take(self, count: int, code: str) -> bytes:
        data = self._in.read(count)
        if len(data) != count:
            raise BadArchive(code, _("it ends too early"))
        self._hash.update(data)
        return data


def _decoded(frame: bytes, most: int, kind: type[_T]) -> _T:
    try:
        value: Any = canonical.decode(frame, most, depth=4)
        return msgspec.convert(value, kind, builtin_types=(bytes,))
    except Refused as error:
        raise _unreadable(error) from error
    except msgspec.ValidationError as error:
        raise BadArchive("format", _("a frame is not what it should be")) from error


def _unreadable(error: Refused) -> BadArchive:
    return BadArchive("format", _("a frame is not canonical ({why})").format(why=error.why))
