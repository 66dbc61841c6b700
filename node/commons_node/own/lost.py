"""Own realms of a lost machine, as its backup had them: read once more, and never written to.

What the lost machine wrote after the backup nobody else may have heard of, so its device signs
nothing again: a second operation at one place would be a fork. What stands in such a file is
written anew, with new keys, into the own realm that the member has from now on (`regaining`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

import structlog

from commons_crdt.device import DeviceSecrets
from commons_crdt.errors import Refused
from commons_crdt.ids import OperationId, RealmId
from commons_crdt.kinds import decode_fact
from commons_crdt.operation import content
from commons_node.domains.own.entries import Content, open_entry
from commons_node.domains.own.facts import ENTRY, Entry
from commons_node.keystore.disk import sync_folder

log = structlog.get_logger(component="own")
LOST: Final = "own/lost"
"""Where they are, below the home; one file a realm."""


class LostRealms:
    """Those of one home; ``load`` finds them. All of it blocks: the files are small."""

    def __init__(self, folder: Path) -> None:
        """Reads nothing yet."""
        self._folder = folder
        self._devices: dict[RealmId, list[bytes]] = {}

    def load(self) -> None:
        """Learn which devices each file knows; of one that cannot be read see ``unread``."""
        for realm, path in self.files().items():
            try:
                self._devices[realm] = self._bodies(path)
            except sqlite3.Error as error:
                log.warning("lost_realm", realm=realm.hex()[:8], why=str(error))

    def files(self) -> Mapping[RealmId, Path]:
        """All that are here."""
        return {RealmId(bytes.fromhex(p.stem)): p for p in sorted(self._folder.glob("*.db"))}

    def unread(self, realm: RealmId) -> bool:
        """Whether the file of this realm is here, and does not say which devices are in it."""
        return realm not in self._devices and realm in self.files()

    def has(self, realm: RealmId, device: DeviceSecrets) -> bool:
        """Whether a device belongs to the lost machine: its realm as of the backup knows it."""
        key = device.keys.signing
        return any(key in body for body in self._devices.get(realm, ()))

    def founded(self, realm: RealmId, device: DeviceSecrets) -> bool:
        """Whether the lost machine let the others in; if not, one of them does so again.

        It is taken to have done so where its file cannot say it: nobody else may be there.
        """
        if self.unread(realm):
            return True
        bodies = self._devices.get(realm, [])
        return bool(bodies) and device.keys.signing in bodies[0]

    def entries(self, realm: RealmId, key: bytes) -> list[tuple[OperationId, Content]]:
        """What stands in it and can be opened, in its order. Raises sqlite3.Error."""
        query = (
            "SELECT id, body FROM operations WHERE kind = ? AND verdict = 1"
            " AND body IS NOT NULL ORDER BY n"
        )
        found = []
        with closing(self._opened(self._folder / f"{realm.hex()}.db")) as file:
            for ident, body in file.execute(query, (ENTRY,)):
                try:
                    entry = open_entry(decode_fact(Entry, content(body)).sealed, key)
                except Refused:
                    continue
                found.append((OperationId(ident), entry))
        return found

    def remove(self, realm: RealmId) -> None:
        """All of it is in another realm now. Durable when it returns."""
        self._devices.pop(realm, None)
        for ending in ("-wal", "-shm", ""):
            (self._folder / f"{realm.hex()}.db{ending}").unlink(missing_ok=True)
        if self._folder.exists():
            sync_folder(self._folder)

    def _bodies(self, path: Path) -> list[bytes]:
        """Of the facts in which devices stand; the founding first."""
        query = (
            "SELECT o.body FROM operations o JOIN chains c ON c.n = o.chain"
            " WHERE c.log = 0 AND o.body IS NOT NULL ORDER BY o.n"
        )
        with closing(self._opened(path)) as file:
            rows: list[tuple[bytes]] = file.execute(query).fetchall()
        return [body for (body,) in rows]

    @staticmethod
    def _opened(path: Path) -> sqlite3.Connection:
        return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=10)
