"""What the node itself remembers: known peers, its communities, and whose keys it keeps."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from commons_crdt.errors import Refused
from commons_crdt.ids import MemberId, RealmId
from commons_crdt.operation import Operation
from commons_node.agents.store import AGENTS
from commons_node.peering.types import KnownPeer
from commons_node.store.database import Database, fetch
from commons_node.store.peer_records import PEER_RECORDS
from commons_node.store.upgrading import Unusable
from commons_protocol.filed import decode_operation, encode_operation
from commons_protocol.names import NodeId
from commons_protocol.network import Address

NODE_SCHEMA = (
    """
    CREATE TABLE peers (
        node TEXT PRIMARY KEY, addresses TEXT NOT NULL, blocked INTEGER NOT NULL,
        last_seen_ms INTEGER) WITHOUT ROWID;
    CREATE TABLE realms (realm BLOB PRIMARY KEY, added_ms INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE members (member BLOB PRIMARY KEY, realm BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID
    """,
    PEER_RECORDS,
    AGENTS,
)


class NodeStore:
    """The node's own file; also the ``PeerBook`` and ``RelayBook`` of its peering."""

    def __init__(self, database: Database) -> None:
        """``database`` was opened with ``NODE_SCHEMA``."""
        self.database = database

    async def load(self) -> Sequence[KnownPeer]:
        """Every known peer."""
        rows = await fetch(self.database.read, "SELECT * FROM peers ORDER BY node")
        return [
            KnownPeer(
                NodeId(node),
                addresses_of(addresses),
                bool(blocked),
                last_seen_ms,
            )
            for node, addresses, blocked, last_seen_ms in rows
        ]

    async def save(self, peer: KnownPeer) -> None:
        """Insert or replace a peer; durable when it returns."""
        await self.database.write.execute(
            "INSERT OR REPLACE INTO peers VALUES (?,?,?,?)",
            (peer.node, json.dumps(list(peer.addresses)), int(peer.blocked), peer.last_seen_ms),
        )

    async def forget(self, node: NodeId) -> None:
        """Remove a peer."""
        await self.database.write.execute("DELETE FROM peers WHERE node = ?", (node,))

    async def load_relays(self) -> Sequence[Address]:
        """The relays of this node, in the order in which they were added."""
        text = await self.setting("relays")
        return addresses_of(text) if text is not None else ()

    async def save_relays(self, relays: Sequence[Address]) -> None:
        """Replace the relays; durable when it returns."""
        await self.set("relays", json.dumps(list(relays)))

    async def realms(self) -> list[RealmId]:
        """The realms of this node, in the order in which it got them."""
        query = "SELECT realm FROM realms ORDER BY added_ms, realm"
        return [RealmId(realm) for (realm,) in await fetch(self.database.read, query)]

    async def add_realm(self, realm: RealmId, now_ms: int) -> None:
        """Remember a realm."""
        await self.database.write.execute(
            "INSERT OR IGNORE INTO realms VALUES (?,?)", (realm, now_ms)
        )

    async def add_member(self, member: MemberId, realm: RealmId) -> None:
        """Remember that this node keeps a member's keys."""
        await self.database.write.execute(
            "INSERT OR IGNORE INTO members VALUES (?,?)", (member, realm)
        )

    async def forget_realm(self, realm: RealmId) -> None:
        """Forget a realm, and whose keys were kept here for it."""
        await self.database.write.execute("DELETE FROM members WHERE realm = ?", (realm,))
        await self.database.write.execute("DELETE FROM realms WHERE realm = ?", (realm,))
        await self.database.write.execute(
            "DELETE FROM settings WHERE name = ?", (_standing(realm),)
        )

    async def members(self) -> dict[MemberId, RealmId]:
        """Members whose keys are kept here, with their realms."""
        rows = await fetch(self.database.read, "SELECT member, realm FROM members")
        return {MemberId(member): RealmId(realm) for member, realm in rows}

    async def keep_standing(self, realm: RealmId, operations: Sequence[Operation]) -> None:
        """What proves the node's standing in a realm; no texts of it, which may be erased."""
        bare = [replace(one, parts=(None,) * len(one.parts)) for one in operations]
        text = json.dumps([b64encode(encode_operation(one)).decode() for one in bare])
        if await self.setting(_standing(realm)) != text:
            await self.set(_standing(realm), text)

    async def standing(self, realm: RealmId) -> Sequence[Operation]:
        """The same; empty where it is not known, or the disk gives something else."""
        text = await self.setting(_standing(realm))
        try:
            found = msgspec.json.decode(text or "[]", type=list[bytes])
            return [decode_operation(one) for one in found]
        except (msgspec.MsgspecError, UnicodeEncodeError, Refused):
            return ()

    async def setting(self, name: str) -> str | None:
        """A small fact about this node, such as the port that it keeps."""
        query = "SELECT value FROM settings WHERE name = ?"
        rows = await fetch(self.database.read, query, (name,))
        return rows[0][0] if rows else None

    async def set(self, name: str, value: str) -> None:
        """Remember a small fact."""
        await self.database.write.execute(
            "INSERT OR REPLACE INTO settings VALUES (?,?)", (name, value)
        )


def _standing(realm: RealmId) -> str:
    return f"standing/{realm.hex()}"


def addresses_of(text: str) -> tuple[Address, ...]:
    """A peer's addresses as ``save`` wrote them; ``Unusable`` if the disk gives something else."""
    try:
        return tuple(map(Address, msgspec.json.decode(text, type=list[str])))
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError) as error:
        raise Unusable(file="of known peers", why="an address is damaged") from error
