"""What the node's file remembers of peers beside the book; see ``peering.records``."""

from __future__ import annotations

from collections.abc import Sequence

from commons_crdt.ids import RealmId
from commons_node.peering.records import Offender, Share
from commons_node.store.database import Database, fetch
from commons_protocol.names import NodeId

PEER_RECORDS = """
    CREATE TABLE shares (
        node TEXT NOT NULL, realm BLOB NOT NULL, compared_ms INTEGER,
        PRIMARY KEY (node, realm)) WITHOUT ROWID;
    CREATE TABLE offenders (
        subject TEXT PRIMARY KEY, node TEXT NOT NULL, times INTEGER NOT NULL,
        until_ms INTEGER NOT NULL, why TEXT NOT NULL) WITHOUT ROWID
    """


class StoredRecords:
    """The ``PeerRecords`` of a node; the tables are part of its schema."""

    def __init__(self, database: Database) -> None:
        """``database`` is the node's own."""
        self._database = database

    async def shares(self) -> Sequence[Share]:
        """All of them."""
        rows = await fetch(self._database.read, "SELECT node, realm, compared_ms FROM shares")
        return [Share(NodeId(node), RealmId(realm), compared) for node, realm, compared in rows]

    async def save_share(self, share: Share) -> None:
        """Insert or replace."""
        await self._database.write.execute("INSERT OR REPLACE INTO shares VALUES (?,?,?)", share)

    async def forget_shares(self, node: NodeId) -> None:
        """This peer is known no more."""
        await self._database.write.execute("DELETE FROM shares WHERE node = ?", (node,))

    async def offenders(self) -> Sequence[Offender]:
        """All of them."""
        query = "SELECT subject, node, times, until_ms, why FROM offenders"
        return [Offender(*row) for row in await fetch(self._database.read, query)]

    async def save_offender(self, one: Offender) -> None:
        """Insert or replace; durable when it returns."""
        row = (one.subject, one.node, one.times, one.until_ms, one.why)
        await self._database.write.execute(
            "INSERT OR REPLACE INTO offenders VALUES (?,?,?,?,?)", row
        )

    async def forget_offender(self, subject: str) -> None:
        """Remove; durable when it returns."""
        await self._database.write.execute("DELETE FROM offenders WHERE subject = ?", (subject,))
