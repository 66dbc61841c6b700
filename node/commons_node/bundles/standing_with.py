"""How the makers of bundles stand with this node: truthful, with what to do next.

A bundle is a letter: it says what somebody had when it was made. So nobody is ever *synced* by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from commons_crdt.ids import RealmId
from commons_crdt.texts import _
from commons_node.bundles.carried import Maker, ended, ends_of, makers, member_of
from commons_node.community import Community
from commons_node.peering.types import PeerState
from commons_protocol.bundles.gaps import by_chain, count, lacking, ranges, starts
from commons_protocol.names import NodeId
from commons_protocol.reasons import Cause
from commons_protocol.status import SyncStatus

_OFFLINE = frozenset({"unreachable", "unknown"})


def day(ms: int) -> str:
    """A moment as a date, UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).date().isoformat()


async def standing_with(community: Community, maker: Maker) -> SyncStatus:
    """What is known of a maker, and since when."""
    realm = community.realm
    theirs = await ends_of(realm, maker.device)
    tips = realm.memory.tips()
    missing = count(lacking(theirs, tips, ended(realm)))
    begin = starts([by_chain(theirs)], by_chain(realm.memory.ends.vector().ends), tips)
    here = {start.after for start in begin.values() if start.after is not None}
    more = count(ranges(begin, tips, here))
    since, of = maker.created_ms, day(maker.created_ms)
    if missing:
        return SyncStatus("bundle_behind", None, missing, 0, since, count=missing, detail=of)
    code = "bundle_lacked" if more else "bundle_even"
    return SyncStatus(code, None, 0, 0, since, count=more, detail=of)


async def with_makers(
    peers: list[PeerState], communities: Mapping[RealmId, Community]
) -> list[PeerState]:
    """The peers, with what bundles say of those who are not here, and of those never met."""
    found = {peer.node: peer for peer in peers}
    for community in communities.values():
        for maker in await makers(community.realm):
            node = NodeId(maker.node.hex())
            known = found.get(node)
            if known is not None and not _newer(maker, known):
                continue
            sync = await standing_with(community, maker)
            found[node] = PeerState(
                node, known.addresses if known else (), known.connected if known else False,
                False, max(maker.created_ms, (known and known.last_seen_ms) or 0), sync, {},
                frozenset({community.realm.realm}), program=known.program if known else None,
            )  # fmt: skip
    return [found[node] for node in sorted(found)]


def _newer(maker: Maker, known: PeerState) -> bool:
    """A letter is news of who cannot be asked now, and was not met since it was written."""
    if known.blocked or known.realms or known.sync.state not in _OFFLINE:
        return False
    return (known.last_seen_ms or 0) < maker.created_ms


async def by_bundle(community: Community) -> Cause | None:
    """Why nobody is here, and what to do, of a node that hears by bundles; None if none came."""
    found = await makers(community.realm)
    if not found:
        return None
    names = await community.names()
    latest = found[0]
    member = member_of(community.realm, latest.device)
    who = (names.get(member) if member else None) or latest.node.hex()[:8]
    return Cause(
        "by_bundle",
        detail=_("{who}'s, of {day}").format(who=who, day=day(latest.created_ms)),
        node=latest.node.hex(),
    )
