"""Coordinators' nodes in the simulation keep the rhythm of seals, as the daemon's keeper does.

And what must hold of seals: what one has settled is never judged otherwise, and in the end all
honest nodes have the same ones in force.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from commons_crdt.authority.facts import Setting
from commons_crdt.ids import DeviceId, OperationId, RealmId
from commons_node.community import Actor, Community
from commons_node.peering.states import state_with_all
from commons_node.sealing.comparing import Comparer
from commons_node.sealing.host import BEHIND
from commons_node.store.database import fetch

if TYPE_CHECKING:
    from commons_node.testing.node import Node

_HOLLOW = (0, "contents")
_AWAITED = (0, "seal")


def constitution(seals: int) -> tuple[Setting, ...]:
    """A town's settings; ``seals``: a seal is due after so many operations, 0 for the usual."""
    due = (("seal.margin.hours", 0), ("seal.operations", seals)) if seals else ()
    return (*due, ("timezone", "UTC"))


async def keep_rhythm(node: Node) -> None:
    """What the daemon does every half minute, and after something came."""
    for community in node.communities.values():
        await node.desk.sealing.look(community)


Settled = dict[bytes, tuple[int, str]]
"""(verdict, reason) of each operation that is settled."""


async def settled(node: Node) -> Settled | None:
    """What is settled at a node, as committed; None if it dies meanwhile."""
    query = "SELECT o.id, o.verdict, o.reason FROM settled t JOIN operations o ON o.n = t.operation"
    rows = await node.run(fetch(node.realm.store.database.read, query))
    return None if rows is None else {ident: (verdict, why) for ident, verdict, why in rows}


def unsettled(name: str, before: Settled, now: Settled) -> Iterator[str]:
    """What was settled at a node and is judged otherwise now.

    Where an erasure took the bytes and was then itself cut off, they have to be fetched again: that
    is waiting, and no other verdict. So is what waits for the rest of what its seal lists, until
    that has come; back from a verdict to waiting for it, nothing goes.
    """
    for ident, verdict in before.items():
        if verdict == _AWAITED or _HOLLOW in (verdict, now.get(ident)):
            continue
        if now.get(ident) != verdict:
            yield f"{name} judges {ident.hex()[:8]} otherwise than it was settled"


def sealed_alike(
    seals: Mapping[str, Sequence[OperationId]], settled_by: Mapping[str, Settled]
) -> Iterator[str]:
    """Nodes, by name, that have other seals in force, or settled something else by them."""
    first = next(iter(seals))
    for name in seals:
        if seals[name] != seals[first]:
            yield f"{name} has other seals in force than {first}"
        elif settled_by[name] != settled_by[first]:
            yield f"{name} has settled something else than {first}"


async def folds_otherwise(node: Node) -> bool:
    """True if a node that folds what the newest seal settles comes to another state."""
    found = await node.run(Comparer().look(node.realm, node.now_ms()))
    return found is not None and found.state == "differs"


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
