"""Verbs about other nodes: who they are, meeting and refusing them, and waiting until all agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import msgspec

from commons_crdt.errors import CommonsError
from commons_crdt.texts import _
from commons_node.bundles.standing_with import with_makers
from commons_node.moments import moment
from commons_node.peering.programs import beside, kept_by, then
from commons_node.registry import (
    Column,
    Command,
    Complete,
    Reading,
    Registry,
    Request,
    Seconds,
    Table,
    View,
    argument,
    option,
)
from commons_protocol.network import Address, Blocked, NetworkError
from commons_protocol.status import SyncStatus

if TYPE_CHECKING:
    from commons_node.daemon import Daemon
    from commons_node.peering.types import PeerState
    from commons_protocol.names import NodeId

_PEERS = Complete("peer.list", "peers", "node")


class NotConverged(CommonsError):
    """After {seconds} seconds not every peer agrees yet: {states}."""

    code = "not_converged"
    hint = "commons-node peer list says what each peer waits for"
    status = "timeout"


class NotConnected(CommonsError):
    """{why}"""

    code = "unreachable"
    hint = "{next}"


class IsBlocked(CommonsError):
    """This peer is blocked on this node."""

    code = "blocked"
    hint = "commons-node peer unblock NODE"


class Nothing(msgspec.Struct):
    """No arguments."""


class OnePeer(msgspec.Struct):
    """Arguments of ``peer block`` and ``peer unblock``."""

    node: Annotated[str, argument("the node's id, or 8 or more digits of it", complete=_PEERS)]


class PeerAddress(msgspec.Struct):
    """Arguments of ``peer connect``."""

    address: Annotated[str, argument("where it is, as a multiaddr")]


class Wait(msgspec.Struct):
    """Arguments of ``sync wait``."""

    peer: Annotated[list[str], option("only this node; may be repeated", complete=_PEERS)] = (
        msgspec.field(default_factory=list)
    )
    timeout: Annotated[Seconds, option("how long to wait")] = 30


def _sync(sync: SyncStatus) -> dict[str, object]:
    return {
        "state": sync.state,
        "code": sync.code,
        "have": sync.have,
        "missing": sync.missing,
        "refused": sync.refused,
        "unknown_since": moment(sync.unknown_since),
        "reason": sync.reason,
        "next_action": sync.next_action,
    }


async def list_peers(request: Request[Daemon], _args: Nothing) -> Reading:
    """Every node that this one knows, and whether the two agree."""
    daemon = request.node
    peers = await with_makers(list(daemon.peering.peers()), daemon.communities)
    return Reading({"peers": [_row(daemon, peer) for peer in peers]})


def _row(daemon: Daemon, peer: PeerState) -> dict[str, object]:
    both = (one for realm, one in daemon.communities.items() if realm in peer.shares)
    program = beside(peer.program, daemon.rules.version, kept_by(both))
    why = f"{peer.sync.reason} " * (peer.penalty is not None)
    return {
        "node": peer.node,
        "addresses": list(peer.addresses),
        "connected": peer.connected,
        "way": peer.way or None,
        "blocked": peer.blocked,
        "last_seen": moment(peer.last_seen_ms),
        **program,
        "blocked_until": moment(peer.penalty.until_ms) if peer.penalty else None,
        "blocked_for": peer.penalty.why if peer.penalty else None,
        "sync": _sync(peer.sync),
        "state": peer.sync.state,
        "next": then(why + peer.sync.action(peer.node), program),
    }


def _peer(daemon: Daemon, node: NodeId) -> dict[str, object]:
    peer = next((one for one in daemon.peering.peers() if one.node == node), None)
    return {
        "node": node,
        "connected": peer is not None and peer.connected,
        "blocked": peer is not None and peer.blocked,
    }


async def connect(request: Request[Daemon], args: PeerAddress) -> Mapping[str, object]:
    """Dial a node, and remember where it is."""
    try:
        node = await request.node.peering.connect(Address(args.address))
    except Blocked as error:
        raise IsBlocked from error
    except NetworkError as error:
        raise NotConnected(why=error, next=_(error.hint)) from error
    return _peer(request.node, node)


async def block(request: Request[Daemon], args: OnePeer) -> Mapping[str, object]:
    """Close the connection with a node, and refuse it both ways."""
    node = request.node.peering.find(args.node)
    await request.node.peering.block(node)
    return _peer(request.node, node)


async def unblock(request: Request[Daemon], args: OnePeer) -> Mapping[str, object]:
    """Let a node in again."""
    node = request.node.peering.find(args.node)
    await request.node.peering.unblock(node)
    return _peer(request.node, node)


async def wait(request: Request[Daemon], args: Wait) -> Mapping[str, object]:
    """Wait until this node and its peers hold the same operations."""
    peering = request.node.peering
    nodes = [peering.find(one) for one in args.peer] or None
    answer = await peering.wait_converged(nodes, timeout=float(args.timeout))
    states = [{"node": node, "state": state} for node, state in answer.peers.items()]
    if not answer.converged:
        told = ", ".join(f"{one['node'][:8]} {one['state']}" for one in states) or _(
            "no peer known"
        )
        raise NotConverged(seconds=round(answer.seconds, 1), states=told)
    agreed = {"agrees_with": len(states)} if states else {}
    return {"converged": True, "seconds": round(answer.seconds, 3), "peers": states, **agreed}


REGISTRY = Registry(
    commands=(
        Command("peer.connect", "Dial a node, and remember where it is.", PeerAddress, connect,
                says="Connected to {node:id}."),
        Command("peer.block", "Refuse a node both ways.", OnePeer, block,
                says="{node:id} is blocked: nothing comes from it or goes to it."),
        Command("peer.unblock", "Let a node in again.", OnePeer, unblock,
                says="{node:id} may come in again."),
        Command("sync.wait", "Wait until this node and its peers agree.", Wait, wait,
                says=("Nodes that agree with this one: {agrees_with}, after {seconds} seconds.",
                      "There is no other node to agree with."), timeout_s=600.0),
    ),
    views=(
        View("peer.list", "The nodes that this one knows.", Nothing, list_peers,
             table=Table("peers", (Column("node", "Node", "id"), Column("connected", "Here", "yes"),
                                   Column("way", "Way"), Column("state", "Sync"),
                                   Column("last_seen", "Seen", "time"),
                                   Column("version", "Version"),
                                   Column("next", "Next")), "No peers yet."), watch=True),
    ),
    nouns={"peer": "other nodes", "sync": "agreeing with them"},
)  # fmt: skip
