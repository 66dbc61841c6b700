"""Operations that can't be judged here yet: some antecedent, the clock, or a worker is missing.

They are not part of the realm: not relayed, in no hash, bounded in number and bytes. Where there
is no more room, whoever has most of it gives way: nobody crowds others out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from commons_crdt import canonical
from commons_crdt.errors import Refused
from commons_crdt.ids import OperationId
from commons_crdt.operation import Operation, decode_header
from commons_node.store.connection import Connection
from commons_node.store.database import fetch, placeholders
from commons_node.store.upgrading import Unusable

MAX_COUNT = 10_000
MAX_BYTES = 64 * 1024 * 1024
_MAX_ONE = 1 << 20
_IN = 500


@dataclass(frozen=True, slots=True)
class Aside:
    """An operation to keep aside: ``why`` is ``missing``, ``clock``, ``verifier`` or ``rules``.

    ``missing``: what it waits for; ``until_ms``: when it is tried again, for the others. ``rules``:
    this program does not know the rules version that it was written under.
    """

    id: OperationId
    operation: Operation
    why: str
    missing: bytes = b""
    until_ms: int = 0


class Waiting:
    """The table ``waiting``; ``load`` must follow."""

    def __init__(self, connection: Connection) -> None:
        """Reads and writes over the realm's writing connection."""
        self._connection = connection
        self.counts: dict[str, int] = {}
        """How many are kept aside, by reason."""
        self._bytes = 0
        self._shares: dict[bytes, list[int]] = {}
        """Of each author: how many, and how many bytes."""

    async def load(self) -> None:
        """Count afresh."""
        query = (
            "SELECT why, author, count(*), sum(length(operation)) FROM waiting GROUP BY why, author"
        )
        self.counts, self._bytes, self._shares = {}, 0, {}
        for why, author, count, size in await fetch(self._connection, query):
            self.counts[why] = self.counts.get(why, 0) + count
            self._grow(author, count, size)

    def _grow(self, author: bytes, count: int, size: int) -> None:
        share = self._shares.setdefault(author, [0, 0])
        share[0] += count
        share[1] += size
        self._bytes += size

    async def keep(self, asides: Sequence[Aside], whose: Callable[[bytes], bytes]) -> int:
        """Keep what there is room for, in the caller's transaction; how many found or lost none.

        ``whose`` says which author a device belongs to.
        """
        if not asides:
            return 0
        rows: list[tuple[object, ...]] = []
        lost = 0
        for one in asides:
            packed = _pack(one.operation)
            author = whose(decode_header(one.operation.header).device)
            while self._full(len(packed)):
                if len(packed) > _MAX_ONE or not self._takes_from_others(author, len(packed)):
                    break
                await self._insert(rows)
                lost += await self._give_way()
            else:
                self._grow(author, 1, len(packed))
                rows.append((one.id, one.missing, one.why, one.until_ms, packed, author))
                continue
            lost += 1
        await self._insert(rows)
        await self.load()
        return lost

    async def _insert(self, rows: list[tuple[object, ...]]) -> None:
        await self._connection.executemany(
            "INSERT OR REPLACE INTO waiting VALUES (?,?,?,?,?,?)", rows
        )
        rows.clear()

    def _full(self, size: int) -> bool:
        count = sum(count for count, _ in self._shares.values())
        return size > _MAX_ONE or count >= MAX_COUNT or self._bytes + size > MAX_BYTES

    def _weight(self, share: Sequence[int]) -> float:
        return max(share[0] / MAX_COUNT, share[1] / MAX_BYTES)

    def _largest(self) -> bytes:
        return max(sorted(self._shares), key=lambda author: self._weight(self._shares[author]))

    def _takes_from_others(self, author: bytes, size: int) -> bool:
        """With one more this author has still less than whoever has most."""
        if not self._shares or (largest := self._largest()) == author:
            return False
        count, held = self._shares.get(author, (0, 0))
        return self._weight((count + 1, held + size)) < self._weight(self._shares[largest])

    async def _give_way(self) -> int:
        """Whoever has most loses one; peers offer it again. How many were lost."""
        author = self._largest()
        query = (
            "SELECT id, length(operation) FROM waiting WHERE author = ? ORDER BY id DESC LIMIT 1"
        )
        rows = await fetch(self._connection, query, (author,))
        for ident, size in rows:
            await self._connection.execute("DELETE FROM waiting WHERE id = ?", (ident,))
            self._grow(author, -1, -size)
        if not rows:
            await self.load()
        return len(rows)

    async def remove(self, ids: Iterable[OperationId]) -> None:
        """They wait no more; in the caller's transaction."""
        if self.counts:
            await self._connection.executemany(
                "DELETE FROM waiting WHERE id=?", [(ident,) for ident in ids]
            )
            await self.load()

    async def released(self, stored: Sequence[bytes]) -> dict[OperationId, Operation]:
        """Those that wait for any of ``stored``."""
        found: dict[OperationId, Operation] = {}
        if "missing" in self.counts:
            for i in range(0, len(stored), _IN):
                chunk = stored[i : i + _IN]
                found.update(await self._find(f"missing IN ({placeholders(len(chunk))})", chunk))
        return found

    async def get(self, ident: bytes) -> Aside | None:
        """One that is kept aside, and why."""
        query = "SELECT operation, why, missing, until_ms FROM waiting WHERE id = ?"
        for packed, why, missing, until_ms in await fetch(self._connection, query, (ident,)):
            return Aside(OperationId(ident), _unpack(packed), why, missing, until_ms)
        return None

    async def missing(self) -> set[bytes]:
        """What is waited for."""
        if "missing" not in self.counts:
            return set()
        query = "SELECT DISTINCT missing FROM waiting WHERE why = 'missing'"
        return {ident for (ident,) in await fetch(self._connection, query)}

    async def newer_program(self) -> None:
        """Try again, at the next occasion, what the program before did not know the rules of."""
        await self._connection.execute("UPDATE waiting SET until_ms = 0 WHERE why = 'rules'")

    async def due(self, now_ms: int) -> dict[OperationId, Operation]:
        """Those whose time has come, and those that a crash kept from being released."""
        if not self.counts:
            return {}
        where = (
            "CASE why WHEN 'missing' THEN EXISTS (SELECT 1 FROM operations o WHERE o.id = missing)"
            " ELSE until_ms <= ? END"
        )
        return await self._find(where, (now_ms,))

    async def resting(self, now_ms: int) -> set[OperationId]:
        """Those that killed a worker and are not to be tried again before their time."""
        if "verifier" not in self.counts:
            return set()
        query = "SELECT id FROM waiting WHERE why = 'verifier' AND until_ms > ?"
        return {OperationId(ident) for (ident,) in await fetch(self._connection, query, (now_ms,))}

    async def _find(self, where: str, arguments: Sequence[object]) -> dict[OperationId, Operation]:
        query = f"SELECT id, operation FROM waiting WHERE {where}"  # noqa: S608 - own clauses
        rows = await fetch(self._connection, query, arguments)
        return {OperationId(ident): _unpack(packed) for ident, packed in rows}


def _pack(operation: Operation) -> bytes:
    return canonical.encode(
        [operation.header, operation.signature, operation.body, list(operation.parts)]
    )


_Packed = tuple[bytes, bytes, bytes | None, tuple[bytes | None, ...]]


def _unpack(packed: bytes) -> Operation:
    """What ``_pack`` made; ``Unusable`` if the disk gives back something else."""
    try:
        value = canonical.decode(packed, _MAX_ONE)
        return Operation(*msgspec.convert(value, _Packed, builtin_types=(bytes,)))
    except (Refused, msgspec.ValidationError) as error:
        raise Unusable(file="of waiting operations", why="a row is damaged") from error
