"""What "converged" promises, and when a node that says it can be shown to have said it wrongly.

Three claims are held against the ledger. In each, `node` says that it agrees with the nodes
`about`; it said so at or after `asked`, and what it holds is looked up later still.

- ``wait``: `sync wait --peer X` answered "converged". A full round was begun after the call and
  ended in equal digests, so node holds whatever X had acknowledged before the call.
- ``peer``: `peer list` says that X is ``synced``.
- ``status``: `status` says ``synced`` for the community; about every node that is connected: those
  that `peer list` called so before and after it, where `status` itself counts as many. About others
  it says nothing: an island may well agree.

The last two stand on an earlier comparison and may be true no more while word is on its way. The
daemon promises how long at most: it compares again after `sync_interval_s` and a quarter, and a
peer that does not answer for 5 s is not called synced. So what X acknowledged `PATIENCE_S` before
the question must be here, whatever the link between them does. That leaves 15 s for a machine that
is busy, or was asleep.

The definition never accuses wrongly (operations do not vanish from a node: what is here later may
not have been here then, never the reverse); it may miss a falsehood that became true while we were
looking it up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from tests.soak.ledger import Entry

Said = Literal["wait", "peer", "status"]
SAID: Final[tuple[Said, ...]] = ("wait", "peer", "status")

SYNC_INTERVAL_S: Final = 3.0
"""`sync_interval_s` of the daemons in the soak."""
UNANSWERED_S: Final = 5.0
PATIENCE_S: Final = 1.25 * SYNC_INTERVAL_S + UNANSWERED_S + 15.0


@dataclass(frozen=True, slots=True)
class Claim:
    """A node says that it agrees with others. Monotonic seconds."""

    node: str
    said: Said
    about: tuple[str, ...]
    asked: float


def owed(claim: Claim, entries: Iterable[Entry]) -> list[Entry]:
    """What the claim's node must hold, if the claim was true."""
    latest = claim.asked - (0.0 if claim.said == "wait" else PATIENCE_S)
    return [one for one in entries if one.node in claim.about and one.at < latest]


def lacking(wanted: Iterable[Entry], held: Mapping[str, int]) -> list[Entry]:
    """Those that are not among the operations that a node holds, by id."""
    return [one for one in wanted if one.operation not in held]


def different(hashes: Mapping[str, tuple[str, str]]) -> dict[str, list[list[str]]]:
    """Nodes grouped by what they hold, where they should all be one group; empty if they are.

    ``set``: other operations; ``state``: the same operations, and another meaning of them.
    """
    found: dict[str, list[list[str]]] = {}
    for n, name in enumerate(("set", "state")):
        groups: dict[str, list[str]] = {}
        for node in sorted(hashes):
            groups.setdefault(hashes[node][n], []).append(node)
        if len(groups) > 1:
            found[name] = sorted(groups.values())
    return found


def connected_throughout(
    before: Sequence[str], after: Sequence[str], between: int
) -> tuple[str, ...]:
    """Who was connected at both looks; nobody if somebody came or went meanwhile.

    ``between``: how many were connected in the moment itself.
    """
    same = sorted(before) == sorted(after) and len(set(before)) == between
    return tuple(sorted(before)) if same else ()
