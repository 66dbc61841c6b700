"""Whether a proposed seal checks here: what a coordinator's node asks before it endorses.

Everything that it lists is here and is what it says, nothing of it lies beyond an end or is so
young that others may still be travelling, all of it stands as it would be settled, and the state
hash is the one that this node computes itself. Who leaves somebody out harms nobody: they stay
provisional.
"""

from __future__ import annotations

from dataclasses import dataclass

from commons_crdt.authority.book import View
from commons_crdt.authority.council_facts import CouncilAct, Seal
from commons_crdt.ids import OperationId
from commons_crdt.texts import _
from commons_node.realm.realm import Realm
from commons_node.sealing.scratch import Given, Unsigned, Worth, worth
from commons_node.store.database import fetch
from commons_node.store.reading import VOID

HOUR_MS = 3_600_000
_CHUNK = 1000
_PATIENCE_S = 3600.0
_CLOCKS_MS = 10 * 60_000
"""How far two clocks may be apart: a margin that is short by that much is kept."""


@dataclass(frozen=True, slots=True)
class Checked:
    """``why`` is a sentence, "" if the seal checks. ``later``: it may check when more is here."""

    why: str = ""
    later: bool = False

    @property
    def good(self) -> bool:
        """True if it may be endorsed."""
        return not self.why


def seal_of(realm: Realm, act: OperationId) -> Seal | None:
    """The content of a council act, if it is a seal that is here."""
    polity = realm.judge.authority.polity
    n = realm.judge.authority.bits.get(act)
    if polity is None or n is None:
        return None
    body = polity.book.entries[n].body
    return body.act if isinstance(body, CouncilAct) and isinstance(body.act, Seal) else None


async def given(realm: Realm, seen: View) -> list[Given]:
    """What is stored of a view of log 0, and all of log 1, in a causal order, without parts."""
    numbers = realm.judge.authority.bits
    query = (
        "SELECT o.n, c.log, o.id, o.header, o.body, o.verdict, o.reason, o.role FROM operations o"
        " JOIN chains c ON c.n = o.chain WHERE o.n > ? ORDER BY o.n LIMIT ?"
    )
    found: list[Given] = []
    after = 0
    while rows := await fetch(realm.store.database.read, query, (after, _CHUNK)):
        after = rows[-1][0]
        found += [Given(*row[2:]) for row in rows if row[1] or _within(seen, numbers, row[2])]
    return found


def _within(seen: View, numbers: dict[OperationId, int], ident: bytes) -> bool:
    n = numbers.get(OperationId(ident))
    return n is not None and bool(seen >> n & 1)


async def worth_here(realm: Realm, seen: View, seal: OperationId | Unsigned) -> Worth:
    """What a seal is worth, computed in a worker process from what is stored here."""
    operations = await given(realm, seen)
    return await realm.pool.aside(worth, bytes(realm.realm), operations, seal, seconds=_PATIENCE_S)


async def check(realm: Realm, act: OperationId, now_ms: int) -> Checked:
    """See the module. ``act`` is here, and is a seal."""
    seal = seal_of(realm, act)
    standing = await realm.standing(act)
    if seal is None or standing is None:
        return Checked(_("It is being written just now."), later=True)
    stored = await realm.store.standings([tip.id for tip in seal.tips])
    absent = len(seal.tips) - len(stored)
    if absent:
        return Checked(
            _("Operations that it lists and that are not here yet: {absent}.").format(
                absent=absent
            ),
            later=True,
        )
    newest = 0
    for tip in seal.tips:
        there = stored[OperationId(tip.id)]
        if (there.device, there.log, there.seq) != (tip.device, tip.log, tip.seq):
            return Checked(_("It lists operations as what they are not."))
        if there.judgement.reason in VOID:
            return Checked(_("It lists what lies beyond the end of a chain."))
        newest = max(newest, there.time_ms)
    found = await worth_here(realm, standing.view, act)
    margin = realm.judge.authority.constitution.seal_margin_hours * HOUR_MS
    latest = max(standing.time_ms - margin + min(margin, _CLOCKS_MS), found.erased_ms)
    if newest > latest or standing.time_ms > now_ms + _CLOCKS_MS:
        return Checked(_("It lists acts so young that others may still be on their way."))
    return judged(found, seal.state)


def judged(found: Worth, state: bytes | None = None) -> Checked:
    """What is wrong with a seal by its worth; ``state``: the hash that it claims."""
    if found.bad_tip:
        return Checked(_("It lists what lies beyond a cut."))
    if found.missing:
        return Checked(_("Operations that it lists are not here."), later=True)
    if found.pending:
        return Checked(
            _("Operations in it that wait for something: {pending}.").format(pending=found.pending),
            later=True,
        )
    if found.differ:
        some = _("{count}, the first {differ}").format(
            count=len(found.differ), differ=found.differ[0].hex()[:12]
        )
        return Checked(
            _("What it would settle otherwise than it stands here: {some}.").format(some=some),
            later=True,
        )
    if state is not None and state != found.state:
        return Checked(_("Its state hash is not the one that this node computes."))
    return Checked()
