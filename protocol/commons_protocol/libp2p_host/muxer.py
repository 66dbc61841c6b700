"""Security and multiplexing of one connection: Noise, then Yamux with bounds; nothing else.

No secio, plaintext, TLS or mplex is ever offered. libp2p 0.8.1 only logs when a peer ignores its
flow-control window and puts no bound on inbound streams; `BoundedYamux` ends the connection of
such a peer, or resets the stream.
"""

import socket
from typing import Any

import trio
from libp2p.abc import IMuxedConn, IMuxedStream, IRawConnection, ISecureConn
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.x25519 import create_new_key_pair as new_noise_key
from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as Noise
from libp2p.stream_muxer.exceptions import MuxedStreamError
from libp2p.stream_muxer.muxer_multistream import MuxerMultistream
from libp2p.stream_muxer.yamux.yamux import DEFAULT_WINDOW_SIZE, Yamux, YamuxStream
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.transport.exceptions import SecurityUpgradeFailure
from libp2p.transport.upgrader import TransportUpgrader

from commons_crdt.texts import N_
from commons_protocol.libp2p_host.circuits import Pipe
from commons_protocol.libp2p_host.gate import Direction, Gate
from commons_protocol.names import peer_key
from commons_protocol.network import PeerId

NEGOTIATE_S = 5
WRITE_S = 10.0
"""Seconds for one Yamux frame, at most 64 KiB, to leave for the system's buffer."""
_UNANSWERED_MS = 40_000


class PeerIsBlockedError(SecurityUpgradeFailure):
    """The peer proved who it is, and it is blocked."""


class OwnAddressError(SecurityUpgradeFailure):
    """The peer at this address is this node."""


class BoundedYamux(Yamux):
    """Yamux that a peer cannot fill, and that a cancelled writer does not break."""

    gate: Gate
    raw: IRawConnection | None = None
    giving_up = False
    """The connection is being closed: a write need not be finished."""

    async def _write_frame(self, data: bytes) -> None:
        """Write a whole frame, whoever is cancelled meanwhile.

        Noise counts what it encrypts: a frame that is encrypted and not sent, because the one
        stream that wrote it was cancelled, ends the connection with all its streams.
        """
        async with self._write_lock:
            with trio.CancelScope(deadline=trio.current_time() + WRITE_S) as scope:
                scope.shield = not self.giving_up
                await self.secured_conn.write(data)
            if scope.cancelled_caught:
                await drop(self.raw)
                raise MuxedStreamError("the peer takes no bytes")
        await trio.lowlevel.checkpoint()

    def _finalize_stream_locked(self, stream: YamuxStream, *, fully_closed: bool) -> None:
        """Forget a stream that was reset at once, with what was not read of it.

        libp2p keeps it for a minute, or for ever when its own side is closed after the reset:
        strangers could fill the connection's places with streams that are long gone.
        """
        ended_by_fin = stream.recv_closed and not stream.send_closed
        if stream.reset_received and not ended_by_fin:
            self.stream_buffers.pop(stream.stream_id, None)
            fully_closed = True
        super()._finalize_stream_locked(stream, fully_closed=fully_closed)

    async def accept_stream(self) -> IMuxedStream:
        while True:
            stream = await super().accept_stream()
            inbound = sum(not open_.is_initiator for open_ in self.streams.values())
            if inbound <= self.gate.limits.streams_per_connection:
                return stream
            self.gate.refuse("streams")
            await stream.reset()

    async def _read_data_body(self, length: int) -> bytes:
        held = max(map(len, self.stream_buffers.values()), default=0)
        if max(length, held) > DEFAULT_WINDOW_SIZE:
            self.gate.refuse("flow")
            # The one error that makes Yamux end the connection here; others it lives with.
            raise trio.TooSlowError
        return await super()._read_data_body(length)


class _Muxers(MuxerMultistream):
    """Negotiates Yamux. libp2p's own builds its Yamux whatever class it was given."""

    def __init__(self, gate: Gate) -> None:
        super().__init__({TProtocol(YAMUX): BoundedYamux}, NEGOTIATE_S)
        self._gate = gate

    async def new_conn(self, conn: ISecureConn, peer_id: ID) -> IMuxedConn:
        protocol, _ = await self._selector.select(conn, conn.is_initiator, self.negotiate_timeout)
        muxed = BoundedYamux(conn, peer_id, is_initiator=conn.is_initiator)
        muxed.gate = self._gate
        return self._annotate_connection(muxed, conn, protocol)


class GatedUpgrader(TransportUpgrader):
    """Lets in who proves an Ed25519 identity by Noise and is not blocked."""

    def __init__(self, keys: KeyPair, gate: Gate) -> None:
        noise = Noise(keys, noise_privkey=new_noise_key().private_key)
        super().__init__({NOISE: noise}, {TProtocol(YAMUX): BoundedYamux}, NEGOTIATE_S)
        self.muxer_multistream = _Muxers(gate)
        self._self_id = ID.from_pubkey(keys.public_key)
        self._gate = gate

    async def upgrade_security(
        self, raw_conn: IRawConnection, is_initiator: bool, peer_id: ID | None = None
    ) -> ISecureConn:
        """Shake hands. Outbound without `peer_id`, whoever answers is taken by the id it proves."""
        _notice_a_dead_peer(raw_conn)
        if is_initiator and peer_id is None:
            secured = await self.security_multistream.secure_outbound(
                raw_conn,
                # Noise XX authenticates the answerer anyway; None only skips the comparison.
                None,  # type: ignore[arg-type]
            )
        else:
            secured = await super().upgrade_security(raw_conn, is_initiator, peer_id)
        remote = secured.get_remote_peer()
        if remote == self._self_id:
            raise OwnAddressError(N_("this is our own address"))
        peer = PeerId(remote.to_base58())
        try:
            peer_key(peer)
        except ValueError as error:  # Noise takes RSA and secp256k1 as well
            raise SecurityUpgradeFailure("it has no Ed25519 key, so it is no node") from error
        direction: Direction = "out" if is_initiator else "in"
        if self._gate.refuses(peer, direction):
            raise PeerIsBlockedError("blocked")
        return secured


def socket_of(raw_conn: IRawConnection) -> Any:
    """The trio `SocketStream` under a raw connection, or None."""
    return getattr(getattr(raw_conn, "stream", None), "stream", None)


async def drop(raw: Any) -> None:
    """Close a socket at once, without a word to the peer; a circuit is reset."""
    stream = socket_of(raw)
    if isinstance(pipe := getattr(raw, "stream", None), Pipe):
        await pipe.reset()
    elif stream is not None:
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(stream)


def _notice_a_dead_peer(raw_conn: IRawConnection) -> None:
    """Let the kernel end a connection that no longer answers: Yamux pings but never gives up."""
    stream = socket_of(raw_conn)
    if stream is None:
        return
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNANSWERED_MS)
