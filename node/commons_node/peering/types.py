"""What the daemon and its peering tell each other: settings, seams, and honest answers.

Types only: nothing here opens a connection or keeps state.
"""

# A deadline is part of the outside contract (`sync wait --timeout`):

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from commons_crdt.authority.facts import Identity
from commons_crdt.errors import CommonsError
from commons_crdt.ids import OperationId, RealmId
from commons_crdt.operation import Operation
from commons_node.peering.records import Offender
from commons_protocol.about import About
from commons_protocol.applying import Application, Opened
from commons_protocol.names import NodeId
from commons_protocol.network import (
    Address,
    Event,
    Network,
    ProtocolName,
    StreamHandler,
    Unreachable,
)
from commons_protocol.status import SyncStatus

if TYPE_CHECKING:
    from commons_protocol.lan.found import FoundPeer  # at run time it would load zeroconf

MakeNetwork = Callable[[Mapping[ProtocolName, StreamHandler], Callable[[Event], None]], Network]
"""Builds the network with the handlers of inbound streams and the receiver of its events."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Times of one node, in seconds."""

    sync_interval: float = 60.0
    """Between two comparisons with a connected peer; ± a quarter of it by chance."""
    settle: float = 0.5
    """After a change, before the peers' digests are compared again."""
    first_retry: float = 1.0
    last_retry: float = 300.0
    dial_timeout: float = 10.0
    proof_timeout: float = 15.0
    round_timeout: float = 60.0
    """Silence in a round that ends the session."""
    join_timeout: float = 60.0
    joins_per_minute: int = 10
    """Attempts to join that one peer may make; the bucket holds as many."""
    offences: int = 3
    """Broken rules within ten minutes after which a peer is kept out for a while; 0: never."""
    connections: int = 64
    inbound_connections: int = 48
    """Those of ``libp2p_host.gate.Limits``: what the network lets stand."""


@dataclass(frozen=True, slots=True)
class KnownPeer:
    """A node that this one has met: where it was reached, when it last proved itself (ms, UTC)."""

    node: NodeId
    addresses: tuple[Address, ...] = ()
    blocked: bool = False
    last_seen_ms: int | None = None


class PeerBook(Protocol):
    """Where known peers outlive the daemon."""

    async def load(self) -> Sequence[KnownPeer]:
        """All known peers."""
        ...

    async def save(self, peer: KnownPeer) -> None:
        """Insert or replace a peer, durably for ``blocked``."""
        ...

    async def forget(self, node: NodeId) -> None:
        """Remove a peer."""
        ...


class RelayBook(Protocol):
    """Where the relays of a node outlive the daemon."""

    async def load_relays(self) -> Sequence[Address]:
        """Their addresses, in the order in which they were added."""
        ...

    async def save_relays(self, relays: Sequence[Address]) -> None:
        """Replace them, durably."""
        ...


class Machine(Protocol):
    """What this computer's own network looks like: `commons_protocol.lan.ThisMachine`."""

    def addresses(self) -> tuple[str, ...]:
        """All its IP addresses now, but loopback."""
        ...

    def is_near(self, ip: str) -> bool:
        """Is this address on a network that the computer is on itself?"""
        ...


@dataclass(frozen=True, slots=True)
class MemoryBook:
    """A peer book for tests and for nodes without a disk; also of relays."""

    known: dict[NodeId, KnownPeer] = field(default_factory=dict)
    relays: list[Address] = field(default_factory=list)

    async def load_relays(self) -> Sequence[Address]:
        return tuple(self.relays)

    async def save_relays(self, relays: Sequence[Address]) -> None:
        self.relays[:] = relays

    async def load(self) -> Sequence[KnownPeer]:
        return tuple(self.known.values())

    async def save(self, peer: KnownPeer) -> None:
        self.known[peer.node] = peer

    async def forget(self, node: NodeId) -> None:
        self.known.pop(node, None)


