"""The two hashes by which neighbours compare: of what stands, and of what the views show."""

from __future__ import annotations

from commons_crdt.folds import set_hash
from commons_node.realm.folding import Folding
from commons_node.store.database import fetch
from commons_node.store.reading import NOT_VOID
from commons_node.store.realm_store import RealmStore

_STANDS = f"SELECT id, verdict FROM operations WHERE verdict != 0 AND {NOT_VOID}"  # noqa: S608 - own clause
"""In the order of the file: in that of the ids each row would be looked up by itself."""


class Hashes:
    """(set_hash, state_hash) of one realm; kept until something changes."""

    def __init__(self, store: RealmStore, folding: Folding) -> None:
        """Reads with the realm's own connection."""
        self.known: tuple[bytes, bytes] | None = None
        """None: they have to be computed."""
        self._store = store
        self._folding = folding

    def forget(self) -> None:
        """What is stored or shown changes."""
        self.known = None

    async def now(self) -> tuple[bytes, bytes]:
        """Compute them unless they are known; the caller has the realm, and nothing waits."""
        if self.known is None:
            connection = self._store.database.write
            of_set = set_hash(await fetch(connection, _STANDS))
            self.known = of_set, await self._folding.state_hash(connection)
        return self.known
