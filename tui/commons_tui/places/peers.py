"""Peers: every node that this one knows, live: how the two stand, why, and what happens next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from commons_cli.texts import _
from commons_tui.listing import Detail, Listing
from commons_tui.place import Act, Place, bindings
from commons_tui.rows import Column, Row
from commons_tui.words import SYNC, ago, look


class Peers(Listing):
    """One row for each node; it changes by itself."""

    events = frozenset({"sync", "peer", "network", "operations"})
    columns = (
        Column("Node", 13), Column("State", 19), Column("Lag", 12, 2), Column("Next", 0, 1),
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
            Act("peer.block", "b", "Block", lambda row: bool(row) and not row["blocked"],
                lambda row: self.app.carry_out("peer.block", {"node": row["node"]})),
            Act("peer.unblock", "b", "Unblock", lambda row: bool(row) and row["blocked"],
                lambda row: self.app.carry_out("peer.unblock", {"node": row["node"]})),
            Act("sync.wait", "w", "Wait", bool,
                lambda _row: self.app.carry_out("sync.wait", {"timeout": 30})),
        )  # fmt: skip

    async def load(self) -> Sequence[Mapping[str, Any]]:
        """All peers."""
        found: Sequence[Mapping[str, Any]] = (await self.app.bridge.view("peer.list"))["peers"]
        return found

    def rows_of(self, found: Sequence[Mapping[str, Any]]) -> Sequence[Row]:
        """Those that are connected first."""
        return [_row(one) for one in sorted(found, key=lambda one: not one["connected"])]

    async def detail(self, row: Row) -> Detail:
        """The whole of it, with addresses."""
        one = row.data
        sync = one["sync"]
        fields = [
            (_("State"), str(look(SYNC, sync["state"]))),
            (_("Connected"), _("yes") if one["connected"] else _("no")),
            (_("Seen"), ago(one["last_seen"])),
            (_("Held here"), str(sync["have"] if sync["have"] is not None else "-")),
            (_("Missing"), str(sync["missing"] or "-")),
            (_("Refused"), str(sync["refused"] or "-")),
            (_("Since"), ago(sync["unknown_since"])),
        ]
        said = [str(sync["reason"] or ""), str(sync["next_action"] or "")]
        addresses = [Row(text, [text]) for text in one["addresses"]]
        head = [Row("h", [_("Addresses")], heading=True)] if addresses else []
        return Detail(one["node"], fields, said, [*head, *addresses])


def _row(one: Mapping[str, Any]) -> Row:
    state = look(SYNC, one["state"])
    sync = one["sync"]
    lag = _("{count} missing").format(count=sync["missing"]) if sync["missing"] else "-"
    if sync["unknown_since"] and not sync["missing"]:
        lag = ago(sync["unknown_since"])
    following = str(one["next"] or "")
    cells = (one["node"][:12], str(state), lag, following)
    return Row(one["node"], cells, one, state.tone, words=" ".join(cells).casefold())


PLACE = Place("peers", "Peers", 50, Peers)
