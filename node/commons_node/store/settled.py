"""The table of what is settled, and the pin: which seals this file has followed.

Derived from the operations, but for the pin, which is what this node once knew to be in force, and
for the state hashes that it computed itself, which are slow to make.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from commons_crdt.authority.judge import ERASURE
from commons_crdt.authority.state import View
from commons_crdt.ids import OperationId
from commons_node.store.connection import Connection
from commons_node.store.database import fetch, placeholders
from commons_node.store.numbers import Numbers
from commons_node.store.reading import NOT_VOID

_IN = 500
_CHUNK = 1000
_ANY = 1 << 62
_SEALS, _PIN, _COMPARED = "seals", "pin", "compared"
_MOST_COMPARED = 16
_HASH = 32


class Unsettled(NamedTuple):
    """One operation of log 1 that no seal has settled."""

    n: int
    id: bytes
    device: bytes
    seq: int
    time_ms: int
    view: View
    verdict: int
    reason: str
    header: bytes


class SettledTable:
    """SQL of one realm, over the writing connection, inside the caller's transaction."""

    def __init__(self, connection: Connection, numbers: Numbers) -> None:
        """``numbers`` is shared with whoever writes."""
        self._connection = connection
        self._numbers = numbers

    async def _setting(self, name: str) -> bytes:
        query = "SELECT value FROM settings WHERE name = ?"
        rows = await fetch(self._connection, query, (name,))
        return bytes(rows[0][0]) if rows else b""

    async def _set(self, name: str, value: bytes) -> None:
        await self._connection.execute(
            "INSERT OR REPLACE INTO settings VALUES (?,?)", (name, value)
        )

    async def seals(self) -> list[OperationId]:
        """The seals whose operations the table holds, in the order of the chain."""
        found = await self._setting(_SEALS)
        return [OperationId(found[at : at + 32]) for at in range(0, len(found), 32)]

    async def set_seals(self, seals: Sequence[OperationId]) -> None:
        """Note which seals the table follows."""
        await self._set(_SEALS, b"".join(seals))

    async def pin(self) -> OperationId | None:
        """The act below which this node never leaves the council's chain."""
        found = await self._setting(_PIN)
        return OperationId(found) if found else None

    async def set_pin(self, act: OperationId) -> None:
        """Move the pin."""
        await self._set(_PIN, act)

    async def compared(self, seal: OperationId, state: bytes) -> None:
        """Note which state hash this node computed for a seal; the latest sixteen are kept."""
        others = [one for one in _pairs(await self._setting(_COMPARED)) if one[0] != seal]
        kept = [*others, (seal, state)][-_MOST_COMPARED:]
        await self._set(_COMPARED, b"".join(one + found for one, found in kept))

    async def clear(self) -> None:
        """Nothing is settled."""
        await self._connection.execute("DELETE FROM settled")

    async def add(self, ids: Sequence[OperationId]) -> None:
        """These are settled."""
        for i in range(0, len(ids), _IN):
            chunk = ids[i : i + _IN]
            await self._connection.execute(
                "INSERT OR IGNORE INTO settled SELECT n FROM operations"  # noqa: S608 - own clauses
                f" WHERE id IN ({placeholders(len(chunk))})",
                chunk,
            )

    async def add_chain(self, device: bytes, seq: int, own: View) -> None:
        """A chain of log 1 that is not forked is settled up to ``seq``.

        Less where the views of its operations exceed ``own``: from there on all of them do.
        """
        chain = self._numbers.chains.get((device, 1))
        query = "SELECT mask, min(seq) FROM operations WHERE chain = ? AND seq <= ? GROUP BY mask"
        rows = await fetch(self._connection, query, (chain, seq))
        beyond = (first for mask, first in rows if self._numbers.masks[mask] & ~own)
        await self._connection.execute(
            "INSERT OR IGNORE INTO settled SELECT n FROM operations WHERE chain = ? AND seq <= ?",
            (chain, min(seq, min(beyond, default=_ANY) - 1)),
        )

    # -- reading what is committed ---------------------------------------------------------------

    async def unsettled(self, connection: Connection, after: int) -> list[Unsettled]:
        """Operations of log 1 that are not settled, in the order of storing, some at a time."""
        query = (
            "SELECT o.n, o.id, c.device, o.seq, o.time_ms, o.mask, o.verdict, o.reason, o.header"
            " FROM operations o JOIN chains c ON c.n = o.chain"
            " LEFT JOIN settled t ON t.operation = o.n"
            " WHERE o.n > ? AND c.log = 1 AND t.operation IS NULL ORDER BY o.n LIMIT ?"
        )
        rows = await fetch(connection, query, (after, _CHUNK))
        masks = self._numbers.masks
        return [
            Unsettled(n, ident, device, seq, time_ms, masks[mask], verdict, reason, header)
            for n, ident, device, seq, time_ms, mask, verdict, reason, header in rows
        ]

    async def erasures_since(
        self, connection: Connection, time_ms: int
    ) -> list[tuple[bytes, int, View]]:
        """(device, seq, view) of the erasures that stand and are younger than a time."""
        query = (
            "SELECT c.device, o.seq, o.mask FROM operations o JOIN chains c ON c.n = o.chain"
            " WHERE o.kind = ? AND o.verdict = 1 AND o.time_ms > ?"
        )
        rows = await fetch(connection, query, (ERASURE, time_ms))
        return [(device, seq, self._numbers.masks[mask]) for device, seq, mask in rows]


