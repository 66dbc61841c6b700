"""Which parts are fetched, from whom, and which are let go: photos and texts that stayed behind.

Texts are fetched eagerly, photos in the background up to the realm's quota, both at once when
somebody looks; a policy may say less, such as only of what no seal has settled yet. Peers are asked
in turn; who sends wrong bytes is not asked again for an hour, and what it gave is fetched from
another. Knows nothing of what a part shows.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Literal

import structlog

from commons_crdt.errors import CommonsError
from commons_crdt.ids import RealmId
from commons_crdt.texts import _
from commons_node.config import PartsPolicy
from commons_node.parts.asking import Asking
from commons_node.parts.room import Room
from commons_node.peering.peering import Peering
from commons_node.realm.parts import SmallPart
from commons_node.realm.realm import Realm
from commons_node.realm.told import Change
from commons_node.store.large_parts import LargePart
from commons_node.store.upgrading import Unusable
from commons_protocol.parts import PartId

log = structlog.get_logger(component="parts")

POLICY, QUOTA = "parts", "parts_quota"
"""This node's own settings of a realm."""
LOOKED_AT_MS = 86_400_000
"""What is settled is let go, where that is chosen, once nobody has looked at it for so long."""
_FETCHING = frozenset({"all", "recent"})
"""Choices by which photos come in the background."""
_FIRST_RETRY_S = 30.0
_LAST_RETRY_S = 3600.0
_SETTLE_S = 1.0

Why = Literal["", "nobody", "quota", "disk", "policy"]
"""Why not all is here: it comes; nobody who is connected has it; no room; only when looked at."""


class NotHere(CommonsError):
    """It is not on this node, and of {asked} connected nodes that were asked none has it."""

    code: ClassVar[str] = "part_not_here"
    hint: ClassVar[str] = "it comes by itself with a node that has it: commons-node peer list"
    status = "not_found"


class NoRoom(CommonsError):
    """There is no room for it: {why}."""

    code: ClassVar[str] = "part_no_room"
    hint: ClassVar[str] = "{fix}"
    status = "failed"


@dataclass(slots=True)
class _Retry:
    """When a part is asked for again by itself, and after how long the time after that."""

    at: float = 0.0
    seconds: float = _FIRST_RETRY_S


@dataclass(slots=True)
class _Desk:
    """What is going on in one realm."""

    round: asyncio.Task[None] | None = None
    again: bool = False
    fetching: dict[int, asyncio.Task[bool]] = field(default_factory=dict)
    retries: dict[PartId, _Retry] = field(default_factory=dict)
    why: Why = ""


