"""Among whom a token hides: one key of each member, the same one on every node.

It is the signing key of the member's oldest standing device, so that a phone and a laptop count
once. Everybody who stands in a ring signs alike; beyond 64 members a ring is one even share of
them, chosen by a hash of the space and the day, the same for all who are in it.
"""

from __future__ import annotations

from collections.abc import Mapping

from commons_crdt.authority.state import Grant
from commons_crdt.ids import MemberId, digest
from commons_crdt.ring import MAX_RING, usable_key
from commons_node.realm.realm import Realm


async def keys_of(realm: Realm) -> Mapping[MemberId, bytes]:
    """Every standing member's key; who has only limited devices, or a key of no use, has none."""
    authority = realm.judge.authority
    members = authority.members()
    grants = [
        grant
        for grant in authority.standing_devices().values()
        if not grant.unattended and grant.limit is None and grant.member in members
    ]
    known = await realm.memory.find([grant.id for grant in grants])
    oldest: dict[MemberId, tuple[int, bytes, Grant]] = {}
    for grant in grants:
        standing = known.get(grant.id)
        if standing is None or realm.judge.end(grant.keys.id, 1).why in {"cut", "closed"}:
            continue
        rank = (standing.lamport, bytes(grant.id), grant)
        if grant.member not in oldest or rank[:2] < oldest[grant.member][:2]:
            oldest[grant.member] = rank
    return {
        member: grant.keys.signing
        for member, (_, _, grant) in oldest.items()
        if usable_key(grant.keys.signing)
    }


def ring_with(own: bytes, keys: Mapping[MemberId, bytes], scope: bytes) -> tuple[bytes, ...]:
    """The ring in which the holder of ``own`` signs for a scope; ascending."""
    every = sorted(set(keys.values()), key=lambda key: digest("ringsel", scope, key))
    shares = -(-len(every) // MAX_RING)
    size = -(-len(every) // shares) if shares else 0
    for start in range(0, len(every), size or 1):
        share = every[start : start + size]
        if own in share:
            return tuple(sorted(share))
    return ()
