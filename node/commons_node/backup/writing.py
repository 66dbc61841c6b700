"""Writing a backup while the node runs: of each community one moment, of the node's files another.

Operations go by the numbers under which the node stored them, so many to a chunk: what was stored
since the last backup makes new chunks, and so does what was erased; all others are there already.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal

from commons_crdt.operation import Operation
from commons_crdt.texts import N_
from commons_node.archive.format import Head
from commons_node.archive.writing import begin
from commons_node.backup.folder import Folder, pieces
from commons_node.backup.home_files import home_files
from commons_node.backup.manifest import (
    VERSION,
    Chunk,
    Erased,
    FileChunk,
    Manifest,
    PartChunk,
    RealmBackup,
)
from commons_node.home import Home
from commons_node.realm.realm import Realm
from commons_node.said import Said, said
from commons_node.store.connection import Connection
from commons_node.store.database import fetch
from commons_node.store.paging import block
from commons_protocol.filed import encode_operation

Parts = Literal["own", "all", "none"]
"""Which photos a backup takes: those added on this node, all that are here, or none."""
BLOCK: Final = 256
"""Operations of one chunk, at most."""
KEPT: Final = frozenset({"parts", "parts_quota", "pruned", "pruned_operations"})
"""What a realm's file says of this node alone: what it fetches, and what it has pruned."""
_PHOTOS: Final = N_(
    "photos that the disk has damaged: {count}; they are fetched again, and are in the next backup"
)
_CHOSEN: Final[Mapping[str, str]] = {"own": "l.whole AND l.own", "all": "l.whole", "none": "0"}


@dataclass(frozen=True, slots=True)
class Source:
    """What is backed up: the home, its open realms, and where others reach it.

    ``own`` are members' own realms; ``left_out``: which of all these could not be opened, and why.
    """

    home: Home
    node: str
    addresses: Sequence[str]
    realms: Sequence[Realm]
    now_ms: int
    own: Sequence[Realm] = ()
    left_out: Sequence[Said] = ()


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was written: ``written`` are the bytes that were new.

    ``left_out``: what is not in it because the disk has damaged it.
    """

    path: Path
    realms: int
    operations: int
    written: int
    let_go: int
    state_hash: str
    left_out: tuple[Said, ...] = ()


async def create(
    source: Source,
    path: Path,
    passphrase: str,
    *,
    keep: int,
    parts: Parts = "own",
    tell: Callable[[int], None] = lambda _bytes: None,
) -> Made:
    """Write one more backup into a folder; durable, or as if it had not begun.

    Raises ``CannotWrite``, ``WrongBackupPassphrase``, ``Busy``, ``BadBackup``.
    """
    folder = await asyncio.to_thread(Folder.made, path, passphrase)
    with folder.alone():
        left_out = list(source.left_out)
        realms = [await _realm(folder, realm, parts, tell, left_out) for realm in source.realms]
        own = [await _realm(folder, realm, "none", tell, left_out) for realm in source.own]
        files = await asyncio.to_thread(_files, folder, source, left_out)
        manifest = Manifest(
            VERSION,
            source.now_ms,
            version("commons-node"),
            source.node,
            tuple(source.addresses),
            tuple(files),
            tuple(realms),
            tuple(own),
        )
        written = await asyncio.to_thread(folder.keep_manifest, manifest)
        gone = await asyncio.to_thread(folder.let_go, keep)
    state = realms[0].state_hash.hex() if len(realms) == 1 else ""
    return Made(
        written, len(realms), manifest.operations, folder.written, gone, state, tuple(left_out)
    )


async def _realm(
    folder: Folder, realm: Realm, parts: Parts, tell: Callable[[int], None], left_out: list[Said]
) -> RealmBackup:
    connection, head = await realm.as_one(lambda: begin(realm))
    try:
        chunks: list[Chunk] = []
        async for operations in _blocks(connection):
            chunks.append(await asyncio.to_thread(_put, folder, operations))
            tell(folder.written)
        erased = [Erased(ident, bool(body)) for ident, body in await fetch(connection, _ERASED)]
        settings = await fetch(connection, "SELECT name, value FROM settings ORDER BY name")
        settings = [one for one in settings if one[0] in KEPT]
    finally:
        await connection.close()
    kept = await _parts(folder, realm, parts, tell, left_out)
    return RealmBackup(
        *_of(head),
        tuple(chunks),
        tuple(kept),
        tuple(erased),
        tuple((name, bytes(value)) for name, value in settings),
    )


_ERASED: Final = (
    "SELECT id, body IS NULL FROM operations o WHERE body IS NULL OR EXISTS (SELECT 1 FROM parts p"
    " WHERE p.operation = o.n AND p.bytes IS NULL AND NOT EXISTS (SELECT 1 FROM large l"
    " WHERE l.operation = p.operation AND l.position = p.position)) ORDER BY id"
)


def _of(head: Head) -> tuple[bytes, bytes, tuple[bytes, ...], int, bytes, bytes]:
    return head.realm, head.pin, head.chain, head.operations, head.set_hash, head.state_hash


async def _blocks(connection: Connection) -> AsyncIterator[list[Operation]]:
    """All operations, log 0 first; where one block ends does not depend on what follows."""
    for log in (0, 1):
        ((last,),) = await fetch(connection, "SELECT coalesce(max(n), 0) FROM operations")
        for first in range(0, last + 1, BLOCK):
            if found := await block(connection, log, first, first + BLOCK):
                yield found


def _put(folder: Folder, operations: Sequence[Operation]) -> Chunk:
    return folder.put([encode_operation(one) for one in operations])


async def _parts(
    folder: Folder, realm: Realm, parts: Parts, tell: Callable[[int], None], left_out: list[Said]
) -> list[PartChunk]:
    found = []
    damaged = 0
    for part in await realm.store.large.parts(_CHOSEN[parts]):
        data = await realm.parts.checked(part)
        if data is None:
            damaged += realm.parts.wants(part)  # else it was erased meanwhile
            continue
        chunk = await asyncio.to_thread(folder.put, pieces(data))
        found.append(PartChunk(part.operation, part.position, part.own, chunk))
        tell(folder.written)
    if damaged:
        left_out.append(said(_PHOTOS, count=damaged))
    return found


def _files(folder: Folder, source: Source, left_out: list[Said]) -> list[FileChunk]:
    return [
        FileChunk(name, folder.put(pieces(data)))
        for name, data in home_files(source.home, source.now_ms, left_out)
    ]
