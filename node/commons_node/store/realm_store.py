"""Writing one realm's operations, and the two ways of reading them. Judges and folds nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from commons_crdt.authority.judge import Standing
from commons_crdt.ids import DocumentId, OperationId
from commons_crdt.operation import SMALL_PART, Operation
from commons_node.store.connection import Connection
from commons_node.store.database import Database, fetch, placeholders
from commons_node.store.large_parts import LargeParts
from commons_node.store.numbers import Numbers
from commons_node.store.paging import Span, named, page
from commons_node.store.reading import EditRow, Reader
from commons_node.store.settled import SettledTable
from commons_node.store.waiting import Waiting


class Stored(msgspec.Struct, frozen=True):
    """A judged operation on its way to disk; ``change`` is the Automerge hash of an edit.

    ``part_names`` are the classes of the header's parts. ``applied``: None for facts, "" for an
    applied edit, otherwise why its document does not take it.
    """

    standing: Standing
    operation: Operation
    part_names: tuple[str, ...] = ()
    change: bytes | None = None
    applied: str | None = None


class RealmStore:
    """SQL of one realm.

    ``inside`` reads with the writing connection, within the realm's transaction; everything else
    here reads what is committed.
    """

    def __init__(self, database: Database) -> None:
        """``load`` must follow."""
        self.database = database
        self._numbers = Numbers()
        self.inside = Reader(database.write, self._numbers)
        self.outside = Reader(database.read, self._numbers)
        self.waiting = Waiting(database.write)
        self.settled = SettledTable(database.write, self._numbers)
        self.large = LargeParts(database)
        self._next = 1

    async def load(self) -> None:
        """Read the small tables that stay in memory, afresh."""
        await self._numbers.load(self.database.write)
        await self.waiting.load()
        query = "SELECT coalesce(max(n), 0) + 1 FROM operations"
        ((n,),) = await fetch(self.database.write, query)
        self._next = max(self._next, n)  # a number is not given twice: cursors rely on it

    # -- writing -------------------------------------------------------------------------------

    async def insert(
        self,
        connection: Connection,
        batch: Sequence[Stored],
        applied: Mapping[OperationId, str],
        *,
        own: bool = False,
    ) -> int:
        """Append judged operations, in a causal order, inside the caller's transaction.

        ``applied``: what documents made of their edits, where ``Stored`` does not say it yet.
        ``own``: written on this node. Returns the number of the first; the others follow.
        """
        first = self._next
        self._next += len(batch)
        rows: list[tuple[object, ...]] = []
        parts: list[tuple[int, int, str, bytes | None]] = []
        chain = mask = 0
        last: Standing | None = None
        for n, item in enumerate(batch, first):
            s, op = item.standing, item.operation
            if last is None or (last.device, last.log) != (s.device, s.log):
                chain = await self._numbers.chain(connection, s.device, s.log)
            if last is None or last.view is not s.view:
                mask = await self._numbers.mask(connection, s.view)
            last = s
            rows.append((
                n, s.id, chain, s.seq, s.lamport, s.time_ms, s.kind, s.document, s.grant, mask,
                s.left, int(s.judgement.verdict), s.judgement.reason, s.role, op.header,
                op.signature, op.body, item.change, applied.get(s.id, item.applied),
            ))  # fmt: skip
            if item.part_names:
                given = op.parts or (None,) * len(item.part_names)
                small = await self.large.insert(connection, n, op, own=own)
                named = enumerate(zip(item.part_names, given, strict=True))
                parts.extend(
                    (n, position, name, part if position in small else None)
                    for position, (name, part) in named
                )
        await connection.executemany(f"INSERT INTO operations VALUES ({placeholders(19)})", rows)  # noqa: S608 - own clauses
        if parts:
            await connection.executemany("INSERT INTO parts VALUES (?,?,?,?)", parts)
        return first

    async def set_standing(self, connection: Connection, standings: Iterable[Standing]) -> None:
        """Replace verdicts and the roles that counted, after judging again."""
        rows = [(int(s.judgement.verdict), s.judgement.reason, s.role, s.id) for s in standings]
        if rows:  # nearly never: no turn of the database for nothing
            await connection.executemany(
                "UPDATE operations SET verdict=?, reason=?, role=? WHERE id=?", rows
            )

    async def set_applied(
        self, connection: Connection, results: Iterable[tuple[OperationId, str]]
    ) -> None:
        """Note which edits their documents took."""
        rows = [(why, ident) for ident, why in results]
        if rows:
            await connection.executemany("UPDATE operations SET applied=? WHERE id=?", rows)

    async def fall_behind(
        self,
        connection: Connection,
        documents: Iterable[DocumentId],
        since: int | None = None,
    ) -> None:
        """What is stored of these from number ``since`` on waits: it is ``HELD``, not applied.

        None: what will be stored.
        """
        first = self._next if since is None else since
        rows = [(document, first) for document in documents]
        if rows:
            await connection.executemany("INSERT OR IGNORE INTO behind VALUES (?,?)", rows)

    async def catch_up(self, connection: Connection, documents: Iterable[DocumentId]) -> None:
        """All that is stored of these was applied."""
        await connection.executemany(
            "DELETE FROM behind WHERE document = ?", [(d,) for d in documents]
        )

    async def set_contents(
        self,
        connection: Connection,
        ident: OperationId,
        operation: Operation,
        change: bytes | None,
    ) -> None:
        """Fill in what was absent: body and parts; ``change`` is the Automerge hash of an edit."""
        await connection.execute(
            "UPDATE operations SET body = coalesce(body, ?), change = coalesce(change, ?)"
            " WHERE id=?",
            (operation.body, change, ident),
        )
        await connection.executemany(
            "UPDATE parts SET bytes = coalesce(bytes, ?) WHERE position=? AND operation ="
            " (SELECT n FROM operations WHERE id=?)",
            [
                (part, position, ident)
                for position, part in enumerate(operation.parts)
                if part is not None and len(part) <= SMALL_PART
            ],
        )
        await self.large.fill(connection, ident, operation)

    async def erase(
        self, connection: Connection, ids: Iterable[OperationId], *, body: bool
    ) -> None:
        """Take away parts, and with ``body`` the body with the unsalted hash of its change."""
        ids = list(ids)
        rows = [(ident,) for ident in ids]
        await connection.executemany(
            "UPDATE parts SET bytes=NULL WHERE bytes IS NOT NULL AND operation ="
            " (SELECT n FROM operations WHERE id=?)",
            rows,
        )
        await self.large.forget(connection, ids)
        if body:
            await connection.executemany(
                "UPDATE operations SET body=NULL, change=NULL WHERE id=?", rows
            )

    async def delete(self, connection: Connection, numbers: Iterable[int]) -> None:
        """Take operations away altogether: header, body, parts, and what folds noted of them."""
        rows = [(n,) for n in numbers]
        await self.large.delete(connection, rows)
        await connection.executemany("DELETE FROM parts WHERE operation = ?", rows)
        await connection.executemany("DELETE FROM subjects WHERE operation = ?", rows)
        await connection.executemany("DELETE FROM operations WHERE n = ?", rows)

    async def set_setting(self, connection: Connection, name: str, value: bytes) -> None:
        """Remember something about the realm that is this node's own."""
        await connection.execute("INSERT OR REPLACE INTO settings VALUES (?,?)", (name, value))

    # -- reading what is committed ---------------------------------------------------------------

    async def standings(self, ids: Iterable[bytes]) -> dict[OperationId, Standing]:
        """Those of ``ids`` that are stored."""
        return await self.outside.standings(ids)

    async def everything(
        self, where: str = "1", arguments: Sequence[object] = ()
    ) -> list[tuple[Standing, Operation]]:
        """Standings with their bytes (without parts) in a causal order."""
        return await self.outside.everything(where, arguments)

    async def edits(self, document: DocumentId) -> list[EditRow]:
        """All edits of one document, in a causal order."""
        return (await self.outside.edits_of([document]))[document]

    async def waiting_count(self) -> dict[str, int]:
        """How many operations are kept aside, by reason."""
        return dict(self.waiting.counts)

    async def operations(
        self,
        ranges: Sequence[tuple[bytes, int, int, int]],
        after: int | None,
        limit: int,
        ids: Sequence[OperationId] = (),
    ) -> tuple[list[Operation], int | None]:
        """Operations of (device, log, first, last) ranges with their parts; as ``Replica.read``."""
        if ids:
            return await named(self.database.read, ids, after, limit)
        logs: tuple[dict[int, Span], dict[int, Span]] = ({}, {})
        for device, log, first, last in ranges:
            chain = self._numbers.chains.get((device, log))
            if chain is not None:
                spans = logs[1 if log else 0]
                known = spans.get(chain, Span(first, last))
                spans[chain] = Span(min(first, known.first), max(last, known.last))
        return await page(self.database.read, logs, after, limit, self._next)
