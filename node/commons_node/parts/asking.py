"""Asking connected peers in turn for one part, until one of them gives all of it.

Who is slow, or was lately, is asked last. Who broke the rules or gave wrong bytes is not asked for
an hour. Where several gave a part that turned out wrong, nobody can tell who it was: it is fetched
anew, from one peer alone at a time.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence

import structlog

from commons_node.peering.peering import Peering
from commons_node.peering.visits import Visit
from commons_node.realm.parts import Progress, RealmParts, SmallPart
from commons_node.realm.realm import Realm
from commons_node.store.large_parts import SEVERAL, LargePart
from commons_protocol.network import NetworkError, PeerId
from commons_protocol.parts import PartId

log = structlog.get_logger(component="parts")

DISTRUST_S = 3600.0
"""For how long somebody is asked for nothing who gave wrong bytes."""
SLOW_S = 600.0
_IDLE_S = 20.0
"""A visit with nothing to ask is left."""


class Asking:
    """One for a node; keeps a visit open where more is likely to be asked."""

    def __init__(self, peering: Callable[[], Peering]) -> None:
        """Nobody was asked anything yet."""
        self._peering = peering
        self._liars: dict[PeerId, float] = {}
        self._slow: dict[PeerId, float] = {}
        self._free: dict[PeerId, Visit] = {}
        self._alone: set[PartId] = set()

    def around(self, realm: Realm) -> list[PeerId]:
        """Connected peers of a realm that may be asked."""
        now = time.monotonic()
        return sorted(
            peer
            for peer, talk in self._peering().talks.now.items()
            if realm.realm in talk.session.realms and now >= self._liars.get(peer, 0.0)
        )

    def peers(self, realm: Realm) -> list[PeerId]:
        """The same in the order in which they are asked: slow ones last, else by chance."""
        now, here = time.monotonic(), self.around(realm)
        random.shuffle(here)
        return sorted(here, key=lambda peer: now < self._slow.get(peer, 0.0))

    # -- parts ---------------------------------------------------------------------------------

    async def large(self, realm: Realm, part: LargePart, *, eager: bool = False) -> bool:
        """Fetch a large part from whoever has it; True once it is whole here.

        ``eager``: somebody waits. Raises ``Unusable`` when the disk is full.
        """
        asked: set[PeerId] = set()
        while peers := [peer for peer in self.peers(realm) if peer not in asked]:
            peer = peers[0]
            asked.add(peer)
            alone = PartId(part.operation, part.hash) in self._alone
            if alone and part.have and part.giver != peer:
                await realm.parts.drop(part)
            part = await self._now(realm, part) or part
            progress, part = await self._from(peer, realm, part)
            if progress == "whole":
                self._alone.discard(PartId(part.operation, part.hash))
                return True
            if progress == "gone":
                return False
            if progress == "bad":
                asked = asked if self._blame(peer, part) else set()
                part = await self._now(realm, part) or part
        if eager:
            log.info("part_not_found", realm=realm.realm.hex()[:8], asked=len(asked))
        return False

    async def _now(self, realm: Realm, part: LargePart) -> LargePart | None:
        return next(iter(await realm.store.large.parts("l.n = ?", (part.n,))), None)

    def _blame(self, peer: PeerId, part: LargePart) -> bool:
        """All came, and it is wrong; True if it is clear who did it."""
        if part.giver == SEVERAL:
            self._alone.add(PartId(part.operation, part.hash))
            return False
        self._distrust(peer)
        return True

    def _distrust(self, peer: PeerId) -> None:
        self._liars[peer] = time.monotonic() + DISTRUST_S
        self._peering().count("part_liar")

    async def _from(
        self, peer: PeerId, realm: Realm, part: LargePart
    ) -> tuple[Progress, LargePart]:
        progress: Progress = "more"
        if part.whole:
            return "whole", part

        async def write(data: Sequence[bytes]) -> bool:
            nonlocal progress, part
            progress, part = await realm.parts.keep(part, data, peer)
            return progress == "more"

        visit = await self._visit(peer, realm)
        if visit is None:
            return progress, part
        key = PartId(part.operation, part.hash)
        outcome = await visit.fetch(realm.realm, key, part.length, part.have, write)
        if outcome == "liar":
            self._distrust(peer)
        elif outcome == "slow":
            self._slow[peer] = time.monotonic() + SLOW_S
        await self._leave(visit)
        return progress, part

    async def small(self, realm: Realm, part: SmallPart) -> bool:
        """Fetch a small part; it goes in by the realm's one way in."""
        for peer in self.peers(realm):
            data = bytearray()

            async def write(more: Sequence[bytes], data: bytearray = data) -> bool:
                data += b"".join(more)
                return True

            visit = await self._visit(peer, realm)
            if visit is None:
                continue
            outcome = await visit.fetch(realm.realm, part.id, part.length, 0, write)
            await self._leave(visit)
            if outcome == "whole":
                operation = RealmParts.filled(part, bytes(data))
                if operation is not None:
                    await realm.ingest([operation], peer)
                    return True
                self._distrust(peer)
            elif outcome == "liar":
                self._distrust(peer)
        return False

    async def elsewhere(self, realm: Realm, part: LargePart) -> bool:
        """True if a connected peer says now that it holds a part."""
        key = PartId(part.operation, part.hash)
        for peer in self.peers(realm):
            visit = await self._visit(peer, realm)
            if visit is None:
                continue
            found = await visit.holds(realm.realm, key, part.length)
            await self._leave(visit)
            if found:
                return True
        return False

    # -- visits --------------------------------------------------------------------------------

    async def _visit(self, peer: PeerId, realm: Realm) -> Visit | None:
        visit = self._free.pop(peer, None)
        if visit is None:
            try:
                visit = await self._peering().visits.open(peer)
            except NetworkError:
                return None
        if visit.shares(realm.realm):
            return visit
        await visit.close()
        return None

    async def _leave(self, visit: Visit) -> None:
        """Keep it for the next question, for some seconds."""
        if not visit.open or visit.peer in self._free:
            await visit.close()
            return
        self._free[visit.peer] = visit
        loop = asyncio.get_running_loop()
        loop.call_later(_IDLE_S, self._expire, visit)

    def _expire(self, visit: Visit) -> None:
        if self._free.get(visit.peer) is visit:
            del self._free[visit.peer]
            self._peering().spawn(visit.close(), "leave a visit")