def _pairs(stored: bytes) -> list[tuple[OperationId, bytes]]:
    hashes = [stored[at : at + _HASH] for at in range(0, len(stored), _HASH)]
    return [
        (OperationId(seal), state) for seal, state in zip(hashes[::2], hashes[1::2], strict=True)
    ]


async def state_of(connection: Connection, seal: OperationId) -> bytes | None:
    """The state hash that this node computed for a seal; None if it has not yet."""
    query = "SELECT value FROM settings WHERE name = ?"
    for (stored,) in await fetch(connection, query, (_COMPARED,)):
        return dict(_pairs(bytes(stored))).get(seal)
    return None


async def provisional_keys(connection: Connection, view: str) -> set[bytes]:
    """The keys of a view's rows that some operation that is not settled has a part in."""
    query = (
        "SELECT DISTINCT s.key FROM subjects s LEFT JOIN settled t ON t.operation = s.operation"
        " JOIN operations o ON o.n = s.operation"
        " WHERE s.view = ? AND t.operation IS NULL AND o.verdict = 1"
    )
    return {bytes(key) for (key,) in await fetch(connection, query, (view,))}


async def provisional_documents(connection: Connection) -> set[bytes]:
    """The documents that some operation that stands and is not settled is about."""
    query = (
        "SELECT DISTINCT o.document FROM operations o INDEXED BY by_document"
        " LEFT JOIN settled t ON t.operation = o.n WHERE t.operation IS NULL AND o.verdict = 1"
    )
    return {bytes(document) for (document,) in await fetch(connection, query)}


async def among_provisional(connection: Connection, operations: Iterable[bytes]) -> set[bytes]:
    """Those of some operations that are stored and not settled."""
    wanted, found = list(operations), set[bytes]()
    for i in range(0, len(wanted), _IN):
        chunk = wanted[i : i + _IN]
        query = (
            "SELECT o.id FROM operations o LEFT JOIN settled t ON t.operation = o.n"  # noqa: S608 - own clauses
            f" WHERE o.id IN ({placeholders(len(chunk))}) AND t.operation IS NULL"
        )
        found |= {bytes(ident) for (ident,) in await fetch(connection, query, chunk)}
    return found


async def settled_counts(connection: Connection) -> tuple[int, int]:
    """How many stored operations are settled, and how many there are."""
    query = "SELECT (SELECT count(*) FROM settled), (SELECT count(*) FROM operations)"
    ((settled, stored),) = await fetch(connection, query)
    return int(settled), int(stored)


async def ripe(connection: Connection, time_ms: int) -> int:
    """How many operations a seal could settle: not settled, decided, within their chain's end."""
    query = (
        "SELECT count(*) FROM operations o LEFT JOIN settled t ON t.operation = o.n"  # noqa: S608 - own clause
        f" WHERE t.operation IS NULL AND o.time_ms <= ? AND o.verdict != 0 AND {NOT_VOID}"
    )
    ((count,),) = await fetch(connection, query, (time_ms,))
    return int(count)
