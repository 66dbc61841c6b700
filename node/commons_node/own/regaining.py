"""What a restored home brought of a lost machine's own realm is written again, with new keys."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import structlog

from commons_crdt.ids import RealmId
from commons_node.domains.own.entries import Blank, CheckedIn, Content, Regained
from commons_node.keystore.unlocked import Unlocked
from commons_node.own.realms import GONE, OwnRealm
from commons_node.store.database import fetch

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

log = structlog.get_logger(component="own")
_AT_ONCE: Final = 32


async def regain(daemon: Daemon, unlocked: Unlocked, own: OwnRealm, since_ms: int) -> None:
    """Write into ``own`` what a lost realm of the member has from ``since_ms`` (UTC) on.

    A crash in between costs nothing: what is there already is not written twice. In a realm that
    is the lost one, entered again by another device, what was erased meanwhile stays erased. One
    whose file is beyond repair is left as it is, with what opens it. Raises sqlite3.Error.
    """
    gone, away = daemon.own.gone(unlocked), daemon.repairs.away
    for realm, key in gone.items():
        path = daemon.own.lost.files().get(realm)
        if path is None or realm in away:
            continue
        await daemon.repairs.opened(realm, daemon.repairs.lost_file(realm, path))
        if realm not in away:
            await _written_anew(daemon, own, realm, key, since_ms)
    left = b"".join(realm + key for realm, key in gone.items() if realm in away)
    if daemon.own.owes(unlocked):
        await daemon.keystore.add(unlocked.member, GONE, left, unlocked)


async def _written_anew(
    daemon: Daemon, own: OwnRealm, lost: RealmId, key: bytes, since_ms: int
) -> None:
    entries = await asyncio.to_thread(daemon.own.lost.entries, lost, key)
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
    await asyncio.to_thread(daemon.own.lost.remove, lost)
    log.info("regained", entries=len(missing))


def _marked(entries: Sequence[Content]) -> list[Content]:
    """Each check-in behind the note that it is not this device's to be counted."""
    found: list[Content] = []
    for one in entries:
        if isinstance(one, CheckedIn):
            found.append(Regained(one.id, one.at_ms))
        found.append(one)
    return found
