"""Reading one realm's stored operations over one connection: standings, bytes, edits.

The realm reads *inside* its own transaction, everybody else *outside*, where nothing is seen that
was not committed. Judges nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple

from commons_crdt.authority.judge import Standing
from commons_crdt.ids import DeviceId, DocumentId, OperationId
from commons_crdt.operation import Operation
from commons_crdt.verdict import ACCEPTED, Judgement, Verdict
from commons_node.store.connection import Connection
from commons_node.store.database import fetch, placeholders
from commons_node.store.numbers import Numbers

_IN = 500
_CHUNK = 1000
_ANY = 1 << 62
_STANDING = (
    "o.id, c.device, c.log, o.seq, o.lamport, o.time_ms, o.kind, o.document, o.origin, o.mask,"
    " o.tokens, o.verdict, o.reason, o.role"
)
_WIDTH = 14
_FROM = "FROM operations o JOIN chains c ON c.n = o.chain"

HELD = "held"
"""``applied`` of an edit that waits, or that killed its worker: tried later, never a result."""
NOT_STANDING = "verdict"
"""``applied`` of an edit whose document does not take it because it does not stand."""


VOID = ("fork", "cut", "closed")
"""Reasons of what lies beyond its chain's end: it counts for nothing and stands in no hash."""
_VOID = ", ".join(f"'{reason}'" for reason in VOID)
NOT_VOID = f"NOT (verdict IN (2, 3) AND reason IN ({_VOID}))"
"""What stands in hashes and ends, as SQL."""


@dataclass(frozen=True, slots=True)
class EditRow:
    """One stored edit of a document; ``change`` is its Automerge hash, None if it has no form."""

    n: int
    id: OperationId
    device: DeviceId
    standing: Standing
    header: bytes
    body: bytes | None
    change: bytes | None
    applied: str | None


class Row(NamedTuple):
    """One stored operation with its number."""

    n: int
    standing: Standing
    operation: Operation


class Past(NamedTuple):
    """An edit that its document has taken: what the next ones build on."""

    id: OperationId
    kind: str
    hash: bytes
    body: bytes


