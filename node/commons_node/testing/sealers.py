"""Coordinators' nodes in the simulation keep the rhythm of seals, as the daemon's keeper does.

And what must hold of seals: what one has settled is never judged otherwise, and in the end all
honest nodes have the same ones in force.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from commons_crdt.authority.facts import Setting
from commons_crdt.ids import DeviceId, RealmId
from commons_node.community import Actor, Community
from commons_node.peering.states import state_with_all
from commons_node.sealing.host import BEHIND

if TYPE_CHECKING:
    from commons_node.testing.node import Node


def constitution(seals: int) -> tuple[Setting, ...]:
    """A town's settings; ``seals``: a seal is due after so many operations, 0 for the usual."""
    due = (("seal.margin.hours", 0), ("seal.operations", seals)) if seals else ()
    return (*due, ("timezone", "UTC"))


async def keep_rhythm(node: Node) -> None:
    """What the daemon does every half minute, and after something came."""
    for community in node.communities.values():
        await node.desk.sealing.look(community)


def settled(node: Node) -> dict[bytes, tuple[int, str]]:
    """(verdict, reason) of what a node says is settled."""
    query = "SELECT o.id, o.verdict, o.reason FROM settled t JOIN operations o ON o.n = t.operation"
    return {ident: (verdict, reason) for ident, verdict, reason in node.disk.rows(query)}


def unsettled(node: Node, before: dict[bytes, tuple[int, str]]) -> Iterator[str]:
    """What was settled at a node and is judged otherwise now; ``before`` learns what is new."""
    now = settled(node)
    for ident, verdict in before.items():
        if now.get(ident) != verdict:
            yield f"{node.name} judges {ident.hex()[:8]} otherwise than it was settled"
    before.update(now)


def sealed_alike(nodes: Sequence[Node]) -> Iterator[str]:
    """Nodes that do not have the same seals in force, or settled something else by them."""
    first = nodes[0]
    seals = [one.seal for one in first.realm.judge.seals()]
    for node in nodes[1:]:
        if [one.seal for one in node.realm.judge.seals()] != seals:
            yield f"{node.name} has other seals in force than {first.name}"
        elif settled(node) != settled(first):
            yield f"{node.name} has settled something else than {first.name}"


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
