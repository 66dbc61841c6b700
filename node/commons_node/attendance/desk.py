"""The venue's side: what was brought waits in memory until it is enough, then is written.

Fewer than five of a day are never written, and nothing here knows who brought one. What waits is
lost with the process: whoever brought it sees that it does not stand, and brings it again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from commons_crdt.author import Draft
from commons_crdt.errors import CommonsError, Refused
from commons_crdt.ids import DocumentId, OperationId, RealmId
from commons_crdt.ring import verify_ring
from commons_node.attendance.rings import keys_of
from commons_node.community import Community
from commons_node.domains.spaces.facts import ATTENDANCE, Attendance
from commons_node.domains.spaces.finding import space_of, written_tags
from commons_protocol.attendance import (
    MIN_RING,
    Answer,
    Token,
    decode_token,
    message_of,
    scope_of,
)
from commons_protocol.venue import DAY_SLOTS, SLOT_MS, VenueCode, slot_of

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

KEEP_DAYS = 14
"""How late a token may come, and how long a check-in is kept."""
_MOST_WAITING = 2000
Day = tuple[RealmId, DocumentId, int]


class Desk:
    """One for a daemon."""

    def __init__(self, daemon: Daemon) -> None:
        """Nothing waits."""
        self._daemon = daemon
        self._waiting: dict[Day, dict[bytes, Token]] = {}
        self._due: dict[Day, int] = {}
        self._writing = asyncio.Lock()

    async def take(self, data: bytes) -> Answer:
        """What a token is worth here: ``taken``, ``refused`` for good, or ``later``."""
        try:
            token = decode_token(data)
        except Refused:
            return "refused"
        realm, space = RealmId(token.realm), DocumentId(token.space)
        community = self._daemon.communities.get(realm)
        if community is None or community not in self._daemon.kept():
            return "later"
        found = await space_of(community, space)
        device = self._daemon.standing.device(realm)
        if found is None or device is None or found.node != device.keys.id:
            return "later"
        code = VenueCode(token.slot, token.space[:4], token.code)
        now = slot_of(self._daemon.now_ms())
        timely = now - KEEP_DAYS * DAY_SLOTS <= token.slot <= now + 1
        if not timely or not code.fits(realm, space, device.keys.signing):
            return "refused"
        known = frozenset((await keys_of(community.realm)).values())
        if not known.issuperset(token.ring):
            return "later"
        if list(token.ring) != sorted(set(token.ring)) or not await _signed(token):
            return "refused"
        day = (realm, space, token.slot // DAY_SLOTS)
        waiting = self._waiting.setdefault(day, {})
        before = waiting.get(token.signature.tag)
        if before is None and sum(map(len, self._waiting.values())) >= _MOST_WAITING:
            return "later"
        if before is None or before.slot < token.slot:
            waiting[token.signature.tag] = token
        await self.release()
        return "taken"

    async def release(self) -> None:
        """Write what is enough, and what has waited to the end of its slot beside others."""
        async with self._writing:
            for day in list(self._waiting):
                await self._release(day)

    async def _release(self, day: Day) -> None:
        realm, space, number = day
        now = self._daemon.now_ms()
        community = self._daemon.communities.get(realm)
        if community is None or number < slot_of(now) // DAY_SLOTS - KEEP_DAYS:
            del self._waiting[day]
            return
        known = await written_tags(community, space, number)
        waiting = {
            tag: token
            for tag, token in self._waiting[day].items()
            if known.get(tag, -1) < token.slot
        }
        self._waiting[day] = waiting
        if not waiting:
            self._waiting.pop(day)
            self._due.pop(day, None)
            return
        if len(known.keys() | waiting.keys()) < MIN_RING:
            return
        if len(known) >= MIN_RING:  # one more alone would show when somebody came
            due = self._due.setdefault(day, (slot_of(now) + 1) * SLOT_MS)
            if now < due:
                return
        if await self._write(community, space, waiting):
            self._waiting.pop(day)
            self._due.pop(day, None)

    async def _write(
        self, community: Community, space: DocumentId, tokens: dict[bytes, Token]
    ) -> bool:
        """In the order of their tags, which says nothing of when they came."""
        realm = community.realm
        device, credential = self._daemon.standing.device(realm.realm), realm.own_credential
        if device is None or credential is None or not self._daemon.may_sign(realm.realm):
            return False
        drafts = [
            Draft.fact(
                ATTENDANCE,
                Attendance(token.slot, token.ring, token.signature),
                document=space,
                refs=[OperationId(space)],
            )
            for _, token in sorted(tokens.items())
        ]
        try:
            await realm.write(drafts, device, credential.grant)
        except CommonsError:  # too much for now, no room, cut off: it is tried again
            return False
        return True


async def _signed(token: Token) -> bool:
    realm, space = RealmId(token.realm), DocumentId(token.space)
    message = message_of(realm, space, token.slot)
    scope = scope_of(realm, space, token.slot)
    return await asyncio.to_thread(verify_ring, message, scope, token.ring, token.signature)
