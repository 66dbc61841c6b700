"""The truthful state of one community with one peer: never "in sync" when it is not.

Values only. `sync` makes them, the daemon shows them; every state but one names what happens or
what to do next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

State = Literal[
    "synced", "syncing", "ahead", "behind", "held", "refused", "unknown", "unreachable",
    "stranger", "blocked",
]  # fmt: skip

ORDER: tuple[State, ...] = (
    "blocked",
    "unreachable",
    "stranger",
    "unknown",
    "refused",
    "held",
    "behind",
    "ahead",
    "syncing",
    "synced",
)
"""From worst to best."""

_NEXT: dict[State, str] = {
    "synced": "",
    "syncing": "Wait: operations are on their way.",
    "ahead": "Nothing to do here: `commons-node status` on the other node says what keeps it.",
    "behind": "Wait: the next comparison fetches what is missing.",
    "held": "Wait: it is tried again by itself.",
    "refused": "Run `commons-node status`: it counts what was refused, and why.",
    "unknown": "Wait: the first comparison has not ended yet.",
    "unreachable": "It is dialled again by itself; check that the other node runs.",
    "stranger": "Nothing to do, unless this node should belong to one of your communities.",
    "blocked": "`commons-node peer unblock NODE` lifts the block.",
}


HELD: Mapping[str, tuple[str, str]] = {
    "clock": (
        "of a time that this machine's clock has not reached",
        "Compare the clocks of both machines: it is taken by itself when this one gets there.",
    ),
    "verifier": (
        "on which the checker fails",
        "Wait: the checker tries it again every minute.",
    ),
}
"""Why operations are kept aside here and judged later, each with what a person can do."""


def held_words(held: Mapping[str, int]) -> tuple[str, str]:
    """The reason and the next action for what is held; ("", "") for nothing."""
    known = [(*HELD[why], held[why]) for why in HELD if held.get(why)]
    reason = ", ".join(f"{count} {words}" for words, _, count in known)
    return f"held here: {reason}" if reason else "", " ".join(action for _, action, _ in known)


@dataclass(frozen=True, slots=True)
class SyncStatus:
    """How one community stands with one peer.

    ``have``: operations held here (None: not counted yet). ``missing``: operations that the peer
    is known to hold and this node lacks. ``refused``: those among its operations that this node
    will not take. ``unknown_since``: since when (ms, UTC) nothing is known for sure; None while
    the last comparison still holds. ``advice``: what to do, where the state alone does not say.
    """

    state: State
    have: int | None = None
    missing: int = 0
    refused: int = 0
    unknown_since: int | None = None
    reason: str = ""
    advice: str = ""

    @property
    def next_action(self) -> str:
        """What happens next, or what a person can do."""
        return self.advice or _NEXT[self.state]


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
        first.advice,
    )
