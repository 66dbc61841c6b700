"""Which rows of a list anybody will look at, so that a view need not make the others.

Pure, and only a hint: a view that knows nothing of it answers its whole list, and who asked takes
the rows out of that. Either way they are the same rows, in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, TypeVar

T = TypeVar("T")
Row = Mapping[str, Any]


def every(_row: Row) -> bool:
    """Any row fits."""
    return True


@dataclass(frozen=True, slots=True)
class Selection:
    """Of the rows that fit, ``limit`` behind the first ``skip``; of each, ``fields``.

    ``looks``: those of ``fields`` by which ``fits`` decides; none: every row fits. Who asks for a
    selection looks at nothing else of the answer but how new it is (``Reading.as_of``).
    """

    fields: frozenset[str]
    limit: int
    skip: int = 0
    looks: frozenset[str] = frozenset()
    fits: Callable[[Row], bool] = every

    @property
    def end(self) -> int:
        """The place in the list behind its last row."""
        return self.skip + self.limit

    def among(self, things: Sequence[T], rows: Sequence[Row]) -> tuple[Sequence[T], bool]:
        """The things whose rows are selected, and whether more fit behind them.

        ``rows`` are of all things, each with ``looks`` at least.
        """
        fit = things
        if self.looks:
            fit = list(compress(things, map(self.fits, rows)))
        return fit[self.skip : self.end], len(fit) > self.end
