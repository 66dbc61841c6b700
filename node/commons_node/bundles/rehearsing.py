"""What a bundle would bring, found out on a copy: the same way in, and nothing of it stays.

A report by other rules than those of the import would be a guess. The copy lies beside the
realm's own file, readable by the same user only, and is gone afterwards.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

from commons_crdt.folds import View
from commons_node.realm.realm import Realm
from commons_node.store.database import open_database
from commons_node.store.realm_schema import REALM_SCHEMA
from commons_node.store.realm_store import RealmStore
from commons_node.store.upgrading import Unusable

_FOLDER = "rehearsal"


@asynccontextmanager
async def rehearsal(realm: Realm, views: Sequence[View], now_ms: int) -> AsyncIterator[Realm]:
    """A realm with what is in this one now, for the time of the block."""
    path = realm.store.database.path
    folder = path.with_name(f"{path.stem}.{_FOLDER}")
    shutil.rmtree(folder, ignore_errors=True)  # of a rehearsal that was killed
    folder.mkdir(mode=0o700)
    try:
        copy = folder / path.name
        await asyncio.to_thread(_copy, path, copy)
        store = RealmStore(await open_database(copy, REALM_SCHEMA))
        made = Realm(
            realm.realm, store, realm.rules, views, realm.pool, lambda: now_ms, prune=False
        )
        try:
            await made.open()
            yield made
        finally:
            await made.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    try:
        with closing(sqlite3.connect(source)) as here, closing(sqlite3.connect(target)) as there:
            here.backup(there)
    except sqlite3.Error as error:
        raise Unusable(file=target.name, why=error) from error
