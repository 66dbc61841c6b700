"""What a bundle would bring, found out on a copy: the same way in, and nothing of it stays.

A report by other rules than those of the import would be a guess: what the disk has no room for is
held there, too. The copy lies beside the realm's own file, readable by the same user only, and is
gone afterwards; it is made only where it leaves the disk's reserve alone.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

from commons_crdt.errors import CommonsError
from commons_crdt.folds import View
from commons_node.disk import MIB, Room
from commons_node.realm.realm import Realm
from commons_node.store.database import open_database
from commons_node.store.realm_schema import REALM_SCHEMA
from commons_node.store.realm_store import RealmStore
from commons_node.store.upgrading import Unusable

_FOLDER = "rehearsal"


class NoRoomToRehearse(CommonsError):
    """A dry run copies {needed} MiB and keeps {reserve} MiB free; the disk has {free} MiB left."""

    code = "disk"
    hint = "make room where commons-node paths says that the home is"


@asynccontextmanager
async def rehearsal(
    realm: Realm, views: Sequence[View], now_ms: int, room: Room
) -> AsyncIterator[Realm]:
    """A realm with what is in this one now, for the time of the block.

    ``room``: of the disk that both lie on; without the copy, the import would find more of it.
    Raises ``NoRoomToRehearse``, ``Unusable``.
    """
    path = realm.store.database.path
    size = _size(path)
    if room.free < size + room.reserve:
        raise NoRoomToRehearse(
            needed=-(-size // MIB), reserve=room.reserve // MIB, free=room.free // MIB
        )
    imports = Room(path.parent, room.reserve, lambda: room.free + size)
    folder = path.with_name(f"{path.stem}.{_FOLDER}")
    shutil.rmtree(folder, ignore_errors=True)  # of a rehearsal that was killed
    folder.mkdir(mode=0o700)
    try:
        copy = folder / path.name
        await asyncio.to_thread(_copy, path, copy)
        store = RealmStore(await open_database(copy, REALM_SCHEMA))
        made = Realm(
            realm.realm, store, realm.rules, views, realm.pool, lambda: now_ms,
            prune=False, room=imports,
        )  # fmt: skip
        try:
            await made.open()
            yield made
        finally:
            await made.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _size(path: Path) -> int:
    """Bytes of the file, with what its write-ahead log holds."""
    size = path.stat().st_size
    with suppress(FileNotFoundError):
        size += path.with_name(f"{path.name}-wal").stat().st_size
    return size


def _copy(source: Path, target: Path) -> None:
    try:
        with closing(sqlite3.connect(source)) as here, closing(sqlite3.connect(target)) as there:
            here.backup(there)
    except sqlite3.Error as error:
        raise Unusable(file=target.name, why=error) from error
