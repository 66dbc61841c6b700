"""What became of stored operations because of others: before and after, and the ends that moved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from commons_crdt.authority.flips import Chain
from commons_crdt.authority.judge import Standing
from commons_crdt.ids import OperationId
from commons_crdt.verdict import Judgement


@dataclass(frozen=True, slots=True)
class Flip:
    """One stored operation whose verdict or reason is another now. ``log``: 0 or 1."""

    id: OperationId
    log: int
    before: Judgement
    after: Judgement


@dataclass(slots=True)
class Revised:
    """Gathered while one batch is committed. ``erased``: bytes were taken from the disk."""

    ends: set[Chain] = field(default_factory=set)
    erased: bool = False
    _before: dict[OperationId, Judgement] = field(default_factory=dict)
    _after: dict[OperationId, Standing] = field(default_factory=dict)

    def put(self, before: Standing, after: Standing) -> None:
        """An operation was judged again; what it was at first is kept."""
        self._before.setdefault(before.id, before.judgement)
        self._after[after.id] = after

    def get(self, ident: OperationId) -> Standing | None:
        """What an operation is now, if it was judged again."""
        return self._after.get(ident)

    @property
    def standings(self) -> Iterable[Standing]:
        """All that was judged again, as it is now."""
        return self._after.values()

    def flips(self) -> tuple[Flip, ...]:
        """What is other than before."""
        return tuple(
            Flip(ident, after.log, self._before[ident], after.judgement)
            for ident, after in self._after.items()
            if self._before[ident] != after.judgement
        )

    def __bool__(self) -> bool:
        """True if anything was judged again."""
        return bool(self._after)
