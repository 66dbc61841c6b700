"""When a community that was not proven on a stream is tried again, on a new one.

A slot that failed stays dead as long as its stream lives, and other communities keep that going
for days. Yet the failure may pass: the other side was too busy to read the path in time, or has
learned of this node since.
"""

from __future__ import annotations

from typing import Final

from commons_protocol.network import PeerId

FIRST_S: Final = 5.0
LAST_S: Final = 600.0


class Patience:
    """By peer: the wait doubles while it fails, from ``FIRST_S`` to ``LAST_S``."""

    def __init__(self) -> None:
        """Nothing has failed."""
        self._due: dict[PeerId, float] = {}
        self._wait: dict[PeerId, float] = {}

    def over(self, peer: PeerId, *, lacking: bool, now: float) -> bool:
        """True once when it is time; ``lacking``: whether its stream has a dead community now."""
        if not lacking:
            self.forget(peer)
            return False
        due = self._due.get(peer)
        if due is None:
            wait = self._wait.get(peer, FIRST_S)
            self._due[peer], self._wait[peer] = now + wait, min(2 * wait, LAST_S)
            return False
        if now < due:
            return False
        del self._due[peer]
        return True

    def forget(self, peer: PeerId) -> None:
        """All is proven, or nobody wants to talk with it any more."""
        self._due.pop(peer, None)
        self._wait.pop(peer, None)
