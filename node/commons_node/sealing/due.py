"""When a seal is due, and what it would be: the cheap questions first.

Due are ``seal.days`` since the last seal (or the genesis), ``seal.operations`` that a seal could
settle, or a last seal that had no room for every chain.
"""

from __future__ import annotations

from dataclasses import dataclass

from commons_crdt.authority.book import View
from commons_crdt.authority.council_facts import Seal, Tip
from commons_crdt.ids import DeviceId, OperationId
from commons_crdt.texts import _
from commons_node.realm.realm import Realm
from commons_node.sealing.checking import HOUR_MS, judged, seal_of, worth_here
from commons_node.sealing.scratch import Unsigned, Worth
from commons_node.sealing.tips import MAX_TIPS, tips
from commons_node.store.settled import ripe, settled_counts

DAY_MS = 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class Prepared:
    """A seal that its author only has to sign: ``why`` not, if it cannot be made now.

    ``base``: the act in force that it was made on. ``operations``: how many it settles anew.
    """

    base: OperationId
    content: Seal | None
    operations: int = 0
    why: str = ""


def last_seal(realm: Realm) -> OperationId | None:
    """The newest seal in force."""
    seals = realm.judge.seals()
    return seals[-1].seal if seals else None


def margin_ms(realm: Realm) -> int:
    """How old what is sealed must be, in ms."""
    return realm.judge.authority.constitution.seal_margin_hours * HOUR_MS


def cutoff_ms(realm: Realm, now_ms: int) -> int:
    """What is younger than this is not sealed."""
    return now_ms - margin_ms(realm)


async def is_due(realm: Realm, now_ms: int) -> bool:
    """See the module."""
    terms = realm.judge.authority.constitution
    last = last_seal(realm) or OperationId(realm.realm)
    standing = await realm.standing(last)
    if standing is None:
        return False
    content = seal_of(realm, last)
    if content is not None and len(content.tips) >= MAX_TIPS:
        return True
    if now_ms - standing.time_ms >= terms.seal_days * DAY_MS:
        return True
    connection = realm.store.database.read
    settled, stored = await settled_counts(connection)
    if stored - settled < terms.seal_operations:
        return False
    return await ripe(connection, cutoff_ms(realm, now_ms)) >= terms.seal_operations


async def is_whole(realm: Realm) -> bool:
    """False if something waits here for operations that it builds on."""
    return not (await realm.store.waiting_count()).get("missing")


async def prepare(realm: Realm, device: DeviceId, now_ms: int) -> Prepared:
    """The seal that a listed key would write now, checked as others will check it."""
    base = realm.judge.authority.council.base
    seen, _theirs = await _sees(realm, device)
    listed = await tips(realm, seen, cutoff_ms(realm, now_ms))
    if not listed:
        return Prepared(base, None, why=_("There is nothing that a seal could settle now."))
    found = await worth_of(realm, device, listed)
    checked = judged(found)
    if not checked.good:
        return Prepared(base, None, why=checked.why)
    settled, _rest = await settled_counts(realm.store.database.read)
    return Prepared(base, Seal(listed, found.state), found.operations - settled)


async def worth_of(realm: Realm, device: DeviceId, listed: tuple[Tip, ...]) -> Worth:
    """What a seal with these tips would be worth, written by a listed key now."""
    authority = realm.judge.authority
    seen, heads = await _sees(realm, device)
    grant = authority.devices[device].id
    unsigned = Unsigned(listed, authority.council.base, device, grant, heads)
    return await worth_here(realm, seen, unsigned)


async def _sees(realm: Realm, device: DeviceId) -> tuple[View, tuple[OperationId, ...]]:
    """The log 0 that a device's next operation has in its past, and the heads that it cites."""
    authority = realm.judge.authority
    top = realm.memory.top(device, 0)
    grant = await realm.standing(authority.devices[device].id)
    seen = top.view if top is not None else grant.view if grant is not None else 0
    cited = []
    for head in authority.news(seen):
        standing = await realm.standing(head)
        if standing is not None:  # otherwise it is being written just now
            seen |= standing.view
            cited.append(head)
    return seen, tuple(cited)
