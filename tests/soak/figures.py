"""What the soak counted: filled by every part of it, printed as one JSON object."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Figures:
    """Of one run."""

    struck: Counter[str] = field(default_factory=Counter)
    """Faults that really happened, by kind; see `plan.PER_MINUTE`."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Faults that could not happen as planned: the node was down already."""
    claims: Counter[str] = field(default_factory=Counter)
    """Claims that were held against the ledger, by how they were made."""
    heals: list[dict[str, object]] = field(default_factory=list)
    peaks: dict[str, int] = field(default_factory=dict)
    """The most memory that each daemon took with its workers, in bytes of PSS."""
    refusals: dict[tuple[str, int], Counter[str]] = field(default_factory=dict)
    """What each life of each daemon had refused when it was last asked."""
    lost: set[tuple[str, str]] = field(default_factory=set)
    """(node, operation): acknowledged somewhere, and not there after everything was mended."""
    divergent: int = 0
    """Calm moments at which not all nodes were the same."""
    false_converged: int = 0
    slowest_call_s: float = 0.0
    violations: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, what: Counter[str], name: str) -> None:
        """Add one, from any thread."""
        with self._lock:
            what[name] += 1

    def violated(self, sentence: str) -> None:
        """An invariant does not hold."""
        with self._lock:
            self.violations.append(sentence)

    def refused(self) -> dict[str, int]:
        """All lives of all daemons together."""
        whole: Counter[str] = Counter()
        for life in list(self.refusals.values()):
            whole.update(life)
        return dict(sorted(whole.items()))
