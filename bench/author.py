"""Writes in a stopped node's community as its member would, before its daemon starts again.

Everything goes through `Realm.write`: signed, judged, applied, stored, as the daemon does it.

    python -m bench.author HOME make THINGS EDITS TOGETHER
    python -m bench.author HOME edit FIRST LAST TIME
    python -m bench.author HOME nodes COUNT

The last one prints, as JSON, the secrets of so many more nodes of the member.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from bench import things
from bench.things import Making
from commons_crdt.author import Draft
from commons_crdt.authority.facts import NodeGrant
from commons_crdt.authority.kinds import NODE
from commons_crdt.device import sign_claim
from commons_crdt.ids import DocumentId, OperationId
from commons_crdt.operation import content
from commons_node.community import Actor, Community
from commons_node.domains import RULES, VIEWS
from commons_node.domains.resources.facts import ITEM, SPECIFICATION, SPECIFICATION_SCHEMA
from commons_node.home import Home
from commons_node.keystore.node_key import NodeKey
from commons_node.keystore.store import Keystore
from commons_node.membership.settling import new_device
from commons_node.realm.realm import Realm
from commons_node.standing import NodeStanding, share
from commons_node.store.database import open_database
from commons_node.store.node_store import NODE_SCHEMA, NodeStore
from commons_node.store.realm_schema import REALM_SCHEMA
from commons_node.store.realm_store import RealmStore
from commons_node.verifier.pool import VerifierPool
from commons_node.verifier.work import create_documents

PASSPHRASE = "nobody is asked for it"  # noqa: S105 - a node that lives for minutes
_SLICE = 1_000
_WORK = 125
_KINDS = 20


class Author:
    """The only member of a node's only community, with their keys."""

    def __init__(self, community: Community, actor: Actor, pool: VerifierPool) -> None:
        """Use ``opened``."""
        self._community = community
        self._actor = actor
        self._pool = pool

    async def _write(self, drafts: Sequence[Draft]) -> list[OperationId]:
        ids: list[OperationId] = []
        for at in range(0, len(drafts), _SLICE):
            written = await self._community.write(self._actor, *drafts[at : at + _SLICE])
            ids += [one.id for one in written]
            sys.stderr.write(f"\r  written: {len(ids):6} of {len(drafts)}")
        sys.stderr.write("\n")
        return ids

    async def make(self, count: int, edits: int, together: int) -> None:
        """Things, then an edit of each, then another; ``together`` things before the next ones."""
        fields = things.kinds(_KINDS)
        device = self._actor.device
        created = await self._pool.call(create_documents, device, fields, SPECIFICATION_SCHEMA)
        kinds = await self._write([Draft(SPECIFICATION, change) for change in created])
        makings = [Making(n, kinds[n % _KINDS], edits, device) for n in range(count)]
        grown = [one for one in await self._pool.map(things.grow, makings, _WORK) if one]
        for at in range(0, count, together):
            await self._grow(grown[at : at + together])

    async def _grow(self, grown: Sequence[Sequence[bytes]]) -> None:
        last = documents = await self._write([Draft(ITEM, changes[0]) for changes in grown])
        for step in range(1, len(grown[0])):
            last = await self._write(
                [
                    Draft(ITEM, changes[step], document=DocumentId(document), refs=[before])
                    for changes, document, before in zip(grown, documents, last, strict=True)
                ]
            )

    async def edit(self, first: int, last: int, time_: int) -> None:
        """One more edit of each of the things with these numbers."""
        rows = await self._community.query(
            "SELECT key, number FROM v_items WHERE CAST(number AS INTEGER) BETWEEN ? AND ?",
            (1000 + first, 1000 + last),
        )
        documents = {DocumentId(key): int(number) - 1000 for key, number in rows}
        store = self._community.realm.store
        stored = {document: await store.edits(document) for document in documents}
        histories = [
            (
                [content(row.body) for row in stored[document] if row.body is not None],
                self._actor.device,
                things.edit(number, time_),
            )
            for document, number in documents.items()
        ]
        made = [one for one in await self._pool.map(things.edit_each, histories, _WORK) if one]
        drafts = []
        for document, (change, deps) in zip(documents, made, strict=True):
            by_hash = {row.change: row.id for row in stored[document]}
            refs = [by_hash[dep] for dep in deps]
            drafts.append(Draft(ITEM, change, document=document, refs=refs))
        await self._write(drafts)

    async def nodes(self, count: int) -> None:
        """Nodes of their own, each with a device of its own, granted in log 0."""
        realm, member = self._community.realm, self._actor.member
        devices = [new_device() for _ in range(count)]
        drafts = [
            Draft.fact(
                NODE,
                NodeGrant(
                    one.keys,
                    sign_claim("consent", one.signing, realm.realm, member),
                    share(realm, one.keys.sealing),
                ),
                log=0,
                document=DocumentId(member),
            )
            for one in devices
        ]
        granted = await self._write(drafts)
        epochs = [(epoch.hex(), key.hex()) for epoch, key in realm.epochs()]
        told = [
            {
                "signing": one.signing.hex(), "sealing": one.sealing.hex(), "grant": grant.hex(),
                "epochs": epochs,
            }
            for one, grant in zip(devices, granted, strict=True)
        ]  # fmt: skip
        print(json.dumps(told))


@asynccontextmanager
async def opened(home: Path) -> AsyncIterator[Author]:
    """The member of a node that does not run."""
    async with AsyncExitStack() as stack:
        stack.enter_context(Home(home))
        pool = VerifierPool(2)
        stack.push_async_callback(pool.stop)
        store = NodeStore(await open_database(home / "node.db", NODE_SCHEMA))
        stack.push_async_callback(store.database.close)
        ((member, realm_id),) = (await store.members()).items()
        database = await open_database(home / "realms" / f"{realm_id.hex()}.db", REALM_SCHEMA)
        stack.push_async_callback(database.close)
        realm = Realm(realm_id, RealmStore(database), RULES, VIEWS, pool, _now_ms)
        await realm.open()
        await NodeStanding(NodeKey(home / "node.key")).refresh(realm)
        community = Community(realm)
        unlocked = await Keystore(Home(home).keys).unlock(member.hex(), PASSPHRASE)
        yield Author(community, await community.actor(unlocked), pool)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


async def _main(home: Path, verb: str, numbers: Sequence[int]) -> None:
    async with opened(home) as author:
        verbs: dict[str, Callable[..., Coroutine[None, None, None]]] = {
            "make": author.make,
            "edit": author.edit,
            "nodes": author.nodes,
        }
        await verbs[verb](*numbers)


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), sys.argv[2], [int(one) for one in sys.argv[3:]]))
