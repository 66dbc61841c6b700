"""Whether this node may sign yet: not before it knows its own newest operations, as far as it can.

A chain has one writer. A home that is copied, or put back as it was last week, would sign a second
operation at a place that is taken. So after a start peers are asked first: a home that ran here
before waits some seconds for them, and longer for those that answer; a copy waits until it has met
somebody, however long that takes. So does a node that somebody of the community did not accept: its
device may have been ended while it was off.

Source: docs/decisions/0009-who-may-sign-after-a-start.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Protocol

from commons_crdt.errors import CommonsError
from commons_crdt.ids import RealmId
from commons_node.keeping import Paused
from commons_node.peering.peering import Peering
from commons_protocol.names import NodeId

WAIT_S = 5.0
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
    hint = (
        "connect to a node of the community first: commons-node sync wait; only if there is none,"
        " and the other home runs no more, stop this one: commons-node service take-over --alone"
    )
    status = "locked"


class CatchingUp(CommonsError):
    """This node is still fetching what it has missed; its own newest acts may be among it."""

    code = "catching_up"
    hint = "commons-node sync wait"
    status = "timeout"


class Denied(CommonsError):
    """The node {node} of this community does not accept this machine's device: it may have ended,
    by an act that this node has not heard of.
    """

    code = "denied"
    hint = (
        "commons-node member device list on another machine of yours says so; if that node is"
        " wrong, commons-node peer block {node}, and meet another one"
    )
    status = "locked"


class Kept(Protocol):
    """Which communities this node keeps in step; see `keeping`."""

    paused: set[RealmId]
    freed: set[RealmId]

    async def met(self, realm: RealmId) -> None: ...


class Signing:
    """See the module. One for each life of a daemon."""

    def __init__(self, *, copied: bool, keeping: Kept | None = None) -> None:
        """``copied``: this home is not where it last ran. Without ``keeping`` all is kept."""
        self.copied = copied
        self._keeping = keeping
        self._may: dict[RealmId, asyncio.Event] = {}
        self._met: set[RealmId] = set()
        self._denied: dict[RealmId, NodeId] = {}
        self._denies: Callable[[RealmId], NodeId | None] = lambda _realm: None
        self._young: set[RealmId] = set()

    def add(self, realm: RealmId, *, young: bool = False) -> None:
        """A realm is open; nothing may be signed in it yet.

        ``young``: its keys are newer than the copy, so that it waits no longer than any home does.
        """
        self._may[realm] = asyncio.Event()
        self._met.discard(realm)
        if young:
            self._young.add(realm)

    def fresh(self, realm: RealmId) -> None:
        """Every key of ours in this realm is new: there is nothing to be told."""
        self.met(realm)

    def met(self, realm: RealmId) -> None:
        """Somebody has told what they have, if only by letter."""
        self._met.add(realm)
        self._may[realm].set()

    def allowed(self, realm: RealmId) -> bool:
        """Whether this node knows its own newest operations in a realm, as far as it can tell.

        Who was met by nobody, and is not accepted by somebody, knows that it does not.
        """
        sure = realm in self._met or not self._is_denied(realm)
        return self._may[realm].is_set() and sure and not self._is_paused(realm)

    def _is_paused(self, realm: RealmId) -> bool:
        return self._keeping is not None and realm in self._keeping.paused

    def _is_freed(self, realm: RealmId) -> bool:
        return self._keeping is not None and realm in self._keeping.freed

    def _waiting(self) -> list[RealmId]:
        """Realms in step with others of which it is not clear yet whether all own acts are here."""
        return [r for r, sure in self._may.items() if not (sure.is_set() or self._is_paused(r))]

    async def until(self, realm: RealmId) -> None:
        """Wait until it is allowed, however long."""
        await self._may[realm].wait()

    async def soon(self, realm: RealmId) -> None:
        """Wait as long as a person does.

        Raises ``Paused``, ``Denied``, ``Copied`` or ``CatchingUp``.
        """
        if not self._is_paused(realm):
            with suppress(TimeoutError):
                copied = self.copied and realm not in self._young
                async with asyncio.timeout(WAIT_S if copied else 2 * WAIT_S):
                    await self.until(realm)
        hindrance = self.hindrance(realm)
        if hindrance is not None:
            raise hindrance

    def hindrance(self, realm: RealmId) -> CommonsError | None:
        """Why nothing may be signed in a realm now; None if it may."""
        if self._is_paused(realm):
            return Paused()
        if self.allowed(realm):
            return None
        if realm in self._denied:
            return Denied(node=self._denied[realm][:16])
        return Copied() if self.copied else CatchingUp()

    async def learn(
        self, peering: Peering, spawn: Callable[[Coroutine[Any, Any, None]], None]
    ) -> None:
        """Fetch our own tips from peers before the first signature; see the module.

        Returns when every realm that is kept may sign; a copy that has met somebody in each of its
        communities is none any more. What was let go of waits until somebody was met.
        """
        self._denies = peering.denied
        loop = asyncio.get_running_loop()
        patience = loop.time() + WAIT_S
        asked: set[NodeId] = set()
        while waiting := self._waiting():
            known = [peer for peer in peering.peers() if not peer.blocked]
            for node in {peer.node for peer in known} - asked:
                asked.add(node)
                spawn(self._first_rounds(peering, node))
            denied = {realm for realm in waiting if self._is_denied(realm)}
            late = loop.time() - patience
            telling = late < _TELL_S and any(
                peer.connected and peer.sync.state in _TELLING for peer in known
            )
            if not known or (late > 0 and not telling):
                for realm in waiting:
                    if self.copied and realm not in self._young:
                        continue
                    if not self._is_freed(realm) and realm not in denied:
                        self._may[realm].set()
            await asyncio.sleep(_LOOK_S)
        self.copied = self.copied and not all(sure.is_set() for sure in self._may.values())

    def _is_denied(self, realm: RealmId) -> bool:
        """Whether somebody knows better than we whether this device still stands."""
        node = self._denies(realm)
        if node is None:
            self._denied.pop(realm, None)
            return False
        self._denied[realm] = node
        return True

    async def _first_rounds(self, peering: Peering, node: NodeId) -> None:
        """Compare with one node until every realm may sign."""
        while self._waiting():
            if (await peering.wait_converged([node], timeout=_ROUND_S)).converged:
                for peer in peering.peers():
                    for realm in peer.realms if peer.node == node else ():
                        self.met(realm)
                        if self._keeping is not None:
                            await self._keeping.met(realm)
                await asyncio.sleep(_LOOK_S)
