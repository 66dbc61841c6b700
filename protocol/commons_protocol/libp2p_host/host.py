"""One life of the libp2p host, inside the trio thread: connections, streams, gossip.

It holds what dies with the trio run; what outlives it (topics, blocks, addresses) is given to it
by `network.Libp2pNetwork`. Of libp2p's own services a stranger finds identify (our version, our
addresses, the constant protocol names; no community), ping and GossipSub. mDNS, DHT, rendezvous,
and asking others for their identity stay off; of relays only what `relay` and `crossing` do is on.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import trio
from libp2p.abc import INetConn, INetStream
from libp2p.custom_types import TProtocol
from libp2p.host.ping import ID as PING
from libp2p.identity.identify_push.identify_push import ID_PUSH
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStore
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # ships no types

from commons_crdt.texts import N_
from commons_protocol.circuit import Circuit
from commons_protocol.libp2p_host.bridge import Bridge, shielded
from commons_protocol.libp2p_host.circuits import HOP, STOP
from commons_protocol.libp2p_host.connections import (
    described,
    is_circuit,
    is_outbound,
    peer_of,
    reason,
    relay_of,
    remote,
)
from commons_protocol.libp2p_host.crossing import Crossing
from commons_protocol.libp2p_host.gate import Gate, Limits, RelayLimits
from commons_protocol.libp2p_host.gossip import Deliver, GatedPubsub
from commons_protocol.libp2p_host.guarded import GuardedHost, Watch
from commons_protocol.libp2p_host.identity import id_of, keys_of
from commons_protocol.libp2p_host.listening import check_free, dialable
from commons_protocol.libp2p_host.muxer import (
    BoundedYamux,
    GatedUpgrader,
    OwnAddressError,
    PeerIsBlockedError,
)
from commons_protocol.libp2p_host.punching import DCUTR, Punching
from commons_protocol.libp2p_host.relay import Relay
from commons_protocol.libp2p_host.streams import FrameStream, TrioHalf
from commons_protocol.libp2p_host.swarm import GatedSwarm, close_now, running
from commons_protocol.network import (
    Address,
    Blocked,
    NetworkDown,
    NetworkError,
    PeerConnection,
    PeerId,
    ProtocolName,
    Reservation,
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
    relay: RelayLimits | None = None
    """What this node carries for others; None: nothing."""


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
        self._host = GuardedHost(
            self._swarm,
            negotiate_timeout=int(self._limits.handshake_s),
            disable_identify_address_discovery=True,
        )
        self._host.gate = self._gate
        self._host.remove_stream_handler(ID_PUSH)
        for protocol in wiring.protocols:
            self._host.set_stream_handler(TProtocol(protocol), _Inbound(self, protocol).serve)
        self._crossing = Crossing(
            self._swarm, self._gate, self.connect, self._direct, self._open_on, self._alive
        )
        self._host.set_stream_handler(STOP, self._crossing.welcome)
        self._punching = Punching(self._swarm, self._gate, self._direct, self._open_on, self.bound)
        self._host.set_stream_handler(DCUTR, self._punching.welcome)
        self.relay: Relay | None = None
        if wiring.relay is not None:
            self.relay = Relay(
                self._host,
                wiring.relay,
                self._gate.refuse,
                self._directs,
                self._open_on,
                self.addresses,
            )
            self._host.set_stream_handler(HOP, self.relay.serve)
        self._pubsub = GatedPubsub(self._host, self._gate, wiring.deliver)
        self._swarm.register_notifee(Watch(self.changed))
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
                    raise NetworkDown(N_("libp2p has no resource manager"))
                await self._swarm.listen(*self._wiring.listen)
                if len(self._swarm.listeners) != len(set(map(str, self._wiring.listen))):
                    raise NetworkDown(N_("an address could not be listened on"))
                await stack.enter_async_context(running(self._pubsub.gossip_router, refuse))
                await stack.enter_async_context(running(self._pubsub, refuse))
                await self._pubsub.wait_until_ready()
                stack.push_async_callback(self._close)
                scope.shield = True
                task_status.started(self.addresses())
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

    def addresses(self) -> tuple[Address, ...]:
        """Where others dial this node now."""
        return dialable(self.bound(), PeerId(str(self.id)))

    # --- connections ---

    async def connect(self, address: Multiaddr, expected: PeerId | None) -> PeerId:
        """Dial one address, unless the connection that this would give is there and alive."""
        peer = id_of(expected) if expected else None
        async with self._dialling(expected or str(address)):
            for conn in self._connections(peer, address):
                if is_circuit(conn):
                    continue  # a direct one is better
                if await self._alive(conn):
                    return peer_of(conn)
                await close_now(conn)
            return await self._dial(address, peer)

    async def cross(self, relay: Multiaddr, relay_peer: PeerId | None, circuit: Circuit) -> PeerId:
        """Connect through a relay, unless a connection with the peer is there and alive."""
        # Not the lock of direct dials: the relay itself is dialled meanwhile.
        async with self._dialling(f"circuit {circuit.peer or circuit.check.hex()}"):
            for conn in self._connections(id_of(circuit.peer), None) if circuit.peer else []:
                if await self._alive(conn):
                    return peer_of(conn)
                await close_now(conn)
            async with self._in_words():
                return peer_of(await self._crossing.cross(relay, relay_peer, circuit))

    async def punch(self, peer: PeerId) -> None:
        """Get past the relay over which a peer called."""
        circuits = [conn for conn in self._connections(id_of(peer), None) if is_circuit(conn)]
        if not circuits or self._direct(id_of(peer)) is not None:
            return
        async with self._in_words():
            await self._punching.punch(id_of(peer), circuits[-1])

    async def reserve(self, relay: Multiaddr, relay_peer: PeerId | None) -> Reservation:
        """Take a place at a relay."""
        return await self._crossing.reserve(relay, relay_peer)

    async def release(self, relay: PeerId) -> None:
        """Take no more circuits from a relay."""
        self._crossing.release(relay)

    async def refresh(self) -> tuple[Address, ...]:
        """The machine's addresses changed: weed all connections; where others dial now."""
        async with trio.open_nursery() as nursery:
            for conn in self._swarm.get_connections():
                nursery.start_soon(self._weed, [conn])
        return self.addresses()

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
        async with self._in_words():
            return peer_of(await self._swarm.dial(address, peer))

    @asynccontextmanager
    async def _in_words(self) -> AsyncIterator[None]:
        """Errors of libp2p become those of the seam."""
        try:
            yield
        except PeerIsBlockedError as error:
            raise Blocked from error
        except OwnAddressError as error:
            raise Unreachable(str(error)) from error
        except NetworkError:
            raise
        except Exception as error:
            raise Unreachable(reason(error)) from error

    def _directs(self, peer: ID) -> list[SwarmConn]:
        return [conn for conn in self._connections(peer, None) if not is_circuit(conn)]

    def _direct(self, peer: ID) -> SwarmConn | None:
        return next(reversed(self._directs(peer)), None)

    def _connections(self, peer: ID | None, address: Multiaddr | None) -> list[SwarmConn]:
        """The live connections of a peer, or the one that dialling this address gave."""
        conns = self._swarm.get_connections(peer)
        if peer is None:
            conns = [c for c in conns if is_outbound(c) and remote(c) == str(address)]
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
            raise Unreachable(N_("too many streams are open"))
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

    async def _weed(self, conns: Sequence[INetConn]) -> None:
        """Somebody who comes anew may have lost power or moved: close what answers no more.

        Nor does anybody need a relay with whom there is a direct connection.
        """
        direct = False
        for conn in sorted(conns, key=is_circuit):
            if not isinstance(conn, SwarmConn):
                continue
            if (direct and is_circuit(conn)) or not await self._alive(conn):
                await close_now(conn)
            else:
                direct = direct or not is_circuit(conn)

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
        relay = relay_of(conn)
        if relay is not None and conn.is_closed and self._nursery is not None:
            self._nursery.start_soon(self._crossing.left, relay)
        left = [c for c in self._swarm.get_connections(peer) if not c.is_closed]
        state = None
        if left:
            state = described(left)
            if conn is left[-1] and self._nursery is not None:
                self._nursery.start_soon(self._weed, left if len(left) > 1 else [])
        else:
            if self.relay is not None:
                self.relay.gone(peer)
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
            raise Unreachable(N_("not connected"))
        try:
            # The newest: an older one may be left of a peer that lost power or moved.
            best = self._direct(id_of(peer)) or conns[-1]
            stream = await self._open_on(best, TProtocol(protocol))
        except Exception as error:
            raise Unreachable(reason(error)) from error
        half = self._half(stream, peer)
        if self._nursery is None:
            raise NetworkDown(N_("it has not started"))
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
