"""A node's place on the simulated network, with a GossipSub router and places for so many peers."""

# A deadline is part of the seam:
# ruff: noqa: ASYNC109

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context
from typing import Literal

from commons_node.testing.air import Air, Wire
from commons_node.testing.host import Host
from commons_node.testing.scale.ledger import Ledger
from commons_node.testing.scale.packets import Packet
from commons_node.testing.scale.router import Out, Router
from commons_protocol.network import (
    MAX_GOSSIP,
    Address,
    Event,
    FrameTooLarge,
    GossipHandler,
    NetworkDown,
    PeerId,
    ProtocolName,
    Stream,
    StreamHandler,
    Unreachable,
)


class MeshHost(Host):
    """Implements ``commons_protocol.network.Network``; lives as long as its node's life."""

    def __init__(
        self,
        air: Air,
        number: int,
        key: bytes,
        address: Address,
        handlers: Mapping[ProtocolName, StreamHandler],
        on_event: Callable[[Event], None],
        context: Context,
        *,
        ledger: Ledger,
        places: int,
        inbound: int,
        streams: bool,
        rng: random.Random,
    ) -> None:
        """``places``: connections at once, ``inbound`` of them for who dials in.

        Without ``streams`` there is gossip alone: no stream ever opens.
        """
        super().__init__(air, f"node{number}", key, address, handlers, on_event, context)
        self.number = number
        self.router = Router(self.peer_id, rng)
        self.refused_dials = 0
        self._ledger = ledger
        self._places = places
        self._inbound = inbound
        self._streams = streams
        self._dialling = 0
        self._latest: dict[PeerId, float] = {}

    # --- what the node asks for ---

    async def start(self) -> tuple[Address, ...]:
        """Listen, and begin to keep the meshes."""
        addresses = await super().start()
        self._beat_in(self.router.settings.first_heartbeat_s)
        return addresses

    async def connect(self, address: Address, timeout: float = 10.0) -> PeerId:
        """See ``Network``; also refused by this node itself when all places are taken."""
        peer = PeerId(address.rpartition("/p2p/")[2])
        if peer in self.peers():
            return peer
        if len(self.peers()) + self._dialling >= self._places:
            raise Unreachable("this node has as many connections as it may")
        self._dialling += 1
        try:
            return await super().connect(address, timeout)
        finally:
            self._dialling -= 1

    async def open(self, peer: PeerId, protocol: ProtocolName, timeout: float = 10.0) -> Stream:
        """See ``Network``."""
        if not self._streams:
            raise Unreachable("no streams here")
        return await super().open(peer, protocol, timeout)

    def subscribe(self, topic: str, callback: GossipHandler) -> None:
        """See ``Network``."""
        super().subscribe(topic, callback)
        self._send(self.router.subscribe(topic, self._now()))

    def unsubscribe(self, topic: str) -> None:
        """See ``Network``."""
        super().unsubscribe(topic)
        self._send(self.router.unsubscribe(topic, self._now()))

    async def publish(self, topic: str, data: bytes) -> None:
        """See ``Network``."""
        if len(data) > MAX_GOSSIP:
            raise FrameTooLarge
        if self.state != "up":
            raise NetworkDown
        self._send(self.router.publish(topic, data, self._now()))

    # --- what the air tells it ---

    def refuses(self, peer: PeerId) -> bool:
        """True if this node does not let the peer in, or has no place left."""
        came_in = sum(one.direction == "in" for one in self.peers().values())
        full = len(self.peers()) + self._dialling >= self._places or came_in >= self._inbound
        self.refused_dials += full
        return full or super().refuses(peer)

    def gained(self, peer: PeerId, address: Address, direction: Literal["in", "out"]) -> None:
        """A connection stands."""
        super().gained(peer, address, direction)
        self._send(self.router.connected(peer))

    def lost(self, peer: PeerId) -> None:
        """A connection is gone."""
        self.router.gone(peer)
        self._latest.pop(peer, None)
        super().lost(peer)

    def received(self, frame: bytes, source: Host) -> None:
        """A frame has come."""
        super().received(frame, source)
        assert isinstance(source, MeshHost)
        self._ledger.frame(self.number, source.number, frame)

    # --- gossip ---

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _beat_in(self, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self._beat, context=self.context)

    def _beat(self) -> None:
        if self.state == "up":
            self._send(self.router.heartbeat(self._now()))
            self._beat_in(self.router.settings.heartbeat_s)

    def _send(self, out: Out) -> None:
        if not out:
            return
        loop, air = asyncio.get_running_loop(), self._air
        now = loop.time()
        for peer, packet in out:
            wire = air.wire(self.peer_id, peer)
            if wire is None or (not packet.kept and air.strikes("lost", air.weather.lost)):
                continue
            far = wire.far(self)
            assert isinstance(far, MeshHost)
            # One stream: nothing overtakes.
            when = max(now + air.delay(self, far), self._latest.get(peer, 0.0))
            self._latest[peer] = when
            loop.call_at(when, far.take, packet, self, wire, context=far.context)

    def take(self, packet: Packet, source: MeshHost, wire: Wire) -> None:
        """A packet has come."""
        if not wire.up or self.state != "up":
            return
        self._ledger.packet(self.number, source.number, packet)
        out, fresh = self.router.on_packet(source.peer_id, packet, self._now())
        self._send(out)
        for message in fresh:
            callback = self._topics.get(message.topic)
            if callback is not None:
                callback(message.origin, message.data)


def mesh_of(hosts: Sequence[MeshHost]) -> float:
    """The mean number of mesh peers over all topics of these hosts; 0 without any."""
    sizes = [len(mesh) for host in hosts for mesh in host.router.mesh.values()]
    return sum(sizes) / len(sizes) if sizes else 0.0
