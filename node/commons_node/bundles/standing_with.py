"""How the makers of bundles stand with this node, in words: truthful, with what to do next.

A bundle is a letter: it says what somebody had when it was made. So nobody is ever *synced* by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from commons_crdt.ids import RealmId
from commons_node.bundles.carried import Maker, ended, ends_of, makers, member_of
from commons_node.community import Community
from commons_node.peering.types import PeerState
from commons_protocol.bundles.gaps import by_chain, count, lacking, ranges, starts
from commons_protocol.names import NodeId
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
    begin = starts([by_chain(theirs)], by_chain(realm.memory.ends.vector()), tips)
    here = {start.after for start in begin.values() if start.after is not None}
    more = count(ranges(begin, tips, here))
    as_of = f"as of the bundle of {day(maker.created_ms)}"
    had = f"it lacked {more} of the operations here" if more else "it had all that is here"
    command = f"`commons-node bundle export FILE --for {maker.node.hex()[:8]}`"
    if missing:
        reason = f"{as_of} it had {missing} operations that are not here, and {had}"
        advice = f"Ask for a whole bundle of it; for the way back: {command}."
        return SyncStatus("behind", None, missing, 0, maker.created_ms, reason, advice)
    advice = f"Make a bundle for it: {command}." if more else "Nothing, until something is new."
    return SyncStatus("unknown", None, 0, 0, maker.created_ms, f"{as_of} {had}", advice)


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
            )  # fmt: skip
    return [found[node] for node in sorted(found)]


def _newer(maker: Maker, known: PeerState) -> bool:
    """A letter is news of who cannot be asked now, and was not met since it was written."""
    if known.blocked or known.realms or known.sync.state not in _OFFLINE:
        return False
    return (known.last_seen_ms or 0) < maker.created_ms


async def alone(community: Community) -> tuple[str, str] | None:
    """Reason and next action of a node that hears by bundles only; None if none came yet."""
    found = await makers(community.realm)
    if not found:
        return None
    names = await community.names()
    latest = found[0]
    member = member_of(community.realm, latest.device)
    who = names.get(member, latest.node.hex()[:8]) if member else latest.node.hex()[:8]
    reason = f"no network; the latest bundle is {who}'s, as of {day(latest.created_ms)}"
    return reason, f"Make one for the way back: `commons-node bundle export FILE --for {who}`."
