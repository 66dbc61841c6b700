"""Room for large parts: a realm's quota, the disk's reserve, and what is let go for others.

What was added on this node stays. Of the rest that goes which nobody has looked at for longest, and
only if a connected peer says *now* that it holds it. Whoever is about to let go of a part already
says of it that it is not here: so of two nodes that let go at the same time at most one relies on
the other, and never both.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Literal

import structlog

from commons_node.parts.asking import Asking
from commons_node.realm.realm import Realm
from commons_node.store.large_parts import LargePart

log = structlog.get_logger(component="parts")

_AT_ONCE = 64
"""Parts that one call asks others about."""


class Room:
    """One for a node."""

    def __init__(self, asking: Asking, fits: Callable[[int], bool]) -> None:
        """``fits``: whether the disk has room for so many bytes more (`commons_node.disk`)."""
        self._asking = asking
        self._fits = fits

    async def refuses(
        self, realm: Realm, part: LargePart, quota: int
    ) -> Literal["", "quota", "disk"]:
        """Why a part cannot be stored as things are; "" if it can."""
        missing = part.length - part.have
        if not self._fits(missing):
            return "disk"
        used = (await realm.parts.usage()).bytes
        return "quota" if used + missing > quota else ""

    async def make(
        self, realm: Realm, need: int, quota: int, *, sparing: Set[int] = frozenset()
    ) -> bool:
        """Let parts go until ``need`` bytes fit the quota; False if they do not.

        ``sparing``: parts that are being fetched.
        """
        over = (await realm.parts.usage()).bytes + need - quota
        if over <= 0:
            return True
        begun = await realm.store.large.parts("NOT l.whole AND l.have > 0 ORDER BY l.used_ms")
        whole = [part for part in await realm.parts.whole() if not part.own]
        for part in [*begun, *whole[:_AT_ONCE]]:
            if over <= 0:
                break
            if part.n not in sparing and await self._let_go(realm, part):
                over -= part.have
        return over <= 0

    async def clear(self, realm: Realm, unseen_ms: int, *, sparing: Set[int]) -> None:
        """Let go of what is settled and nobody looks at, as far as others hold it."""
        for part in (await realm.parts.settled(unseen_ms))[:_AT_ONCE]:
            if part.n not in sparing:
                await self._let_go(realm, part)

    async def _let_go(self, realm: Realm, part: LargePart) -> bool:
        realm.parts.leaving.add(part.n)
        try:
            if part.whole and not await self._asking.elsewhere(realm, part):
                return False
            await realm.parts.drop(part)
        finally:
            realm.parts.leaving.discard(part.n)
        log.info("part_let_go", realm=realm.realm.hex()[:8], operation=part.operation.hex()[:8])
        return True
