"""What a keeper of seals asks of the daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commons_crdt.ids import DeviceId, MemberId, RealmId
from commons_node.community import Actor, Community
from commons_node.peering.states import state_with_all

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

BEHIND = frozenset({"unknown", "behind", "syncing"})
"""States in which a peer that is here may still bring something."""


class AtDaemon:
    """A ``Host`` of the keeper."""

    def __init__(self, daemon: Daemon) -> None:
        """``daemon`` may not have started yet."""
        self._daemon = daemon

    def now_ms(self) -> int:
        """The machine's clock."""
        return self._daemon.now_ms()

    async def _seats(self, community: Community) -> dict[MemberId, DeviceId]:
        """The coordinators whose keys are kept here, those first who are unlocked."""
        seats = dict(community.realm.judge.authority.council.seats)
        here = await self._daemon.store.members()
        own = [m for m, r in here.items() if r == community.realm.realm and m in seats]
        own.sort(key=lambda m: self._daemon.sessions.holding(m.hex()) is None)
        return {member: seats[member] for member in own}

    async def endorsing_device(self, community: Community) -> DeviceId | None:
        """See ``Host``; which of a member's devices is here shows only when it is unlocked."""
        return next(iter((await self._seats(community)).values()), None)

    async def endorser(self, community: Community, device: DeviceId) -> Actor | None:
        """See ``Host``."""
        if not self._daemon.may_sign(community.realm.realm):
            return None
        for member, key in (await self._seats(community)).items():
            unlocked = self._daemon.sessions.holding(member.hex())
            if unlocked is not None and key == device:
                actor = await community.actor(unlocked)
                return actor if actor.device == device else None
        return None

    def in_step(self, realm: RealmId) -> bool:
        """See ``Host``."""
        sync = state_with_all(realm, self._daemon.peering.peers())
        return sync is None or sync.state not in BEHIND
