"""The parts of one realm that do not come with their operations: what is wanted, here, or let go.

Large parts are written piece by piece as they arrive, and count only when all bytes were checked
against the hash that the author signed. Small ones that got lost on the way go in through the
realm's one way in, like any operation's late contents. Decides nothing about peers.

Implements ``commons_protocol.parts.PartStore``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from commons_crdt.authority.judge import Standing
from commons_crdt.errors import Refused
from commons_crdt.ids import OperationId
from commons_crdt.operation import (
    SMALL_PART,
    Operation,
    check_contents,
    decode_header,
    part_hash,
)
from commons_crdt.verdict import Verdict
from commons_node.realm.erasing import is_named
from commons_node.realm.memory import Memory
from commons_node.store.database import fetch
from commons_node.store.large_parts import NEWER, LargePart, Usage
from commons_node.store.realm_store import RealmStore
from commons_protocol.parts import PartId

Result = TypeVar("Result")
_CHUNK = 500

Progress = Literal["more", "whole", "bad", "gone", "moved"]
"""After bytes were written: go on; done; they were wrong, and are gone. Or they were not: nobody
wants them any more; somebody else has written, or let go of, what they would have followed."""


class Alone(Protocol):
    """Runs work while it has the realm for itself."""

    def __call__(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Awaitable[Result]: ...


@dataclass(frozen=True, slots=True)
class SmallPart:
    """A small part that an operation names and that is not here. ``length`` with salt."""

    id: PartId
    header: bytes
    signature: bytes
    position: int
    length: int


class RealmParts:
    """See the module. Shares everything with its realm."""

    def __init__(
        self, memory: Memory, store: RealmStore, alone: Alone, now_ms: Callable[[], int]
    ) -> None:
        """``alone`` waits for its turn with the realm."""
        self._memory = memory
        self._store = store
        self._alone = alone
        self._now_ms = now_ms
        self.on_damage: Callable[[LargePart], None] = lambda _part: None
        """Told of a part that was whole, that the disk has changed, and that is gone by now."""
        self._sound: set[int] = set()
        """Parts whose bytes were compared with their hash in this life of the node."""
        self.leaving: set[int] = set()
        """Parts about to be let go: whoever asks is told that they are not here."""

    # -- what peers ask --------------------------------------------------------------------------

    async def held(self, part: PartId) -> int | None:
        """See ``PartStore``."""
        found = await self._large(part)
        if found is not None:
            return found.length
        return len(small) if (small := await self._small(part)) is not None else None

    async def read(self, part: PartId, offset: int, length: int) -> bytes:
        """See ``PartStore``."""
        found = await self._large(part)
        if found is not None:
            if found.n not in self._sound and await self.checked(found) is None:
                return b""
            return await self._store.large.read(found, offset, length)
        return (await self._small(part) or b"")[offset : offset + length]

    async def _large(self, part: PartId) -> LargePart | None:
        rows = await self._store.large.parts("o.id = ? AND l.hash = ? AND l.whole", part)
        return next((r for r in rows if r.n not in self.leaving and self.wants(r)), None)

    async def _small(self, part: PartId) -> bytes | None:
        if part.operation in self._memory.judge.erased:
            return None
        rows = await fetch(
            self._store.database.read,
            "SELECT p.bytes FROM operations o JOIN parts p ON p.operation = o.n"
            " WHERE o.id = ? AND p.bytes IS NOT NULL",
            (part.operation,),
        )
        return next((one for (one,) in rows if part_hash(one) == part.hash), None)

    # -- what is here, and what is wanted --------------------------------------------------------

    def wants(self, part: LargePart) -> bool:
        """False once the operation, or what it is about, was erased."""
        erased = self._memory.judge.erased
        return part.operation not in erased and part.document not in erased

    async def of(self, operation: bytes) -> list[LargePart]:
        """The large parts of an operation that counts and was not erased."""
        rows = await self._store.large.parts("o.id = ? AND o.verdict = 1", (operation,))
        return [one for one in rows if self.wants(one)]

    async def lacking(self, *, newer: bool = False) -> list[LargePart]:
        """Large parts of standing operations that are not whole here, the smallest first.

        ``newer``: only of what no seal has settled.
        """
        only = f" AND {NEWER}" if newer else ""
        rows = await self._store.large.parts(
            f"NOT l.whole AND o.verdict = 1{only} ORDER BY l.have = 0, l.length, l.n"
        )
        return [one for one in rows if self.wants(one)]

    async def whole(self) -> list[LargePart]:
        """Large parts that are whole here, those first that nobody has looked at for long."""
        return await self._store.large.parts("l.whole ORDER BY l.used_ms, l.n")

    async def settled(self, unseen_ms: int) -> list[LargePart]:
        """Parts of what a seal has settled that are whole here, were not added here, and that
        nobody has looked at for so long."""
        return await self._store.large.parts(
            f"l.whole AND NOT l.own AND l.used_ms < ? AND NOT {NEWER} ORDER BY l.used_ms, l.n",
            (self._now_ms() - unseen_ms,),
        )

    async def lacking_small(self) -> list[SmallPart]:
        """Small parts of standing operations that are not here, though nobody erased them."""
        found: list[SmallPart] = []
        async for standing, header, signature, positions in self._bare():
            kind = self._memory.rules.kinds.get(standing.kind)
            if kind is None or is_named(self._memory.judge, kind, standing):
                continue
            refs = decode_header(header).parts
            found += [
                SmallPart(
                    PartId(standing.id, refs[position].hash),
                    header,
                    signature,
                    position,
                    refs[position].length,
                )
                for position in positions
                if refs[position].length <= SMALL_PART
            ]
        return found

    async def _bare(self) -> AsyncIterator[tuple[Standing, bytes, bytes, list[int]]]:
        """Operations that count, a part of which is absent."""
        rows = await fetch(
            self._store.database.read,
            "SELECT o.id, o.header, o.signature, p.position FROM parts p JOIN operations o"
            " ON o.n = p.operation WHERE p.bytes IS NULL AND o.verdict = ?"
            " ORDER BY o.n, p.position",
            (int(Verdict.ACCEPTED),),
        )
        positions: dict[OperationId, list[int]] = {}
        bytes_of: dict[OperationId, tuple[bytes, bytes]] = {}
        for ident, header, signature, position in rows:
            positions.setdefault(ident, []).append(position)
            bytes_of[ident] = header, signature
        ids = list(positions)
        for i in range(0, len(ids), _CHUNK):
            some = ids[i : i + _CHUNK]
            standings = await self._store.standings(some)
            for ident in some:
                if ident in standings:
                    yield standings[ident], *bytes_of[ident], positions[ident]

    async def usage(self) -> Usage:
        """What there is, and what it takes."""
        return await self._store.large.usage()

    async def content(self, part: LargePart) -> bytes | None:
        """A whole part, salt first, and note that somebody looks at it; None if it is not here."""

        async def look() -> bytes | None:
            if (data := await self._checked(part)) is not None:
                async with self._store.database.transaction() as connection:
                    await self._store.large.used(connection, part, self._now_ms())
            return data

        return await self._alone(look)

    async def checked(self, part: LargePart, *, of_disk: bool = False) -> bytes | None:
        """A whole part, salt first, compared with what was signed; None if it is not here.

        One that is another is let go: it is fetched like any that is not here. ``of_disk``: what
        stands there, and not what SQLite has in memory.
        """
        return await self._alone(lambda: self._checked(part, of_disk=of_disk))

    async def _checked(self, part: LargePart, *, of_disk: bool = False) -> bytes | None:
        large = self._store.large
        rows = await large.parts("l.n = ? AND l.whole", (part.n,), inside=True)
        if not rows or not self.wants(rows[0]):
            return None
        if of_disk:
            data = await large.of_disk(part)
        else:
            data = await large.read(part, 0, part.length, inside=True)
        if part_hash(data) == rows[0].hash:
            self._sound.add(part.n)
            return data
        self._sound.discard(part.n)
        async with self._store.database.transaction() as connection:
            await large.drop(connection, part)
        self.on_damage(part)
        return None

    # -- what comes, and what goes ---------------------------------------------------------------

    async def keep(
        self, part: LargePart, data: Sequence[bytes], giver: str
    ) -> tuple[Progress, LargePart]:
        """Write bytes behind what is here, durable when it returns; check them when all are here.

        A part that turns out wrong is dropped whole. Raises ``Unusable`` when the disk is full.
        """
        return await self._alone(lambda: self._keep(part, data, giver))

    async def _keep(
        self, part: LargePart, data: Sequence[bytes], giver: str
    ) -> tuple[Progress, LargePart]:
        if not self.wants(part):
            return "gone", part
        large = self._store.large
        async with self._store.database.transaction() as connection:
            now = await large.append(connection, part, data, giver)
            if now is None:
                return "moved", part
            if now.have < now.length:
                return "more", now
            good = part_hash(await large.read(now, 0, now.length, inside=True)) == now.hash
            await large.finish(connection, now, good=good, now_ms=self._now_ms())
        return ("whole" if good else "bad"), now

    async def drop(self, part: LargePart) -> None:
        """Let the bytes of a part go."""

        async def let_go() -> None:
            async with self._store.database.transaction() as connection:
                await self._store.large.drop(connection, part)

        await self._alone(let_go)

    @staticmethod
    def filled(part: SmallPart, data: bytes) -> Operation | None:
        """The operation with this small part, for the realm to take in; None if it is not it."""
        header = decode_header(part.header)
        parts: list[bytes | None] = [None] * len(header.parts)
        parts[part.position] = data
        operation = Operation(part.header, part.signature, None, tuple(parts))
        try:
            check_contents(header, operation)
        except Refused:
            return None
        return operation

    # -- this node's own settings ----------------------------------------------------------------

    async def setting(self, name: str) -> bytes | None:
        """What was chosen for this realm on this node; None for the node's own choice."""
        return await self._store.outside.setting(name)

    async def choose(self, name: str, value: bytes) -> None:
        """Choose for this realm."""

        async def write() -> None:
            async with self._store.database.transaction() as connection:
                await self._store.set_setting(connection, name, value)

        await self._alone(write)
