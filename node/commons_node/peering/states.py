"""How every known peer stands, as `peer list` and `sync status` show it: with a reason."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from commons_crdt.ids import RealmId
from commons_crdt.texts import _
from commons_node.peering.records import Offender
from commons_node.peering.types import KnownPeer, PeerState, WayKind
from commons_protocol.names import peer_id
from commons_protocol.network import PeerConnection
from commons_protocol.status import SyncStatus, worst

if TYPE_CHECKING:
    from commons_node.peering.peering import Peering


def state_of(peering: Peering, known: KnownPeer) -> PeerState:
    """The state of one known peer now."""
    peer = peer_id(known.node)
    talk = peering.talks.now.get(peer)
    connection = peering.network.peers().get(peer)
    penalty = peering.guard.penalty(known.node)
    realms: dict[RealmId, SyncStatus] = {}
    seen = known.last_seen_ms
    if known.blocked:
        sync = SyncStatus("blocked", unknown_since=seen)
    elif penalty is not None:
        sync = SyncStatus("abuse", unknown_since=seen, detail=sentence_of(penalty))
    elif talk is not None and talk.session.realms:
        realms = {realm: s.status() for realm, s in talk.session.realms.items()}
        sync = worst(list(realms.values()))
    else:
        sync = _apart(peering, known, connected=connection is not None)
    shares = peering.shares.of(known.node)
    return PeerState(
        known.node,
        known.addresses,
        connection is not None,
        known.blocked or penalty is not None,
        seen,
        sync,
        realms,
        shares,
        {realm: peering.shares.compared(known.node, realm) for realm in shares},
        _way(peering, connection) if connection is not None else "",
        None if known.blocked else penalty,
        peering.acquaintance.program(peer),
    )


def _apart(peering: Peering, known: KnownPeer, *, connected: bool) -> SyncStatus:
    """The state of a peer with which nothing is shared at the moment."""
    way, seen = peering.talks.ways.get(peer_id(known.node)), known.last_seen_ms
    reason = f": {way.error}" if way is not None and way.error else ""
    if way is not None and way.code == "stranger":
        return SyncStatus("stranger", unknown_since=seen)
    if connected:
        ended = (
            _("; the last try ended with: {code}").format(code=way.code)
            if way is not None and way.code
            else ""
        )
        return SyncStatus("unproven", unknown_since=seen, detail=reason or ended)
    if not known.addresses and (way is None or way.failed.is_set()):
        return SyncStatus("no_address", unknown_since=seen)
    if way is None or not way.failed.is_set():
        return SyncStatus("dialling", unknown_since=seen)
    if way.why:
        return SyncStatus(way.why, unknown_since=seen)
    return SyncStatus("unreachable", unknown_since=seen, detail=reason)


def sentence_of(penalty: Offender) -> str:
    """Until when, why, and how often: the end of a sentence."""
    until = datetime.fromtimestamp(penalty.until_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
    return _("until {until} UTC: it broke rules ({why}), time {times} in a row").format(
        until=until, why=penalty.why, times=penalty.times
    )


def _way(peering: Peering, connection: PeerConnection) -> WayKind:
    """How a peer is connected."""
    if connection.relayed:
        return "relayed"
    machine, where = peering.machine, connection.addresses
    ip = where[0].split("/")[2] if where and where[0].count("/") > 2 else ""
    return "lan" if machine is not None and machine.is_near(ip) else "direct"


def state_with_all(realm: RealmId, peers: Iterable[PeerState]) -> SyncStatus | None:
    """How a realm stands with everybody who is here: the worst of them.

    Who is connected and has not compared yet, or does not answer, may hold anything. If nobody is
    here, how it stands with those who could be; None if nobody is known.
    """
    shared, unsure, away = [], [], []
    for peer in peers:
        if realm in peer.realms:
            shared.append(peer.realms[realm])
        elif peer.blocked or not (realm in peer.shares or not peer.shares):
            continue
        elif peer.connected and not peer.realms and peer.sync.state == "unknown":
            unsure.append(peer.sync)
        elif peer.sync.state in {"unreachable", "unknown"}:
            away.append(peer.sync)
    found = [*shared, *unsure] or away
    return worst(found) if found else None