class Lan(Protocol):
    """The LAN as peering needs it: `commons_protocol.lan.LanDiscovery`, or a test's."""

    async def start(
        self,
        interfaces: Sequence[str] | None,
        port: int,
        txt: Callable[[], Mapping[str, bytes]],
        on_found: Callable[[FoundPeer], None],
        rotate_s: float = ...,
    ) -> object: ...

    async def rotate(self) -> None: ...

    async def stop(self) -> None: ...


class Admissions(Protocol):
    """What newcomers may ask of this node."""

    def find(self, invite: OperationId) -> tuple[RealmId, bytes] | None:
        """The realm and the one-time public key of an invite that stands here, spent or not."""
        ...

    async def admit(
        self,
        realm: RealmId,
        invite: OperationId,
        identity: Identity,
        possession: bytes,
        consent: bytes,
    ) -> Sequence[Operation]:
        """Let a newcomer in and give all log-0 operations, the admission among them.

        Both signatures were checked. The same identity again gets the same admission. Durable
        before it returns. Raises ``commons_protocol.joining.TurnedAwayError`` with ``expired``,
        ``spent`` or ``later`` (this node cannot admit now).
        """
        ...


class Reception(Protocol):
    """What machines of existing members may ask of this node."""

    async def look(self, name: bytes) -> Opened | None:
        """What a ticket's id, a recovery key or an old device's key opens here now."""
        ...

    async def apply(
        self, application: Application, tell: Callable[[bytes], Awaitable[None]]
    ) -> Sequence[Operation]:
        """Do what is asked, and give all log-0 operations; ``tell`` when people must act first.

        Durable before it returns. Raises ``commons_protocol.joining.TurnedAwayError``: ``waiting``
        after some time without an answer of these people, others for good.
        """
        ...


@dataclass(frozen=True, slots=True)
class Joined:
    """What a newcomer gets: the realm and all its log-0 operations, in causal order."""

    realm: RealmId
    node: NodeId
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class PeerState:
    """One line of ``peer list``. ``sync`` is the worst of the communities shared with it.

    ``realms``: the communities that are compared with it now; ``shares``: those that it has ever
    proven to be of; ``compared``: when each of them was compared last (ms, UTC). ``way``: how it
    is connected, "" if it is not. ``penalty``: why and until when it is kept out, if it is.
    ``program``: which program it said it is, since this one runs.
    """

    node: NodeId
    addresses: tuple[Address, ...]
    connected: bool
    blocked: bool
    last_seen_ms: int | None
    sync: SyncStatus
    realms: Mapping[RealmId, SyncStatus]
    shares: frozenset[RealmId] = frozenset()
    compared: Mapping[RealmId, int | None] = field(default_factory=dict)
    way: WayKind = ""
    penalty: Offender | None = None
    program: About | None = None


@dataclass(frozen=True, slots=True)
class Convergence:
    """The answer of ``sync wait``: converged if a fresh round with each peer ended equal."""

    converged: bool
    seconds: float
    peers: Mapping[NodeId, str]
    """The state of each peer that was waited for: a ``status.State``."""


class NotJoined(CommonsError):
    """Nobody let you in: {why}."""

    code = "join"
    hint = "Ask a member of the community whether the invite still stands."

    def __init__(self, why: str, turned: str = "") -> None:
        """``turned`` is the code that the node gave, if it gave one."""
        super().__init__(why=why)
        self.turned = turned


class InTurn(Unreachable):
    """There is no place for this peer now: it is met in turn."""


class UnknownPeer(CommonsError):
    """There is no node {node} that this one knows."""

    code = "peer"
    hint = "`commons-node peer list` shows those that it knows."
    status = "not_found"


WayKind = Literal["", "lan", "direct", "relayed"]
ChangeKind = Literal["peer", "sync", "network"]
OnChange = Callable[[ChangeKind, str], None]
"""Told when a peer or a sync state changed (node id) or the network did (its state)."""
