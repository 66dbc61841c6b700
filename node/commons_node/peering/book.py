"""The known peers in memory, in front of the book on disk; rumours stay in memory."""

from __future__ import annotations

from collections import OrderedDict

from commons_node.peering.types import KnownPeer, PeerBook
from commons_protocol.names import NodeId
from commons_protocol.network import Address

MOST_RUMOURS = 256
MOST_KNOWN = 4096
"""Peers that are remembered. One member's node may show itself under as many transport keys as it
likes, and each would be dialled for ever."""


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

    def surplus(self) -> list[NodeId]:
        """Who is to be forgotten, the longest unseen first; nobody who is blocked."""
        if len(self._known) <= MOST_KNOWN:
            return []
        free = [known for known in self._known.values() if not known.blocked]
        free.sort(key=lambda known: (known.last_seen_ms or 0, known.node))
        return [known.node for known in free[: len(self._known) - MOST_KNOWN]]

    async def forget(self, node: NodeId) -> None:
        """Know this peer no more."""
        self._known.pop(node, None)
        await self._book.forget(node)

    def hear(self, node: NodeId, addresses: tuple[Address, ...]) -> None:
        """Somebody says that a node is at these addresses."""
        self._rumours[node] = addresses[:8]
        self._rumours.move_to_end(node)
        while len(self._rumours) > MOST_RUMOURS:
            self._rumours.popitem(last=False)

    def heard(self, node: NodeId) -> tuple[Address, ...]:
        """What is said of a node that is not known yet."""
        return self._rumours.get(node, ())

    def rumoured(self) -> tuple[NodeId, ...]:
        """Whom this node knows by hearsay only, the latest last."""
        return tuple(node for node in self._rumours if node not in self._known)
