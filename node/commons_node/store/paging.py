"""What a peer reads: ranges of chains in causal order, log 0 first, some bytes at a time.

A cursor is the number of the last operation that was read. What is stored between two pages gets a
higher number, so nothing in the ranges is lost.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple

from commons_crdt.operation import Operation
from commons_node.store.connection import Connection
from commons_node.store.database import fetch, placeholders
from commons_node.store.reading import NOT_VOID

LOG_ONE = 1 << 62
"""Cursors of log 1 begin here."""
_CHUNK = 256
_CHAINS = 100
_OVERHEAD = 80
_COLUMNS = "n, chain, seq, header, signature, body"
_JOINED = ", ".join(f"o.{column}" for column in _COLUMNS.split(", "))
"""The same, where a chain is beside them."""


class Span(NamedTuple):
    """Positions ``first`` to ``last`` of a chain."""

    first: int
    last: int

    def __contains__(self, seq: object) -> bool:
        """True if the position lies inside."""
        return isinstance(seq, int) and self.first <= seq <= self.last


async def page(
    connection: Connection,
    logs: tuple[Mapping[int, Span], Mapping[int, Span]],
    after: int | None,
    limit: int,
    stored: int,
) -> tuple[list[Operation], int | None]:
    """About ``limit`` bytes of the spans of log 0 and log 1 (by chain number) behind ``after``.

    At least one operation, if there is one; the cursor returned is None at the end. ``stored`` is
    how many operations there are about, to choose between a scan and a search.
    """
    cursor = after or 0
    taken: list[Operation] = []
    size = 0
    for log in (0, 1) if cursor < LOG_ONE else (1,):
        base = LOG_ONE if log else 0
        async for n, operation in _behind(connection, logs[log], max(0, cursor - base), stored):
            length = _length(operation)
            if taken and size + length > limit:
                return taken, cursor
            taken.append(operation)
            size += length
            cursor = base + n
    return taken, None


async def named(
    connection: Connection, ids: Sequence[bytes], after: int | None, limit: int
) -> tuple[list[Operation], int | None]:
    """Those of ``ids`` (at most some hundred) that are stored; otherwise as ``page``.

    The cursor counts what was given, in the order of log and number.
    """
    query = (
        f"SELECT {_JOINED} FROM operations o"  # noqa: S608 - own columns
        f" JOIN chains c ON c.n = o.chain WHERE o.id IN ({placeholders(len(ids))})"
        " ORDER BY c.log, o.n"
    )
    rows = await fetch(connection, query, ids)
    start = after or 0
    taken: list[Operation] = []
    size = 0
    for _, operation in await _with_parts(connection, rows[start:]):
        length = _length(operation)
        if taken and size + length > limit:
            return taken, start + len(taken)
        taken.append(operation)
        size += length
    return taken, None


async def everything(connection: Connection) -> AsyncIterator[list[Operation]]:
    """All that is stored with its parts, log 0 first, each log in the order of storing."""
    async for rows in _in_order(connection, _JOINED, _CHUNK):
        yield [operation for _, operation in await _with_parts(connection, rows)]


async def verdicts(connection: Connection, most: int) -> AsyncIterator[bytes]:
    """The verdicts of ``everything``, in its order, a byte each; 0 for what stands in no hash."""
    columns = f"o.n, iif({NOT_VOID}, o.verdict, 0)"
    async for rows in _in_order(connection, columns, most):
        yield bytes(verdict for _, verdict in rows)


async def _in_order(connection: Connection, columns: str, most: int) -> AsyncIterator[list[Any]]:
    """Rows of all operations, the number of each first; at most so many at a time."""
    for log in (0, 1):
        last = 0
        query = (
            f"SELECT {columns} FROM operations o"  # noqa: S608 - own columns
            f" JOIN chains c ON c.n = o.chain WHERE c.log = {log} AND o.n > ?"
            f" ORDER BY o.n LIMIT {most}"
        )
        while rows := await fetch(connection, query, (last,)):
            last = rows[-1][0]
            yield rows


async def block(connection: Connection, log: int, first: int, end: int) -> list[Operation]:
    """What was stored of one log under the numbers from ``first`` to before ``end``."""
    query = (
        f"SELECT {_JOINED} FROM operations o"  # noqa: S608 - own columns
        " JOIN chains c ON c.n = o.chain WHERE c.log = ? AND o.n >= ? AND o.n < ? ORDER BY o.n"
    )
    rows = await fetch(connection, query, (log, first, end))
    return [operation for _, operation in await _with_parts(connection, rows)]


def _length(operation: Operation) -> int:
    length = len(operation.header) + len(operation.body or b"") + _OVERHEAD
    return length + sum(len(part or b"") for part in operation.parts)


async def _behind(
    connection: Connection, spans: Mapping[int, Span], start: int, stored: int
) -> AsyncIterator[tuple[int, Operation]]:
    """(n, operation) of one log's spans behind number ``start``, in causal order."""
    dense = 4 * sum(last - first + 1 for first, last in spans.values()) >= stored
    more = bool(spans)
    while more:
        if dense:
            query = f"SELECT {_COLUMNS} FROM operations WHERE n > ? ORDER BY n LIMIT {_CHUNK}"  # noqa: S608 - own columns
            rows = await fetch(connection, query, (start,))
            more = len(rows) == _CHUNK
            start = rows[-1][0] if rows else start
            rows = [row for row in rows if row[1] in spans and row[2] in spans[row[1]]]
        else:
            rows = await _search(connection, spans, start)
            more = len(rows) == _CHUNK
            start = rows[-1][0] if rows else start
        for found in await _with_parts(connection, rows):
            yield found


async def _search(connection: Connection, spans: Mapping[int, Span], start: int) -> list[Any]:
    """The next rows of the spans, by the index of chains."""
    numbers: list[int] = []
    chains = list(spans.items())
    one = "SELECT n FROM operations WHERE chain=? AND seq BETWEEN ? AND ? AND n>?"
    for i in range(0, len(chains), _CHAINS):
        some = chains[i : i + _CHAINS]
        query = " UNION ALL ".join([one] * len(some)) + f" ORDER BY n LIMIT {_CHUNK}"
        arguments = [x for chain, span in some for x in (chain, *span, start)]
        numbers.extend(n for (n,) in await fetch(connection, query, arguments))
    chosen = sorted(numbers)[:_CHUNK]
    query = f"SELECT {_COLUMNS} FROM operations WHERE n IN ({placeholders(len(chosen))}) ORDER BY n"  # noqa: S608 - own columns
    return await fetch(connection, query, chosen) if chosen else []


async def _with_parts(
    connection: Connection, every: Sequence[Sequence[Any]]
) -> list[tuple[int, Operation]]:
    """Operations of rows of ``_COLUMNS``, parts attached."""
    parts: dict[int, list[bytes | None]] = {}
    for i in range(0, len(every), _CHUNK):
        wanted = [row[0] for row in every[i : i + _CHUNK]]
        query = (
            "SELECT operation, bytes FROM parts"  # noqa: S608 - own clauses
            f" WHERE operation IN ({placeholders(len(wanted))}) ORDER BY operation, position"
        )
        for n, part in await fetch(connection, query, wanted):
            parts.setdefault(n, []).append(part)
    return [
        (n, Operation(header, signature, body, tuple(parts.get(n, ()))))
        for n, _, _, header, signature, body in every
    ]
