"""Writing an archive: everything that this node holds of a community, as of one moment.

The hashes and the operations are of one snapshot of the file; the realm goes on meanwhile. What
this node holds sealed stays sealed, what was erased is absent.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import BinaryIO

import aiosqlite

from commons_crdt.ids import OperationId
from commons_crdt.operation import Operation
from commons_node.archive import standalone
from commons_node.archive.format import Head, Writer
from commons_node.realm.realm import Realm
from commons_node.store.database import Database, fetch, snapshot
from commons_node.store.paging import everything
from commons_node.whole_file import whole_file


async def write_archive(realm: Realm, path: Path) -> Mapping[str, object]:
    """Write the file, durable and whole or not at all; what it holds."""
    connection, head = await realm.as_one(lambda: begin(realm))
    try:
        with whole_file(path) as out:
            size = await _write(out, head, everything(connection))
    finally:
        await connection.close()
    return {
        "operations": head.operations,
        "bytes": size,
        "set_hash": head.set_hash.hex(),
        "state_hash": head.state_hash.hex(),
    }


def standalone_script() -> bytes:
    """The program that checks an archive with Python alone, to be kept beside it."""
    return Path(standalone.__file__).read_bytes()


async def begin(realm: Realm) -> tuple[aiosqlite.Connection, Head]:
    """A snapshot, and the head that goes with it; the caller has the realm."""
    of_set, of_state = await realm.hash_now()
    database: Database = realm.store.database
    connection = await snapshot(database)
    try:
        ((count,),) = await fetch(connection, "SELECT count(*) FROM operations")
        chain = realm.judge.authority.council.chain
        pin = realm.judge.pin or OperationId(realm.realm)
        return connection, Head(realm.realm, pin, chain, count, of_set, of_state)
    except BaseException:
        await connection.close()
        raise


async def _write(out: BinaryIO, head: Head, operations: AsyncIterator[list[Operation]]) -> int:
    writer = Writer(out, head)
    async for page in operations:
        for operation in page:
            writer.add(operation)
    writer.end()
    return writer.bytes