class Reader:
    """Queries over one connection."""

    def __init__(self, connection: Connection, numbers: Numbers) -> None:
        """``numbers`` is shared with whoever writes."""
        self.connection = connection
        self._numbers = numbers

    def _standing(self, row: Sequence[object]) -> Standing:
        (ident, device, log, seq, lamport, time_ms, kind, document, origin, mask, left, verdict,
         reason, role) = row  # fmt: skip
        judgement = ACCEPTED if verdict == 1 and not reason else Judgement(Verdict(verdict), reason)  # type: ignore[arg-type]  # as declared in the schema
        return Standing(
            ident, device, log, seq, lamport, time_ms, kind, document, origin,  # type: ignore[arg-type]  # likewise
            self._numbers.masks[mask], left, judgement, role,  # type: ignore[index, arg-type]  # likewise
        )  # fmt: skip

    async def standings(self, ids: Iterable[bytes]) -> dict[OperationId, Standing]:
        """Those of ``ids`` that are stored."""
        found: dict[OperationId, Standing] = {}
        wanted = list(ids)
        for i in range(0, len(wanted), _IN):
            chunk = wanted[i : i + _IN]
            query = f"SELECT {_STANDING} {_FROM} WHERE o.id IN ({placeholders(len(chunk))})"
            for row in await fetch(self.connection, query, chunk):
                found[row[0]] = self._standing(row)
        return found

    async def at(self, device: bytes, log: int, seq: int) -> list[OperationId]:
        """The operations at one position of a chain, ids ascending: two or more are a fork."""
        chain = self._numbers.chains.get((device, log))
        query = "SELECT id FROM operations WHERE chain=? AND seq=? ORDER BY id"
        return [OperationId(row[0]) for row in await fetch(self.connection, query, (chain, seq))]

    async def tips(self) -> list[Standing]:
        """The last stored operation of each chain (of siblings, the first in order of storing)."""
        query = (
            f"SELECT {_STANDING} FROM chains c JOIN operations o ON o.n = (SELECT n FROM operations"  # noqa: S608 - own clauses
            " WHERE chain = c.n ORDER BY seq DESC, n LIMIT 1)"
        )
        return [self._standing(row) for row in await fetch(self.connection, query)]

    async def doubled(self) -> list[tuple[DeviceId, int, int]]:
        """(device, log, lowest doubled seq) of each forked chain."""
        query = (
            "SELECT c.device, c.log, min(d.seq) FROM"
            " (SELECT chain, seq FROM operations GROUP BY chain, seq HAVING count(*) > 1) d"
            " JOIN chains c ON c.n = d.chain GROUP BY d.chain"
        )
        rows = await fetch(self.connection, query)
        return [(DeviceId(device), log, seq) for device, log, seq in rows]

    async def everything(
        self, where: str = "1", arguments: Sequence[object] = ()
    ) -> list[tuple[Standing, Operation]]:
        """Standings with their bytes (without parts) in a causal order."""
        query = (
            f"SELECT {_STANDING}, o.header, o.signature, o.body {_FROM} WHERE {where} ORDER BY o.n"
        )
        return [
            (self._standing(row[:_WIDTH]), Operation(*row[_WIDTH : _WIDTH + 3]))
            for row in await fetch(self.connection, query, arguments)
        ]

    async def bodies(
        self, where: str, arguments: Sequence[object]
    ) -> list[tuple[Standing, bytes | None]]:
        """Standings with their salted bodies, in a causal order."""
        query = f"SELECT {_STANDING}, o.body {_FROM} WHERE {where} ORDER BY o.n"
        return [
            (self._standing(row[:_WIDTH]), row[_WIDTH])
            for row in await fetch(self.connection, query, arguments)
        ]

    async def stream(self) -> AsyncIterator[list[Row]]:
        """All operations in a causal order, some at a time."""
        last = 0
        while rows := await self._rows("o.n > ? ORDER BY o.n", (last,)):
            last = rows[-1].n
            yield rows

    async def chain(self, device: bytes, log: int, first: int = 1) -> AsyncIterator[list[Row]]:
        """A chain from seq ``first`` on in a causal order, some at a time."""
        number = self._numbers.chains.get((device, log))
        at = (first, 0)
        query = "o.chain = ? AND (o.seq, o.n) > (?, ?) ORDER BY o.seq, o.n"
        while rows := await self._rows(query, (number, *at)):
            at = (rows[-1].standing.seq, rows[-1].n)
            yield rows

    async def extremes(self, device: bytes, log: int, most: int) -> list[tuple[int, int, int, int]]:
        """(mask, role, lowest seq, highest seq) of a chain's operations that have a role.

        Up to seq ``most``; one row for each view and role.
        """
        query = (
            "SELECT mask, role, min(seq), max(seq) FROM operations"
            " WHERE chain = ? AND seq <= ? AND role != 0 GROUP BY mask, role"
        )
        number = self._numbers.chains.get((device, log))
        return [tuple(row) for row in await fetch(self.connection, query, (number, most))]

    async def chain_but(
        self, device: bytes, log: int, most: int, skipped: Collection[tuple[int, int]]
    ) -> AsyncIterator[list[Row]]:
        """A chain in a causal order without what has one of these (mask, role) up to ``most``."""
        number = self._numbers.chains.get((device, log))
        pairs = " OR ".join(["(o.mask = ? AND o.role = ?)"] * len(skipped))
        at = (0, 0)
        query = (
            f"o.chain = ? AND (o.seq, o.n) > (?, ?) AND NOT (o.seq <= ? AND ({pairs or 0}))"
            " ORDER BY o.seq, o.n"
        )
        named = [x for pair in skipped for x in pair]
        while rows := await self._rows(query, (number, *at, most, *named)):
            at = (rows[-1].standing.seq, rows[-1].n)
            yield rows

    async def placed(self, device: bytes, log: int, seqs: Iterable[int]) -> dict[int, Standing]:
        """What stands at these places of a chain that is not forked."""
        number = self._numbers.chains.get((device, log))
        wanted = list(seqs)
        found: dict[int, Standing] = {}
        for i in range(0, len(wanted), _IN):
            chunk = wanted[i : i + _IN]
            where = f"WHERE o.chain = ? AND o.seq IN ({placeholders(len(chunk))})"
            rows = await fetch(
                self.connection, f"SELECT {_STANDING} {_FROM} {where}", (number, *chunk)
            )
            found |= {s.seq: s for s in map(self._standing, rows)}
        return found

    async def rows(self, ids: Sequence[bytes]) -> list[Row]:
        """Those of ``ids`` that are stored, in a causal order."""
        found: list[Row] = []
        for i in range(0, len(ids), _IN):
            chunk = ids[i : i + _IN]
            found += await self._rows(f"o.id IN ({placeholders(len(chunk))})", chunk)
        return sorted(found, key=itemgetter(0))

    async def _rows(self, where: str, arguments: Sequence[object]) -> list[Row]:
        query = (
            f"SELECT {_STANDING}, o.header, o.signature, o.body, o.n {_FROM}"
            f" WHERE {where} LIMIT {_CHUNK}"
        )
        return [
            Row(row[-1], self._standing(row[:_WIDTH]), Operation(*row[_WIDTH : _WIDTH + 3]))
            for row in await fetch(self.connection, query, arguments)
        ]

    async def backwards(self) -> AsyncIterator[list[tuple[OperationId, DeviceId, int, bytes]]]:
        """(id, device, seq, header) of all of log 1, what comes later first, some at a time."""
        query = (
            f"SELECT o.n, o.id, c.device, o.seq, o.header {_FROM} WHERE c.log = 1 AND o.n < ?"
            f" ORDER BY o.n DESC LIMIT {_CHUNK}"
        )
        last = _ANY
        while rows := await fetch(self.connection, query, (last,)):
            last = rows[-1][0]
            yield [(OperationId(i), DeviceId(d), seq, header) for _, i, d, seq, header in rows]

    async def links(
        self, device: bytes, log: int, first: int
    ) -> AsyncIterator[list[tuple[int, OperationId, bytes]]]:
        """(seq, id, header) of a chain from seq ``first`` on, ascending, some at a time."""
        number = self._numbers.chains.get((device, log))
        where = "chain = ? AND (seq, n) > (?, ?) ORDER BY seq, n"
        query = f"SELECT seq, n, id, header FROM operations WHERE {where} LIMIT {_CHUNK}"  # noqa: S608 - own clauses
        at = (first, 0)
        while rows := await fetch(self.connection, query, (number, *at)):
            at = (rows[-1][0], rows[-1][1])
            yield [(seq, OperationId(ident), header) for seq, _, ident, header in rows]

    async def headers(self, after: int) -> AsyncIterator[list[tuple[int, OperationId, bytes]]]:
        """(n, id, header) of all that was stored behind number ``after``, some at a time."""
        query = f"SELECT n, id, header FROM operations WHERE n > ? ORDER BY n LIMIT {_CHUNK}"  # noqa: S608 - own clauses
        while rows := await fetch(self.connection, query, (after,)):
            after = rows[-1][0]
            yield [(n, OperationId(ident), header) for n, ident, header in rows]

    async def count(self) -> int:
        """How many operations are stored."""
        ((found,),) = await fetch(self.connection, "SELECT count(*) FROM operations")
        return int(found)

    async def setting(self, name: str) -> bytes | None:
        """What this node remembers of the realm under a name; None if nothing."""
        rows = await fetch(self.connection, "SELECT value FROM settings WHERE name = ?", (name,))
        return rows[0][0] if rows else None

    async def top(self, device: bytes, log: int) -> Standing | None:
        """The last stored operation of one chain, as ``tips`` has it."""
        query = f"SELECT {_STANDING} {_FROM} WHERE o.chain = ? ORDER BY o.seq DESC, o.n LIMIT 1"
        number = self._numbers.chains.get((device, log))
        rows = await fetch(self.connection, query, (number,))
        return self._standing(rows[0]) if rows else None

    async def last(
        self, device: bytes, log: int, most: int | None
    ) -> tuple[int, OperationId, int] | None:
        """(seq, id, verdict) of a chain's last operation that is not void, up to seq ``most``."""
        query = (
            f"SELECT seq, id, verdict FROM operations WHERE chain = ? AND {NOT_VOID}"  # noqa: S608 - own clause
            " AND seq <= ? ORDER BY seq DESC, id LIMIT 1"
        )
        number = self._numbers.chains.get((device, log))
        rows = await fetch(self.connection, query, (number, _ANY if most is None else most))
        return (rows[0][0], OperationId(rows[0][1]), rows[0][2]) if rows else None

    async def behind(self, device: bytes, log: int, seq: int) -> list[OperationId]:
        """What is stored of a chain from ``seq`` on and is not void, in the order of ids."""
        number = self._numbers.chains.get((device, log))
        query = f"SELECT id FROM operations WHERE chain = ? AND seq >= ? AND {NOT_VOID} ORDER BY id"  # noqa: S608 - own clause
        return [OperationId(i) for (i,) in await fetch(self.connection, query, (number, seq))]

    async def numbers(self, ids: Sequence[bytes]) -> dict[OperationId, int]:
        """The places of stored operations in the order of storing."""
        found: dict[OperationId, int] = {}
        for i in range(0, len(ids), _IN):
            chunk = ids[i : i + _IN]
            query = f"SELECT id, n FROM operations WHERE id IN ({placeholders(len(chunk))})"  # noqa: S608 - own clauses
            found.update(await fetch(self.connection, query, chunk))
        return found

    async def absent(self, ids: Sequence[bytes]) -> dict[OperationId, tuple[bool, bool]]:
        """Of stored operations: whether the body is absent here, and whether some part is."""
        found: dict[OperationId, tuple[bool, bool]] = {}
        for i in range(0, len(ids), _IN):
            chunk = ids[i : i + _IN]
            query = (
                "SELECT id, body IS NULL, EXISTS (SELECT 1 FROM parts p WHERE p.operation = n"  # noqa: S608 - own clauses
                " AND p.bytes IS NULL AND NOT EXISTS (SELECT 1 FROM large l WHERE"
                " l.operation = p.operation AND l.position = p.position)"
                f") FROM operations WHERE id IN ({placeholders(len(chunk))})"
            )
            for ident, body, part in await fetch(self.connection, query, chunk):
                found[ident] = (bool(body), bool(part))
        return found

    async def edits_of(self, documents: Sequence[DocumentId]) -> dict[DocumentId, list[EditRow]]:
        """The edits of several documents, each in a causal order."""
        result: dict[DocumentId, list[EditRow]] = {document: [] for document in documents}
        for i in range(0, len(documents), _IN):
            chunk = documents[i : i + _IN]
            query = (
                f"SELECT {_STANDING}, o.n, o.header, o.body, o.change, e.applied {_FROM}"
                " JOIN edits e ON e.n = o.n"
                f" WHERE o.document IN ({placeholders(len(chunk))}) ORDER BY o.n"
            )
            for row in await fetch(self.connection, query, chunk):
                s = self._standing(row[:_WIDTH])
                result[s.document].append(
                    EditRow(row[_WIDTH], s.id, s.device, s, *row[_WIDTH + 1 :])
                )
        return result

    async def pasts(self, documents: Sequence[DocumentId]) -> dict[DocumentId, list[Past]]:
        """The edits that several documents have taken, each in a causal order; none that waits."""
        result: dict[DocumentId, list[Past]] = {document: [] for document in documents}
        for i in range(0, len(documents), _IN):
            chunk = documents[i : i + _IN]
            query = (
                "SELECT o.document, o.id, o.kind, o.change, o.body FROM operations o"  # noqa: S608 - own clauses
                " LEFT JOIN behind b ON b.document = o.document WHERE o.document IN"
                f" ({placeholders(len(chunk))}) AND o.applied = '' AND o.body IS NOT NULL"
                " AND (b.since IS NULL OR o.n < b.since) ORDER BY o.n"
            )
            for row in await fetch(self.connection, query, chunk):
                result[row[0]].append(Past(*row[1:]))
        return result

    async def documents(self) -> list[DocumentId]:
        """Every document that somebody has edited."""
        query = "SELECT DISTINCT document FROM operations WHERE applied IS NOT NULL"
        return [DocumentId(document) for (document,) in await fetch(self.connection, query)]

    async def held_edits(self) -> int:
        """How many edits are not applied yet."""
        query = (
            f"SELECT (SELECT count(*) FROM operations WHERE applied = '{HELD}') +"  # noqa: S608 - own clauses
            " (SELECT count(*) FROM behind b JOIN operations o ON o.document = b.document"
            " WHERE o.n >= b.since AND o.applied = '')"
        )
        ((found,),) = await fetch(self.connection, query)
        return int(found)

    async def held_documents(self) -> list[DocumentId]:
        """Documents with an edit that waits, or that killed its worker."""
        query = (
            "SELECT document FROM behind UNION"  # noqa: S608 - own clauses
            f" SELECT document FROM operations WHERE applied = '{HELD}'"
        )
        return [DocumentId(document) for (document,) in await fetch(self.connection, query)]
