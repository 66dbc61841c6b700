"""The truthful state of one community with one peer: never "in sync" when it is not.

Values only. `sync` makes them, the daemon shows them; the words are those of `reasons`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from commons_protocol.reasons import CATALOGUE, RANK, Cause, State, of_held, of_refusals, ordered

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


@dataclass(frozen=True, slots=True)
class SyncStatus:
    """How one community stands with one peer.

    ``code``: what decides, a code of `reasons`. ``have``: operations held here (None: not counted
    yet). ``missing``: operations that the peer is known to hold and this node lacks. ``refused``:
    those among its operations that this node will not take, ``refusals`` by code as far as known;
    ``held``: kept aside here, by reason. ``unknown_since``: since when (ms, UTC) nothing is known
    for sure; None while the last comparison still holds. ``compared``: when the last one ended.
    ``count`` and ``detail`` are for the sentence of ``code``.
    """

    code: str
    have: int | None = None
    missing: int = 0
    refused: int = 0
    unknown_since: int | None = None
    refusals: Mapping[str, int] = field(default_factory=dict)
    held: Mapping[str, int] = field(default_factory=dict)
    compared: int | None = None
    count: int = 0
    detail: str = ""

    @property
    def state(self) -> State:
        """The word for it."""
        state = CATALOGUE[self.code].state
        assert state, "a code of a peer"
        return state

    def causes(self, node: str = "", community: str = "") -> list[Cause]:
        """Everything that keeps the two apart, the first to look at first; none if in sync."""
        if self.code == "synced":
            return []
        found = of_refusals(self.refusals, self.refused) + of_held(self.held)
        if self.code not in {cause.code for cause in found}:
            found.append(Cause(self.code, self.count, self.detail))
        return ordered([replace(cause, node=node, community=community) for cause in found])

    def _main(self, node: str = "") -> list[Cause]:
        """The causes that the state is about, ``code`` among them."""
        return [c for c in self.causes(node) if CATALOGUE[c.code].state in {"held", self.state}]

    @property
    def reason(self) -> str:
        """In a sentence, or several; "" if in sync."""
        return "; ".join(cause.sentence for cause in self._main())

    @property
    def next_action(self) -> str:
        """What happens next, or what a person can do."""
        return self.action()

    def action(self, node: str = "") -> str:
        """As ``next_action``, with the peer's id in the command."""
        return " ".join(dict.fromkeys(cause.action for cause in self._main(node)))


def worst(states: list[SyncStatus]) -> SyncStatus:
    """The status to show where one line stands for several communities."""
    first = min(states, key=lambda status: (ORDER.index(status.state), RANK[status.code]))
    counted = [status.have for status in states if status.have is not None]
    since = [status.unknown_since for status in states if status.unknown_since is not None]
    return replace(
        first,
        have=sum(counted) if counted else None,
        missing=sum(status.missing for status in states),
        refused=sum(status.refused for status in states),
        unknown_since=min(since, default=None),
    )
