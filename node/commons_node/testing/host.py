"""One node's place on the simulated network; implements ``commons_protocol.network.Network``."""

# A deadline is part of the seam:
# ruff: noqa: ASYNC109

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import Context
from typing import Literal

from commons_node.testing.air import Air
from commons_protocol.names import peer_of_key
from commons_protocol.network import (
    MAX_GOSSIP,
    Address,
    Blocked,
    Connected,
    Disconnected,
    Event,
    FrameTooLarge,
    GossipHandler,
    NetworkDown,
    NetworkError,
    PeerConnection,
    PeerId,
    ProtocolName,
    RelayUnreachable,
    RelayUse,
    Reservation,
    State,
    Stream,
    StreamHandler,
    Unreachable,
)

_SEEN = 4096


class Host:
    """Lives as long as one life of its node."""

    def __init__(
        self,
        air: Air,
        name: str,
        key: bytes,
        address: Address,
        handlers: Mapping[ProtocolName, StreamHandler],
        on_event: Callable[[Event], None],
        context: Context,
    ) -> None:
        """``key``: the public transport key. ``context``: what this node's code runs in."""
        self.name = name
        self.context = context
        self.address = Address(f"{address}/p2p/{peer_of_key(key)}")
        self.traffic: Counter[str] = Counter()
        """Bytes and messages, in and out; ``most``: bytes on the way in one stream."""
        self.meter: Callable[[str, bytes], None] | None = None
        """Told of every message that comes in, where somebody counts what is in them."""
        self._air = air
        self._peer = peer_of_key(key)
        self._handlers = handlers
        self._on_event = on_event
        self._peers: dict[PeerId, PeerConnection] = {}
        self._blocked: set[PeerId] = set()
        self._topics: dict[str, GossipHandler] = {}
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._up = False

    # --- what the node asks for ---

    @property
    def peer_id(self) -> PeerId:
        """This node's name on the network."""
        return self._peer

    @property
    def state(self) -> State:
        """Up between start and stop."""
        return "up" if self._up else "down"

    @property
    def blocked(self) -> frozenset[PeerId]:
        """Whom this node refuses."""
        return frozenset(self._blocked)

    async def start(self) -> tuple[Address, ...]:
        """Listen."""
        self._up = True
        self._air.hosts[self._peer] = self
        return (self.address,)

    async def stop(self) -> None:
        """Close everything."""
        self.vanish("stopped")

    async def connect(self, address: Address, timeout: float = 10.0) -> PeerId:
        """See ``Network``."""
        peer = PeerId(address.rpartition("/p2p/")[2])
        self._need(peer)
        if peer in self._peers:
            return peer
        if not await self._air.dial(self, peer, address, timeout):
            raise Unreachable("no answer")
        self._need(peer)
        return peer

    async def connect_any(self, candidates: Sequence[Address], timeout: float = 10.0) -> PeerId:
        """See ``Network``."""
        for address in candidates:
            try:
                return await self.connect(address, timeout)
            except Unreachable:
                continue
        raise Unreachable("no address answered")

    async def open(self, peer: PeerId, protocol: ProtocolName, timeout: float = 10.0) -> Stream:
        """See ``Network``."""
        self._need(peer)
        wire = self._air.wire(self._peer, peer)
        if wire is None:
            raise Unreachable("not connected")
        far = wire.far(self)
        await asyncio.sleep(self._air.delay(self, far) + self._air.delay(far, self))
        if not wire.up or not self._air.passes(self, far) or not self._air.passes(far, self):
            await asyncio.sleep(timeout)
            raise Unreachable("the stream did not open")
        if protocol not in far.speaks:
            raise Unreachable("it does not speak this protocol")
        near_end, far_end = wire.stream(self)
        far.welcome(protocol, far_end)
        return near_end

    async def reserve(self, relay: Address, timeout: float = 10.0) -> Reservation:
        """Nobody is behind a router here, and nobody is a relay."""
        await asyncio.sleep(timeout)
        raise RelayUnreachable(f"{relay}: no answer")

    async def punch(self, peer: PeerId, timeout: float = 20.0) -> None:
        """Nobody is behind a router here."""
        await asyncio.sleep(timeout)
        raise Unreachable(f"{peer}: no answer")

    async def release(self, relay: PeerId) -> None:
        """See ``Network``."""

    @property
    def relay_use(self) -> RelayUse | None:
        """It carries nothing."""
        return None

    async def refresh(self) -> tuple[Address, ...]:
        """See ``Network``: what does not answer is cut by the air itself."""
        return (self.address,)

    async def disconnect(self, peer: PeerId) -> None:
        """See ``Network``."""
        wire = self._air.wire(self._peer, peer)
        if wire is not None:
            wire.cut("disconnected")

    async def block(self, peer: PeerId) -> None:
        """See ``Network``."""
        self._blocked.add(peer)
        await self.disconnect(peer)

    async def unblock(self, peer: PeerId) -> None:
        """See ``Network``."""
        self._blocked.discard(peer)

    def peers(self) -> Mapping[PeerId, PeerConnection]:
        """Who is connected now."""
        return self._peers

    def subscribe(self, topic: str, callback: GossipHandler) -> None:
        """See ``Network``."""
        self._topics[topic] = callback

    def unsubscribe(self, topic: str) -> None:
        """See ``Network``."""
        self._topics.pop(topic, None)

    async def publish(self, topic: str, data: bytes) -> None:
        """See ``Network``."""
        if len(data) > MAX_GOSSIP:
            raise FrameTooLarge
        if not self._up:
            raise NetworkDown
        self._remember(data)
        self._air.forward(self, topic, self._peer, data, None)

    def _need(self, peer: PeerId) -> None:
        if not self._up:
            raise NetworkDown
        if peer in self._blocked:
            raise Blocked
        if peer == self._peer:
            raise Unreachable("that is this node itself")

    # --- what the air tells it ---

    def vanish(self, why: str) -> None:
        """Be gone from the network, with every connection."""
        self._up = False
        if self._air.hosts.get(self._peer) is self:
            del self._air.hosts[self._peer]
        for wire in self._air.wires_of(self):
            wire.cut(why)

    def refuses(self, peer: PeerId) -> bool:
        """True if this node does not let the peer in."""
        return peer in self._blocked

    def gained(self, peer: PeerId, address: Address, direction: Literal["in", "out"]) -> None:
        """A connection stands."""
        self._peers[peer] = PeerConnection((address,), direction)
        self.context.copy().run(self._on_event, Connected(peer, address))

    def lost(self, peer: PeerId) -> None:
        """A connection is gone."""
        if self._peers.pop(peer, None) is not None and self._up:
            self.context.copy().run(self._on_event, Disconnected(peer))

    @property
    def speaks(self) -> Iterable[ProtocolName]:
        """The protocols that it has handlers for: a liar may have few."""
        return self._handlers

    def welcome(self, protocol: ProtocolName, stream: Stream) -> None:
        """Somebody opened a stream to this node; its end is the handler's, as with libp2p."""
        handler = self._handlers[protocol]

        async def handle() -> None:
            try:
                await handler(stream)
            except NetworkError:
                await stream.reset()
            else:
                await stream.close()

        asyncio.get_running_loop().create_task(handle(), context=self.context.copy())

    def hears(self, topic: str) -> bool:
        """True if this node has subscribed."""
        return topic in self._topics

    def heard(self, topic: str, origin: PeerId, data: bytes, via: Host, again: bool) -> None:
        """A gossip message; ``again``: one that the network's own memory had forgotten."""
        if not self._up or self._air.hosts.get(self._peer) is not self:
            return
        loop = asyncio.get_running_loop()
        self._air.trace.heard(loop.time(), "gossip", self.name, via.name, data)
        self.traffic["gossip_in"] += 1
        self.traffic["bytes_in"] += len(data)
        if self.meter is not None:
            self.meter("gossip", data)  # each copy that any neighbour passes on is paid for
        fresh = self._remember(data)
        if not fresh and not again:
            self.traffic["gossip_repeated"] += 1
            return
        callback = self._topics.get(topic)
        if callback is not None:
            self._air.faults["heard_again"] += again and not fresh
            callback(origin, data)
        if fresh:
            self._air.forward(self, topic, origin, data, via.peer_id)

    def _remember(self, data: bytes) -> bool:
        if data in self._seen:
            return False
        self._seen[data] = None
        if len(self._seen) > _SEEN:
            self._seen.popitem(last=False)
        return True

    def sent(self, size: int, on_way: int) -> None:
        """A message leaves; ``on_way``: bytes of its stream that have not arrived."""
        self.traffic["bytes_out"] += size
        self.traffic["most"] = max(self.traffic["most"], on_way)

    def received(self, frame: bytes, _source: Host) -> None:
        """A frame has come."""
        self.traffic["frames_in"] += 1
        self.traffic["bytes_in"] += len(frame)
        if self.meter is not None:
            self.meter("frame", frame)
