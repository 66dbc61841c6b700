"""Checking an archive without a node: from the bytes alone, judged from nothing, folded again.

The operations go the way that a peer's go, into an empty file in a folder of their own: every hash
and signature is checked, everything is judged, and folded. At the end the set and the state must
be those that the archive names. Nothing of it touches a node, and nothing is asked of a network.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path

from commons_crdt.errors import Refused
from commons_crdt.folds import View
from commons_crdt.ids import OperationId, RealmId
from commons_crdt.kinds import Rules
from commons_crdt.operation import Operation, decode_header, operation_id
from commons_crdt.texts import _
from commons_node.archive.contents import Contents
from commons_node.archive.format import BadArchive, Head, Reader
from commons_node.realm.realm import Realm
from commons_node.store.database import open_database
from commons_node.store.realm_schema import REALM_SCHEMA
from commons_node.store.realm_store import RealmStore
from commons_node.verifier.pool import VerifierPool

_BATCH = 1000
_NO_CLOCK = 1 << 60
"""What claims a time that has not come was taken by somebody's clock: this one's does not count."""


async def verify_archive(
    path: Path, rules: Rules, views: Sequence[View], pool: VerifierPool
) -> Mapping[str, object]:
    """What the file holds, if all of it is true; ``BadArchive`` says why not.

    Memory: one batch of operations, log 0, the documents that are folded at a time, each
    operation's id and each large part's name.
    """
    with path.open("rb") as source, tempfile.TemporaryDirectory(prefix="commons-verify-") as folder:
        reader, contents = Reader(source), Contents()
        file, operations = Path(folder) / "realm.db", contents.noted(reader.operations())
        async with judged(file, reader.head, operations, rules, views, pool) as realm:
            found = await compare(realm, reader.head)
        contents.check(reader)
        return {
            **found,
            "rows": contents.rows,
            "parts": contents.parts,
            "parts_missing": contents.parts_missing,
        }


@asynccontextmanager
async def judged(
    path: Path,
    head: Head,
    operations: Iterable[Operation],
    rules: Rules,
    views: Sequence[View],
    pool: VerifierPool,
) -> AsyncIterator[Realm]:
    """A realm in a new file, of nothing but these operations, judged one after the other.

    Raises ``BadArchive`` for one that is not taken; ``compare`` says whether it is what the head
    names.
    """
    database = await open_database(path, REALM_SCHEMA)
    store = RealmStore(database)
    async with database.transaction() as connection:
        await store.set_setting(connection, "pin", head.pin)
    realm = Realm(RealmId(head.realm), store, rules, views, pool, lambda: _NO_CLOCK, prune=False)
    try:
        await realm.open()
        for batch in _batches(operations):
            await _take(realm, batch)
        yield realm
    finally:
        await realm.close()


def _batches(operations: Iterable[Operation]) -> Iterator[list[Operation]]:
    each = iter(operations)
    while batch := list(islice(each, _BATCH)):
        yield batch


async def _take(realm: Realm, batch: Sequence[Operation]) -> None:
    """Into the empty realm as if a peer had sent them; whatever is not taken is a fault."""
    ids = await _in_order(realm, batch)
    realm.memory.need(ids)  # what lies beyond an end is part of the file, too
    result = await realm.ingest(batch, "archive")
    if result.refused:
        why = ", ".join(sorted(result.refused))
        raise BadArchive("operation", _("an operation in it was refused: {why}").format(why=why))
    if result.held or result.missing or result.new != len(ids):
        why = ", ".join(sorted(result.held)) or _("its past is not there")
        raise BadArchive(
            "unjudged", _("an operation in it cannot be judged: {why}").format(why=why)
        )


async def _in_order(realm: Realm, batch: Sequence[Operation]) -> list[OperationId]:
    """The ids; ``BadArchive`` if one stands before its past, or twice."""
    ids: dict[OperationId, None] = {}
    asked: set[bytes] = set()
    for operation in batch:
        try:
            header = decode_header(operation.header)
        except Refused as error:
            raise BadArchive(
                "operation", _("a header cannot be read ({why})").format(why=error.why)
            ) from error
        ident = operation_id(operation.header)
        past = header.antecedents if any(header.prev) else ()
        asked.update(one for one in past if one not in ids)
        if ident in ids or ident in asked:
            raise BadArchive(
                "order",
                _("the operation {ident} is out of its order").format(ident=ident.hex()[:8]),
            )
        ids[ident] = None
    here = await realm.memory.find({*asked, *ids})
    if any(one in here for one in ids) or any(OperationId(one) not in here for one in asked):
        raise BadArchive("order", _("an operation stands before its past, or twice"))
    return list(ids)


async def compare(realm: Realm, head: Head) -> Mapping[str, object]:
    """What a judged realm is, if it is what the head names. Raises ``BadArchive``."""
    chain = realm.judge.authority.council.chain
    if tuple(map(bytes, chain)) != head.chain:
        raise BadArchive("council", _("its operations give another council than it names"))
    of_set, of_state = await realm.hashes()
    if of_set != head.set_hash:
        raise BadArchive("set", _("its operations are not the set that it names"))
    if of_state != head.state_hash:
        raise BadArchive("state", _("folded again, its operations give another state"))
    return {
        "verified": True,
        "community": head.realm.hex(),
        "operations": head.operations,
        "council_acts": len(head.chain) - 1,
        "set_hash": of_set.hex(),
        "state_hash": of_state.hex(),
    }
