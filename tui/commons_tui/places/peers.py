"""Peers: how the community stands with every node, live: state, reason, and what happens next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from commons_cli.texts import _
from commons_tui.listing import Detail, Listing
from commons_tui.place import Act, Place, bindings
from commons_tui.rows import Column, Row
from commons_tui.words import SYNC, ago, look

_SHORT: Final = 16
"""Digits of a node's id that are shown; eight name it in a command."""


class Peers(Listing):
    """A row for the community, then one for each node of it; it changes by itself."""

    events = frozenset({"sync", "peer", "network", "operations"})
    columns = (
        Column("Node", 13), Column("State", 19), Column("Lag", 12, 2), Column("Version", 12, 3),
        Column("Next", 0, 1),
    )  # fmt: skip
    empty = "No peers yet."
    BINDINGS = bindings(
        ("peer.connect", "c", "Dial a node by its address"),
        ("peer.block", "b", "Refuse it both ways"),
        ("peer.unblock", "b", "Let it in again"),
        ("sync.wait", "w", "Wait until all agree"),
    )

    def __init__(self) -> None:
        """See ``PlaceView``."""
        super().__init__("peers")
        self.acts = (
            Act("peer.connect", "c", "Connect", lambda _row: True,
                lambda _row: self.app.carry_out("peer.connect")),
            Act("peer.block", "b", "Block", lambda row: _known(row, blocked=False),
                lambda row: self.app.carry_out("peer.block", {"node": row["node"]})),
            Act("peer.unblock", "b", "Unblock", lambda row: _known(row, blocked=True),
                lambda row: self.app.carry_out("peer.unblock", {"node": row["node"]})),
            Act("sync.wait", "w", "Wait", lambda row: bool(row and row["node"]),
                lambda _row: self.app.carry_out("sync.wait", {"timeout": 30})),
        )  # fmt: skip

    async def load(self) -> Mapping[str, Any]:
        """How the chosen community stands with its nodes, why, and where they are."""
        bridge = self.app.bridge
        status = await bridge.view("sync.status")
        causes = (await bridge.view("sync.why"))["causes"]
        known = {one["node"]: one for one in (await bridge.view("peer.list"))["peers"]}
        return {**status, "causes": causes, "known": known}

    def rows_of(self, found: Mapping[str, Any]) -> Sequence[Row]:
        """The community first, then those that are connected."""
        communities, rows = found["communities"], []
        for one in communities:
            ident = one["community"]
            # What is wrong with this node as a whole keeps every community.
            own = [c for c in found["causes"] if not c["node"] and c["community"] in {None, ident}]
            rows.append(_community(one, own))
            peers = [p for p in found["peers"] if p["community"] == ident and p["node"]]
            peers.sort(key=lambda peer: not peer["connected"])
            rows += [_peer(peer, found["known"].get(peer["node"])) for peer in peers]
        return rows

    async def detail(self, row: Row) -> Detail:
        """Why it stands so and what to do; of a node also what is known of it, and where it is."""
        one = row.data
        if not one["node"]:
            why = [part for c in one["causes"] for part in (c["sentence"], c["next_action"])]
            fields = [
                (_("Nodes here"), str(one["here"])),
                (_("Known"), str(one["peers"])),
            ]
            return Detail(one["name"], fields, lead=[str(look(SYNC, one["state"])), *why])
        known = one["known"] or {}
        fields = [
            (_("Connected"), (one["way"] or _("yes")) if one["connected"] else _("no")),
            (_("Version"), _program(one)),
            (_("Compared"), ago(one["compared"])),
            (_("Seen"), ago(known.get("last_seen"))),
            (_("Held here"), str(one["have"] if one["have"] is not None else "-")),
            (_("Missing"), str(one["missing"] or "-")),
            (_("Refused"), str(sum(one["refused"].values()) or "-")),
        ]
        addresses = [Row(text, [text]) for text in known.get("addresses", ())]
        head = [Row("h", [_("Addresses")], heading=True)] if addresses else []
        lead = [str(look(SYNC, one["state"])), one["reason"] or "", one["next_action"] or ""]
        return Detail(one["node"][:_SHORT], fields, rows=[*head, *addresses], lead=lead)


def _known(row: Mapping[str, Any] | None, *, blocked: bool) -> bool:
    """Whether a row is a node of this one's book, and let in or not."""
    known = row["known"] if row and row["node"] else None
    return known is not None and bool(known["blocked"]) == blocked


def _community(one: Mapping[str, Any], causes: Sequence[Mapping[str, Any]]) -> Row:
    state = look(SYNC, one["state"])
    following = str(causes[0]["next_action"]) if causes else ""
    cells = (str(one["name"]), str(state), "-", "", following)
    data = {**one, "node": None, "causes": causes}
    return Row(one["community"], cells, data, state.tone, words=" ".join(cells).casefold())


def _peer(one: Mapping[str, Any], known: Mapping[str, Any] | None) -> Row:
    state = look(SYNC, one["state"])
    lag = _("{count} missing").format(count=one["missing"]) if one["missing"] else "-"
    if one["unknown_since"] and not one["missing"]:
        lag = ago(one["unknown_since"])
    version = str(one["version"] or "-")
    cells = (one["node"][:12], str(state), lag, version, str(one["next_action"] or ""))
    key = f"{one['community']} {one['node']}"
    data = {**one, "known": known}
    tone = "warn" if one["program"] and state.tone == "good" else state.tone
    return Row(key, cells, data, tone, words=" ".join((one["node"], *cells)).casefold())


def _program(one: Mapping[str, Any]) -> str:
    """Which program it says it is; members tell it each other when they meet."""
    if not one["version"]:
        return _("not known")
    return _("{version}, rules {rules}").format(version=one["version"], rules=one["rules"])


PLACE = Place("peers", "Peers", 50, Peers)
