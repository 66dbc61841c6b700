"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """``things`` with ``edits`` each; ``apart`` edits on each side while the nodes are apart.

    So many things are made ``together`` before they are edited: all of them, so that no document
    is done at once, is the hardest for the one who receives them.

    ``judged`` operations by ``devices`` devices go through the judge alone.

    ``writes`` of each kind are timed; ``runs`` is how many runs a median is of; ``timeout`` is
    the longest wait for any one thing, in seconds.
    """

    things: int = 10_000
    edits: int = 4
    apart: int = 500
    writes: int = 200
    runs: int = 7
    together: int = 10_000
    judged: int = 100_000
    devices: int = 1_000
    timeout: float = 900.0
    members: int = 5_000
    """At most: `members` measures at the sizes up to it."""
    loans: int = 20_000
    """Loans of `domain`, each of five operations."""
    idle: float = 180.0
    """Seconds that `idle` looks on for."""

    @property
    def operations(self) -> int:
        """What the things amount to: their creations and their edits."""
        return self.things * (1 + self.edits)
