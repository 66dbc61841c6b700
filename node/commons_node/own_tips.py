"""Signing only what peers do not know better: a node fetches its own newest acts before it signs.

After a start, and after a community was let go of and resumed, this machine may hold an older
state than it once told. What it signed then would be a fork.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from commons_crdt.errors import CommonsError
from commons_crdt.ids import RealmId
from commons_node.keeping import Paused
from commons_protocol.names import NodeId

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_SIGN_WAIT_S = 5.0
"""How long a first signature after a start waits for peers to tell of our own newer operations."""
_TELL_S = 60.0
"""How much longer for those that go on telling; a peer must not keep us from signing for ever."""
_ROUND_S = 10.0
_LOOK_S = 0.2
_TELLING = frozenset({"unknown", "behind", "syncing"})
"""States of a connected peer that may still bring operations of ours."""


class Copied(CommonsError):
    """This home is a copy: the other one may sign with the same keys, and two would be a fork."""

    code = "copied_home"
    hint = "connect to a node of the community first: commons-node sync wait"
    status = "locked"


class CatchingUp(CommonsError):
    """This node is still fetching what it has missed; its own newest acts may be among it."""

    code = "catching_up"
    hint = "commons-node sync wait"
    status = "timeout"


class OwnTips:
    """One for a daemon."""

    def __init__(self, daemon: Daemon, *, copied: bool) -> None:
        """``copied``: this home is a copy of one that may run elsewhere."""
        self._daemon = daemon
        self._known: dict[RealmId, asyncio.Event] = {}
        self._copied = copied

    @property
    def copied(self) -> bool:
        """True until a copy has met somebody in each community."""
        return self._copied

    def opened(self, realm: RealmId) -> None:
        """A realm's file was opened: nothing is known of what others hold of ours."""
        self._known[realm] = asyncio.Event()

    def all_new(self, realm: RealmId) -> None:
        """Every key of ours in this realm is new, so nobody holds anything of ours."""
        self._known[realm].set()

    def may_sign(self, realm: RealmId) -> bool:
        """Whether this node knows its own newest operations in a realm, as far as it can tell."""
        return self._known[realm].is_set() and realm not in self._daemon.keeping.paused

    async def known(self, realm: RealmId) -> None:
        """Wait until it does."""
        await self._known[realm].wait()

    async def need(self, realm: RealmId) -> None:
        """Wait some seconds until it may sign. Raises ``Paused``, ``Copied``, ``CatchingUp``."""
        if realm in self._daemon.keeping.paused:
            raise Paused
        with suppress(TimeoutError):
            async with asyncio.timeout(_SIGN_WAIT_S if self._copied else 2 * _SIGN_WAIT_S):
                await self._known[realm].wait()
        if not self.may_sign(realm):
            raise Copied if self._copied else CatchingUp

    def _waiting(self) -> list[RealmId]:
        """Realms in step with others of which it is not clear yet whether all own acts are here."""
        paused = self._daemon.keeping.paused
        return [r for r, sure in self._known.items() if not sure.is_set() and r not in paused]

    async def fetch(self) -> None:
        """Fetch our own tips from peers before the first signature.

        A home that ran here before waits some seconds for peers to answer, and longer for those
        that do; a copy, and a community that was let go of, wait until somebody was met, however
        long that takes.
        """
        daemon, loop = self._daemon, asyncio.get_running_loop()
        patience = loop.time() + _SIGN_WAIT_S
        asked: set[NodeId] = set()
        while waiting := self._waiting():
            known = [peer for peer in daemon.peering.peers() if not peer.blocked]
            for node in {peer.node for peer in known} - asked:
                asked.add(node)
                daemon.spawn(self._first_rounds(node))
            late = loop.time() - patience
            telling = late < _TELL_S and any(
                peer.connected and peer.sync.state in _TELLING for peer in known
            )
            if not self._copied and (not known or (late > 0 and not telling)):
                for realm in waiting:
                    if realm not in daemon.keeping.freed:
                        self._known[realm].set()
            await asyncio.sleep(_LOOK_S)
        if self._copied and all(sure.is_set() for sure in self._known.values()):
            self._copied = False
            daemon.home.settle()

    async def _first_rounds(self, node: NodeId) -> None:
        """Compare with one node until every realm may sign."""
        peering = self._daemon.peering
        while self._waiting():
            if (await peering.wait_converged([node], timeout=_ROUND_S)).converged:
                for peer in peering.peers():
                    for realm in peer.realms if peer.node == node else ():
                        self._known[realm].set()
                        await self._daemon.keeping.met(realm)
                await asyncio.sleep(_LOOK_S)