class PartsKeeper:
    """One for a node. All methods run in the daemon's loop."""

    def __init__(
        self,
        peering: Callable[[], Peering],
        realms: Callable[[], Sequence[Realm]],
        *,
        policy: PartsPolicy = "all",
        quota: int = 512 << 20,
        fits: Callable[[int], bool] = lambda _missing: True,
    ) -> None:
        """``quota``: bytes in each realm; ``fits``: whether the disk has room for so many more."""
        self._peering = peering
        self._realms = realms
        self._policy: PartsPolicy = policy
        self._quota = quota
        self._asking = Asking(peering)
        self._room = Room(self._asking, fits)
        self._desks: dict[RealmId, _Desk] = {}
        self.stopped = False

    def stop(self) -> None:
        """Fetch nothing more; what runs ends with peering's tasks."""
        self.stopped = True
        for desk in self._desks.values():
            for task in desk.fetching.values():
                task.cancel()

    # -- what is chosen ------------------------------------------------------------------------

    async def policy(self, realm: Realm) -> PartsPolicy:
        """What is fetched before somebody looks."""
        chosen = await realm.parts.setting(POLICY)
        match chosen:
            case b"all":
                return "all"
            case b"recent":
                return "recent"
            case b"texts":
                return "texts"
            case b"on-demand":
                return "on-demand"
        return self._policy

    async def quota(self, realm: Realm) -> int:
        """How many bytes large parts may take."""
        chosen = await realm.parts.setting(QUOTA)
        return int.from_bytes(chosen) if chosen else self._quota

    async def choose(
        self, realm: Realm, policy: PartsPolicy | None = None, quota: int | None = None
    ) -> None:
        """Choose for one realm, durably; what is too much is let go soon."""
        if policy is not None:
            await realm.parts.choose(POLICY, policy.encode())
        if quota is not None:
            await realm.parts.choose(QUOTA, quota.to_bytes(8))
        self._desk(realm).retries.clear()
        self.wake(realm)

    def why(self, realm: Realm) -> Why:
        """Why not all is here that was wanted when it was last looked for."""
        return self._desk(realm).why

    # -- in the background ---------------------------------------------------------------------

    def _desk(self, realm: Realm) -> _Desk:
        return self._desks.setdefault(realm.realm, _Desk())

    def changed(self, change: Change) -> None:
        """Something was stored: parts may be wanted."""
        for realm in self._realms():
            if realm.realm == change.realm:
                self.wake(realm)

    def met(self) -> None:
        """Somebody is here who was not: what nobody had is asked for again."""
        for realm in self._realms():
            self._desk(realm).retries.clear()
            self.wake(realm)

    def tick(self) -> None:
        """Some time has passed."""
        for realm in self._realms():
            self.wake(realm)

    def wake(self, realm: Realm) -> None:
        """Look soon whether something is to be fetched, or let go."""
        desk = self._desk(realm)
        desk.again = True
        if not self.stopped and (desk.round is None or desk.round.done()):
            desk.round = self._spawn(self._rounds(realm, desk))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._peering().spawn(work, "parts")

    async def _rounds(self, realm: Realm, desk: _Desk) -> None:
        while desk.again and not self.stopped:
            await asyncio.sleep(_SETTLE_S)  # once for all that happens until then
            desk.again = False
            try:
                await self._round(realm, desk)
            except Unusable as error:
                desk.why = "disk"
                log.warning("parts_not_stored", realm=realm.realm.hex()[:8], why=str(error))

    async def _round(self, realm: Realm, desk: _Desk) -> None:
        """Everything once that is wanted now and due.

        Until it knows better, what the last round said stands: something is not here all the time.
        """
        policy, quota = await self.policy(realm), await self.quota(realm)
        over = (await realm.parts.usage()).bytes > quota
        if policy not in _FETCHING:
            desk.why = "policy"
        elif over:
            desk.why = "quota"  # said before anything is let go
        if over:
            await self._room.make(realm, 0, quota, sparing=self._busy(realm))
        if policy == "on-demand" or not self._asking.around(realm):
            if policy in _FETCHING and await realm.parts.lacking(newer=policy == "recent"):
                desk.why = "nobody"
            return
        for small in await realm.parts.lacking_small():
            if self._due(desk, small.id):
                self._note(desk, small.id, found=await self._asking.small(realm, small))
        if policy not in _FETCHING:
            return
        if policy == "recent":
            await self._room.clear(realm, LOOKED_AT_MS, sparing=self._busy(realm))
        why: Why = ""
        for part in await realm.parts.lacking(newer=policy == "recent"):
            key = PartId(part.operation, part.hash)
            if part.n in desk.fetching:
                continue
            if not self._due(desk, key):
                why = why or "nobody"
                continue
            refused = await self._room.refuses(realm, part, quota)
            if refused:
                why = refused
                continue
            desk.why = why  # this one comes
            task = self._begin(desk, part, self._asking.large(realm, part))
            found = await asyncio.shield(task)
            self._note(desk, key, found=found)
            why = why if found else why or "nobody"
        desk.why = why or ("policy" if policy == "recent" else "")

    def _due(self, desk: _Desk, part: PartId) -> bool:
        retry = desk.retries.get(part)
        return retry is None or time.monotonic() >= retry.at

    def _note(self, desk: _Desk, part: PartId, *, found: bool) -> None:
        if found:
            desk.retries.pop(part, None)
            return
        retry = desk.retries.setdefault(part, _Retry())
        jitter = random.uniform(0.75, 1.25)  # noqa: S311 - no secret
        retry.at = time.monotonic() + retry.seconds * jitter
        retry.seconds = min(2 * retry.seconds, _LAST_RETRY_S)

    # -- when somebody looks -------------------------------------------------------------------

    async def look(self, realm: Realm, part: LargePart) -> bytes:
        """A large part with its salt, fetched at once if it is not here. Raises as ``fetch``."""
        data = await realm.parts.content(part)
        if data is None:
            await self.fetch(realm, part)
            data = await realm.parts.content(part)
        if data is None:
            raise NotHere(asked=len(self._asking.around(realm)))
        return data

    async def fetch(self, realm: Realm, part: LargePart) -> None:
        """Fetch a large part now, making room for it. Raises ``NotHere``, ``NoRoom``, ``Unusable``.

        What came stays if the caller gives up, and is gone on from.
        """
        desk = self._desk(realm)
        task = desk.fetching.get(part.n) or self._begin(desk, part, self._fetch(realm, part))
        if not await asyncio.shield(task):
            raise NotHere(asked=len(self._asking.around(realm)))

    def _begin(
        self, desk: _Desk, part: LargePart, work: Coroutine[Any, Any, bool]
    ) -> asyncio.Task[bool]:
        task = asyncio.create_task(work, name="fetch a part")
        desk.fetching[part.n] = task
        task.add_done_callback(partial(self._fetched, desk, part.n))
        return task

    def _fetched(self, desk: _Desk, n: int, task: asyncio.Task[bool]) -> None:
        desk.fetching.pop(n, None)
        if not task.cancelled():
            task.exception()  # whoever waits is told; if nobody does, nobody misses it

    async def _fetch(self, realm: Realm, part: LargePart) -> bool:
        if not self._asking.around(realm):
            return False  # nothing is let go for what nobody can give
        quota = await self.quota(realm)
        if not await self._room.make(
            realm, part.length - part.have, quota, sparing=self._busy(realm, part)
        ):
            raise NoRoom(
                why=_("the quota of {quota} MiB is taken by what nobody else has").format(
                    quota=quota >> 20
                ),
                fix="commons-node part policy --quota MIB",
            )
        if await self._room.refuses(realm, part, quota):
            raise NoRoom(why=_("the disk is nearly full"), fix=_("make room on the disk"))
        return await self._asking.large(realm, part, eager=True)

    def _busy(self, realm: Realm, *also: LargePart) -> frozenset[int]:
        return frozenset({*self._desk(realm).fetching, *(part.n for part in also)})

    async def refuses(self, realm: Realm, part: LargePart) -> Literal["", "quota", "disk"]:
        """Why a part that came by itself cannot be stored as things are; "" if it can."""
        return await self._room.refuses(realm, part, await self.quota(realm))

    async def elsewhere(self, realm: Realm, part: LargePart) -> bool:
        """True if a connected peer says now that it holds a part."""
        return await self._asking.elsewhere(realm, part)

    async def fetch_small(self, realm: Realm, part: SmallPart) -> bool:
        """Fetch a small part now; False if nobody has it."""
        return await self._asking.small(realm, part)
