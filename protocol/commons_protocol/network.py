"""The seam between the daemon and whatever carries its bytes: types only.

The daemon is written against `Network`; `libp2p_host` implements it, and the simulator in
`commons_node.testing` may. Nothing here opens a socket, reads a clock or knows libp2p.

A **frame** is what a `Stream` carries: at most `MAX_FRAME` bytes of payload, on the wire behind
its length as 4 bytes big-endian. The length is checked before anything is allocated.
"""

# A deadline crosses to another thread's event loop, where the caller's `asyncio.timeout` cannot
# reach:
# ruff: noqa: ASYNC109

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Literal, NewType, Protocol, runtime_checkable

from commons_crdt.texts import _

MAX_FRAME = 65536
"""Bytes of payload in one frame."""

MAX_GOSSIP = 4096
"""Bytes of payload in one gossip message."""

MAX_TOPIC = 64
"""Characters in the name of a gossip topic. Strangers see it: it is derived, never spoken."""

PeerId = NewType("PeerId", str)
"""A node on the network: the base58 form of the hash of its transport key. No member, no device."""

Address = NewType("Address", str)
"""Where a node may be reached: a multiaddr, with `/p2p/<peer id>` at the end where it is known."""

ProtocolName = NewType("ProtocolName", str)
"""A constant name such as `/commons/sync/1`. Strangers are told it: it never names a community."""

State = Literal["up", "restarting", "down"]
Refusals = MutableMapping[str, int]
"""How often what was refused. A `collections.Counter` fits; adapters only ever add to it."""


class NetworkError(Exception):
    """The network could not do this."""

    hint = "`commons-node peer list` shows the peers; the node's log says more."

    def __init__(
        self, reason: str = "", causes: Sequence[tuple[str, "NetworkError"]] = (), **gaps: object
    ) -> None:
        """``causes``: instead of a reason, what was tried (an address, or "") and how it failed."""
        super().__init__(reason)
        self._reason = reason
        self._causes = tuple(causes)
        self._gaps = gaps

    @property
    def reason(self) -> str:
        """Why, in the language of whoever reads it now."""
        if self._causes:
            tried = (f"{at}: {error.reason}" if at else error.reason for at, error in self._causes)
            return "; ".join(tried)
        reason = _(self._reason)
        return reason.format(**self._gaps) if self._gaps else reason

    def __str__(self) -> str:
        sentence = _((type(self).__doc__ or "").splitlines()[0])
        return f"{sentence} ({self.reason})" if self.reason else sentence


class Unreachable(NetworkError):
    """This peer could not be reached."""

    hint = "Check that the other node runs, and that its address is still right."


class RelayUnreachable(Unreachable):
    """The relay could not be reached."""

    hint = "`commons-node peer relay list` says how your relays are; ask who runs this one."


class RelayRefuses(Unreachable):
    """The relay does not serve this node."""

    hint = "Ask who runs it, or take another one: `commons-node peer relay add ADDRESS`."


class NotAtRelay(Unreachable):
    """This peer is not at its relay now."""

    hint = "Its node is off or has lost its place: there, `commons-node peer relay list` says why."


class Blocked(NetworkError):
    """This peer is blocked on this node."""

    hint = "`commons-node peer unblock NODE` lifts the block."


class StreamClosed(NetworkError):
    """The conversation with this peer has ended."""

    hint = "Nothing is lost: it starts again with the next round."


class FrameTooLarge(NetworkError):
    """A message is larger than peers accept."""

    hint = "Send it in parts."


class NetworkDown(NetworkError):
    """The network part of this node is not running at the moment."""

    hint = "It restarts by itself; if this stays, the node's log says why."


@dataclass(frozen=True, slots=True)
class Connected:
    """The first connection with a peer stands."""

    peer: PeerId
    address: Address


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The last connection with a peer has gone."""

    peer: PeerId


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The network came up, went down or restarts; `reason` is a sentence for the log."""

    state: State
    reason: str = ""


Event = Connected | Disconnected | StateChanged


@dataclass(frozen=True, slots=True)
class PeerConnection:
    """A connected peer. `direction` is "out" if this node dialled it, whoever dialled besides.

    `addresses` are then those that were dialled; otherwise where the peer's sockets are, which
    nobody can dial. `relayed`: no connection with it is a direct one.
    """

    addresses: tuple[Address, ...]
    direction: Literal["in", "out"]
    relayed: bool = False


