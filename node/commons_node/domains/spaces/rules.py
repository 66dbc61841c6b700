"""Who may describe spaces, and what an attendance token must prove. Pure.

That a token's day was counted already is no rule but a fold; which node a space has is a document,
and read beside the folds.
"""

from __future__ import annotations

from collections.abc import Iterator

from commons_crdt.ids import MemberId, RealmId
from commons_crdt.kinds import Claim, Kind
from commons_crdt.operation import SALT_BYTES
from commons_crdt.ring import verify_ring
from commons_crdt.roles import Role
from commons_node.domains.spaces.facts import (
    ATTENDANCE,
    MAX_PRESENCE_MS,
    MAX_SAID,
    PRESENCE,
    SAID,
    SINCE,
    SPACE,
    SPACE_SCHEMA,
    Attendance,
    Presence,
)
from commons_protocol.attendance import message_of, scope_of


def _attendance(claim: Claim) -> str:
    """About a space; signed by one of several members, each with one key that was granted."""
    body: Attendance = claim.body
    creation = claim.refs.get(claim.document)
    if creation is None or creation.kind != SPACE or not creation.edit:
        return "reference"
    ring = body.ring
    if list(ring) != sorted(set(ring)):
        return "terms"
    if len(set(_owners(claim, frozenset(ring)))) < len(ring):
        return "terms"  # somebody who is no member, or somebody twice
    realm = RealmId(claim.header.realm)
    message = message_of(realm, claim.document, body.slot)
    scope = scope_of(realm, claim.document, body.slot)
    return "" if verify_ring(message, scope, ring, body.signature) else "terms"


def _owners(claim: Claim, ring: frozenset[bytes]) -> Iterator[MemberId]:
    """Whose these keys are, as far as the author knew: members' own devices, not nodes'."""
    owners: dict[bytes, MemberId] = {}
    for grant in claim.authority.grants.values():
        key = grant.keys.signing
        if key in ring and not grant.unattended and claim.authority.bit(grant.id) & claim.view:
            owners[key] = min(owners.get(key, grant.member), grant.member)
    yield from owners.values()


def _presence(claim: Claim) -> str:
    """About itself, for a day at most, with what it says in a part."""
    body: Presence = claim.body
    if any(claim.header.document):
        return "document"
    if body.until_ms > claim.header.time_ms + MAX_PRESENCE_MS:
        return "terms"
    return "" if [part.name for part in claim.header.parts] == [SAID] else "terms"


KINDS = (
    Kind(SPACE, SPACE_SCHEMA, Role.HOST, max_body=16 * 1024, erased="body", since=SINCE),
    Kind(
        ATTENDANCE,
        Attendance,
        Role.NEWCOMER,
        unattended=True,
        max_body=8192,
        erased="body",
        rule=_attendance,
        since=SINCE,
    ),
    Kind(
        PRESENCE,
        Presence,
        Role.NEWCOMER,
        max_body=128,
        parts={SAID: MAX_SAID + SALT_BYTES},
        erased="body",
        rule=_presence,
        since=SINCE,
    ),
)
