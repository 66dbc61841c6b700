"""What a restored home brought of a lost machine's own realm is written again, with new keys."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import structlog

from commons_crdt.ids import RealmId
from commons_node.domains.own.entries import DATA_KEY_BYTES, Blank, CheckedIn, Content, Regained
from commons_node.keystore.unlocked import Unlocked
from commons_node.own.realms import GONE, OwnRealm
from commons_node.store.database import fetch

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

log = structlog.get_logger(component="own")
_RECORD: Final = 32 + DATA_KEY_BYTES
_AT_ONCE: Final = 32


async def regain(daemon: Daemon, unlocked: Unlocked, own: OwnRealm, since_ms: int) -> None:
    """Write into ``own`` what a lost realm of the member has from ``since_ms`` (UTC) on.

    A crash in between costs nothing: what is there already is not written twice. In a realm that
    is the lost one, entered again by another device, what was erased meanwhile stays erased.
    """
    gone = unlocked.find(GONE)
    if not gone:
        return
    for at in range(0, len(gone), _RECORD):
        realm, key = RealmId(gone[at : at + 32]), gone[at + 32 : at + _RECORD]
        if realm not in daemon.own.lost.files():
            continue
        try:
            entries = await asyncio.to_thread(daemon.own.lost.entries, realm, key)
        except sqlite3.Error as error:
            log.warning("lost_realm", realm=realm.hex()[:8], why=str(error))
            return
        known = await fetch(own.realm.store.database.read, "SELECT id FROM operations")
        told, here = {bytes(one) for (one,) in known}, {one.entry for one in await own.entries()}
        missing = [
            entry
            for ident, entry in entries
            if ident not in told and entry not in here
            and not isinstance(entry, Blank) and entry.at_ms >= since_ms
        ]  # fmt: skip
        for start in range(0, len(missing), _AT_ONCE):
            await own.write(*_marked(missing[start : start + _AT_ONCE]))
        await asyncio.to_thread(daemon.own.lost.remove, realm)
        log.info("regained", entries=len(missing))
    await daemon.keystore.add(unlocked.member, GONE, b"", unlocked)


def _marked(entries: Sequence[Content]) -> list[Content]:
    """Each check-in behind the note that it is not this device's to be counted."""
    found: list[Content] = []
    for one in entries:
        if isinstance(one, CheckedIn):
            found.append(Regained(one.id, one.at_ms))
        found.append(one)
    return found
