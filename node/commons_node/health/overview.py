"""Every community with every peer: how it stands, why, and what to do next. Only looks.

The same answer is behind `sync status`, `sync why`, the metrics and the simulator's checks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from commons_crdt.ids import RealmId
from commons_crdt.texts import _
from commons_crdt.verdict import Verdict
from commons_node.bundles.standing_with import by_bundle
from commons_node.disk import MIB, Room
from commons_node.explaining.splitting import split_in_words
from commons_node.peering.states import state_with_all
from commons_node.peering.types import PeerState
from commons_node.signing import Signing
from commons_node.store.database import fetch
from commons_protocol.reasons import Cause, State, of_held, ordered
from commons_protocol.status import SyncStatus

if TYPE_CHECKING:
    from commons_node.community import Community
    from commons_node.keeping import Keeping
    from commons_node.peering.peering import Peering
    from commons_node.realm.realm import Realm

PENDING = frozenset({"missing", "contents", "pin", "seal", "cut"})
"""Why stored operations are pending; each is a reason of its own."""


class Looked(Protocol):
    """As much of a daemon as is looked at."""

    peering: Peering
    communities: dict[RealmId, Community]
    room: Room
    signing: Signing
    keeping: Keeping

    def may_sign(self, realm: RealmId) -> bool: ...


@dataclass(frozen=True, slots=True)
class Row:
    """One community with one peer."""

    community: RealmId
    peer: PeerState
    sync: SyncStatus

    @property
    def compared(self) -> int | None:
        """When they last compared, in this conversation or an earlier one (ms, UTC)."""
        return self.sync.compared or self.peer.compared.get(self.community)

    @property
    def causes(self) -> list[Cause]:
        """What keeps the two apart."""
        return self.sync.causes(self.peer.node, self.community.hex())


@dataclass(frozen=True, slots=True)
class Standing:
    """One community: how it stands with everybody (``alone`` where nobody is known), and why."""

    community: RealmId
    state: State | str
    sync: SyncStatus | None
    rows: Sequence[Row]
    causes: Sequence[Cause]
    """Of this node's own; those of peers stand with the rows."""


def rows_of(realm: RealmId, peers: Sequence[PeerState]) -> list[Row]:
    """One row for each peer that is of this community, or of whom that is not known."""
    found = []
    for peer in peers:
        if realm in peer.realms:
            found.append(Row(realm, peer, peer.realms[realm]))
        elif realm in peer.shares and peer.realms:
            # It speaks of others of our communities, and has not proven to be of this one.
            found.append(Row(realm, peer, SyncStatus("stranger", unknown_since=peer.last_seen_ms)))
        elif realm in peer.shares or not peer.shares:
            found.append(Row(realm, peer, peer.sync))
    return found


def of_peers(realm: RealmId, peers: Sequence[PeerState]) -> Standing:
    """How a community stands with its peers, and whether there are any."""
    rows, sync = rows_of(realm, peers), state_with_all(realm, peers)
    causes = []
    ident = realm.hex()
    may_be = [row for row in rows if row.sync.state not in {"blocked", "stranger"}]
    if not may_be:
        causes.append(Cause("alone", community=ident))
    elif not any(row.peer.connected for row in may_be):
        causes.append(Cause("nobody_here", len(may_be), community=ident))
    return Standing(realm, sync.state if sync is not None else "alone", sync, rows, causes)


async def of_community(community: Community, peers: Sequence[PeerState]) -> Standing:
    """The same, with what this node itself lacks or keeps aside."""
    realm = community.realm
    found = of_peers(realm.realm, peers)
    causes = [*found.causes, *await own_causes(realm)]
    if all(row.sync.code.startswith("bundle_") for row in found.rows):
        letters = await by_bundle(community)
        nobody = {"alone", "nobody_here"} if letters else frozenset()
        causes = [letters if letters and c.code in nobody else c for c in causes]
    if realm.own_credential is None:
        causes.append(Cause("no_standing"))
    if await split_in_words(community) is not None:
        causes.append(Cause("split"))
    ident = realm.realm.hex()
    return replace(found, causes=ordered([replace(one, community=ident) for one in causes]))


def of_pause(keeping: Keeping, realm: RealmId) -> Cause | None:
    """Why nothing comes and goes where this node has paused a community; None where it has not."""
    if realm not in keeping.paused:
        return None
    freed = realm in keeping.freed
    held = _("who may do what") if freed else _("what had come until then")
    return Cause("paused", detail=held, community=realm.hex())


async def of_kept(keeping: Keeping, community: Community, peers: Sequence[PeerState]) -> Standing:
    """``of_community``; of one that is paused only that: it stands with nobody now."""
    realm = community.realm.realm
    paused = of_pause(keeping, realm)
    if paused is not None:
        return Standing(realm, "paused", None, [], [paused])
    return await of_community(community, peers)


async def own_causes(realm: Realm) -> list[Cause]:
    """What waits in one realm of this node, whoever is here."""
    connection = realm.store.database.read
    query = "SELECT reason, count(*) FROM operations WHERE verdict = ? GROUP BY reason"
    counts: dict[str, int] = {}
    for reason, count in await fetch(connection, query, (Verdict.PENDING.value,)):
        counts[reason if reason in PENDING else "missing"] = count
    waiting = await realm.store.waiting_count()
    if waiting.get("missing"):
        counts["missing"] = counts.get("missing", 0) + waiting["missing"]
    if edits := await realm.store.outside.held_edits():
        counts["held_edits"] = edits
    return [*(Cause(code, count) for code, count in counts.items()), *of_held(waiting)]


def of_node(node: Looked) -> list[Cause]:
    """What is wrong with the node as a whole."""
    found = []
    network = node.peering.network.state
    if network != "up":
        found.append(Cause("network_down", detail=f" ({network})"))
    if node.room.short():
        left, kept = node.room.free // MIB, node.room.reserve // MIB
        found.append(
            Cause(
                "disk",
                detail=_("{left} MiB left, {kept} are kept free").format(left=left, kept=kept),
            )
        )
    if not all(node.may_sign(realm) for realm in node.communities.keys() - node.keeping.paused):
        found.append(Cause("copied_home" if node.signing.copied else "catching_up"))
    return ordered(found)


def refusals_of(sync: SyncStatus) -> Mapping[str, int]:
    """What of the peer's is refused, by code; under ``unknown`` where none is known."""
    return sync.refusals or ({"unknown": sync.refused} if sync.refused else {})
