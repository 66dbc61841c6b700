"""What a libp2p connection is to the daemon: with whom, over what; and why one failed."""

from collections.abc import Sequence

from libp2p.abc import INetConn
from libp2p.rcmgr import Direction

from commons_protocol.libp2p_host.circuits import CircuitConnection
from commons_protocol.network import Address, PeerConnection, PeerId


def peer_of(conn: INetConn) -> PeerId:
    """Who has proven to be at the other end."""
    return PeerId(conn.muxed_conn.peer_id.to_base58())


def described(conns: Sequence[INetConn]) -> PeerConnection:
    """The connections with one peer, as the daemon sees them; at least one.

    Where somebody who came in may be dialled is not what their socket says.
    """
    dialled = sorted((conn for conn in conns if is_outbound(conn)), key=is_circuit)
    addresses = dict.fromkeys(remote(conn) for conn in dialled or conns)
    relayed = all(map(is_circuit, conns))
    return PeerConnection(tuple(addresses), "out" if dialled else "in", relayed)


def relay_of(conn: INetConn) -> PeerId | None:
    """The relay that a circuit goes through; None for a direct connection."""
    raw = getattr(conn.muxed_conn, "raw", None)
    if not isinstance(raw, CircuitConnection):
        return None
    return PeerId(raw.relay.rpartition("/p2p/")[2])


def is_circuit(conn: INetConn) -> bool:
    """Does this connection go through a relay?"""
    return relay_of(conn) is not None


def remote(conn: INetConn) -> Address:
    """Where it was dialled, or where the other's socket is."""
    found: Address = getattr(conn.muxed_conn, "remote", Address(""))
    return found


def is_outbound(conn: INetConn) -> bool:
    """Did this node dial it?"""
    return getattr(conn, "direction", None) == Direction.OUTBOUND


def reason(error: BaseException) -> str:
    """The innermost cause, in few words: libp2p wraps "connection refused" three times."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, BaseExceptionGroup):
        return reason(error.exceptions[0])
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
