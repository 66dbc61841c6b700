"""The known peers in memory, in front of the book on disk; rumours stay in memory."""

from __future__ import annotations

from collections import OrderedDict

from commons_node.peering.types import KnownPeer, PeerBook
from commons_protocol.names import NodeId
from commons_protocol.network import Address

_MOST_RUMOURS = 256


class Book:
    """Reads are instant, writes go through to the ``PeerBook``."""

    def __init__(self, book: PeerBook) -> None:
        """``load`` must follow."""
        self._book = book
        self._known: dict[NodeId, KnownPeer] = {}
        self._rumours: OrderedDict[NodeId, tuple[Address, ...]] = OrderedDict()

    async def load(self) -> None:
        """Read the book."""
        self._known = {known.node: known for known in await self._book.load()}

    def all(self) -> tuple[KnownPeer, ...]:
        """Every known peer, ascending by node id."""
        return tuple(self._known[node] for node in sorted(self._known))

    def get(self, node: NodeId) -> KnownPeer | None:
        """One known peer."""
        return self._known.get(node)

    async def save(self, peer: KnownPeer) -> None:
        """Remember, and write it down."""
        self._known[peer.node] = peer
        await self._book.save(peer)

    def hear(self, node: NodeId, addresses: tuple[Address, ...]) -> None:
        """Somebody says that a node is at these addresses."""
        self._rumours[node] = addresses[:8]
        self._rumours.move_to_end(node)
        while len(self._rumours) > _MOST_RUMOURS:
            self._rumours.popitem(last=False)

    def heard(self, node: NodeId) -> tuple[Address, ...]:
        """What is said of a node that is not known yet."""
        return self._rumours.get(node, ())

    def rumoured(self) -> tuple[NodeId, ...]:
        """Whom this node knows by hearsay only, the latest last."""
        return tuple(node for node in self._rumours if node not in self._known)
