"""Coordinators' nodes in the simulation keep the rhythm of seals, as the daemon's keeper does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commons_crdt.ids import DeviceId, RealmId
from commons_node.community import Actor, Community
from commons_node.peering.states import state_with_all
from commons_node.sealing.host import BEHIND

if TYPE_CHECKING:
    from commons_node.testing.node import Node


class AtSimulatedNode:
    """A ``Host`` of the keeper: the node's member is always unlocked."""

    def __init__(self, node: Node) -> None:
        """The node may be dead by the time that something is asked."""
        self._node = node

    def now_ms(self) -> int:
        """The node's clock."""
        return self._node.now_ms()

    async def endorsing_device(self, community: Community) -> DeviceId | None:
        """See ``Host``."""
        seats = dict(community.realm.judge.authority.council.seats)
        return seats.get(self._node.member)

    async def endorser(self, _community: Community, device: DeviceId) -> Actor | None:
        """See ``Host``."""
        actor = self._node.actor()
        return actor if actor is not None and actor.device == device else None

    def in_step(self, realm: RealmId) -> bool:
        """See ``Host``."""
        sync = state_with_all(realm, self._node.peering.peers())
        return sync is None or sync.state not in BEHIND
