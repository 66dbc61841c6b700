"""What is shed when more comes than the disk and the checkers take: gossip first, then pushes.

Both are hints. Comparing and fetching is never shed: it is slowed by credit alone, so that whatever
was shed comes that way. Counts only; looks at no clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

Kind = Literal["pull", "push", "gossip", "path"]
"""How operations came: fetched, pushed by a neighbour, by gossip, or with a proof."""

GOSSIP_AT = 16
"""Batches that wait, or are being stored, from which on gossip is not taken."""
PUSHES_AT = 48
"""The same for pushes: more than any one neighbour may have waiting."""


class Load:
    """Of one node, over all its communities."""

    def __init__(self) -> None:
        """Nothing waits."""
        self.waiting: Counter[str] = Counter()
        """Batches that are being stored or wait for it, by kind."""
        self.frames = 0
        """Frames that peers sent on sync streams since the start."""
        self.taken: Counter[str] = Counter()
        """Batches that were taken since the start, by kind."""
        self.shed: Counter[str] = Counter()
        """Batches that were not, by kind."""

    def sheds(self, kind: Kind, begun: int = 0) -> bool:
        """Is a batch of this kind too much now? Counted if so.

        ``begun``: of this kind, those that were accepted and may not have come here yet.
        """
        most = {"gossip": GOSSIP_AT, "push": PUSHES_AT}.get(kind)
        late = max(0, begun - self.waiting[kind])
        if most is None or self.waiting.total() + late < most:
            return False
        self.shed[kind] += 1
        return True

    @contextmanager
    def taking(self, kind: Kind) -> Iterator[None]:
        """A batch is being taken in."""
        self.begin(kind)
        try:
            yield
        finally:
            self.end(kind)

    def begin(self, kind: Kind) -> None:
        """A batch has come; ``end`` must follow."""
        self.waiting[kind] += 1
        self.taken[kind] += 1

    def end(self, kind: Kind, count: int = 1) -> None:
        """So many batches are stored, or will not be."""
        self.waiting[kind] -= count
