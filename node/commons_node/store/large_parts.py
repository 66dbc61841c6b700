"""SQL of large parts: those that do not travel with their operation, such as photos.

``large`` has a row for each that an operation names, with how much of it is here; ``chunks`` has
the bytes. They stand in the realm's file, so that an erasure takes them in its own transaction.
A row says ``whole`` only of bytes whose hash was checked. Source: docs/decisions/0015.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass

from commons_crdt.ids import DeviceId, DocumentId, OperationId
from commons_crdt.operation import SMALL_PART, Operation, decode_header
from commons_node.store.connection import Connection
from commons_node.store.database import Database, fetch, placeholders, snapshot

PIECE = 32_768
"""Bytes of a row in ``chunks`` that is written at once; what peers send comes in the same size."""
SEVERAL = "*"
"""``giver`` of what came from more than one peer."""
NEWER = "NOT EXISTS (SELECT 1 FROM settled t WHERE t.operation = l.operation)"
"""For ``parts``: of operations that no seal has settled."""
_IN = 500
_COLUMNS = (
    "l.n, o.id, l.position, p.name, o.document, l.hash, l.length, l.have, l.whole, l.own, l.giver,"
    " l.used_ms"
)
_FROM = (
    "FROM large l JOIN operations o ON o.n = l.operation"
    " JOIN parts p ON p.operation = l.operation AND p.position = l.position"
)


@dataclass(frozen=True, slots=True)
class LargePart:
    """One large part and what of it is here. ``length`` and ``have`` in bytes, salt included.

    ``own``: written on this node, so that nobody else may have it. ``giver``: the peer that the
    bytes came from so far, ``SEVERAL``, or "". ``used_ms``: when somebody last looked at it.
    """

    n: int
    operation: OperationId
    position: int
    name: str
    document: DocumentId
    hash: bytes
    length: int
    have: int
    whole: bool
    own: bool
    giver: str
    used_ms: int


@dataclass(frozen=True, slots=True)
class Usage:
    """Large parts of a realm: how many are known, how many are whole here, bytes on the disk."""

    known: int
    whole: int
    bytes: int


async def whole_part(connection: Connection, operation: bytes, position: int) -> int | None:
    """The number of a part that an operation names; None if not all of it is here."""
    rows = await fetch(
        connection,
        "SELECT l.n FROM large l JOIN operations o ON o.n = l.operation"
        " WHERE o.id = ? AND l.position = ? AND l.whole",
        (operation, position),
    )
    return int(rows[0][0]) if rows else None


async def chunks(connection: Connection, number: int) -> AsyncIterator[bytes]:
    """The bytes of a part, one row at a time."""
    first = -1
    query = "SELECT first, bytes FROM chunks WHERE part = ? AND first > ? ORDER BY first LIMIT 1"
    while rows := await fetch(connection, query, (number, first)):
        ((first, data),) = rows
        yield data


class LargeParts:
    """Queries over one realm's file; what writes takes the caller's transaction."""

    def __init__(self, database: Database) -> None:
        """Reads what is committed with the reading connection."""
        self._database = database

    # -- with the operation ----------------------------------------------------------------------

    async def insert(
        self, connection: Connection, n: int, operation: Operation, *, own: bool
    ) -> set[int]:
        """Note the large parts of an operation stored as ``n``; the positions of the small ones."""
        small: set[int] = set()
        given = operation.parts or (None,) * 8
        refs = decode_header(operation.header).parts
        for position, (ref, part) in enumerate(zip(refs, given, strict=False)):
            if ref.length <= SMALL_PART:
                small.add(position)
                continue
            here = part is not None
            cursor = await connection.execute_fetchall(
                "INSERT INTO large (operation, position, hash, length, have, whole, own, giver,"
                " used_ms) VALUES (?,?,?,?,?,?,?,'',0) RETURNING n",
                (n, position, ref.hash, ref.length, ref.length * here, here, own and here),
            )
            ((number,),) = cursor
            if part is not None:
                await self._write(connection, number, 0, part)
        return small

    async def fill(self, connection: Connection, ident: OperationId, operation: Operation) -> None:
        """Large parts came with an operation that is stored; they were checked."""
        for position, part in enumerate(operation.parts):
            if part is None or len(part) <= SMALL_PART:
                continue
            rows = await fetch(
                connection,
                "SELECT l.n FROM large l JOIN operations o ON o.n = l.operation"
                " WHERE o.id = ? AND l.position = ? AND NOT l.whole",
                (ident, position),
            )
            for (number,) in rows:
                await self._clear(connection, [number])
                await self._write(connection, number, 0, part)
                await connection.execute(
                    "UPDATE large SET have = length, whole = 1, giver = '' WHERE n = ?", (number,)
                )

    async def _write(self, connection: Connection, number: int, first: int, data: bytes) -> None:
        await connection.executemany(
            "INSERT INTO chunks (part, first, bytes) VALUES (?,?,?)",
            [(number, first + i, data[i : i + PIECE]) for i in range(0, len(data), PIECE)],
        )

    async def _clear(self, connection: Connection, numbers: Sequence[int]) -> None:
        await connection.executemany("DELETE FROM chunks WHERE part = ?", [(n,) for n in numbers])
        await connection.executemany(
            "UPDATE large SET have = 0, whole = 0, own = 0, giver = '' WHERE n = ?",
            [(n,) for n in numbers],
        )

    async def forget(
        self, connection: Connection, ids: Iterable[bytes], *, about: bool = False
    ) -> int:
        """Drop the bytes of operations, or of all that is about documents; how many parts."""
        wanted = list(ids)
        dropped = 0
        column = "document" if about else "id"
        for i in range(0, len(wanted), _IN):
            some = wanted[i : i + _IN]
            rows = await fetch(
                connection,
                "SELECT l.n FROM operations o JOIN large l ON l.operation = o.n"  # noqa: S608 - own clauses
                f" WHERE o.{column} IN ({placeholders(len(some))}) AND l.have > 0",
                some,
            )
            await self._clear(connection, [n for (n,) in rows])
            dropped += len(rows)
        return dropped

    async def delete(self, connection: Connection, operations: Sequence[tuple[int]]) -> None:
        """The operations with these numbers go altogether."""
        await connection.executemany(
            "DELETE FROM chunks WHERE part IN (SELECT n FROM large WHERE operation = ?)", operations
        )
        await connection.executemany("DELETE FROM large WHERE operation = ?", operations)

    # -- piece by piece --------------------------------------------------------------------------

    async def append(
        self,
        connection: Connection,
        part: LargePart,
        data: Sequence[bytes],
        giver: str,
    ) -> LargePart | None:
        """Write bytes behind those that ``part`` says are here; the part as it is now.

        None if it is gone, or if what is here is not what ``part`` says: nothing is written then.
        """
        now = await self._at(connection, part.n)
        if now is None or now.have != part.have or now.whole:
            return None
        at = now.have
        for one in data:
            await self._write(connection, now.n, at, one)
            at += len(one)
        giver = giver if now.giver in {"", giver} else SEVERAL
        await connection.execute(
            "UPDATE large SET have = ?, giver = ? WHERE n = ?", (at, giver, now.n)
        )
        return await self._at(connection, part.n)

    async def finish(
        self, connection: Connection, part: LargePart, *, good: bool, now_ms: int
    ) -> None:
        """All bytes are here: whole if they are the right ones, otherwise none of them is kept."""
        if good:
            await connection.execute(
                "UPDATE large SET whole = 1, used_ms = ? WHERE n = ?", (now_ms, part.n)
            )
        else:
            await self._clear(connection, [part.n])

    async def drop(self, connection: Connection, part: LargePart) -> None:
        """Let the bytes go; others have them."""
        await self._clear(connection, [part.n])

    async def used(self, connection: Connection, part: LargePart, now_ms: int) -> None:
        """Somebody looks at it."""
        await connection.execute("UPDATE large SET used_ms = ? WHERE n = ?", (now_ms, part.n))

    # -- reading ---------------------------------------------------------------------------------

    async def _at(self, connection: Connection, number: int) -> LargePart | None:
        rows = await self._rows(connection, "l.n = ?", (number,))
        return rows[0] if rows else None

    async def _rows(
        self, connection: Connection, where: str, arguments: Sequence[object] = ()
    ) -> list[LargePart]:
        query = f"SELECT {_COLUMNS} {_FROM} WHERE {where}"
        return [
            LargePart(n, ident, at, name, about, hash_, length, have, bool(whole), bool(own), *rest)
            for n, ident, at, name, about, hash_, length, have, whole, own, *rest in await fetch(
                connection, query, arguments
            )
        ]

    async def parts(
        self, where: str = "1", arguments: Sequence[object] = (), *, inside: bool = False
    ) -> list[LargePart]:
        """Large parts; ``where`` may use the columns of ``large`` (l) and ``operations`` (o).

        ``inside``: as the transaction that is open now sees them.
        """
        connection = self._database.write if inside else self._database.read
        return await self._rows(connection, where, arguments)

    async def places(self) -> dict[int, tuple[DeviceId, int, int, int]]:
        """Whose, of which log and with which seq the operation of each whole part is, and its
        number; by the part's."""
        rows = await fetch(
            self._database.read,
            "SELECT l.n, c.device, c.log, o.seq, o.n FROM large l"
            " JOIN operations o ON o.n = l.operation JOIN chains c ON c.n = o.chain"
            " WHERE l.whole AND o.verdict = 1",
        )
        return {n: (DeviceId(device), log, seq, number) for n, device, log, seq, number in rows}

    async def read(
        self, part: LargePart, offset: int, length: int, *, inside: bool = False
    ) -> bytes:
        """Bytes of a part from ``offset`` on; fewer, or none, where they are not here."""
        rows = await fetch(
            self._database.write if inside else self._database.read,
            "SELECT first, bytes FROM chunks WHERE part = ? AND first + length(bytes) > ?"
            " AND first < ? ORDER BY first",
            (part.n, offset, offset + length),
        )
        if not rows or rows[0][0] > offset:
            return b""
        data = b"".join(one for _, one in rows)
        start = offset - rows[0][0]
        return data[start : start + length]

    async def of_disk(self, part: LargePart) -> bytes:
        """All bytes of a part, past what the connections have read of it before."""
        connection = await snapshot(self._database)
        try:
            rows = await fetch(
                connection, "SELECT bytes FROM chunks WHERE part = ? ORDER BY first", (part.n,)
            )
        finally:
            await connection.close()
        return b"".join(one for (one,) in rows)

    async def usage(self) -> Usage:
        """What there is, and what it takes."""
        query = "SELECT count(*), coalesce(sum(whole), 0), coalesce(sum(have), 0) FROM large"
        ((known, whole, size),) = await fetch(self._database.read, query)
        return Usage(known, whole, size)
