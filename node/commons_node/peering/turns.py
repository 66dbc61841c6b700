"""Turns at fetching much: one peer for each realm at a time, so that nothing is fetched twice.

A policy of this node, not of the protocol. Who is slow loses the turn to whoever waits, and
finishes beside it; small differences need no turn.
"""

from __future__ import annotations

from dataclasses import dataclass

from commons_crdt.ids import RealmId
from commons_protocol.network import PeerId

MUCH = 256
"""Operations from which on fetching needs a turn."""

_LONGEST_MS = 30_000
_SILENCE_MS = 5_000


@dataclass(slots=True)
class _Turn:
    peer: PeerId
    since: int
    moved: int


class Turns:
    """Who fetches much in which realm. Times are milliseconds."""

    def __init__(self) -> None:
        """Nobody does."""
        self._turns: dict[RealmId, _Turn] = {}

    def take(self, realm: RealmId, peer: PeerId, size: int, now: int) -> bool:
        """May this much be fetched from this peer now?"""
        if size < MUCH:
            return True
        turn = self._turns.get(realm)
        taken = (
            turn is not None
            and turn.peer != peer
            and now - turn.since < _LONGEST_MS
            and now - turn.moved < _SILENCE_MS
        )
        if not taken:
            self._turns[realm] = _Turn(peer, now, now)
        return not taken

    def moved(self, realm: RealmId, peer: PeerId, now: int) -> None:
        """Something came from this peer."""
        turn = self._turns.get(realm)
        if turn is not None and turn.peer == peer:
            turn.moved = now

    def leave(self, peer: PeerId, realm: RealmId | None = None) -> list[RealmId]:
        """This peer is done, in one realm or in all; gives where others may go on."""
        free = [
            held
            for held, turn in self._turns.items()
            if turn.peer == peer and realm in {None, held}
        ]
        for held in free:
            del self._turns[held]
        return free
