"""The connections of a node: who dials, who is let in, and what survives a failing task.

Overrides what libp2p 0.8.1 does with harm to a node that runs for months:

- it holds an inbound place until the node stops, not until the connection ends, so that a node
  takes no more connections after its 250th; here the place ends with the connection;
- it dials by itself whatever addresses strangers told it; here nothing is dialled but what
  `dial` is given, one address at a time, without its 60 s memory of failures;
- an exception in the task of one connection ends the whole host; here that connection.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import trio
from libp2p.abc import INetConn
from libp2p.io.abc import ReadWriteCloser
from libp2p.network.config import ConnectionConfig
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.network.exceptions import SwarmException
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStore
from libp2p.rcmgr import ResourceLimits, ResourceManager
from libp2p.rcmgr.connection_limits import ConnectionLimits
from libp2p.tools.anyio_service import Service
from libp2p.tools.anyio_service.trio_manager import TrioManager
from libp2p.transport.tcp.tcp import TCP
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # ships no types

from commons_protocol.libp2p_host.addresses import of_socket
from commons_protocol.libp2p_host.bridge import shielded
from commons_protocol.libp2p_host.circuits import CircuitConnection
from commons_protocol.libp2p_host.gate import Gate, Limits, Tally
from commons_protocol.libp2p_host.muxer import (
    BoundedYamux,
    GatedUpgrader,
    PeerIsBlockedError,
    drop,
    socket_of,
)
from commons_protocol.network import Address, PeerId


class GatedSwarm(Swarm):
    """Connections through the gate."""

    def __init__(self, peer: ID, peerstore: PeerStore, upgrader: GatedUpgrader, gate: Gate) -> None:
        super().__init__(
            peer, peerstore, upgrader, transports=[TCP()], connection_config=_config(gate.limits)
        )
        self.gate = gate
        self.set_resource_manager(_resource_manager(gate.limits))
        # It only feeds libp2p's choice of whom to drop, and keeps an entry for every peer ever.
        self.notifees.clear()
        self.auto_connector.record_disconnect = _forget  # type: ignore[method-assign]  # same, unused

    async def dial(self, address: Multiaddr, expected: ID | None) -> SwarmConn:
        """Connect to one address; `expected` is who must answer, or None for whoever does."""
        if len(self.get_connections()) >= self.gate.limits.connections:
            raise SwarmException("this node has as many connections as it may")
        transport = self.transport_manager.transport_for_dialing(address)
        if transport is None:
            raise SwarmException("only TCP addresses can be dialled")
        raw = await transport.dial(address)
        return await self._upgrade(raw, "outbound", expected)

    async def cross(self, raw: CircuitConnection, expected: ID | None) -> SwarmConn:
        """Connect with whoever is at the other end of a circuit."""
        if len(self.get_connections()) >= self.gate.limits.connections:
            await drop(raw)
            raise SwarmException("this node has as many connections as it may")
        return await self._upgrade(raw, "outbound", expected)

    async def punch(
        self, target: Multiaddr, source: tuple[str, int], peer: ID, direction: str
    ) -> SwarmConn:
        """Dial from the port that is listened on; "inbound": as who answers the handshake."""
        transport: Any = self.transport_manager.transport_for_dialing(target)
        raw = await transport.dial_with_source(target, source)
        return await self._upgrade(raw, direction, peer)

    async def dial_peer(self, peer_id: ID) -> list[INetConn]:
        raise SwarmException(f"not connected with {peer_id}")

    async def _handle_inbound_connection(
        self, read_write_closer: ReadWriteCloser, maddr: Multiaddr
    ) -> None:
        del maddr
        raw = RawConnection(read_write_closer, False)
        # The listener closes the socket when this returns.
        await self.take_in(raw, remote_of(raw).split("/tcp/")[0])

    async def take_in(self, raw: RawConnection, host: str) -> None:
        """Shake hands with who comes in from ``host``, and return when the connection has ended."""
        if not self.gate.begin_handshake(host):
            return
        try:
            with trio.fail_after(self.gate.limits.handshake_s):
                conn = await self._upgrade(raw, "inbound", None)
        finally:
            self.gate.end_handshake(host)
        await conn.event_closed.wait()

    async def _upgrade(self, raw: Any, direction: str, expected: ID | None) -> SwarmConn:
        try:
            try:
                secured = await self.upgrader.upgrade_security(
                    raw, direction == "outbound", expected
                )
                if expected is not None and secured.get_remote_peer() != expected:
                    raise SwarmException("another node answers there")
                muxed = await self.upgrader.upgrade_connection(secured, secured.get_remote_peer())
            except BaseException as error:
                if direction == "inbound" and not isinstance(error, PeerIsBlockedError):
                    self.gate.refuse("handshake")
                raise
            muxed.raw = raw  # type: ignore[attr-defined]  # for `close_now`
            remote = remote_of(raw, PeerId(muxed.peer_id.to_base58()))
            muxed.remote = remote  # type: ignore[attr-defined]  # libp2p knows IPv4 only
            return await self.add_conn(muxed, direction)
        except BaseException:
            await drop(raw)
            raise


async def close_now(conn: INetConn, seconds: float = 1.0) -> None:
    """Close a connection, and its socket even when the peer reads nothing. Never raises."""
    muxed = conn.muxed_conn
    muxed.giving_up = True  # type: ignore[attr-defined]  # ours, see `muxer.BoundedYamux`
    with shielded(seconds), suppress(Exception):
        await conn.close()
    # A close that was once interrupted returns at once the next time, with the socket open.
    await drop(getattr(muxed, "raw", None))


def remote_of(raw: Any, peer: PeerId | None = None) -> Address:
    """Who is at the other end of a raw connection; empty when it has gone already."""
    if isinstance(raw, CircuitConnection):
        return raw.remote(peer) if peer is not None else raw.relay
    with suppress(OSError):
        return of_socket(socket_of(raw).socket.getpeername())
    return Address("")


class GuardedManager(TrioManager):
    """Runs a libp2p service whose tasks may fail alone; only its daemon tasks end the service."""

    def __init__(self, service: Any, refuse: Tally) -> None:
        super().__init__(service)
        self._refuse = refuse

    def run_task(
        self,
        async_fn: Callable[..., Awaitable[Any]],
        *args: Any,
        daemon: bool = False,
        name: str | None = None,
        _internal: bool = False,
    ) -> None:
        async def guarded(*given: Any) -> None:
            try:
                await async_fn(*given)
            except Exception:
                self._refuse("task")
                owner = getattr(async_fn, "__self__", None)
                if isinstance(owner, BoundedYamux):
                    await owner._cleanup_on_error()
                elif isinstance(owner, SwarmConn):
                    await close_now(owner)

        run = async_fn if daemon or _internal else guarded
        super().run_task(run, *args, daemon=daemon, name=name, _internal=_internal)


@asynccontextmanager
async def running(service: Service, refuse: Tally) -> AsyncIterator[None]:
    """Run a libp2p service in the background of the block; its failure cancels the block."""
    async with trio.open_nursery() as nursery:
        manager = GuardedManager(service, refuse)
        service._manager = manager
        nursery.start_soon(manager.run)
        await manager.wait_started()
        try:
            yield
        finally:
            with shielded(3):
                await manager.stop()
            nursery.cancel_scope.cancel()


def _forget(peer_id: ID) -> None:
    del peer_id


def _config(limits: Limits) -> ConnectionConfig:
    return ConnectionConfig(
        max_connections=limits.connections,
        high_watermark=limits.connections,
        # Zero: libp2p never dials to have company.
        min_connections=0,
        low_watermark=0,
        max_connections_per_peer=limits.connections_per_peer,
        inbound_upgrade_timeout=limits.handshake_s,
        outbound_upgrade_timeout=limits.handshake_s,
        inbound_stream_protocol_negotiation_timeout=limits.handshake_s,
        outbound_stream_protocol_negotiation_timeout=limits.handshake_s,
    )


def _resource_manager(limits: Limits) -> ResourceManager:
    """The resource manager that `new_host` would make, or silently leave out when it cannot.

    Without its circuit breaker and "graceful degradation": the first refuses everybody after a
    few failures, the second lowers the limits, and both are for a stranger to trigger.
    """
    # Above what the bounds per connection let in: nobody can use up the places of all.
    streams = 2 * limits.connections * limits.streams_per_connection
    return ResourceManager(
        limits=ResourceLimits(max_connections=limits.connections, max_streams=streams),
        connection_limits=ConnectionLimits(
            max_established_inbound=min(limits.inbound_connections, limits.connections),
            max_established_outbound=limits.connections,
            max_established_per_peer=limits.connections_per_peer,
            max_established_total=limits.connections,
        ),
        enable_metrics=False,
        enable_circuit_breaker=False,
        enable_graceful_degradation=False,
        enable_rate_limiting=False,
    )
