"""This node's own side of relays: places at them, circuits through them, circuits that come in.

A circuit becomes a connection like any other: Noise from end to end, then Yamux; the relay sees
neither. Circuits are taken only from relays at which this node has a place. Lives in the trio
thread.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.peer.id import ID
from libp2p.relay.circuit_v2.pb.circuit_pb2 import HopMessage, Status, StopMessage
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # ships no types

from commons_crdt.texts import N_
from commons_protocol.circuit import Circuit
from commons_protocol.codes import node_check
from commons_protocol.libp2p_host.circuits import (
    HOP,
    CircuitConnection,
    ask,
    read_message,
    write_message,
)
from commons_protocol.libp2p_host.connections import relay_of
from commons_protocol.libp2p_host.gate import Gate
from commons_protocol.libp2p_host.identity import id_of
from commons_protocol.libp2p_host.swarm import GatedSwarm, close_now
from commons_protocol.network import (
    Address,
    PeerId,
    RelayRefuses,
    RelayUnreachable,
    Reservation,
    Unreachable,
)

_LEAST_S, _MOST_S = 1.0, 86_400.0
"""Seconds that a place is believed to last, whatever a relay's clock says."""


class Crossing:
    """``dial`` connects directly, ``direct`` gives a peer's newest direct connection."""

    def __init__(
        self,
        swarm: GatedSwarm,
        gate: Gate,
        dial: Callable[[Multiaddr, PeerId | None], Awaitable[PeerId]],
        direct: Callable[[ID], SwarmConn | None],
        open_on: Callable[[SwarmConn, TProtocol], Awaitable[INetStream]],
        alive: Callable[[SwarmConn], Awaitable[bool]],
    ) -> None:
        self._swarm = swarm
        self._gate = gate
        self._dial = dial
        self._direct = direct
        self._open_on = open_on
        self._alive = alive
        self._relays: set[PeerId] = set()
        self._lent: set[PeerId] = set()
        """Relays that were dialled only to go through them."""

    async def _hop(self, relay: Multiaddr, expected: PeerId | None) -> tuple[PeerId, INetStream]:
        """A stream on which a relay can be asked for one thing."""
        before = set(self._swarm.connections)
        try:
            peer = await self._dial(relay, expected)
        except RelayUnreachable:
            raise
        except Unreachable as error:
            raise RelayUnreachable(causes=(("", error),)) from error
        conn = self._direct(id_of(peer))
        if conn is None:
            raise RelayUnreachable(N_("the connection has gone"))
        if id_of(peer) not in before:
            self._lent.add(peer)
        try:
            return peer, await self._open_on(conn, HOP)
        except Unreachable as error:
            raise RelayUnreachable(causes=(("", error),)) from error
        except Exception as error:
            if not await self._alive(conn):
                raise RelayUnreachable(N_("it does not answer")) from error
            raise RelayRefuses(N_("it is not a relay, or not one for others")) from error

    async def reserve(self, relay: Multiaddr, expected: PeerId | None) -> Reservation:
        """Take a place, or keep it longer."""
        peer, stream = await self._hop(relay, expected)
        new = peer not in self._relays
        try:
            # Before the answer: a circuit may come with it.
            self._relays.add(peer)
            answer = await ask(stream, HopMessage(type=HopMessage.RESERVE))
        except BaseException:
            if new:
                self._relays.discard(peer)
            raise
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await stream.reset()
        # In wall-clock time of the relay; clocks differ, so it is only a hint how long.
        left = answer.reservation.expire - time.time()
        return Reservation(
            peer,
            min(max(left, _LEAST_S), _MOST_S),
            answer.limit.data,
            float(answer.limit.duration),
        )

    def release(self, relay: PeerId) -> None:
        """Take no more circuits from it."""
        self._relays.discard(relay)

    async def cross(self, relay: Multiaddr, expected: PeerId | None, circuit: Circuit) -> SwarmConn:
        """Connect with a peer through a relay."""
        peer, stream = await self._hop(relay, expected)
        wanted = id_of(circuit.peer) if circuit.peer is not None else None
        question = HopMessage(type=HopMessage.CONNECT)
        question.peer.id = wanted.to_bytes() if wanted is not None else circuit.check
        try:
            await ask(stream, question)
        except BaseException:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 2):
                await stream.reset()
                await self.left(peer)
            raise
        where = Address(f"{relay}/p2p/{peer}")
        conn = await self._swarm.cross(CircuitConnection(stream, where, initiator=True), wanted)
        found = PeerId(conn.muxed_conn.peer_id.to_base58())
        if circuit.check and node_check(found, len(circuit.check)) != circuit.check:
            await close_now(conn)
            raise Unreachable(N_("another node answers there"))
        return conn

    async def left(self, relay: PeerId) -> None:
        """A circuit has ended: close the connection with its relay, if it served for nothing else.

        Nobody takes up a relay's room with connections that carry nothing.
        """
        if relay in self._relays or relay not in self._lent:
            return
        if any(relay_of(conn) == relay for conn in self._swarm.get_connections()):
            return
        self._lent.discard(relay)
        conn = self._direct(id_of(relay))
        if conn is not None:
            await close_now(conn)

    async def welcome(self, stream: INetStream) -> None:
        """The stop protocol: a relay brings somebody, until the circuit ends."""
        relay = PeerId(stream.muxed_conn.peer_id.to_base58())
        if relay not in self._relays:
            self._gate.refuse("circuits")
            await stream.reset()
            return
        with trio.fail_after(self._gate.limits.handshake_s):
            message = await read_message(stream, StopMessage)
            if message.type != StopMessage.CONNECT:
                await stream.reset()
                return
            await write_message(stream, StopMessage(type=StopMessage.STATUS, status=Status.OK))
        raw = CircuitConnection(stream, Address(f"/p2p/{relay}"), initiator=False)
        # Who comes through a relay shares its places, as who comes from one IP address does.
        await self._swarm.take_in(raw, raw.relay)
