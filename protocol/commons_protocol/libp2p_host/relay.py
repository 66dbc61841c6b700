"""What a node does for others when it offers itself as a relay: reservations, and circuits.

It passes on bytes that it cannot read, between two nodes of which at least one has reserved a
place; it dials nobody for it. Everything is bounded before it is begun, and ends by itself. Lives
in the trio thread; libp2p 0.8.1's own relay is not used, see `circuits`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import trio
from libp2p.abc import IHost, INetStream
from libp2p.custom_types import TProtocol
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.peer.id import ID
from libp2p.relay.circuit_v2.pb.circuit_pb2 import HopMessage, Status, StopMessage
from libp2p.relay.circuit_v2.pb.circuit_pb2 import Reservation as VoucherMessage
from libp2p.relay.circuit_v2.resources import RelayLimits as VoucherTerms
from libp2p.relay.circuit_v2.resources import Reservation as Voucher
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # ships no types

from commons_protocol.codes import node_check
from commons_protocol.libp2p_host.bridge import shielded
from commons_protocol.libp2p_host.circuits import (
    STOP,
    CircuitConnection,
    read_message,
    status,
    stop_message,
    write_message,
)
from commons_protocol.libp2p_host.gate import RelayLimits, Tally
from commons_protocol.limits import Buckets
from commons_protocol.network import Address, PeerId, RelayUse

_ASK_S = 5.0
_CALL_S = 8.0
"""For the called node to answer; the caller waits a little longer."""
_CHUNK = 32768
_BURST, _PER_SECOND = 30.0, 1.0
_MOST_BUCKETS = 512
_ID_BYTES = 38
"""An Ed25519 peer id; what is shorter is a check, see `commons_protocol.circuit`."""


@dataclass(frozen=True, slots=True)
class _Place:
    until: float
    host: str


@dataclass(slots=True)
class _Budget:
    left: int


class Relay:
    """Serves the hop protocol. ``connections`` gives the direct ones of a peer, newest last."""

    def __init__(
        self,
        host: IHost,
        limits: RelayLimits,
        refuse: Tally,
        connections: Callable[[ID], Sequence[SwarmConn]],
        open_on: Callable[[SwarmConn, TProtocol], Awaitable[INetStream]],
        addresses: Callable[[], Sequence[Address]],
    ) -> None:
        self._host = host
        self._limits = limits
        self._refuse = refuse
        self._connections = connections
        self._open_on = open_on
        self._addresses = addresses
        self._places: dict[ID, _Place] = {}
        self._from: Counter[ID] = Counter()
        self._hosts: Counter[str] = Counter()
        self._to: Counter[ID] = Counter()
        self._asked: Buckets[str] = Buckets(_BURST, _PER_SECOND, _MOST_BUCKETS)
        self._carried = 0

    def use(self) -> RelayUse:
        """How much is used now; may be read from any thread."""
        holders = tuple(self._places)  # at once: the other thread goes on meanwhile
        names = frozenset(PeerId(peer.to_base58()) for peer in holders)
        return RelayUse(len(names), self._from.total(), self._carried, names)

    def gone(self, peer: ID) -> None:
        """The last connection of a peer has ended: its place is free."""
        self._places.pop(peer, None)

    async def serve(self, stream: INetStream) -> None:
        """One request of a peer."""
        source = stream.muxed_conn.peer_id
        host = str(getattr(stream.muxed_conn, "remote", "")).split("/tcp/")[0]
        with trio.fail_after(_ASK_S):
            message = await read_message(stream, HopMessage)
        if isinstance(getattr(stream.muxed_conn, "raw", None), CircuitConnection):
            # Over a relay itself: a chain of relays would hide who uses up what.
            await self._say(stream, Status.PERMISSION_DENIED)
        elif not self._asked.of(host).take(int(trio.current_time() * 1000)):
            await self._say(stream, Status.RESOURCE_LIMIT_EXCEEDED)
        elif message.type == HopMessage.RESERVE:
            await self._reserve(stream, source, host)
        elif message.type == HopMessage.CONNECT:
            await self._connect(stream, source, host, message.peer.id)
        else:
            await self._say(stream, Status.UNEXPECTED_MESSAGE)

    async def _say(self, stream: INetStream, code: Status.ValueType) -> None:
        """Refuse, and count it."""
        self._refuse("relay")
        with trio.fail_after(_ASK_S):
            await write_message(stream, status(code))
            await stream.close()

    # --- reservations ---

    async def _reserve(self, stream: INetStream, peer: ID, host: str) -> None:
        now = trio.current_time()
        for held in [one for one, place in self._places.items() if place.until <= now]:
            del self._places[held]
        others = [place for one, place in self._places.items() if one != peer]
        alike = sum(place.host == host for place in others)
        if len(others) >= self._limits.reservations or alike >= self._limits.per_address:
            await self._say(stream, Status.RESERVATION_REFUSED)
            return
        self._places[peer] = _Place(now + self._limits.reservation_s, host)
        answer = status(Status.OK)
        answer.reservation.CopyFrom(self._voucher(peer))
        answer.limit.data = self._limits.circuit_bytes
        answer.limit.duration = math.ceil(self._limits.circuit_s)
        with trio.fail_after(_ASK_S):
            await write_message(stream, answer)
            await stream.close()

    def _voucher(self, peer: ID) -> VoucherMessage:
        seconds = math.ceil(self._limits.reservation_s)
        voucher = Voucher(peer, VoucherTerms(0, 0, 0, 0, seconds), self._host)
        voucher.addrs = [Multiaddr(one).to_bytes() for one in self._addresses()[:8]]
        return voucher.to_proto()

    def _called(self, target: bytes) -> ID | None:
        """Who is meant and has a place: by the whole id, or by the check that codes carry."""
        now = trio.current_time()
        here = [peer for peer, place in self._places.items() if place.until > now]
        if len(target) >= _ID_BYTES:
            fitting = [peer for peer in here if peer.to_bytes() == target]
        else:
            size = len(target)
            fitting = [
                peer
                for peer in here
                if size in {10, 16} and node_check(PeerId(peer.to_base58()), size) == target
            ]
        return fitting[0] if len(fitting) == 1 else None

    # --- circuits ---

    async def _connect(self, stream: INetStream, source: ID, host: str, target: bytes) -> None:
        called = self._called(target)
        conns = self._connections(called) if called is not None else []
        if called is None or not conns:
            await self._say(stream, Status.NO_RESERVATION)
            return
        limits = self._limits
        if (
            self._from.total() >= limits.circuits
            or self._from[source] >= limits.circuits_from_one
            or self._hosts[host] >= limits.circuits_per_address
            or self._to[called] >= limits.circuits_to_one
        ):
            await self._say(stream, Status.RESOURCE_LIMIT_EXCEEDED)
            return
        self._from[source] += 1
        self._hosts[host] += 1
        self._to[called] += 1
        try:
            far = await self._call(conns[-1], source)
            if far is None:
                await self._say(stream, Status.CONNECTION_FAILED)
                return
            await self._carry(stream, far)
        finally:
            self._from -= Counter({source: 1})
            self._hosts -= Counter({host: 1})
            self._to -= Counter({called: 1})

    async def _call(self, conn: SwarmConn, source: ID) -> INetStream | None:
        """A stream to the called node that has said yes."""
        far: INetStream | None = None
        with trio.move_on_after(_CALL_S), suppress(Exception):
            far = await self._open_on(conn, STOP)
            limits = self._limits
            seconds = math.ceil(limits.circuit_s)
            await write_message(far, stop_message(source.to_bytes(), limits.circuit_bytes, seconds))
            answer = await read_message(far, StopMessage)
            if answer.type == StopMessage.STATUS and answer.status == Status.OK:
                return far
        if far is not None:
            await _reset(far)
        return None

    async def _carry(self, near: INetStream, far: INetStream) -> None:
        """Pass on both ways, until both ends are done or the circuit has used up what it may."""
        budget = _Budget(self._limits.circuit_bytes)
        answer = status(Status.OK)
        answer.limit.data = self._limits.circuit_bytes
        answer.limit.duration = math.ceil(self._limits.circuit_s)
        try:
            with trio.move_on_after(self._limits.circuit_s) as time_is_up:
                await write_message(near, answer)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._pump, near, far, budget, nursery.cancel_scope)
                    nursery.start_soon(self._pump, far, near, budget, nursery.cancel_scope)
            if time_is_up.cancelled_caught:
                self._refuse("relay_time")
        finally:
            await _reset(near)
            await _reset(far)

    async def _pump(
        self, source: INetStream, sink: INetStream, budget: _Budget, circuit: trio.CancelScope
    ) -> None:
        try:
            while data := await source.read(_CHUNK):
                budget.left -= len(data)
                if budget.left < 0:
                    self._refuse("relay_bytes")
                    circuit.cancel()
                    return
                self._carried += len(data)
                await sink.write(data)
            raise StreamEOF
        except StreamEOF:
            with suppress(Exception):
                await sink.close_write()  # type: ignore[attr-defined]  # NetStream has it
        except Exception:
            circuit.cancel()


async def _reset(stream: INetStream) -> None:
    with shielded(1), suppress(Exception):
        await stream.reset()
