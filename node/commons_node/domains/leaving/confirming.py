"""When a node writes its receipts: soon after erasures came, and whenever it looks round.

A moment is waited for more of them, so that one receipt names what was erased together.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from commons_crdt.authority.judge import ERASURE
from commons_crdt.ids import RealmId
from commons_node.community import Community
from commons_node.domains.leaving.receipts import confirm_erasures
from commons_node.realm.told import Change

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_MORE_S: Final = 1.0


class Confirming:
    """Writes with the node's own device; one look per realm at a time."""

    def __init__(self, daemon: Daemon) -> None:
        """``daemon`` may not have started yet."""
        self._daemon = daemon
        self._looking: set[RealmId] = set()

    def changed(self, community: Community, change: Change) -> None:
        """Something was stored: look soon if an erasure is among it, or counts otherwise now."""
        if change.flips or ERASURE in change.kinds:
            self.look(community)

    def look(self, community: Community) -> None:
        """Confirm in a moment what can be confirmed."""
        realm = community.realm.realm
        if realm not in self._looking:
            self._looking.add(realm)
            self._daemon.spawn(self._soon(community))

    async def _soon(self, community: Community) -> None:
        realm = community.realm
        daemon = self._daemon
        try:
            await asyncio.sleep(_MORE_S)
            await daemon.signing.until(realm.realm)
            self._looking.discard(realm.realm)  # what comes from now on is looked at again
            node = daemon.standing.device(realm.realm)
            kept = any(one.realm.realm == realm.realm for one in daemon.kept())
            if node is not None and kept:
                await confirm_erasures(realm, node)
        finally:
            self._looking.discard(realm.realm)
