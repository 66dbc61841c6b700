"""Writing down that a device forked, so that the proof travels with log 0, before anything else.

The node does it with its own device, unattended. It has no effect but the two headers: it accuses
nobody of more than two signatures.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection

import structlog

from commons_crdt.author import Draft
from commons_crdt.authority.flips import Chain
from commons_crdt.authority.identity_facts import ForkProof
from commons_crdt.authority.kinds_identity import PROOF
from commons_crdt.device import DeviceSecrets
from commons_crdt.errors import CommonsError, Refused
from commons_crdt.ids import DeviceId, MemberId
from commons_crdt.kinds import decode_fact
from commons_crdt.operation import content, decode_header
from commons_node.realm.authoring import Written
from commons_node.realm.realm import Realm
from commons_node.store.database import fetch

log = structlog.get_logger(component="membership")

_SPREAD_S = 3.0

_AT = (
    "SELECT o.header, o.signature FROM operations o JOIN chains c ON c.n = o.chain"
    " WHERE c.device = ? AND c.log = ? AND o.seq = ? ORDER BY o.id LIMIT 2"
)


async def let_others() -> None:
    """Wait for a moment by chance, so that not every node writes down the same fork."""
    await asyncio.sleep(_SPREAD_S * random.random())  # noqa: S311 - no secret


async def prove_forks(
    realm: Realm, node: DeviceSecrets, here: Collection[MemberId]
) -> list[Written]:
    """Prove the forks that nobody has proven yet.

    A chain once only, here or elsewhere: who forks again below makes nobody write again. Forks of
    members who live ``here`` are left to others: where this home runs twice, its copy has the
    node's key too, and two proofs would fork that as well.
    """
    forks = realm.judge.forks
    devices = realm.judge.authority.devices
    granted = devices.get(node.keys.id)
    if not forks or granted is None or realm.node_keys(node.keys.id) is None:
        return []
    proven = await _proven(realm)
    written: list[Written] = []
    for (device, log_number), seq in sorted(forks.items()):
        siblings = await fetch(realm.store.database.read, _AT, (device, log_number, seq))
        owner = devices.get(device)
        if (device, log_number) in proven or len(siblings) < 2:
            continue
        if owner is not None and owner.member in here:
            continue
        body = ForkProof(*siblings[0], *siblings[1])
        try:
            written += await realm.write([Draft.fact(PROOF, body, log=0)], node, granted.id)
        except CommonsError as error:
            log.warning("fork_not_proven", device=device.hex()[:8], why=error.code)
            break
        log.warning("fork", device=device.hex()[:8], log=log_number, seq=seq)
    return written


async def _proven(realm: Realm) -> set[Chain]:
    """The chains of which a proof is here."""
    query = "SELECT body FROM operations WHERE kind = ? AND verdict = 1"
    found: set[Chain] = set()
    for (body,) in await fetch(realm.store.database.read, query, (PROOF,)):
        try:
            header = decode_header(decode_fact(ForkProof, content(body)).first)
        except Refused:
            continue
        found.add((DeviceId(header.device), header.log))
    return found
