"""Which tags are shown to whom, where a node is in more communities than a stream has tags.

Each stream with a peer shows others of them (``proof.Prover``). A stream on which some found no
room is made anew after a while; without a community in common it ends, and is made anew anyway.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from commons_node.peering.book import MOST_KNOWN
from commons_protocol.network import PeerId

EVERY_S: Final = 600.0
"""So long a stream stays as it is, if there are other communities to show."""


class Showing:
    """By peer. Times are seconds of any steady clock."""

    def __init__(self) -> None:
        """Nothing was shown to anybody."""
        self._turns: OrderedDict[PeerId, int] = OrderedDict()
        self._due: dict[PeerId, float] = {}

    def turn(self, peer: PeerId) -> int:
        """How many streams have shown their tags to this peer."""
        return self._turns.get(peer, 0)

    def shown(self, peer: PeerId) -> None:
        """One more has, and heard the peer's."""
        self._turns[peer] = self.turn(peer) + 1
        self._turns.move_to_end(peer)
        self._due.pop(peer, None)
        while len(self._turns) > MOST_KNOWN:
            self._turns.popitem(last=False)

    def over(self, peer: PeerId, *, more: bool, now: float) -> bool:
        """True when it is time for another stream; ``more``: it would show what this one can't."""
        if not more:
            return False
        return now >= self._due.setdefault(peer, now + EVERY_S)

    def forget(self, peer: PeerId) -> None:
        """Nobody wants to talk with it any more."""
        self._turns.pop(peer, None)
        self._due.pop(peer, None)
