"""What is remembered of peers beside where they are: shared communities, and who broke rules.

In memory, with the daemon's file behind it. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from commons_crdt.ids import RealmId
from commons_protocol.names import NodeId


class Share(NamedTuple):
    """A peer has proven to be of this realm; ``compared_ms``: when they last compared (UTC)."""

    node: NodeId
    realm: RealmId
    compared_ms: int | None


@dataclass(frozen=True, slots=True)
class Offender:
    """A node (by its id), or a device (64 hex digits), that this node has kept out.

    Or a member (64 hex digits), of whom one node after the other was. ``node``: as which node it
    was met then. ``times``: how often in a row; ``until_ms``: until when
    (UTC); ``why``: the last code.
    """

    subject: str
    node: str
    times: int
    until_ms: int
    why: str


class PeerRecords(Protocol):
    """Where this outlives the daemon."""

    async def shares(self) -> Sequence[Share]:
        """All of them."""
        ...

    async def save_share(self, share: Share) -> None:
        """Insert or replace."""
        ...

    async def forget_shares(self, node: NodeId) -> None:
        """This peer is known no more."""
        ...

    async def offenders(self) -> Sequence[Offender]:
        """All of them."""
        ...

    async def save_offender(self, offender: Offender) -> None:
        """Insert or replace, durably."""
        ...

    async def forget_offender(self, subject: str) -> None:
        """Remove, durably."""
        ...


@dataclass(slots=True)
class MemoryRecords:
    """Records for tests and for nodes without a disk."""

    shared: dict[tuple[NodeId, RealmId], Share] = field(default_factory=dict)
    kept_out: dict[str, Offender] = field(default_factory=dict)

    async def shares(self) -> Sequence[Share]:
        return tuple(self.shared.values())

    async def save_share(self, share: Share) -> None:
        self.shared[share.node, share.realm] = share

    async def forget_shares(self, node: NodeId) -> None:
        for key in [key for key in self.shared if key[0] == node]:
            del self.shared[key]

    async def offenders(self) -> Sequence[Offender]:
        return tuple(self.kept_out.values())

    async def save_offender(self, offender: Offender) -> None:
        self.kept_out[offender.subject] = offender

    async def forget_offender(self, subject: str) -> None:
        self.kept_out.pop(subject, None)


class Shares:
    """Which communities each known peer is of, as it has proven here. Reads are instant."""

    def __init__(self, records: PeerRecords) -> None:
        """``load`` must follow."""
        self._records = records
        self._known: dict[NodeId, dict[RealmId, int | None]] = {}

    async def load(self) -> None:
        """Read all."""
        for node, realm, compared_ms in await self._records.shares():
            self._known.setdefault(node, {})[realm] = compared_ms

    def of(self, node: NodeId) -> frozenset[RealmId]:
        """The realms that it is known to be of."""
        return frozenset(self._known.get(node, ()))

    def compared(self, node: NodeId, realm: RealmId) -> int | None:
        """When they last compared."""
        return self._known.get(node, {}).get(realm)

    async def proven(self, node: NodeId, realm: RealmId) -> None:
        """It has proven to be of this realm; written down once."""
        known = self._known.setdefault(node, {})
        if realm not in known:
            known[realm] = None
            await self._records.save_share(Share(node, realm, None))

    def ended(self, node: NodeId, realm: RealmId, now: int) -> None:
        """A comparison ended; written down when the conversation is over."""
        self._known.setdefault(node, {})[realm] = now

    async def write(self, node: NodeId) -> None:
        """The conversation is over."""
        for realm, compared_ms in tuple(self._known.get(node, {}).items()):
            await self._records.save_share(Share(node, realm, compared_ms))

    async def forget(self, node: NodeId) -> None:
        """It is known no more."""
        if self._known.pop(node, None) is not None:
            await self._records.forget_shares(node)
