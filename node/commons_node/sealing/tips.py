"""What a seal lists: the last operation of each chain that may be settled now.

Left out is what is younger than the settling margin, what waits for something, and what lies beyond
a chain's end; of log 1 also what sees more of log 0 than the seal settles. An erasure is taken
whatever its age: what it took away is here no more, so that nobody could fold the views without it.

Source: docs/protocol/authority.md "Seals".
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from commons_crdt.authority.book import Entry, View
from commons_crdt.authority.council_facts import Tip
from commons_crdt.authority.strata import Polity
from commons_crdt.operation import decode_header
from commons_crdt.verdict import Verdict
from commons_node.realm.realm import Realm
from commons_node.store.reading import VOID
from commons_node.store.settled import Unsettled

MAX_TIPS = 384
_SLICE = 500
_PENDING = int(Verdict.PENDING)


async def tips(realm: Realm, seen: View, cutoff_ms: int) -> tuple[Tip, ...]:
    """The tips, ascending; nothing if no operation would be settled by them.

    ``seen``: the log 0 that its author sees; ``cutoff_ms``: what is younger stays out. Of more
    chains than a seal may list, those that moved most come first; another seal lists the rest.
    """
    connection, table = realm.store.database.read, realm.store.settled
    young = await table.erasures_since(connection, cutoff_ms)
    needed, reach = 0, dict[bytes, int]()
    for device, seq, view in young:
        needed |= view
        reach[device] = max(seq, reach.get(device, 0))
    polity = realm.judge.authority.polity
    if polity is None:
        return ()
    listed, covered = await _of_log_0(polity, seen, cutoff_ms, needed & seen)
    walk = _Walk(cutoff_ms, covered, reach)
    after = 0
    while rows := await table.unsettled(connection, after):
        after = rows[-1].n
        for row in rows:
            walk.take(row)
    moved = sorted(walk.tips.values(), key=lambda row: (-walk.moved[row.device], row.device))
    found = [*listed, *(Tip(row.device, 1, row.seq, row.id) for row in moved)]
    news = any(not polity.settled_view >> polity.book.numbers[one.id] & 1 for one in listed)  # type: ignore[index]  # a tip's id is an operation's
    return tuple(sorted(found[:MAX_TIPS])) if news or moved else ()


async def _of_log_0(
    polity: Polity, seen: View, cutoff_ms: int, needed: View
) -> tuple[list[Tip], View]:
    """The tips of log 0, those first that no other has in its past; and what they close over."""
    within: View = 0
    tops: dict[bytes, Entry] = {}
    for entry in polity.book.entries:
        if entry.n % _SLICE == 0:
            await asyncio.sleep(0)
        if not seen >> entry.n & 1 or entry.line & ~entry.bit & ~within:
            continue
        ripe = entry.time_ms <= cutoff_ms or needed >> entry.n & 1
        if ripe and not polity.place(entry.n):
            within |= entry.bit
            tops[entry.device] = entry
    past: View = 0
    for entry in tops.values():
        past |= entry.past
    heads = [entry for entry in tops.values() if not past & entry.bit]
    others = [entry for entry in tops.values() if past & entry.bit]
    fresh = [entry for entry in others if not polity.settled_view & entry.bit]
    chosen = [*heads, *fresh][:MAX_TIPS]
    covered: View = 0
    for entry in chosen:
        covered |= entry.past | entry.bit
    return [Tip(entry.device, 0, entry.seq, entry.id) for entry in chosen], covered


@dataclass(slots=True)
class _Walk:
    """Goes through what is not settled of log 1, in a causal order."""

    cutoff_ms: int
    covered: View
    reach: dict[bytes, int]
    tips: dict[bytes, Unsettled] = field(default_factory=dict)
    moved: Counter[bytes] = field(default_factory=Counter)
    _stopped: set[bytes] = field(default_factory=set)
    _waiting: set[bytes] = field(default_factory=set)

    def take(self, row: Unsettled) -> None:
        """The next operation."""
        if row.reason in VOID and row.verdict != _PENDING:
            return
        waits = row.verdict == _PENDING
        if self._waiting and not waits:
            waits = not self._waiting.isdisjoint(decode_header(row.header).antecedents)
        if waits:
            self._waiting.add(row.id)
        young = row.time_ms > self.cutoff_ms and row.seq > self.reach.get(row.device, 0)
        if waits or young or row.view & ~self.covered:
            self._stopped.add(row.device)
        if row.device not in self._stopped:
            self.tips[row.device] = row
            self.moved[row.device] += 1
