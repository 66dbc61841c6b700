"""What members of this node have to hear: acts of theirs that count otherwise than before.

Noted in the transaction that changes the verdicts, so that a crash loses no notice; kept until
newer ones push them out. Local: of the members whose keys are kept here, in no hash, never sent.
What a notice says is not stored: it is explained afresh when somebody reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from commons_crdt.authority.state import Authority
from commons_crdt.ids import DeviceId, MemberId, OperationId
from commons_crdt.operation import decode_header
from commons_crdt.verdict import Verdict
from commons_node.realm.revised import Flip
from commons_node.store.connection import Connection
from commons_node.store.database import fetch, placeholders
from commons_node.store.realm_store import RealmStore

MOST = 256
"""Notices of one member that are kept; the oldest go first, those that were read before others."""
_LATEST = 20_000
"""Operations of this node's members that are looked through for what rests on something fallen."""
_IN = 500


@dataclass(frozen=True, slots=True)
class Notice:
    """``was``: the verdict that the member knew; ``rests_on``: what fell, of somebody else's, under
    an act that itself stands as before. ``at_ms``: when this node found it.
    """

    operation: OperationId
    was: Verdict
    rests_on: OperationId | None
    at_ms: int
    read: bool


class Notices:
    """The table ``notices`` of one realm. ``residents``: whose keys this node keeps."""

    def __init__(self, store: RealmStore) -> None:
        """Nobody lives here yet."""
        self._store = store
        self.residents: set[MemberId] = set()

    # --- noting ----------------------------------------------------------------------------------

    async def note(
        self,
        connection: Connection,
        authority: Authority,
        flips: Sequence[Flip],
        now_ms: int,
    ) -> None:
        """Note what touches a resident, in the caller's transaction."""
        notable = {flip.id: flip for flip in flips if _notable(flip)}
        if not (notable and self.residents):
            return
        authors = await self._authors(connection, authority, list(notable))
        for ident, member in authors.items():
            if member in self.residents:
                await self._put(connection, member, notable[ident], now_ms)
        fallen = {i for i, f in notable.items() if f.before.verdict is Verdict.ACCEPTED}
        for member, ident, on in await self._resting(connection, authority, fallen):
            if authors.get(on) != member and ident not in notable:
                await connection.execute(
                    "INSERT OR IGNORE INTO notices VALUES (?,?,?,?,?,0)",
                    (member, ident, on, int(Verdict.ACCEPTED), now_ms),
                )
        risen = [ident for ident in notable if ident not in fallen]
        for i in range(0, len(risen), _IN):
            chunk = risen[i : i + _IN]
            query = (
                f"DELETE FROM notices WHERE rests_on IN ({placeholders(len(chunk))}) AND NOT read"  # noqa: S608 - own clauses
            )
            await connection.execute(query, chunk)
        await self._bound(connection)

    async def _put(self, connection: Connection, member: MemberId, flip: Flip, now_ms: int) -> None:
        """What the member knew of it last is kept; if that is so again, there is nothing to say."""
        known = await fetch(
            connection,
            "SELECT was FROM notices WHERE member = ? AND operation = ? AND NOT read"
            " AND rests_on IS NULL",
            (member, flip.id),
        )
        was = known[0][0] if known else int(flip.before.verdict)
        if was == int(flip.after.verdict):
            await connection.execute(
                "DELETE FROM notices WHERE member = ? AND operation = ?", (member, flip.id)
            )
            return
        await connection.execute(
            "INSERT OR REPLACE INTO notices VALUES (?,?,NULL,?,?,0)",
            (member, flip.id, was, now_ms),
        )

    async def _authors(
        self, connection: Connection, authority: Authority, ids: Sequence[OperationId]
    ) -> Mapping[OperationId, MemberId]:
        """Whose operations these are; a node's own acts are nobody's doing."""
        found: dict[OperationId, MemberId] = {}
        for i in range(0, len(ids), _IN):
            chunk = ids[i : i + _IN]
            query = f"SELECT id, origin FROM operations WHERE id IN ({placeholders(len(chunk))})"  # noqa: S608 - own clauses
            for ident, origin in await fetch(connection, query, chunk):
                grant = authority.grants.get(origin)
                if grant is not None and not grant.unattended:
                    found[OperationId(ident)] = grant.member
        return found

    async def _resting(
        self, connection: Connection, authority: Authority, fallen: set[OperationId]
    ) -> list[tuple[MemberId, OperationId, OperationId]]:
        """(member, act, what it rests on) of residents' accepted acts that refer to what fell."""
        owners = {
            device: grant.member
            for device, grant in authority.devices.items()
            if grant.member in self.residents and not grant.unattended
        }
        if not (fallen and owners):
            return []
        found = []
        devices = sorted(owners)
        for i in range(0, len(devices), _IN):
            chunk = devices[i : i + _IN]
            query = (
                "SELECT o.id, o.header, c.device FROM operations o JOIN chains c ON c.n = o.chain"  # noqa: S608 - own clauses
                f" WHERE c.device IN ({placeholders(len(chunk))}) AND o.verdict = 1"
                " ORDER BY o.n DESC LIMIT ?"
            )
            for ident, header, device in await fetch(connection, query, (*chunk, _LATEST)):
                on = next((r for r in decode_header(header).refs if r in fallen), None)
                if on is not None:
                    member = owners[DeviceId(device)]
                    found.append((member, OperationId(ident), OperationId(on)))
        return found

    async def _bound(self, connection: Connection) -> None:
        for member in self.residents:
            await connection.execute(
                "DELETE FROM notices WHERE member = ?1 AND operation NOT IN (SELECT operation"
                " FROM notices WHERE member = ?1 ORDER BY read, at_ms DESC, operation LIMIT ?2)",
                (member, MOST),
            )

    # --- reading ---------------------------------------------------------------------------------

    async def of(self, member: MemberId, *, unread: bool = True) -> list[Notice]:
        """A member's notices, the newest first."""
        rows = await fetch(
            self._store.database.read,
            "SELECT n.operation, n.was, n.rests_on, n.at_ms, n.read FROM notices n"
            " LEFT JOIN operations o ON o.id = n.operation"
            " WHERE n.member = ? AND (NOT n.read OR NOT ?)"
            " AND NOT (n.read AND n.rests_on IS NULL AND n.was = o.verdict)"
            " ORDER BY n.at_ms DESC, n.operation",
            (member, unread),
        )
        return [
            Notice(
                OperationId(operation),
                Verdict(was),
                None if rests_on is None else OperationId(rests_on),
                at_ms,
                bool(read),
            )
            for operation, was, rests_on, at_ms, read in rows
        ]

    async def mark_read(self, member: MemberId, operations: Sequence[OperationId]) -> None:
        """The member has read these; durable when it returns."""
        async with self._store.database.transaction() as connection:
            await connection.executemany(
                "UPDATE notices SET read = 1 WHERE member = ? AND operation = ?",
                [(member, operation) for operation in operations],
            )

    async def know(self, member: MemberId, operations: Sequence[OperationId], now_ms: int) -> None:
        """The member has noted these acts of others, as they stand: they are no news any more."""
        async with self._store.database.transaction() as connection:
            await connection.executemany(
                "INSERT OR IGNORE INTO notices VALUES (?,?,NULL,?,?,1)",
                [(member, one, int(Verdict.ACCEPTED), now_ms) for one in operations],
            )
            await self._bound(connection)


def _notable(flip: Flip) -> bool:
    """True if the verdict changed, save for an act that merely arrived."""
    before, after = flip.before.verdict, flip.after.verdict
    arrived = before is Verdict.PENDING and after is Verdict.ACCEPTED
    return before is not after and not arrived
