"""A direct connection through two routers: both ends dial each other at once (libp2p DCUtR).

Each router then takes the other's packets for answers, if it keeps the port (many do, not all).
Who was called over the relay begins; who called answers, and nobody else: so nobody can make this
node dial whom it did not call, but a peer with which it talks. Source: libp2p specifications,
relay/DCUtR.md. Lives in the trio thread.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Literal

import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.identity.identify.pb.identify_pb2 import Identify
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.peer.id import ID
from libp2p.relay.circuit_v2.pb.dcutr_pb2 import HolePunch
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # ships no types

from commons_crdt.texts import N_
from commons_protocol.libp2p_host.bridge import shielded
from commons_protocol.libp2p_host.circuits import (
    read_message,
    write_message,
)
from commons_protocol.libp2p_host.connections import is_circuit, is_outbound, relay_of
from commons_protocol.libp2p_host.gate import Gate
from commons_protocol.libp2p_host.identity import id_of
from commons_protocol.libp2p_host.swarm import GatedSwarm
from commons_protocol.network import Address, Unreachable

DCUTR = TProtocol("/libp2p/dcutr")
_IDENTIFY = TProtocol("/ipfs/id/1.0.0")
_SAY_S = 5.0
_DIAL_S = 8.0
_AGAIN_S = 0.3
_TRIES = 10
_MOST_ADDRESSES = 4
_NEVER = tuple(
    map(
        ipaddress.ip_network,
        ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16"),
    )
)
"""A peer may not make this node knock at its own network."""

OpenOn = Callable[[SwarmConn, TProtocol], Any]


class Punching:
    """``direct`` gives a peer's newest direct connection, ``bound`` where this node listens."""

    def __init__(
        self,
        swarm: GatedSwarm,
        gate: Gate,
        direct: Callable[[ID], SwarmConn | None],
        open_on: OpenOn,
        bound: Callable[[], Sequence[str]],
    ) -> None:
        self._swarm = swarm
        self._gate = gate
        self._direct = direct
        self._open_on = open_on
        self._bound = bound

    async def punch(self, peer: ID, circuit: SwarmConn) -> None:
        """Try it with who called over this circuit. Raises ``Unreachable``."""
        own = await self._seen_as(circuit)
        stream: INetStream = await self._open_on(circuit, DCUTR)
        try:
            with trio.fail_after(_SAY_S):
                asked = trio.current_time()
                await write_message(stream, _connect(own))
                answer = await read_message(stream, HolePunch)
                if answer.type != HolePunch.CONNECT:
                    raise Unreachable(N_("it does not make sense"))
                rtt = trio.current_time() - asked
                await write_message(stream, HolePunch(type=HolePunch.SYNC))
            await trio.sleep(min(rtt / 2, 2.0))
            await self._dial(peer, answer.ObsAddrs, "inbound")
        finally:
            with shielded(1), suppress(Exception):
                await stream.reset()

    async def welcome(self, stream: INetStream) -> None:
        """The other side asks for it."""
        peer = stream.muxed_conn.peer_id
        circuit = next(
            (
                conn
                for conn in self._swarm.get_connections(peer)
                if conn.muxed_conn is stream.muxed_conn
            ),
            None,
        )
        if (
            not isinstance(circuit, SwarmConn)
            or not is_circuit(circuit)
            or not is_outbound(circuit)
        ):
            self._gate.refuse("punch")
            await stream.reset()
            return
        with trio.fail_after(2 * _SAY_S):
            question = await read_message(stream, HolePunch)
            await write_message(stream, _connect(await self._seen_as(circuit)))
            if (await read_message(stream, HolePunch)).type != HolePunch.SYNC:
                return
        with suppress(Unreachable):
            await self._dial(peer, question.ObsAddrs, "outbound")

    async def _seen_as(self, circuit: SwarmConn) -> Address:
        """Where this node may be reached from outside: as the relay sees it, at our own port."""
        relay = relay_of(circuit)
        conn = self._direct(id_of(relay)) if relay is not None else None
        if conn is None:
            raise Unreachable(N_("the relay has gone"))
        stream: INetStream = await self._open_on(conn, _IDENTIFY)
        try:
            with trio.fail_after(_SAY_S):
                said = await read_message(stream, Identify)
        finally:
            with shielded(1), suppress(Exception):
                await stream.reset()
        seen = read_address(said.observed_addr)
        if seen is None:
            raise Unreachable(N_("the relay does not say where it sees us"))
        return Address(f"/ip4/{seen[0]}/tcp/{self._source()[1]}")

    def _source(self) -> tuple[str, int]:
        """Where this node listens, to dial from there."""
        for bound in self._bound():
            _, kind, ip, _, port = bound.split("/")
            if kind == "ip4":
                return ip, int(port)
        raise Unreachable(N_("this node listens at no IPv4 address"))

    async def _dial(
        self, peer: ID, given: Sequence[bytes], direction: Literal["inbound", "outbound"]
    ) -> None:
        targets = [target for one in given[:_MOST_ADDRESSES] if (target := public(one))]
        source = self._source()

        async def again(target: Multiaddr, done: trio.CancelScope) -> None:
            for _ in range(_TRIES):
                with suppress(Exception):
                    await self._swarm.punch(target, source, peer, direction)
                    done.cancel()
                    return
                await trio.sleep(_AGAIN_S)

        with trio.move_on_after(_DIAL_S):
            async with trio.open_nursery() as nursery:
                for target in targets:
                    nursery.start_soon(again, target, nursery.cancel_scope)
        if self._direct(peer) is None:
            raise Unreachable(N_("the routers do not let it through"))


def _connect(own: Address) -> HolePunch:
    return HolePunch(type=HolePunch.CONNECT, ObsAddrs=[Multiaddr(own).to_bytes()])


def read_address(given: bytes) -> tuple[ipaddress.IPv4Address, int] | None:
    """A TCP address over IPv4 in binary form, or None for anything else."""
    try:
        _, kind, host, tcp, port = str(Multiaddr(given)).split("/")
        found = ipaddress.IPv4Address(host), int(port)
    except Exception:  # whatever multiaddr raises for bytes of a peer
        return None
    return found if (kind, tcp) == ("ip4", "tcp") else None


def public(given: bytes) -> Multiaddr | None:
    """The same on the internet, at a port that needs no root; as it is dialled."""
    found = read_address(given)
    if found is None or found[1] < 1024:
        return None
    ip, port = found
    inside = ip.is_multicast or any(ip in one for one in _NEVER)
    return None if inside else Multiaddr(f"/ip4/{ip}/tcp/{port}")
