"""What listeners are told after a commit, each of them whatever another one does with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from commons_crdt.ids import OperationId, RealmId
from commons_crdt.operation import Operation
from commons_node.realm.revised import Flip
from commons_node.store.realm_store import Stored

log = structlog.get_logger(component="realm")


@dataclass(frozen=True, slots=True)
class Change:
    """What listeners are told after a commit: new operations and of which ``kinds`` they are,
    whether they are our own, and whether log 0 grew; and which stored ones they gave another
    verdict. ``forked``: two operations at one place of a chain came to light.
    """

    realm: RealmId
    ids: tuple[OperationId, ...]
    operations: tuple[Operation, ...]
    kinds: frozenset[str]
    own: bool
    log_zero: bool
    flips: tuple[Flip, ...] = ()
    forked: bool = False


class Telling:
    """Tells the listeners of one realm, after the commit and before anything else happens."""

    def __init__(self, realm: RealmId) -> None:
        """Nobody listens."""
        self.listeners: list[Callable[[Change], None]] = []
        self._realm = realm

    def __call__(
        self,
        stored: Sequence[Stored],
        flips: tuple[Flip, ...],
        *,
        own: bool = False,
        forked: bool = False,
    ) -> None:
        """Tell what was stored, and which verdicts changed."""
        change = Change(
            self._realm,
            tuple(item.standing.id for item in stored),
            tuple(item.operation for item in stored),
            frozenset(item.standing.kind for item in stored),
            own,
            any(item.standing.log == 0 for item in stored) or any(f.log == 0 for f in flips),
            flips,
            forked,
        )
        for tell in self.listeners:
            try:
                tell(change)
            except Exception:
                log.exception("listener_failed", realm=self._realm.hex()[:8])
