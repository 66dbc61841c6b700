"""The causal past of each change of a document, and what was visible there, in pure Python.

The semantics are Automerge's for a flat map of registers: an operation stands until one that saw it
overwrites it; of several that stand, the one with the largest id is displayed. Having them here
makes every rule a function of (change, past) alone, whatever arrived before it. Never judges: it
believes what it is given, see `rules`.
"""

from collections.abc import Iterable

from commons_crdt.document.change import ChangeHeader
from commons_crdt.document.operations import Operation, OperationId
from commons_crdt.document.values import DocumentView, Fields, Value

Standing = dict[str, tuple[OperationId, ...]]
"""For each field the operations that stand, ascending. Never changed in place."""


class Causality:
    """The changes of one document, added in a causal order.

    Positions are the order of adding: local, never part of a result. A past is an integer whose bit
    n says whether the change at position n belongs to it.
    """

    __slots__ = ("_heads", "_last", "_max_ops", "_pasts", "_positions", "_standing", "_values")

    def __init__(self) -> None:
        self._positions: dict[bytes, int] = {}
        self._pasts: list[int] = []
        self._max_ops: list[int] = []
        self._standing: list[Standing] = []
        self._values: dict[OperationId, tuple[int, Value]] = {}
        self._last: dict[bytes, list[int]] = {}
        self._heads: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._pasts)

    def __contains__(self, change: bytes) -> bool:
        return change in self._positions

    @property
    def heads(self) -> tuple[bytes, ...]:
        """The changes that nothing depends on, sorted."""
        return tuple(sorted(self._heads))

    def past(self, changes: Iterable[bytes]) -> int:
        """The union of the pasts of these changes, each with the change itself."""
        past = 0
        for change in changes:
            past |= self._pasts[self._positions[change]]
        return past

    def max_op(self, changes: Iterable[bytes]) -> int:
        """The largest operation counter in the past of these changes; 0 for none."""
        return max((self._max_ops[self._positions[change]] for change in changes), default=0)

    def count_by(self, actor: bytes) -> int:
        """How many changes of this actor there are."""
        return len(self._last.get(actor, ()))

    def last_seq(self, actor: bytes, past: int) -> int:
        """The actor's largest seq in this past; 0 for none. (Its changes are one chain.)"""
        mine = self._last.get(actor, ())
        for seq in range(len(mine), 0, -1):
            if past >> mine[seq - 1] & 1:
                return seq
        return 0

    def head_with(self, actor: bytes) -> bytes | None:
        """The first head whose past holds the actor's last change."""
        mine = self._last.get(actor)
        if not mine:
            return None
        return next(head for head in self.heads if self.past((head,)) >> mine[-1] & 1)

    def standing(self, changes: tuple[bytes, ...]) -> Standing:
        """The operations that stand for someone who saw these changes and their pasts."""
        positions = [self._positions[change] for change in changes]
        if len(positions) > 1:  # an author's own last change is named even when another contains it
            seen = 0
            for at in positions:
                seen |= self._pasts[at] ^ 1 << at
            positions = [at for at in positions if not seen >> at & 1]
        if not positions:
            return {}
        if len(positions) == 1:
            return self._standing[positions[0]]
        views = [(self._standing[at], self._pasts[at]) for at in positions]
        merged: Standing = {}
        for field in sorted(set().union(*(view for view, _ in views))):
            ids = {id_ for view, _ in views for id_ in view.get(field, ())}
            merged[field] = tuple(sorted(id_ for id_ in ids if self._stands(id_, field, views)))
        return merged

    def _stands(self, id_: OperationId, field: str, views: list[tuple[Standing, int]]) -> bool:
        """Whoever saw an operation and doesn't show it has seen it overwritten."""
        at = self._values[id_][0]
        return all(id_ in view.get(field, ()) or not past >> at & 1 for view, past in views)

    def add(self, header: ChangeHeader, operations: tuple[Operation, ...]) -> None:
        """Adds a change whose dependencies are here. Raises KeyError when one is not."""
        standing = dict(self.standing(header.deps))
        past = self.past(header.deps)
        position = len(self._pasts)
        counter = header.start_op
        for field, value, _, settles in operations:
            if settles:
                standing[field] = standing[field][-1:]
            else:
                id_ = (counter, header.actor)
                standing[field] = (id_,)
                self._values[id_] = (position, value)
            counter += 1
        self._positions[header.hash] = position
        self._pasts.append(past | 1 << position)
        self._max_ops.append(counter - 1)
        self._standing.append(standing)
        self._last.setdefault(header.actor, []).append(position)
        self._heads.difference_update(header.deps)
        self._heads.add(header.hash)

    def view(self) -> DocumentView:
        """What the document shows: the displayed values, and all values of contended fields."""
        heads = self.heads
        standing = self.standing(heads)
        values = self._values
        fields: dict[str, Value] = {}
        conflicts: dict[str, tuple[Value, ...]] = {}
        for field in sorted(standing):
            ids = standing[field]
            fields[field] = values[ids[-1]][1]
            if len(ids) > 1:
                different = {(type(v), v): v for v in (values[id_][1] for id_ in reversed(ids))}
                if len(different) > 1:
                    conflicts[field] = tuple(different.values())
        return DocumentView(heads, fields, conflicts)


def same_fields(ours: Fields, theirs: Fields) -> bool:
    """Compares with the types: for Python 1 == True, for a document they differ."""
    return ours == theirs and all(type(ours[name]) is type(theirs[name]) for name in ours)
