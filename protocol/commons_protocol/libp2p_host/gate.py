"""Who may come in and how much of it: the block list, the limits, and the count of refusals.

Lives in the trio thread, apart from `Tally` (any thread) and the block list, which the asyncio
side replaces as a whole. It decides; it closes nothing itself.
"""

import threading
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from commons_protocol.limits import Bucket, Buckets
from commons_protocol.network import PeerId, Refusals

Direction = Literal["in", "out"]

_PACES = 256
"""Peers whose pace is remembered: more than can be here at once."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one node. Times in seconds."""

    connections: int = 64
    inbound_connections: int = 48
    """Fewer than all, so that strangers who come in do not keep us from going out."""
    connections_per_peer: int = 3
    handshakes: int = 48
    """Inbound connections that have not yet proved who they are."""
    handshakes_per_host: int = 16
    handshake_s: float = 5.0
    streams_per_peer: int = 16
    """Inbound streams of our protocols; libp2p's own and half-closed ones count below."""
    streams_per_connection: int = 32
    frames: int = 2_000
    frames_per_second: int = 1_200
    """Of one peer, in all its streams: what comes faster is read later, and waits at the sender.
    Full frames at this rate are more than a node can store."""
    inbox_frames: int = 64
    inbox_bytes: int = 1 << 20
    consumer_s: float = 3.0
    """How long a full inbox may wait for its reader; Yamux fails the writer after 5 s."""
    send_s: float = 20.0
    close_s: float = 5.0
    alive_s: float = 3.0
    gossip_pending: int = 256
    gossip_pending_per_peer: int = 64
    gossip_inbox: int = 1024


@dataclass(frozen=True, slots=True)
class RelayLimits:
    """What a node carries for others when it is a relay. Times in seconds."""

    reservations: int = 32
    per_address: int = 8
    """Reservations of one IP address; keys cost nothing."""
    reservation_s: float = 3600.0
    circuits: int = 64
    circuits_from_one: int = 8
    circuits_per_address: int = 16
    """Asked for from one IP address."""
    circuits_to_one: int = 24
    """Fewer than the streams that the called node lets in on one connection."""
    circuit_bytes: int = 256 << 20
    """Both ways together."""
    circuit_s: float = 7200.0


class Tally:
    """Adds to the refusals from any thread. A refusal says nothing about who was refused."""

    def __init__(self, refusals: Refusals) -> None:
        self._refusals = refusals
        self._lock = threading.Lock()

    def __call__(self, reason: str) -> None:
        with self._lock:
            self._refusals[reason] = self._refusals.get(reason, 0) + 1


class Gate:
    """Counts who is inside and says who may not enter."""

    def __init__(self, limits: Limits, refuse: Tally) -> None:
        self.limits = limits
        self.refuse = refuse
        self.blocked: frozenset[PeerId] = frozenset()
        self._handshakes: Counter[str] = Counter()
        self._streams: Counter[PeerId] = Counter()
        self._paces: Buckets[PeerId] = Buckets(limits.frames, limits.frames_per_second, _PACES)

    def begin_handshake(self, host: str) -> bool:
        """Take a place for an inbound connection from `host`; `end_handshake` gives it back."""
        if (
            self._handshakes.total() >= self.limits.handshakes
            or self._handshakes[host] >= self.limits.handshakes_per_host
        ):
            self.refuse("handshake")
            return False
        self._handshakes[host] += 1
        return True

    def end_handshake(self, host: str) -> None:
        self._handshakes -= Counter({host: 1})

    def refuses(self, peer: PeerId, direction: Direction) -> bool:
        """Is this peer blocked? Counted as `refused_dials` and with its direction."""
        if peer not in self.blocked:
            return False
        self.refuse("refused_dials")
        self.refuse(f"refused_dials_{direction}")
        return True

    def begin_stream(self, peer: PeerId) -> bool:
        """Take a place for an inbound stream of this peer; `end_stream` gives it back."""
        if peer in self.blocked or self._streams[peer] >= self.limits.streams_per_peer:
            self.refuse("streams")
            return False
        self._streams[peer] += 1
        return True

    def pace(self, peer: PeerId) -> Bucket:
        """How fast this peer's frames are read; it goes on where its last stream ended."""
        return self._paces.of(peer)

    def end_stream(self, peer: PeerId) -> None:
        self._streams -= Counter({peer: 1})
