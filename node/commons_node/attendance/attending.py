"""The member's side: tokens for the own check-ins, carried to the node of the space when it is met.

A token is made while the member is unlocked, and waits in memory alone; what was lost is made again
the next time. It is brought again until its tag stands in the community.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from commons_crdt.errors import CommonsError, Refused
from commons_crdt.ids import DeviceId, DocumentId, RealmId
from commons_crdt.ring import sign_ring, tag_of
from commons_node.attendance.desk import KEEP_DAYS, Desk
from commons_node.attendance.rings import keys_of, ring_with
from commons_node.community import Community, device_of
from commons_node.domains.own.entries import Blank, CheckedIn, Regained
from commons_node.domains.spaces.finding import any_space, space_of, written_tags
from commons_node.keystore.unlocked import Unlocked
from commons_node.own.doors import look_at_doors
from commons_node.own.realms import DAY_MS, OwnRealm
from commons_node.own.regaining import regain
from commons_protocol.attendance import (
    MIN_RING,
    Answer,
    Token,
    encode_token,
    message_of,
    scope_of,
)
from commons_protocol.network import NetworkError, PeerId
from commons_protocol.venue import DAY_SLOTS

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

log = structlog.get_logger(component="attendance")
_AGAIN_MS = 600_000
_KEEP_MS = KEEP_DAYS * DAY_MS


@dataclass(slots=True)
class _Waiting:
    """A token to be brought: for which space, and when next (ms, UTC)."""

    token: Token
    next_ms: int = 0


class Attending:
    """One for a daemon, with the desk for what others bring."""

    def __init__(self, daemon: Daemon) -> None:
        """Nothing waits."""
        self._daemon = daemon
        self.desk = Desk(daemon)
        self._waiting: dict[bytes, _Waiting] = {}
        self._blanked: set[tuple[str, int]] = set()
        self._bringing = asyncio.Lock()
        self._greeting = asyncio.Lock()

    async def brought(self, data: bytes) -> Answer:
        """A peer brings a token."""
        return await self.desk.take(data)

    async def tick(self) -> None:
        """Now and then, and when somebody was met: bring what waits, write what is enough."""
        await self.desk.release()
        await self.bring()
        await self._knock()

    async def _knock(self) -> None:
        """For whoever is unlocked and not in an own realm yet: the other machine may be there.

        Or there was no room to write all of a lost one anew.
        """
        daemon = self._daemon
        for member, home in (await daemon.store.members()).items():
            unlocked = daemon.sessions.holding(member.hex())
            community = daemon.communities.get(home)
            if unlocked is None or community is None:
                continue
            if not daemon.own.inside(unlocked) or daemon.own.owes(unlocked):
                await self.unlocked(community, unlocked)

    # -- the own check-ins -----------------------------------------------------------------------

    async def unlocked(self, community: Community, unlocked: Unlocked) -> None:
        """A member is here: forget what is old, make tokens, and an entry that says nothing.

        Only where the community has spaces. The blank entry makes a day with a check-in look like
        any other on which the member was here.
        """
        try:
            if not await any_space(community):
                return
            async with self._greeting:  # two at once would go in by two devices, or write twice
                if not await look_at_doors(self._daemon, community, unlocked):
                    return
                if self._daemon.own.awaits_door(unlocked):
                    return
                own = await self._daemon.own.make(unlocked)
                await regain(self._daemon, unlocked, own, self._daemon.now_ms() - _KEEP_MS)
            await forget_old(own, self._daemon.now_ms())
            today = (unlocked.member, self._daemon.now_ms() // DAY_MS)
            if today not in self._blanked:
                self._blanked.add(today)
                await own.write(Blank(self._daemon.now_ms()))
            await self.attend(community, unlocked, own)
        except (CommonsError, KeyError, OSError, sqlite3.Error) as error:  # locked, or not now
            log.info("own_realm", why=str(error) or repr(error))

    async def attend(self, community: Community, unlocked: Unlocked, own: OwnRealm) -> None:
        """Make tokens for check-ins that do not count yet, and bring what can be brought.

        One that a lost machine has made is not told again: this device's tag would be another.
        """
        realm, now = community.realm.realm, self._daemon.now_ms()
        keys = await keys_of(community.realm)
        device = device_of(unlocked)
        key = device.keys.signing
        entries = await own.entries()
        regained = {one.entry.checkin for one in entries if isinstance(one.entry, Regained)}
        for opened in entries:
            entry = opened.entry
            if not isinstance(entry, CheckedIn) or entry.community != realm:
                continue
            if entry.at_ms + _KEEP_MS < now or entry.id in regained or key not in keys.values():
                continue
            space = DocumentId(entry.space)
            scope = scope_of(realm, space, entry.slot)
            tag = tag_of(device.signing, scope)
            before = self._waiting.get(tag)
            known = await written_tags(community, space, entry.slot // DAY_SLOTS)
            if known.get(tag, -1) >= entry.slot:
                continue
            if before is not None and before.token.slot >= entry.slot:
                continue
            ring = ring_with(key, keys, scope)
            if len(ring) < MIN_RING:
                continue  # too few to hide among; tried again when more are known
            signature = await asyncio.to_thread(
                sign_ring,
                message_of(realm, space, entry.slot), scope, ring, device.signing, os.urandom,
            )  # fmt: skip
            token = Token(1, realm, space, entry.slot, entry.code, ring, signature)
            self._waiting[tag] = _Waiting(token)
        await self.bring()

    # -- bringing --------------------------------------------------------------------------------

    async def bring(self) -> None:
        """Bring every token whose space's node is here or connected."""
        async with self._bringing:
            for tag in list(self._waiting):
                await self._bring(tag)

    async def _bring(self, tag: bytes) -> None:
        waiting, now = self._waiting[tag], self._daemon.now_ms()
        token = waiting.token
        realm, space = RealmId(token.realm), DocumentId(token.space)
        community = self._daemon.communities.get(realm)
        old = token.slot // DAY_SLOTS < now // DAY_MS - KEEP_DAYS
        if community is None or old:
            del self._waiting[tag]
            return
        known = await written_tags(community, space, token.slot // DAY_SLOTS)
        if known.get(tag, -1) >= token.slot:
            del self._waiting[tag]
            return
        found = await space_of(community, space)
        if found is None or found.node is None or now < waiting.next_ms:
            return
        answer = await self._hand(realm, found.node, encode_token(token))
        if answer == "refused":
            del self._waiting[tag]
        elif answer == "taken":
            waiting.next_ms = now + _AGAIN_MS

    async def _hand(self, realm: RealmId, venue: DeviceId, token: bytes) -> Answer:
        own = self._daemon.standing.device(realm)
        if own is not None and own.keys.id == venue:
            return await self.desk.take(token)
        peer = self._peer(realm, venue)
        if peer is None:
            return "later"
        try:
            return await self._daemon.peering.tokens.bring(peer, token)
        except (NetworkError, Refused, TimeoutError):
            return "later"

    def _peer(self, realm: RealmId, device: DeviceId) -> PeerId | None:
        """Who has proven to be this device, and is here."""
        for peer, talk in self._daemon.peering.talks.now.items():
            if talk.session.devices.get(realm) == device:
                return peer
        return None


async def forget_old(own: OwnRealm, now_ms: int) -> None:
    """Erase entries of this device that are older than two weeks, on all machines."""
    old = [one.operation for one in await own.entries()
           if one.own and one.entry.at_ms + _KEEP_MS < now_ms]  # fmt: skip
    await own.erase(old)
