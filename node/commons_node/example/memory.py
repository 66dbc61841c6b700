"""What the story of a street remembers from day to day, and how somebody in it does something."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from commons_crdt.errors import CommonsError
from commons_node.example.past import Past
from commons_node.example.people import NEIGHBOURS, Delivery, Neighbour

DAY_MS: Final = 24 * 3_600_000
_MINUTE_MS: Final = 60_000


@dataclass(slots=True)
class Lent:
    """A loan of the story: where it stands, and on which day something is to happen to it."""

    loan: str
    number: str
    borrower: str
    steward: str
    asked: int
    days: int
    state: str = "requested"
    due: int = 0
    over: int = 0
    """On which day it came back."""
    punctual: bool = True
    damaged: bool = False


@dataclass(slots=True)
class Year:
    """What the story remembers. ``day`` counts from 0."""

    past: Past
    rng: random.Random
    days: int
    deliveries: Sequence[Delivery]
    day: int = 0
    things: dict[str, str] = field(default_factory=dict)
    """The steward of each number."""
    broken: dict[str, int] = field(default_factory=dict)
    """Until which day a number is in repair."""
    lent: list[Lent] = field(default_factory=list)
    away: dict[str, str] = field(default_factory=dict)
    """Who is suspended, by which operation."""
    loans: int = 0
    spaces: dict[str, str] = field(default_factory=dict)
    """The id of each space, by name."""
    sealed: list[tuple[int, str]] = field(default_factory=list)
    """From which day on who opens what they said of a loan."""
    checkins: int = 0

    async def do(self, who: str | None, verb: str, /, **arguments: object) -> Mapping[str, Any]:
        """Somebody does something, some minutes after whatever was before."""
        self.past.at_ms += self.rng.randrange(1, 9) * _MINUTE_MS
        return await self.past.do(who, verb, **arguments)

    async def tries(self, who: str, verb: str, /, **arguments: object) -> Mapping[str, Any] | None:
        """As ``do``; None where the node says why not, as it says to people."""
        try:
            return await self.do(who, verb, **arguments)
        except CommonsError:
            return None

    def here(self) -> list[Neighbour]:
        """Who may borrow today."""
        return [one for one in NEIGHBOURS if one.joins < self.day and one.name not in self.away]

    def later(self, at_ms: int) -> None:
        """The clock goes on to a moment, and never back."""
        self.past.at_ms = max(self.past.at_ms, at_ms)

    def in_state(self, *states: str) -> list[Lent]:
        """Loans of the story, in the order of asking."""
        return [one for one in self.lent if one.state in states]
