"""Peering: the asyncio driver of `commons_protocol`'s state machines over a network.

It dials, accepts, proves, compares, fetches, hints and joins; what is true it leaves to the
store behind `Replica`, and who may do what to `commons_crdt`.
"""

from commons_node.peering.peering import Peering
from commons_node.peering.types import (
    Admissions,
    Convergence,
    Joined,
    KnownPeer,
    Lan,
    MakeNetwork,
    MemoryBook,
    NotJoined,
    OnChange,
    PeerBook,
    PeerState,
    Settings,
    UnknownPeer,
)

__all__ = [
    "Admissions",
    "Convergence",
    "Joined",
    "KnownPeer",
    "Lan",
    "MakeNetwork",
    "MemoryBook",
    "NotJoined",
    "OnChange",
    "PeerBook",
    "PeerState",
    "Peering",
    "Settings",
    "UnknownPeer",
]
