"""One relay, as a node that wants a place there sees it: when to ask, and what came of it.

Values only: time and chance are given. The libp2p specification leaves to the client when it
renews; here at half of the time, so that one lost answer loses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from commons_crdt.texts import N_, _

Phase = Literal["asking", "reserved", "renewing", "unreachable", "refused"]
Failure = Literal["unreachable", "refused"]

LONGEST_MS = 1_800_000
"""A place is renewed at least so often: clocks differ, and relays forget."""
_FIRST_MS: dict[Failure, int] = {"unreachable": 1_000, "refused": 30_000}
_MOST_MS = 300_000
_LOST_MS = 1_000

_NEXT: dict[Phase, str] = {
    "asking": N_("Wait: it is being asked."),
    "reserved": "",
    "renewing": "",
    "unreachable": N_("It is tried again by itself; ask who runs it whether it does, and where."),
    "refused": N_(
        "It is asked again by itself; ask who runs it, or take another relay:"
        " `commons-node peer relay add ADDRESS`."
    ),
}


@dataclass(slots=True)
class Reserving:
    """Times are milliseconds; ``chance`` is a number from 0 to 1, drawn anew for each call."""

    phase: Phase = "asking"
    reason: str = ""
    """Why there is no place, in words."""
    until: int | None = None
    """When the place ends, if it is not renewed."""
    _at: int | None = None
    _failures: int = 0

    @property
    def here(self) -> bool:
        """Others reach this node there now."""
        return self.phase in {"reserved", "renewing"}

    @property
    def next_action(self) -> str:
        """What a person can do; "" where nothing is wrong."""
        return _(_NEXT[self.phase])

    def wait(self, now: int) -> int:
        """Milliseconds until it is time to ask; 0 at once."""
        return 0 if self._at is None else max(0, self._at - now)

    def ask(self) -> None:
        """It is asked now."""
        self.phase = "renewing" if self.here else "asking"

    def granted(self, now: int, seconds: float, chance: float) -> None:
        """It gave a place for so many seconds; it is renewed around half of them."""
        length = round(seconds * 1000)
        self.phase, self.reason, self.until, self._failures = "reserved", "", now + length, 0
        self._at = now + round(min(length / 2, LONGEST_MS) * (0.75 + 0.25 * chance))

    def failed(self, now: int, why: Failure, reason: str, chance: float) -> None:
        """It gave none; what there was is over."""
        self.phase, self.reason, self.until = why, reason, None
        most = min(_MOST_MS, _FIRST_MS[why] * 2 ** min(self._failures, 16))
        self._failures += 1
        self._at = now + round(most * chance)

    def lost(self, now: int, chance: float) -> None:
        """The connection with it has gone, and the place with it."""
        if self.here:
            self.phase, self.reason, self.until = "unreachable", "the connection has gone", None
            self._failures = 0
            self._at = now + round(_LOST_MS * chance)

    def kick(self) -> None:
        """Another network, or the machine woke: ask at once, and begin the back-off anew."""
        self._at, self._failures = None, 0
