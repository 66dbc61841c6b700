"""A member at the command line of their own node: the product's verbs, on a simulated machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from commons_crdt.errors import CommonsError
from commons_crdt.ids import DeviceId
from commons_node.community import Actor, Community
from commons_node.domains import DOMAINS, RULES
from commons_node.keystore.sessions import Locked
from commons_node.parts.keeper import PartsKeeper
from commons_node.realm.realm import Realm
from commons_node.registry import Command, Request, merge
from commons_node.sealing.keeper import Keeper
from commons_node.testing.disk import PowerLost
from commons_node.testing.sealers import AtSimulatedNode

if TYPE_CHECKING:
    from commons_node.testing.node import Node

VERBS = merge([domain.verbs for domain in DOMAINS])


class Desk:
    """What verbs ask of the daemon, answered by a node whose member is always unlocked."""

    def __init__(self, node: Node) -> None:
        """The node may be dead by the time that a verb is run."""
        self._node = node
        self.sealing = Keeper(AtSimulatedNode(node))

    def now_ms(self) -> int:
        """The node's clock."""
        return self._node.now_ms()

    async def community(self, _request: Request[Any]) -> Community:
        """The only one."""
        return self._node.community

    async def actor(self, _request: Request[Any], _community: Community) -> Actor:
        """The member, as long as they stand."""
        actor = self._node.actor()
        if actor is None:
            raise Locked
        return actor

    rules = RULES

    @property
    def parts(self) -> PartsKeeper:
        """What fetches photos."""
        return self._node.parts

    async def refresh(self, realm: Realm) -> None:
        """Log 0 grew."""
        await self._node.refresh(realm)

    def node_of(self, _community: Community, _member: bytes, _device: bytes) -> DeviceId | None:
        """Nobody asks in a simulation."""
        return None

    async def do(self, name: str, /, **arguments: object) -> Mapping[str, object] | None:
        """Run a command in the member's name; None where it is refused, or the node dies."""
        verb = VERBS.command(name)
        assert isinstance(verb, Command), name
        try:
            return await verb.run(cast("Any", Request(self)), verb.args(**arguments))
        except (CommonsError, PowerLost):
            return None
