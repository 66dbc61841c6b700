"""Which communities this node keeps in step: one may be paused, and what it holds let go.

A paused community is neither proven nor served, nobody is let in through this node, and nothing is
written in it: to its peers this node is one that shares nothing, which is true. What is here can
still be read. Letting go keeps log 0 (who may do what, and this node's own standing) and fetches
the rest again after ``resume``; nothing goes that nobody else is seen to hold.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, ClassVar

import msgspec
import structlog

from commons_crdt.errors import CommonsError
from commons_crdt.ids import RealmId
from commons_crdt.texts import _
from commons_node.community import Community
from commons_node.peering.states import state_with_all
from commons_node.store.large_parts import LargePart

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

log = structlog.get_logger(component="keeping")

_PAUSED, _FREED = "paused", "freed"


class Paused(CommonsError):
    """This node has paused the community: what is written now would reach nobody."""

    code: ClassVar[str] = "paused"
    hint: ClassVar[str] = "commons-node community resume"
    status = "locked"


class NotSafe(CommonsError):
    """Nothing is let go: {why}."""

    code: ClassVar[str] = "last_copy"
    hint: ClassVar[str] = "connect to a node that keeps everything: commons-node sync wait"


class Keeping:
    """One for a daemon; ``load`` must follow before realms are opened."""

    def __init__(self, daemon: Daemon) -> None:
        """Everything is kept."""
        self._daemon = daemon
        self.paused: set[RealmId] = set()
        self.freed: set[RealmId] = set()
        """Of which the own newest operations may not be here: nothing is signed before a peer with
        the same set was met."""

    async def load(self) -> None:
        """What was chosen before."""
        for name, chosen in ((_PAUSED, self.paused), (_FREED, self.freed)):
            stored = await self._daemon.store.setting(name)
            listed = msgspec.json.decode(stored or "[]", type=list[str])
            chosen.update(RealmId(bytes.fromhex(one)) for one in listed)

    async def _save(self) -> None:
        for name, chosen in ((_PAUSED, self.paused), (_FREED, self.freed)):
            listed = sorted(realm.hex() for realm in chosen)
            await self._daemon.store.set(name, msgspec.json.encode(listed).decode())

    def kept(self) -> list[Community]:
        """The communities that are in step with others."""
        found = self._daemon.communities.items()
        return [community for realm, community in found if realm not in self.paused]

    async def pause(self, community: Community, *, free: bool) -> int:
        """Keep out of a community from now on, durably; how many operations were let go.

        Raises ``NotSafe``; nothing has changed then.
        """
        realm = community.realm.realm
        if free:
            await self._others_have_it(community)
        self.paused.add(realm)
        await self._save()
        await self._daemon.peering.let_go(realm)
        return await self._let_go(community) if free else 0

    async def _others_have_it(self, community: Community) -> None:
        """Raise ``NotSafe`` unless somebody who is here holds all that would go."""
        daemon, held = self._daemon, community.realm
        if held.realm in self.paused:
            raise NotSafe(why=_("it is paused, so nobody can be asked; resume it first"))
        sync = state_with_all(held.realm, daemon.peering.peers())
        if sync is None or sync.state != "synced":
            raise NotSafe(why=_("no node that is connected is known to hold all that is here"))
        if (await held.store.waiting_count()).values():
            raise NotSafe(why=_("something here waits for others, and is nowhere else perhaps"))
        own = await held.store.large.parts("l.own AND l.whole")
        for part in own:
            if held.parts.wants(part) and not await self._elsewhere(community, part):
                raise NotSafe(why=_("a photo that was added here is nowhere else yet"))

    async def _elsewhere(self, community: Community, part: LargePart) -> bool:
        return await self._daemon.parts.elsewhere(community.realm, part)

    async def _let_go(self, community: Community) -> int:
        """Replace the file by one with log 0 alone; a crash leaves the one or the other whole."""
        daemon, held = self._daemon, community.realm
        realm = held.realm
        path = held.store.database.path
        log_0 = [operation for _, operation in await held.store.everything("c.log = 0")]
        usage = await held.store.outside.count()
        self.freed.add(realm)
        await self._save()  # before anything is gone: who starts again signs nothing by mistake
        fresh = path.with_name(f"{path.stem}.new")
        fresh.unlink(missing_ok=True)
        made = await daemon.make_realm(realm, fresh)
        try:
            await made.ingest(log_0, "kept")
            left = await made.store.outside.count()
        finally:
            await made.close()
        await daemon.forget(community)
        os.replace(fresh, path)  # noqa: PTH105 - atomic, and said so
        await asyncio.to_thread(_sync_folder, str(path.parent))
        await daemon.reopen(realm)
        log.info("let_go", community=community.id[:8], operations=usage - left)
        return usage - left

    async def resume(self, community: Community) -> None:
        """Be in step again: what is missing is fetched."""
        self.paused.discard(community.realm.realm)
        await self._save()
        self._daemon.peering.refresh()
        self._daemon.spawn(self._daemon.learn_own_tips())

    async def met(self, realm: RealmId) -> None:
        """A peer held the same set: the own newest operations are here."""
        if realm in self.freed:
            self.freed.discard(realm)
            await self._save()


def _sync_folder(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
