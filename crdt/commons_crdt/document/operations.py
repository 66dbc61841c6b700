"""Strict decode of the operations of one change: which fields it writes, and what they overwrite.

Source: https://automerge.org/automerge-binary-format-spec/ (operation columns). Accepts exactly the
bytes that Automerge's own encoder writes for `put` of a text, integer, boolean or null at the root.
(When a contended field is set to the value it displays, that is a delete of the others.) So each
change has one encoding, and Automerge rebuilds the same bytes when it saves and loads; any other
encoding gives a document that saves and never loads again. Never imports automerge, never judges.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, islice
from typing import NamedTuple, TypeAlias

from commons_crdt.document.change import ChangeHeader, MalformedChange
from commons_crdt.document.leb import MalformedNumber, read_sleb, read_uleb
from commons_crdt.document.schema import FIELDS_LIMIT
from commons_crdt.document.values import Value

OperationId: TypeAlias = tuple[int, bytes]
"""Counter and actor. Compares as Automerge does: the larger one is displayed."""

PREDECESSORS_LIMIT = 8_192

# Column specifications: id << 4 | type. Only these make a put at the root.
_KEY, _INSERT, _ACTION, _VALUE_META, _VALUE = 0x15, 0x34, 0x42, 0x56, 0x57
_PREDECESSOR_COUNT, _PREDECESSOR_ACTOR, _PREDECESSOR_COUNTER = 0x70, 0x71, 0x73
_KNOWN = {
    _KEY, _INSERT, _ACTION, _VALUE_META, _VALUE,
    _PREDECESSOR_COUNT, _PREDECESSOR_ACTOR, _PREDECESSOR_COUNTER,
}  # fmt: skip
_DEFLATE_BIT = 0x08
_COLUMNS_LIMIT = 16

_SHORT = 256
"""Columns up to this many bytes are remembered: nearly all changes of one kind of document have the
same ones, values apart."""

_PUT, _DELETE = 1, 3
_ACTIONS = frozenset({_PUT, _DELETE})
_NULL, _FALSE, _TRUE, _INTEGER, _TEXT = 0, 1, 2, 4, 6


class Operation(NamedTuple):
    """Sets one field. `predecessors`: the operations that it overwrites, ascending. `settles`: it
    writes no value of its own, but removes the others of a contended field.
    """

    field: str
    value: Value
    predecessors: tuple[OperationId, ...]
    settles: bool


def read_operations(header: ChangeHeader) -> tuple[Operation, ...]:
    """Decodes the operations, at most one per field; the n-th has counter `start_op + n`.

    Raises `MalformedChange`: with code "unsupported" for what Automerge can do and documents here
    don't (nested objects, lists, counters, timestamps, the same field twice).
    """
    try:
        return _decode(header)
    except MalformedNumber:
        raise MalformedChange("number") from None


def _decode(header: ChangeHeader) -> tuple[Operation, ...]:
    data = header.columns
    columns = _split(data)
    if not columns.keys() <= _KNOWN:
        raise MalformedChange("unsupported")
    column = _column(data, columns, _KEY)
    names = _known_names(column) if len(column) <= _SHORT else _names(column)
    count = len(names)
    if _INSERT not in columns or data[slice(*columns[_INSERT])] != bytes((count,)):
        raise MalformedChange("unsupported")  # FIELDS_LIMIT makes the run of `false` one byte
    settles = _settles(_column(data, columns, _ACTION), count)
    values = _values(data, _column(data, columns, _VALUE_META), columns.get(_VALUE), count)
    predecessors = _predecessors(data, columns, count, header)
    if any(settle and value is not None for settle, value in zip(settles, values, strict=True)):
        raise MalformedChange("columns")
    return tuple(map(Operation, names, values, predecessors, settles))


def _split(data: bytes) -> dict[int, tuple[int, int]]:
    """Where each column is: specification -> (start, end). No empty column, nothing after."""
    end = len(data)
    count, position = read_uleb(data, 0, end)
    if not 0 < count <= _COLUMNS_LIMIT:
        raise MalformedChange("columns")
    numbers: Sequence[int]
    if (small := data[position : position + 2 * count]).isascii():  # nearly always
        numbers = small
        position += 2 * count
    else:
        numbers = []
        for _ in range(2 * count):
            number, position = read_uleb(data, position, end)
            numbers.append(number)
    if len(numbers) != 2 * count:
        raise MalformedChange("truncated")
    columns = {}
    previous = -1
    for specification, size in zip(numbers[::2], numbers[1::2], strict=True):
        if specification <= previous or specification & _DEFLATE_BIT or size == 0:
            raise MalformedChange("columns")
        previous = specification
        columns[specification] = (position, position + size)
        position += size
    if position != end:
        raise MalformedChange("trailing" if position < end else "truncated")
    return columns


def _column(data: bytes, columns: dict[int, tuple[int, int]], specification: int) -> bytes:
    """The bytes of a column; none of one that is not there."""
    position, end = columns.get(specification, (0, 0))
    return data[position:end]


def _names(column: bytes) -> tuple[str, ...]:
    """The fields. They differ, so the shortest run-length encoding is one literal run."""
    end = len(column)
    if not end:
        raise MalformedChange("unsupported")
    count, position = read_sleb(column, 0, end)
    count = -count
    if not 0 < count <= FIELDS_LIMIT:  # a run repeats a field, a null run means a list
        raise MalformedChange("unsupported")
    names = []
    for _ in range(count):
        size, position = read_uleb(column, position, end)
        if position + size > end:
            raise MalformedChange("truncated")
        names.append(_text(column, position, size))
        position += size
    if position != end or len(set(names)) != count:
        raise MalformedChange("unsupported")
    return tuple(names)


_known_names = lru_cache(maxsize=256)(_names)


def _text(data: bytes, position: int, size: int) -> str:
    try:
        return data[position : position + size].decode()
    except UnicodeDecodeError:
        raise MalformedChange("columns") from None


def _settles(column: bytes, count: int) -> list[bool]:
    if not column:
        raise MalformedChange("columns")
    actions = _runs(column, count, signed=False)
    if len(actions) != count:
        raise MalformedChange("columns")
    if not _ACTIONS.issuperset(actions):
        raise MalformedChange("unsupported")
    return [action == _DELETE for action in actions]


def _values(data: bytes, metas: bytes, raw: tuple[int, int] | None, count: int) -> list[Value]:
    if not metas:
        raise MalformedChange("columns")
    position, end = raw or (0, 0)
    values: list[Value] = []
    for meta in _runs(metas, count, signed=False):
        kind, size = meta & 0x0F, meta >> 4
        if position + size > end:
            raise MalformedChange("truncated")
        if kind == _TEXT:
            values.append(_text(data, position, size))
        elif kind == _INTEGER:
            number, after = read_sleb(data, position, position + size)
            if after != position + size:
                raise MalformedChange("columns")
            values.append(number)
        elif kind in (_NULL, _FALSE, _TRUE):
            if size:
                raise MalformedChange("columns")
            values.append(None if kind == _NULL else kind == _TRUE)
        else:
            raise MalformedChange("unsupported")
        position += size
    if len(values) != count or position != end:
        raise MalformedChange("columns")
    return values


def _predecessors(
    data: bytes, columns: dict[int, tuple[int, int]], count: int, header: ChangeHeader
) -> list[tuple[OperationId, ...]]:
    if _PREDECESSOR_COUNT not in columns:
        raise MalformedChange("columns")
    counts = _runs(_column(data, columns, _PREDECESSOR_COUNT), count, signed=False)
    total = sum(counts)
    if len(counts) != count or total > PREDECESSORS_LIMIT:
        raise MalformedChange("columns")
    indexes = _runs(_column(data, columns, _PREDECESSOR_ACTOR), total, signed=False)
    steps = _runs(_column(data, columns, _PREDECESSOR_COUNTER), total, signed=True)
    if len(indexes) != total or len(steps) != total:
        raise MalformedChange("columns")
    others = header.other_actors
    used = set(indexes)
    if any(index > len(others) for index in used) or len(used - {0}) != len(others):
        raise MalformedChange("actors")
    actors = (header.actor, *others)
    ids = zip(accumulate(steps), [actors[index] for index in indexes], strict=True)
    return [tuple(islice(ids, n)) for n in counts]


def _runs(column: bytes, limit: int, *, signed: bool) -> Sequence[int]:
    """Decodes a run-length encoded column without nulls, in its shortest form only."""
    if limit <= FIELDS_LIMIT and len(column) <= _SHORT:
        return _known_runs(column, limit, signed)
    return _read_runs(column, limit, signed)


def _read_runs(column: bytes, limit: int, signed: bool) -> tuple[int, ...]:
    values: list[int] = []
    read = read_sleb if signed else read_uleb
    literal = False
    position, end = 0, len(column)
    while position < end:
        count, position = read_sleb(column, position, end)
        if len(values) + abs(count) > limit:
            raise MalformedChange("columns")
        if count > 1:
            value, position = read(column, position, end)
            if values and values[-1] == value:
                raise MalformedChange("columns")
            values += [value] * count
            literal = False
        elif count < 0 and not literal:
            for _ in range(-count):
                value, position = read(column, position, end)
                if values and values[-1] == value:
                    raise MalformedChange("columns")
                values.append(value)
            literal = True
        else:
            raise MalformedChange("columns")
    return tuple(values)


_known_runs = lru_cache(maxsize=2048)(_read_runs)
