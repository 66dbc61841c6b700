"""What seals in force mean for one realm's file: which operations are settled, and the pin.

Works inside the transaction that brings a seal into force, so that a crash leaves both or neither.
The pin moves forward to each seal in force, and to no other act by itself: what is settled must
stay so, while two acts in force on one base leave the council where it was until people have
decided (`pinning`).
"""

from __future__ import annotations

from collections.abc import Sequence

from commons_crdt.authority.judge import Judge
from commons_crdt.authority.settled import InForce
from commons_crdt.authority.state import View
from commons_crdt.ids import DeviceId, OperationId
from commons_node.store.realm_store import RealmStore


class Sealed:
    """Keeps the table equal to what the judge says; ``forget`` after a failed commit."""

    def __init__(self, store: RealmStore) -> None:
        """Shares the realm's store."""
        self._store = store
        self._known: list[OperationId] | None = None
        self._pin: OperationId | None = None

    def forget(self) -> None:
        """What was written may not be on the disk."""
        self._known = None

    async def follow(self, judge: Judge) -> None:
        """Note what has been settled since the last time, and move the pin."""
        seals = judge.seals()
        if self._known is None:
            self._known = await self._store.settled.seals()
            self._pin = await self._store.settled.pin()
        if seals and self._is_behind(judge, seals[-1].seal):
            await self.pin_to(judge, seals[-1].seal)
        complete = _complete(seals)
        names = [one.seal for one in complete]
        if names == self._known:
            return
        if names[: len(self._known)] != self._known:
            await self._store.settled.clear()
            self._known = []
        before: View = complete[len(self._known) - 1].view if self._known else 0
        for one in complete[len(self._known) :]:
            await self._mark(judge, one, before)
            before = one.view
        await self._store.settled.set_seals(names)
        self._known = names

    def _is_behind(self, judge: Judge, seal: OperationId) -> bool:
        """True if the pin comes before this seal in the council's chain, or is not in it."""
        chain = judge.authority.council.chain
        return self._pin not in chain or chain.index(self._pin) < chain.index(seal)

    async def pin_to(self, judge: Judge, seal: OperationId) -> None:
        """Never leave the council's chain below a seal any more."""
        self._pin = seal
        await self._store.settled.set_pin(seal)
        judge.pin_to(seal)

    async def _mark(self, judge: Judge, seal: InForce, before: View) -> None:
        table = self._store.settled
        numbers = judge.authority.bits
        new = seal.view & ~before
        await table.add([ident for ident, n in numbers.items() if new >> n & 1])
        for device, branches in (seal.tops or {}).items():
            if (device, 1) in judge.forks:
                await self._mark_forked(judge, device)
            else:
                for seq, _ in branches:
                    await table.add_chain(device, seq, seal.own)

    async def _mark_forked(self, judge: Judge, device: DeviceId) -> None:
        """Of a forked chain each operation is asked for: its siblings are not settled."""
        async for rows in self._store.inside.chain(device, 1):
            settled = [row.standing.id for row in rows if judge.settled(row.standing)]
            await self._store.settled.add(settled)


def _complete(seals: Sequence[InForce]) -> list[InForce]:
    """The first seals, up to one of which a tip is not here."""
    found: list[InForce] = []
    for one in seals:
        if one.tops is None:
            break
        found.append(one)
    return found
