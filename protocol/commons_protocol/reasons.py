"""Why two nodes do not agree: one catalogue of codes, each with a sentence and what to do next.

Every place that says how things stand takes its words from here: `peer list`, `sync status`,
`sync why`, the metrics and the host's page. A code never changes its meaning. Values only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from commons_crdt.texts import _

State = Literal[
    "synced", "syncing", "ahead", "behind", "held", "refused", "unknown", "unreachable",
    "stranger", "blocked",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reason:
    """One entry: ``state`` is the word that a peer has for it; "" if it is not about a peer.

    ``sentence`` may use ``{count}`` and ``{detail}``; ``action`` may use ``{node}``, and names the
    next command in backquotes where there is one.
    """

    code: str
    state: State | Literal[""]
    sentence: str
    action: str


CATALOGUE: Final = {
    one.code: one
    for one in (
        # What is wrong with this node comes first: nothing else mends before it.
        Reason(
            "network_down", "",
            "The network of this node is down{detail}.",
            "Wait: it starts again by itself. If this stays, the node's log says why.",
        ),
        Reason(
            "disk", "",
            "The disk is nearly full ({detail}): nothing that others wrote is taken in.",
            "Make room where `commons-node paths` says that the home is; it goes on by itself.",
        ),
        Reason(
            "copied_home", "",
            "This home is a copy, and signs nothing before it has met another node.",
            "Start another node of the community, then `commons-node sync wait`; only if there is"
            " none, and the other home runs no more: `commons-node service take-over --alone`.",
        ),
        Reason(
            "catching_up", "",
            "This node has just started, and asks others for its own newest acts.",
            "`commons-node sync wait`",
        ),
        # What is wrong with a community here.
        Reason(
            "no_standing", "",
            "This node does not stand in the community any more: nobody serves it.",
            "Ask a coordinator; with a new invite, `commons-node join CODE --member NAME`.",
        ),
        Reason(
            "paused", "",
            "This node has paused the community, and holds {detail}.",
            "`commons-node community resume`",
        ),
        Reason(
            "split", "",
            "The council is split: nothing more is decided.",
            "`commons-node community acts` names the keys that endorsed both.",
        ),
        Reason(
            "pin", "",
            "Waiting for the decision of the council that this node starts from: {count}"
            " operations.",
            "Connect a node that holds it: `commons-node peer connect ADDRESS`.",
        ),
        Reason(
            "seal", "",
            "Waiting for the rest of what the council has sealed: {count} operations.",
            "Connect a node that holds it: `commons-node peer connect ADDRESS`.",
        ),
        Reason(
            "cut", "",
            "Waiting for the last act that a removal names: {count} operations.",
            "Connect a node that holds it: `commons-node peer connect ADDRESS`.",
        ),
        Reason(
            "missing", "",
            "Waiting for others that have not come yet: {count} operations.",
            "`commons-node sync wait`, with a node that holds them.",
        ),
        Reason(
            "contents", "",
            "Here without their contents: {count} operations.",
            "`commons-node sync wait`, with a node that holds them.",
        ),
        Reason(
            "held_edits", "",
            "Stored, and not in their documents yet: {count} edits.",
            "Wait: it is tried again every minute; `commons-node explain ID` says more.",
        ),
        Reason(
            "alone", "",
            "No other node of the community is known here.",
            "`commons-node peer connect ADDRESS`, or let somebody in with"
            " `commons-node invite create`.",
        ),
        Reason(
            "by_bundle", "",
            "No other node is here; the latest bundle is {detail}.",
            "Make one for the way back: `commons-node bundle export FILE --for {node}`.",
        ),
        Reason(
            "nobody_here", "",
            "No other node of the community is here now; known: {count}.",
            "They are dialled again by themselves: `commons-node sync why NODE` says more of each.",
        ),
        # What stands between this node and one peer, from worst to best.
        Reason(
            "blocked", "blocked",
            "You blocked this node.",
            "`commons-node peer unblock {node}` lifts the block.",
        ),
        Reason(
            "abuse", "blocked",
            "This node is kept out {detail}.",
            "It ends by itself; `commons-node peer unblock {node}` lifts it now.",
        ),
        Reason(
            "no_address", "unreachable",
            "No address of this node is known.",
            "`commons-node peer connect ADDRESS`, with the address that its `run` prints.",
        ),
        Reason(
            "relay_unreachable", "unreachable",
            "The relay through which it is reached does not answer.",
            "`commons-node peer relay list` says how yours are; ask who runs this one.",
        ),
        Reason(
            "relay_refuses", "unreachable",
            "The relay through which it is reached does not serve this node.",
            "Ask who runs it, or take another one: `commons-node peer relay add ADDRESS`.",
        ),
        Reason(
            "not_at_relay", "unreachable",
            "It is not at its relay now: its node is off, or has lost its place there.",
            "It is dialled again by itself; over there `commons-node peer relay list` says why.",
        ),
        Reason(
            "in_turn", "unreachable",
            "This node has as many connections as it keeps, and meets the others in turn.",
            "Wait: its turn comes by itself; `commons-node peer connect ADDRESS` meets it now.",
        ),
        Reason(
            "unreachable", "unreachable",
            "It does not answer{detail}.",
            "It is dialled again by itself; check that the other node runs, or give a new address:"
            " `commons-node peer connect ADDRESS`.",
        ),
        Reason(
            "stranger", "stranger",
            "It has no community in common with this node.",
            "Nothing to do, unless it should belong to yours: then look at `commons-node sync why`"
            " over there.",
        ),
        Reason(
            "dialling", "unknown",
            "It is being dialled.",
            "Wait: it is tried again by itself.",
        ),
        Reason(
            "unproven", "unknown",
            "It is connected, and has not proven yet to be of the community{detail}.",
            "Wait some seconds. If this stays: `commons-node sync why` over there.",
        ),
        Reason(
            "uncompared", "unknown",
            "The first comparison with it has not ended yet.",
            "Wait: `commons-node sync wait`.",
        ),
        Reason(
            "bundle_lacked", "unknown",
            "As of its bundle of {detail} it lacked what is here: {count} operations.",
            "Make a bundle for it: `commons-node bundle export FILE --for {node}`.",
        ),
        Reason(
            "bundle_even", "unknown",
            "As of its bundle of {detail} it had all that is here.",
            "Nothing, until there is something new here or there.",
        ),
        Reason(
            "refused_forged", "refused",
            "damaged or forged: {count} of its operations ({detail})",
            "Ask its owner. If it goes on, `commons-node peer block {node}`.",
        ),
        Reason(
            "refused_budget", "refused",
            "more than their devices may write, over their budget: {count} of its operations",
            "Nothing to do here: every node refuses them. Ask who wrote them.",
        ),
        Reason(
            "refused_stranger", "refused",
            "of devices that nobody has let in, as far as is known here: {count} of its operations",
            "`commons-node sync wait`, with a node that knows who let them in.",
        ),
        Reason(
            "deferred", "refused",
            "without room here among what waits for others: {count} of its operations",
            "Wait: they are fetched again when there is room. `commons-node status` counts them.",
        ),
        Reason(
            "refused", "refused",
            "not taken here: {count} of its operations{detail}",
            "`commons-node status --json` counts what was refused, and why.",
        ),
        Reason(
            "held_rules", "held",
            "held here: {count} that need a newer version of this program",
            "Install a newer version: `commons-node version` says which this is.",
        ),
        Reason(
            "held_clock", "held",
            "held here: {count} of a time that this machine's clock has not reached",
            "Compare the clocks of both machines: it is taken by itself when this one gets there.",
        ),
        Reason(
            "held_verifier", "held",
            "held here: {count} on which the checker fails",
            "Wait: the checker tries it again every minute.",
        ),
        Reason(
            "held_disk", "held",
            "not taken: {count} for which the disk has no room",
            "Make room where `commons-node paths` says that the home is; it goes on by itself.",
        ),
        Reason(
            "bundle_behind", "behind",
            "As of its bundle of {detail} it had what is not here: {count} operations.",
            "Ask for a whole bundle of it; for the way back:"
            " `commons-node bundle export FILE --for {node}`.",
        ),
        Reason(
            "silent", "behind",
            "It has not answered the last comparison yet.",
            "Wait: after some seconds it is dialled again.",
        ),
        Reason(
            "turn", "behind",
            "Another peer is asked first.",
            "Wait: `commons-node sync wait`.",
        ),
        Reason(
            "changed", "behind",
            "Something changed since the last comparison.",
            "Wait: the next comparison fetches it; `commons-node sync wait` makes it at once.",
        ),
        Reason(
            "untaken", "ahead",
            "It has not taken what is here: {count} operations.",
            "Nothing to do here: `commons-node sync why` on the other node says what keeps it.",
        ),
        Reason(
            "transfer", "syncing",
            "Operations are on their way.",
            "Wait: `commons-node sync wait`.",
        ),
        Reason("synced", "synced", "Both hold the same.", ""),
    )
}  # fmt: skip
"""In the order in which to look at them."""

RANK: Final = {code: n for n, code in enumerate(CATALOGUE)}

FORGED: Final = frozenset(
    {"signature", "encoding", "size", "format", "body", "part", "realm", "genesis", "malformed"}
)
"""Refusals of what anybody can see to be wrong by looking at the bytes alone."""

_OF_REFUSAL: Final = {"budget": "refused_budget", "stranger": "refused_stranger"} | {
    "limit": "deferred"
}
HELD: Final = {why: f"held_{why}" for why in ("rules", "clock", "verifier", "disk")}
"""Why operations are kept aside here for this machine's sake, and the code that says so."""