@dataclass(frozen=True, slots=True)
class Reservation:
    """A place at a relay: others reach this node there for so many seconds.

    `circuit_bytes` and `circuit_s`: what one connection through it may carry; 0: no limit.
    """

    relay: PeerId
    seconds: float
    circuit_bytes: int = 0
    circuit_s: float = 0.0


@dataclass(frozen=True, slots=True)
class RelayUse:
    """What this node carries for others now; `carried` are bytes since it listens.

    `holders`: who has a place here, and would lose it with the connection.
    """

    reservations: int
    circuits: int
    carried: int
    holders: frozenset[PeerId] = frozenset()


@runtime_checkable
class Stream(Protocol):
    """A two-way conversation of frames with one authenticated peer."""

    @property
    def peer(self) -> PeerId: ...

    async def send(self, frame: bytes) -> None:
        """Hand over one frame of at most `MAX_FRAME` bytes; waits while the peer is slow.

        Raises `FrameTooLarge` (nothing was sent), `StreamClosed`, `NetworkDown`.
        """
        ...

    async def receive(self) -> bytes:
        """The next frame. Frames that arrived before the end are still given.

        Raises `StreamClosed` at the end, `FrameTooLarge` when the peer announced too much.
        """
        ...

    async def close(self) -> None:
        """Say that no more will be sent; what was sent still arrives. Never raises."""
        ...

    async def reset(self) -> None:
        """Drop both directions at once. Never raises."""
        ...


StreamHandler = Callable[[Stream], Awaitable[None]]
GossipHandler = Callable[[PeerId, bytes], None]
"""Called with the peer that signed the message (not who forwarded it) and its bytes."""


class Network(Protocol):
    """Connections, streams and gossip with other nodes. All of it on the asyncio side.

    Everything that waits may raise `NetworkDown`. Topics and blocks are kept over a restart of
    the network; connections and streams are not.
    """

    @property
    def peer_id(self) -> PeerId: ...

    @property
    def state(self) -> State: ...

    @property
    def blocked(self) -> frozenset[PeerId]: ...

    async def start(self) -> tuple[Address, ...]:
        """Listen. Gives the addresses that others can use, each ending in `/p2p/<peer id>`."""
        ...

    async def stop(self) -> None:
        """Close everything. Bounded in time; never raises."""
        ...

    async def connect(self, address: Address, timeout: float = 10.0) -> PeerId:
        """Be connected with the peer at `address` (seconds). A live connection is kept as it is.

        Raises `Unreachable`, `Blocked`.
        """
        ...

    async def connect_any(self, candidates: Sequence[Address], timeout: float = 10.0) -> PeerId:
        """Be connected with one peer, tried at its addresses one after the other."""
        ...

    async def open(self, peer: PeerId, protocol: ProtocolName, timeout: float = 10.0) -> Stream:
        """Open a stream with a connected peer. Never dials. Raises `Unreachable`, `Blocked`."""
        ...

    async def disconnect(self, peer: PeerId) -> None:
        """Close all connections with this peer."""
        ...

    async def reserve(self, relay: Address, timeout: float = 10.0) -> Reservation:
        """Take a place at a relay, or keep it longer: it may bring circuits in from then on.

        The place is lost with the connection. Raises `RelayUnreachable`, `RelayRefuses`,
        `Blocked`.
        """
        ...

    async def punch(self, peer: PeerId, timeout: float = 20.0) -> None:
        """Try a direct connection with a peer that called over a relay: both dial at once.

        Does nothing where there is one already. Raises `Unreachable`.
        """
        ...

    async def release(self, relay: PeerId) -> None:
        """Take no more circuits from this relay."""
        ...

    @property
    def relay_use(self) -> RelayUse | None:
        """What this node carries for others now; None if it is no relay, or down."""
        ...

    async def refresh(self) -> tuple[Address, ...]:
        """The machine's addresses changed: close what answers no more; where others dial now."""
        ...

    async def block(self, peer: PeerId) -> None:
        """Close all connections with this peer and refuse it in both directions from now on."""
        ...

    async def unblock(self, peer: PeerId) -> None:
        """Let this peer in again."""
        ...

    def peers(self) -> Mapping[PeerId, PeerConnection]:
        """Who is connected now."""
        ...

    def subscribe(self, topic: str, callback: GossipHandler) -> None:
        """Hear gossip on `topic` (at most `MAX_TOPIC` characters); one callback per topic."""
        ...

    def unsubscribe(self, topic: str) -> None:
        """Hear this topic no more."""
        ...

    async def publish(self, topic: str, data: bytes) -> None:
        """Send a hint of at most `MAX_GOSSIP` bytes. It may be lost. Raises `FrameTooLarge`."""
        ...
