"""Every node folds what a seal settles by itself, once, and compares the hash with the seal's.

Nobody can be made to believe a state by its hash: verdicts follow from the operations alone. But a
council whose keys endorsed a hash of something else was deceived, or runs another program, or this
node does. So what a view shows is called settled only after both were equal here, and where they
differ the people at this node are told. Local: no verdict depends on it.

Source: docs/protocol/authority.md "Seals".
"""

from __future__ import annotations

from concurrent.futures.process import BrokenProcessPool
from typing import Literal, NamedTuple

import structlog

from commons_crdt.ids import OperationId, RealmId
from commons_node.realm.realm import Realm
from commons_node.sealing.checking import seal_of, worth_here
from commons_node.store.settled import state_of

log = structlog.get_logger(component="sealing")

_REST_MS = 3_600_000
"""How long what could not be compared is left alone: another try folds everything again."""
State = Literal["unsealed", "unknown", "hollow", "equal", "differs"]
_HOLLOW = bytes(32)


class Compared(NamedTuple):
    """How this node stands with the newest seal of which everything is here.

    ``unknown``: not compared yet; ``hollow``: some contents are not here, so that it cannot be.
    """

    state: State
    seal: OperationId | None = None


def newest_whole(realm: Realm) -> OperationId | None:
    """The newest seal in force whose tips are all here, and those of all before it."""
    found = None
    for one in realm.judge.seals():
        if one.tops is None:
            break
        found = one.seal
    return found


async def compared(realm: Realm) -> Compared:
    """What the comparison has come to, as it is on the disk."""
    seal = newest_whole(realm)
    if seal is None:
        return Compared("unsealed")
    here = await state_of(realm.store.database.read, seal)
    content = seal_of(realm, seal)
    if here is None or content is None:
        return Compared("unknown", seal)
    if here == _HOLLOW:
        return Compared("hollow", seal)
    return Compared("equal" if here == content.state else "differs", seal)


class Comparer:
    """Compares once for each seal; ``look`` is cheap where nothing is to be compared."""

    def __init__(self) -> None:
        """Knows nothing yet; what it found out stands on the disk."""
        self._busy: set[OperationId] = set()
        self._differ: set[OperationId] = set()
        self._rest_until: dict[OperationId, int] = {}
        self._told: dict[RealmId, Compared] = {}

    async def news(self, realm: Realm, now_ms: int) -> Compared | None:
        """``look``; what it found, if it decided something that was not told before."""
        found = await self.look(realm, now_ms)
        if found.state not in {"equal", "differs"} or self._told.get(realm.realm) == found:
            return None
        self._told[realm.realm] = found
        return found

    async def look(self, realm: Realm, now_ms: int) -> Compared:
        """Compare the newest whole seal, unless that is done; how this node stands with it.

        One that differs is folded again after a start: perhaps by a newer program.
        """
        before = await compared(realm)
        seal = before.seal
        if seal is None or before.state == "equal" or seal in self._busy | self._differ:
            return before
        if now_ms < self._rest_until.get(seal, 0):
            return before
        self._busy.add(seal)
        try:
            await self._compare(realm, seal, now_ms)
        except BrokenProcessPool:  # a worker died: at the next look
            log.info("seal_not_compared", why="worker")
        finally:
            self._busy.discard(seal)
        return await compared(realm)

    async def _compare(self, realm: Realm, seal: OperationId, now_ms: int) -> None:
        standing, digest = await realm.standing(seal), realm.digest()
        content = seal_of(realm, seal)
        if standing is None or content is None:
            return
        found = await worth_here(realm, standing.view, seal)
        if found.missing:
            return
        if found.pending:  # erased since, and the next seal settles the erasure too
            self._rest_until[seal] = now_ms + _REST_MS
            log.info("seal_not_compared", why="contents", operations=found.pending)
            await realm.as_one(lambda: _note(realm, seal, _HOLLOW))
            return
        if found.state != content.state:
            if realm.digest() != digest:
                return  # read while more came: no alarm before it is certain
            self._differ.add(seal)
            log.warning("seal_differs", seal=seal.hex()[:12], here=found.state.hex()[:12])
        await realm.as_one(lambda: _note(realm, seal, found.state))


async def _note(realm: Realm, seal: OperationId, state: bytes) -> None:
    async with realm.store.database.transaction():
        await realm.store.settled.compared(seal, state)