@dataclass(frozen=True, slots=True)
class Cause:
    """A reason as it is met: how many, of what, and at which node (id) and community (id)."""

    code: str
    count: int = 0
    detail: str = ""
    node: str = ""
    community: str = ""

    @property
    def sentence(self) -> str:
        """What is the case, for a member."""
        fields = {"count": self.count, "detail": self.detail}
        return _(CATALOGUE[self.code].sentence).format_map(fields)

    @property
    def action(self) -> str:
        """What happens next, or what a person can do."""
        return _(CATALOGUE[self.code].action).format(node=self.node[:12] or "NODE")

    @property
    def command(self) -> str:
        """The next command, or ""."""
        action = CATALOGUE[self.code].action.format(node=self.node[:12] or "NODE")
        found = [part for part in action.split("`")[1::2] if part.startswith("commons-node")]
        return found[0] if found else ""


def of_refusals(codes: Mapping[str, int], total: int) -> list[Cause]:
    """Causes for what of a peer's was refused: by group, the worst first.

    ``total``: how many were offered in vain; where no code is known it stands alone.
    """
    counts: dict[str, int] = {}
    details: dict[str, set[str]] = {}
    for code, count in codes.items():
        group = "refused_forged" if code in FORGED else _OF_REFUSAL.get(code, "refused")
        counts[group] = counts.get(group, 0) + count
        details.setdefault(group, set()).add(code)
    if not counts and total:
        return [Cause("refused", total)]
    found = []
    for group, count in counts.items():
        words = ", ".join(sorted(details[group]))
        found.append(Cause(group, count, f" ({words})" if group == "refused" else words))
    return ordered(found)


def of_held(held: Mapping[str, int]) -> list[Cause]:
    """Causes for what is kept aside here."""
    return ordered(
        [Cause(HELD[why], count) for why, count in held.items() if why in HELD and count]
    )


def ordered(causes: list[Cause]) -> list[Cause]:
    """The one to look at first comes first."""
    return sorted(causes, key=lambda cause: (RANK[cause.code], cause.node, cause.community))
