"""The truthful state of one community with one peer: never "in sync" when it is not.

Values only. `sync` makes them, the daemon shows them; every state but one names what happens or
what to do next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal[
    "synced", "syncing", "behind", "refused", "unknown", "unreachable", "stranger", "blocked"
]

ORDER: tuple[State, ...] = (
    "blocked",
    "unreachable",
    "stranger",
    "unknown",
    "refused",
    "behind",
    "syncing",
    "synced",
)
"""From worst to best."""

_NEXT: dict[State, str] = {
    "synced": "",
    "syncing": "Wait: operations are on their way.",
    "behind": "Wait: the next comparison fetches what is missing.",
    "refused": "Run `commons-node status`: it counts what was refused, and why.",
    "unknown": "Wait: the first comparison has not ended yet.",
    "unreachable": "It is dialled again by itself; check that the other node runs.",
    "stranger": "Nothing to do, unless this node should belong to one of your communities.",
    "blocked": "`commons-node peer unblock NODE` lifts the block.",
}


@dataclass(frozen=True, slots=True)
class SyncStatus:
    """How one community stands with one peer.

    ``have``: operations held here (None: not counted yet). ``missing``: operations that the peer
    is known to hold and this node lacks. ``refused``: those among its operations that this node
    will not take. ``unknown_since``: since when (ms, UTC) nothing is known for sure; None while
    the last comparison still holds.
    """

    state: State
    have: int | None = None
    missing: int = 0
    refused: int = 0
    unknown_since: int | None = None
    reason: str = ""

    @property
    def next_action(self) -> str:
        """What happens next, or what a person can do."""
        return _NEXT[self.state]


def worst(states: list[SyncStatus]) -> SyncStatus:
    """The status to show where one line stands for several communities."""
    first = min(states, key=lambda status: ORDER.index(status.state))
    counted = [status.have for status in states if status.have is not None]
    since = [status.unknown_since for status in states if status.unknown_since is not None]
    return SyncStatus(
        first.state,
        sum(counted) if counted else None,
        sum(status.missing for status in states),
        sum(status.refused for status in states),
        min(since, default=None),
        first.reason,
    )
