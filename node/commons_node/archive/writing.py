"""Writing an archive: everything that this node holds of a community, as of one moment.

Hashes, operations, verdicts, rows and large parts are of one snapshot of the file; the realm goes
on meanwhile. What this node holds sealed stays sealed, what was erased is absent. In memory are one
page of operations or rows, one piece of a part, each operation's id and each large part's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from commons_crdt.ids import OperationId, hasher
from commons_node.archive import standalone
from commons_node.archive.contents import Contents
from commons_node.archive.format import MAX_VERDICTS, Head, Writer
from commons_node.realm.realm import Realm
from commons_node.store.connection import Connection
from commons_node.store.database import Database, fetch, snapshot
from commons_node.store.large_parts import chunks, whole_part
from commons_node.store.paging import everything, verdicts
from commons_node.whole_file import whole_file

MOST_NAMED: Final = 1_000
"""Large parts that are not here, at most, whose names are told; all of them are counted."""


@dataclass(slots=True)
class _Written:
    """What the operations that were written name, and what of it is here."""

    contents: Contents = field(default_factory=Contents)
    held: int = 0
    absent: list[Mapping[str, object]] = field(default_factory=list)


async def write_archive(
    realm: Realm, path: Path, parts_up_to: int | None = None
) -> Mapping[str, object]:
    """Write the file, durable and whole or not at all; what it holds.

    ``parts_up_to``: bytes beyond which a large part is left out; None takes all that are here.
    """
    connection, head = await realm.as_one(lambda: begin(realm))
    try:
        with whole_file(path) as out:
            writer, parts = Writer(out, head), _Written()
            await _operations(writer, connection, parts)
            await _verdicts(writer, connection)
            rows = await _rows(writer, realm, connection)
            await _large(writer, connection, parts, parts_up_to)
            writer.end()
    finally:
        await connection.close()
    return {
        "operations": head.operations,
        "rows": rows,
        "parts": parts.held,
        "parts_missing": len(parts.absent),
        "not_here": parts.absent[:MOST_NAMED],
        "bytes": writer.bytes,
        "set_hash": head.set_hash.hex(),
        "state_hash": head.state_hash.hex(),
    }


def standalone_script() -> bytes:
    """The program that checks an archive with Python alone, to be kept beside it."""
    return Path(standalone.__file__).read_bytes()


async def begin(realm: Realm) -> tuple[Connection, Head]:
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


async def _operations(writer: Writer, connection: Connection, parts: _Written) -> None:
    async for page in everything(connection):
        for operation in parts.contents.noted(page):
            writer.add(operation)
    writer.close()


async def _verdicts(writer: Writer, connection: Connection) -> None:
    async for page in verdicts(connection, MAX_VERDICTS):
        writer.verdicts(page)
    writer.close()


async def _rows(writer: Writer, realm: Realm, connection: Connection) -> int:
    count = 0
    async for view, key, values in realm.folding.rows(connection):
        writer.row(view, key, values)
        count += 1
    writer.close()
    return count


async def _large(writer: Writer, connection: Connection, parts: _Written, most: int | None) -> None:
    """Those that are whole here, and right: what the disk has damaged is left out, and said."""
    for one, length, hashed in parts.contents.named:
        found = await whole_part(connection, *one) if most is None or length <= most else None
        writer.part(one)
        if found is None or not await _right(connection, found, hashed):
            parts.absent.append(
                {"operation": one.operation.hex(), "position": one.position, "bytes": length}
            )
        else:
            async for data in chunks(connection, found):
                writer.piece(data)
            parts.held += 1
        writer.close()
    writer.close()


async def _right(connection: Connection, number: int, expects: bytes) -> bool:
    hashed = hasher("part")
    async for data in chunks(connection, number):
        hashed.update(data)
    return hashed.digest() == expects
