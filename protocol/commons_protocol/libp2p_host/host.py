"""One life of the libp2p host, inside the trio thread: connections, streams, gossip.

It holds what dies with the trio run; what outlives it (topics, blocks, addresses) is given to it
by `network.Libp2pNetwork`. Of libp2p's own services a stranger finds identify (our version, our
addresses, the constant protocol names; no community), ping and GossipSub. mDNS, DHT, rendezvous,
relays and asking others for their identity stay off.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import trio
from libp2p.abc import INetConn, INetStream, INetwork, INotifee
from libp2p.custom_types import TProtocol
from libp2p.host.basic_host import BasicHost
from libp2p.host.ping import ID as PING
from libp2p.identity.identify_push.identify_push import ID_PUSH
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStore
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator
from libp2p.rcmgr import Direction
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # ships no types

from commons_protocol.libp2p_host.bridge import Bridge, shielded
from commons_protocol.libp2p_host.gate import Gate, Limits
from commons_protocol.libp2p_host.gossip import Deliver, GatedPubsub
from commons_protocol.libp2p_host.identity import id_of, keys_of
from commons_protocol.libp2p_host.listening import check_free, dialable
from commons_protocol.libp2p_host.muxer import (
    BoundedYamux,
    GatedUpgrader,
    OwnAddressError,
    PeerIsBlockedError,
)
from commons_protocol.libp2p_host.streams import FrameStream, TrioHalf
from commons_protocol.libp2p_host.swarm import GatedSwarm, close_now, running
from commons_protocol.network import (
    Address,
    Blocked,
    NetworkDown,
    PeerConnection,
    PeerId,
    ProtocolName,
    Unreachable,
)


class Front(Protocol):
    """What the host tells the asyncio side; called in the asyncio loop."""

    def connection_changed(self, peer: PeerId, connection: PeerConnection | None) -> None: ...

    def stream_opened(self, protocol: ProtocolName, stream: FrameStream) -> None: ...


@dataclass(frozen=True, slots=True)
class Wiring:
    """What one life of the host is made of."""

    seed: bytes
    listen: Sequence[Multiaddr]
    protocols: Sequence[ProtocolName]
    gate: Gate
    bridge: Bridge
    front: Front
    deliver: Deliver


class _GuardedHost(BasicHost):
    """No stream handler, ours or libp2p's, ends the host; no stranger's identity is asked for."""

    gate: Gate

    async def _swarm_stream_handler(self, net_stream: INetStream) -> None:
        try:
            await super()._swarm_stream_handler(net_stream)
        except Exception as error:
            if not isinstance(error, StreamEOF):
                self.gate.refuse("stream")
            with shielded(1), suppress(Exception):
                await net_stream.reset()

    def _schedule_identify(self, peer_id: ID, *, reason: str) -> None:
        # It would store addresses that strangers claim, from a task whose failure ends the run.
        del peer_id, reason


class Host:
    """The running host. `run` first; all methods in the trio thread."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._gate = wiring.gate
        self._limits: Limits = wiring.gate.limits
        keys = keys_of(wiring.seed)
        self.id = ID.from_pubkey(keys.public_key)
        peerstore = PeerStore()
        peerstore.add_key_pair(self.id, keys)
        self._swarm = GatedSwarm(self.id, peerstore, GatedUpgrader(keys, self._gate), self._gate)
        self._host = _GuardedHost(
            self._swarm,
            negotiate_timeout=int(self._limits.handshake_s),
            disable_identify_address_discovery=True,
        )
        self._host.gate = self._gate
        self._host.remove_stream_handler(ID_PUSH)
        for protocol in wiring.protocols:
            self._host.set_stream_handler(TProtocol(protocol), _Inbound(self, protocol).serve)
        self._pubsub = GatedPubsub(self._host, self._gate, wiring.deliver)
        self._swarm.register_notifee(_Watch(self))
        self._halves: dict[TrioHalf, PeerId] = {}
        self._dials: dict[str, trio.Lock] = {}
        self._topics: frozenset[str] = frozenset()
        self._topics_lock = trio.Lock()
        self._nursery: trio.Nursery | None = None
        self._closing = trio.Event()

    async def run(self, nursery: trio.Nursery) -> tuple[Address, ...]:
        """Listen and serve in `nursery`; gives the addresses that others can dial."""
        self._nursery = nursery
        addresses: tuple[Address, ...] = await nursery.start(self._serve)
        nursery.start_soon(self._close_before_cancelling)
        return addresses

    async def _close_before_cancelling(self) -> None:
        """A cancelled libp2p leaves its sockets open: it is told to close while it still runs."""
        try:
            await trio.sleep_forever()
        finally:
            self._closing.set()

    async def _serve(self, task_status: Any) -> None:
        refuse = self._gate.refuse
        with trio.CancelScope() as scope:
            async with AsyncExitStack() as stack:
                # libp2p leaves the thread of this cache running.
                stack.callback(self._pubsub.seen_messages.stop)
                for address in self._wiring.listen:
                    await check_free(address)
                await stack.enter_async_context(running(self._swarm, refuse))
                if self._swarm._resource_manager is None:
                    raise NetworkDown("libp2p has no resource manager")
                await self._swarm.listen(*self._wiring.listen)
                if len(self._swarm.listeners) != len(set(map(str, self._wiring.listen))):
                    raise NetworkDown("an address could not be listened on")
                await stack.enter_async_context(running(self._pubsub.gossip_router, refuse))
                await stack.enter_async_context(running(self._pubsub, refuse))
                await self._pubsub.wait_until_ready()
                stack.push_async_callback(self._close)
                scope.shield = True
                task_status.started(dialable(self.bound(), PeerId(str(self.id))))
                await self._closing.wait()

    async def _close(self) -> None:
        with shielded(3):
            async with trio.open_nursery() as nursery:
                for conn in self._swarm.get_connections():
                    nursery.start_soon(close_now, conn)
            with suppress(Exception):
                await self._host.close()

    def bound(self) -> tuple[str, ...]:
        """The addresses as bound, with real ports, for the next life to bind again."""
        return tuple(map(str, self._host.get_transport_addrs()))

    # --- connections ---

    async def connect(self, address: Multiaddr, expected: PeerId | None) -> PeerId:
        """Dial one address, unless the connection that this would give is there and alive."""
        peer = id_of(expected) if expected else None
        async with self._dialling(expected or str(address)):
            for conn in self._connections(peer, address):
                if await self._alive(conn):
                    return _peer_of(conn)
                await close_now(conn)
            return await self._dial(address, peer)

    @asynccontextmanager
    async def _dialling(self, whom: str) -> AsyncIterator[None]:
        """One dial to a peer at a time: the second finds the connection of the first."""
        lock = self._dials.setdefault(whom, trio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked():
                self._dials.pop(whom, None)

    async def _dial(self, address: Multiaddr, peer: ID | None) -> PeerId:
        try:
            return _peer_of(await self._swarm.dial(address, peer))
        except (PeerIsBlockedError, OwnAddressError) as error:
            if isinstance(error, PeerIsBlockedError):
                raise Blocked from error
            raise Unreachable(str(error)) from error
        except Exception as error:
            raise Unreachable(_reason(error)) from error

    def _connections(self, peer: ID | None, address: Multiaddr | None) -> list[SwarmConn]:
        """The live connections of a peer, or the one that dialling this address gave."""
        conns = self._swarm.get_connections(peer)
        if peer is None:
            conns = [c for c in conns if _is_outbound(c) and _remote(c) == str(address)]
        return [conn for conn in conns if isinstance(conn, SwarmConn) and not conn.is_closed]

    async def _alive(self, conn: SwarmConn) -> bool:
        """Does the other end answer? A connection whose peer lost power looks open for a while."""
        answered = False
        with trio.move_on_after(self._limits.alive_s), suppress(Exception):
            stream = await self._open_on(conn, PING)
            answered = True
            with shielded(1):
                await stream.reset()
        return answered

    async def _open_on(self, conn: SwarmConn, protocol: TProtocol) -> INetStream:
        """Open and negotiate a stream so that being cancelled leaves nothing open.

        libp2p's own way loses one of the 256 places of the connection each time.
        """
        muxed = conn.muxed_conn
        if isinstance(muxed, BoundedYamux) and muxed.stream_backlog_semaphore.value == 0:
            raise Unreachable("too many streams are open")
        with trio.CancelScope(shield=True):
            # Bounded all the same: it only writes a frame, see `BoundedYamux._write_frame`.
            stream = await conn.new_stream()
        try:
            await self._host.multiselect_client.select_one_of(
                [protocol], MultiselectCommunicator(stream), int(self._limits.handshake_s)
            )
        except BaseException:
            with shielded(1):
                await stream.reset()
            raise
        return stream

    async def _weed(self, conns: list[INetConn]) -> None:
        """Somebody who comes anew may have lost power or moved: close what answers no more."""
        for conn in conns:
            if isinstance(conn, SwarmConn) and not await self._alive(conn):
                await close_now(conn)

    async def disconnect(self, peer: PeerId) -> None:
        async with trio.open_nursery() as nursery:
            for conn in self._swarm.get_connections(id_of(peer)):
                nursery.start_soon(close_now, conn)

    def set_blocked(self, blocked: frozenset[PeerId]) -> None:
        """Refuse exactly these peers from now on."""
        self._gate.blocked = blocked
        self._pubsub.block(blocked)

    async def changed(self, conn: INetConn) -> None:
        """A connection came or went."""
        peer = conn.muxed_conn.peer_id
        name = PeerId(peer.to_base58())
        # Blocked while it was shaking hands, or closed by half.
        if name in self._gate.blocked or conn.is_closed:
            await close_now(conn)
        left = [c for c in self._swarm.get_connections(peer) if not c.is_closed]
        state = None
        if left:
            state = described(left)
            if conn is left[-1] and self._nursery is not None:
                self._nursery.start_soon(self._weed, left[:-1])
        else:
            with suppress(Exception):
                # What libp2p notes about everybody who ever came would only grow.
                self._host.get_peerstore().clear_peerdata(peer)
            for half in [half for half, owner in self._halves.items() if owner == name]:
                await half.reset()
        self._wiring.bridge.tell(self._wiring.front.connection_changed, name, state)

    # --- streams ---

    async def open(self, peer: PeerId, protocol: ProtocolName) -> FrameStream:
        conns = self._connections(id_of(peer), None)
        if not conns:
            raise Unreachable("not connected")
        try:
            # The newest: an older one may be left of a peer that lost power or moved.
            stream = await self._open_on(conns[-1], TProtocol(protocol))
        except Exception as error:
            raise Unreachable(_reason(error)) from error
        half = self._half(stream, peer)
        if self._nursery is None:
            raise NetworkDown("it has not started")
        self._nursery.start_soon(self._live, half)
        return half.front

    async def serve(self, stream: INetStream, protocol: ProtocolName) -> None:
        """An inbound stream, until its handler and its peer are done with it."""
        peer = PeerId(stream.muxed_conn.peer_id.to_base58())
        if not self._gate.begin_stream(peer):
            await stream.reset()
            return
        try:
            half = self._half(stream, peer)
            self._wiring.bridge.tell(self._wiring.front.stream_opened, protocol, half.front)
            await self._live(half)
        finally:
            self._gate.end_stream(peer)

    def _half(self, stream: INetStream, peer: PeerId) -> TrioHalf:
        return TrioHalf(
            stream, peer, self._wiring.bridge, self._limits, self._gate.refuse,
            self._gate.pace(peer),
        )  # fmt: skip

    async def _live(self, half: TrioHalf) -> None:
        self._halves[half] = half.peer
        try:
            await half.live()
        finally:
            del self._halves[half]

    # --- gossip ---

    def set_topics(self, topics: frozenset[str]) -> None:
        """Be subscribed to exactly these topics, soon."""
        self._topics = topics
        if self._nursery is not None:
            self._nursery.start_soon(self._apply_topics)

    async def _apply_topics(self) -> None:
        async with self._topics_lock:
            before = set(self._pubsub.topic_ids)
            for topic in before ^ self._topics:
                try:
                    if topic in before:
                        await self._pubsub.unsubscribe(topic)
                    else:
                        await self._pubsub.subscribe(topic)
                except Exception:
                    # libp2p walks over a mesh that may change meanwhile.
                    self._gate.refuse("task")

    async def publish(self, topic: str, data: bytes) -> None:
        await self._pubsub.publish(topic, data)


class _Inbound:
    """The handler of one protocol."""

    def __init__(self, host: Host, protocol: ProtocolName) -> None:
        self._host = host
        self._protocol = protocol

    async def serve(self, stream: INetStream) -> None:
        await self._host.serve(stream, self._protocol)


class _Watch(INotifee):
    """Tells the host of every connection that comes or goes."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def connected(self, network: INetwork, conn: INetConn) -> None:
        del network
        await self._host.changed(conn)

    async def disconnected(self, network: INetwork, conn: INetConn) -> None:
        del network
        await self._host.changed(conn)

    async def opened_stream(self, network: INetwork, stream: INetStream) -> None: ...

    async def closed_stream(self, network: INetwork, stream: INetStream) -> None: ...

    async def listen(self, network: INetwork, multiaddr: Multiaddr) -> None: ...

    async def listen_close(self, network: INetwork, multiaddr: Multiaddr) -> None: ...


def _peer_of(conn: INetConn) -> PeerId:
    return PeerId(conn.muxed_conn.peer_id.to_base58())


def described(conns: Sequence[INetConn]) -> PeerConnection:
    """The connections with one peer, as the daemon sees them; at least one.

    Where somebody who came in may be dialled is not what their socket says.
    """
    dialled = [conn for conn in conns if _is_outbound(conn)]
    addresses = dict.fromkeys(_remote(conn) for conn in dialled or conns)
    return PeerConnection(tuple(addresses), "out" if dialled else "in")


def _remote(conn: INetConn) -> Address:
    remote: Address = getattr(conn.muxed_conn, "remote", Address(""))
    return remote


def _is_outbound(conn: INetConn) -> bool:
    return getattr(conn, "direction", None) == Direction.OUTBOUND


def _reason(error: BaseException) -> str:
    """The innermost cause, in few words: libp2p wraps "connection refused" three times."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, BaseExceptionGroup):
        return _reason(error.exceptions[0])
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
