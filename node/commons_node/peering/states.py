"""How every known peer stands, as `peer list` shows it: truthful, with a reason."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from commons_crdt.ids import RealmId
from commons_node.peering.types import KnownPeer, PeerState, WayKind
from commons_protocol.names import peer_id
from commons_protocol.network import PeerId
from commons_protocol.status import SyncStatus, worst

if TYPE_CHECKING:
    from commons_node.peering.peering import Peering


def state_of(peering: Peering, known: KnownPeer) -> PeerState:
    """The state of one known peer now."""
    peer = peer_id(known.node)
    talk = peering.talks.now.get(peer)
    connected = peer in peering.network.peers()
    realms: dict[RealmId, SyncStatus] = {}
    seen = known.last_seen_ms
    if known.blocked:
        sync = SyncStatus("blocked", unknown_since=seen)
    elif talk is not None and talk.session.realms:
        realms = {realm: s.status() for realm, s in talk.session.realms.items()}
        sync = worst(list(realms.values()))
    else:
        way = peering.talks.ways.get(peer)
        reason = way.reason if way is not None else ""
        advice = way.advice if way is not None else ""
        if way is not None and way.stranger:
            sync = SyncStatus("stranger", unknown_since=seen, reason=reason)
        elif connected or way is None or not way.failed.is_set():
            sync = SyncStatus("unknown", unknown_since=seen, reason=reason)
        else:
            sync = SyncStatus("unreachable", unknown_since=seen, reason=reason, advice=advice)
    return PeerState(
        known.node,
        known.addresses,
        connected,
        known.blocked,
        seen,
        sync,
        realms,
        way_to(peering, peer),
    )


def way_to(peering: Peering, peer: PeerId) -> WayKind:
    """How a peer is connected now."""
    connection = peering.network.peers().get(peer)
    if connection is None:
        return ""
    if connection.relayed:
        return "relayed"
    machine, where = peering.machine, connection.addresses
    ip = where[0].split("/")[2] if where and where[0].count("/") > 2 else ""
    return "lan" if machine is not None and machine.is_near(ip) else "direct"


def state_with_all(realm: RealmId, peers: Iterable[PeerState]) -> SyncStatus | None:
    """How a realm stands with everybody who is here: the worst of them; None if nobody is.

    Who is connected and has not compared yet, or does not answer, may hold anything.
    """
    shared, unsure = [], []
    for peer in peers:
        if realm in peer.realms:
            shared.append(peer.realms[realm])
        elif peer.connected and not peer.realms and peer.sync.state == "unknown":
            unsure.append(peer.sync)
    found = [*shared, *unsure]
    return worst(found) if found else None
