"""What nodes say of themselves is held against what the simulator knows. It only looks."""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import TYPE_CHECKING

from commons_node.health.overview import of_peers
from commons_protocol.reasons import CATALOGUE

if TYPE_CHECKING:
    from commons_node.testing.node import Node


def untruths(node: Node, honest: Set[str]) -> Iterator[str]:
    """At any time: every row has a reason and a way out, or is in sync; no honest node is blamed.

    ``honest``: the ids of the nodes of honest neighbours.
    """
    peers = node.peering.peers()
    found = of_peers(node.realm.realm, peers)
    live = {peer.node for peer in peers if node.realm.realm in peer.realms}
    for row in found.rows:
        synced = row.sync.state == "synced"
        name = f"{node.name} says {row.sync.code} of {row.peer.node[:8]}"
        if row.sync.code not in CATALOGUE:
            yield f"{name}, which no page explains"
        if synced and (row.peer.node not in live or row.causes):
            yield f"{name}, and does not speak with it"
        if not synced and not (row.causes and row.sync.reason and row.sync.next_action):
            yield f"{name}, and not why or what next"
    if found.state == "synced" and not any(row.sync.state == "synced" for row in found.rows):
        yield f"{node.name} says that its community is in sync, and no neighbour is"
    for penalty in node.peering.guard.penalties():
        if penalty.node in honest:
            yield f"{node.name} keeps an honest node out: {penalty.why}"


def unquiet(node: Node, honest: Set[str]) -> Iterator[str]:
    """In peace, with everybody connected: the view says so of all who are honest."""
    peers = [peer for peer in node.peering.peers() if peer.node in honest]
    found = of_peers(node.realm.realm, peers)
    if found.state != "synced":
        yield f"{node.name} says that its community is {found.state} to the end"
    for cause in found.causes:
        yield f"{node.name} gives a reason to the end: {cause.code}"
