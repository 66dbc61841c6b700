"""Receipts: a node says, with its own device, that it holds nothing more of what was erased.

Before it says so it looks: into the bodies and parts of the realm's file, large and small, into
what waits, and it has the log beside the file cut off. Deleted pages are overwritten as they are
freed. What people have copied elsewhere it cannot know.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from commons_crdt.author import Draft
from commons_crdt.authority.judge import ERASURE
from commons_crdt.device import DeviceSecrets
from commons_crdt.errors import CommonsError
from commons_crdt.ids import OperationId
from commons_node.domains.leaving.facts import MOST, RECEIPT, SINCE, Receipt
from commons_node.realm.authoring import Written
from commons_node.realm.erasing import is_edit, target_of
from commons_node.realm.realm import Realm
from commons_node.store.database import fetch, placeholders

log = structlog.get_logger(component="leaving")
CLOCKS_MS = 24 * 3600 * 1000
"""How far clocks may be apart when it is asked whether a node was there at an erasure."""
_IN = 400
_ERASURES = "SELECT id, body, time_ms FROM operations WHERE kind = ? AND verdict = 1 ORDER BY n"
_HELD = (
    "SELECT o.id, o.document, o.kind, o.body IS NOT NULL,"
    " EXISTS (SELECT 1 FROM parts p WHERE p.operation = o.n AND p.bytes IS NOT NULL),"
    " EXISTS (SELECT 1 FROM large l JOIN chunks c ON c.part = l.n WHERE l.operation = o.n)"
    " FROM operations o WHERE o.{0} IN ({1})"
)


async def confirm_erasures(realm: Realm, node: DeviceSecrets) -> list[Written]:
    """Write receipts for erasures that this node has carried out and not confirmed yet.

    What is not gone from the disk yet (somebody reads an old state of the file) is confirmed later.
    """
    granted = realm.judge.authority.devices.get(node.keys.id)
    rules = realm.judge.authority.council.rules
    if granted is None or realm.node_keys(node.keys.id) is None or rules < SINCE:
        return []
    open_ = await _unconfirmed(realm, node)
    done = [ident for ident, target in open_ if await gone(realm, target)]
    if not done or not await realm.as_one(realm.store.database.forget_erased):
        return []
    written: list[Written] = []
    for at in range(0, len(done), MOST):
        some = sorted(done[at : at + MOST])
        draft = Draft.fact(RECEIPT, Receipt(tuple(some)), refs=some)
        try:
            written += await realm.write([draft], node, granted.id)
        except CommonsError as error:
            log.info("receipt_later", realm=realm.realm.hex()[:8], why=error.code)
            break
    return written


async def _unconfirmed(
    realm: Realm, node: DeviceSecrets
) -> Sequence[tuple[OperationId, OperationId]]:
    """Erasures since this node is one, with their targets, that it has not confirmed."""
    read = realm.store.database.read
    query = "SELECT erasures FROM v_receipts WHERE device = ?"
    confirmed: set[bytes] = set()
    for (packed,) in await fetch(read, query, (node.keys.id,)):
        confirmed |= {packed[at : at + 32] for at in range(0, len(packed), 32)}
    since = await since_ms(realm, realm.judge.authority.devices[node.keys.id].id)
    return [
        (OperationId(ident), target)
        for ident, body, time_ms in await fetch(read, _ERASURES, (ERASURE,))
        if ident not in confirmed and time_ms >= since and (target := target_of(body)) is not None
    ]


async def since_ms(realm: Realm, grant: OperationId) -> int:
    """From which claimed time on a node with this grant is asked for receipts."""
    standing = await realm.standing(grant)
    return standing.time_ms - CLOCKS_MS if standing is not None else 0


async def gone(realm: Realm, target: OperationId) -> bool:
    """Whether no byte that this erasure takes is in the realm's file any more."""
    read = realm.store.database.read
    rows = await fetch(read, _HELD.format("id", "?"), (target,))
    if not rows:
        return False
    kinds = realm.rules.kinds
    if is_edit(kinds.get(rows[0][2])):
        rows = await fetch(read, _HELD.format("document", "?"), (rows[0][1],))
        if any(large for *_rest, large in rows):  # photos of a thing go with its description
            return False
        rows = [row for row in rows if is_edit(kinds.get(row[2]))]
    for _ident, _document, name, body, small, large in rows:
        kind = kinds.get(name)
        if small or large or (body and kind is not None and kind.erased == "body"):
            return False
    ids = [row[0] for row in rows]
    for at in range(0, len(ids), _IN):
        some = ids[at : at + _IN]
        query = f"SELECT 1 FROM waiting WHERE id IN ({placeholders(len(some))}) LIMIT 1"  # noqa: S608 - own clause
        if await fetch(read, query, some):
            return False
    return True
