"""What the nodes have acknowledged, written down by the driver before anything else is believed.

Append-only: one JSON object a line in ``ledger.jsonl``, flushed before the next write is begun.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Entry:
    """An operation that ``node`` acknowledged at ``at`` (monotonic seconds)."""

    at: float
    node: str
    verb: str
    operation: str


class Ledger:
    """Safe for threads."""

    def __init__(self, file: Path) -> None:
        """``file`` is made, or gone on with."""
        self._file = file.open("a", encoding="utf-8")
        self._lock = threading.Lock()
        self._entries: list[Entry] = []
        self._names: set[str] = set()

    def wrote(self, node: str, verb: str, operations: Iterable[str]) -> None:
        """A node has answered that these are written."""
        at = time.monotonic()
        with self._lock:
            for operation in operations:
                entry = Entry(at, node, verb, operation)
                self._entries.append(entry)
                line = {"at": round(at, 3), "node": node, "verb": verb, "operation": operation}
                self._file.write(json.dumps(line) + "\n")
            self._file.flush()

    def named(self, name: str) -> None:
        """A member was let in under this name."""
        with self._lock:
            self._names.add(name)

    def entries(self) -> Sequence[Entry]:
        """All entries so far, oldest first."""
        with self._lock:
            return tuple(self._entries)

    def names(self) -> set[str]:
        """Members who were told that they are in."""
        with self._lock:
            return set(self._names)

    def close(self) -> None:
        """Write no more."""
        self._file.close()
