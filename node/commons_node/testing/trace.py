"""What happened, in order: a hash over everything, and the lines themselves where asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened: ``seconds`` since the beginning, to ``node`` ("" : to nobody)."""

    seconds: float
    what: str
    node: str = ""
    other: str = ""
    detail: str = ""


@dataclass(slots=True)
class Trace:
    """Two runs with the same hash sent the same bytes at the same times."""

    moments: list[Moment] = field(default_factory=list)
    events: int = 0
    _hash: Any = field(default_factory=lambda: blake2b(digest_size=32))

    def heard(self, seconds: float, what: str, node: str, other: str, data: bytes) -> None:
        """Bytes went from ``other`` to ``node``."""
        self.events += 1
        self._hash.update(f"{seconds:.9f} {what} {other}>{node} {len(data)} ".encode())
        self._hash.update(data)

    def note(
        self, seconds: float, what: str, node: str = "", other: str = "", detail: str = ""
    ) -> None:
        """Something worth a line in the timeline."""
        self.events += 1
        self._hash.update(f"{seconds:.9f} {what} {node} {other} {detail}\n".encode())
        self.moments.append(Moment(seconds, what, node, other, detail))

    def digest(self) -> str:
        """64 hex digits."""
        return str(self._hash.copy().hexdigest())
