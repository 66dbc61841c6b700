"""`sync status`, `sync why` and `metrics`: what keeps nodes from agreeing, and their figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import msgspec

from commons_crdt.texts import _
from commons_node.bundles.standing_with import with_makers
from commons_node.community import find
from commons_node.health.metrics import exposition
from commons_node.health.overview import Row, Standing, of_kept, of_node, refusals_of
from commons_node.moments import moment
from commons_node.peering.programs import beside, kept_by, then
from commons_node.peering.types import UnknownPeer
from commons_node.registry import (
    Column,
    Complete,
    Reading,
    Registry,
    Request,
    Table,
    View,
    argument,
)
from commons_protocol.reasons import Cause, ordered

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_PEERS = Complete("peer.list", "peers", "node")


class Nothing(msgspec.Struct):
    """No arguments."""


class Of(msgspec.Struct):
    """Arguments of ``sync why``."""

    of: Annotated[
        str | None, argument("a node or a community; otherwise all", complete=_PEERS, metavar="OF")
    ] = None


async def _standings(request: Request[Daemon]) -> list[tuple[str, Standing]]:
    """All communities of this node, or the one that is asked for, by name."""
    daemon = request.node
    asked = [await daemon.community(request)] if request.community else []
    peers = await with_makers(list(daemon.peering.peers()), daemon.communities)
    chosen = asked or list(daemon.communities.values())
    return [(await one.name(), await of_kept(daemon.keeping, one, peers)) for one in chosen]


def row_of(name: str, row: Row, here: int, kept: int) -> dict[str, object]:
    """One community with one peer; ``here``, ``kept``: rules that are known and kept to here."""
    sync, peer = row.sync, row.peer
    causes = row.causes
    program = beside(peer.program, here, kept)
    return {
        "community": row.community.hex(),
        "name": name,
        "node": peer.node,
        "state": sync.state,
        "code": sync.code,
        "have": sync.have,
        "missing": sync.missing,
        "refused": dict(refusals_of(sync)),
        "held": dict(sync.held),
        "unknown_since": moment(sync.unknown_since),
        "compared": moment(row.compared),
        "connected": peer.connected,
        "way": peer.way or None,
        **program,
        "reason": sync.reason,
        "next_action": then(sync.action(peer.node), program),
        "command": causes[0].command if causes else "",
    }


def _nobody(name: str, standing: Standing) -> dict[str, object]:
    """The row of a community without any peer: it is alone, or paused."""
    alone = Cause("alone", community=standing.community.hex())
    cause = next((one for one in standing.causes if one.code == standing.state), alone)
    return {
        "community": cause.community, "name": name, "node": None, "state": standing.state,
        "code": cause.code, "have": None, "missing": 0, "refused": {}, "held": {},
        "unknown_since": None, "compared": None, "connected": False, "way": None,
        **beside(None, 0, 0),
        "reason": cause.sentence, "next_action": cause.action, "command": cause.command,
    }  # fmt: skip


async def status(request: Request[Daemon], _args: Nothing) -> Reading:
    """How every community stands with every peer."""
    rows: list[dict[str, object]] = []
    communities = []
    daemon = request.node
    for name, standing in await _standings(request):
        here, kept = daemon.rules.version, kept_by([daemon.communities[standing.community]])
        found = [row_of(name, row, here, kept) for row in standing.rows]
        rows += found or [_nobody(name, standing)]
        communities.append(
            {
                "community": standing.community.hex(),
                "name": name,
                "state": standing.state,
                "code": standing.sync.code if standing.sync is not None else standing.state,
                "peers": len(standing.rows),
                "here": sum(row.peer.connected for row in standing.rows),
                "causes": [cause.code for cause in standing.causes],
            }
        )
    return Reading({"communities": communities, "peers": rows})


async def why(request: Request[Daemon], args: Of) -> Reading:
    """Everything that keeps this node from being in sync, the first to look at first."""
    daemon, names = request.node, {}
    causes: list[Cause] = []
    node, community = await _which(request, args.of)
    if node is None:
        causes += of_node(daemon)
    here = synced = 0
    for name, standing in await _standings(request):
        ident = standing.community.hex()
        names[ident] = name
        if community not in {None, ident}:
            continue
        causes += standing.causes if node is None else ()
        rows = [row for row in standing.rows if node in {None, row.peer.node}]
        here += sum(row.peer.connected for row in rows)
        synced += sum(row.sync.state == "synced" for row in rows)
        causes += [cause for row in rows for cause in row.causes]
    found = [_told(cause, names) for cause in ordered(list(dict.fromkeys(causes)))]
    summary = _("Nodes here: {here}; in sync with {synced} of them.").format(
        here=here, synced=synced
    )
    return Reading({"summary": summary, "here": here, "synced": synced, "causes": found})


async def _which(request: Request[Daemon], of: str | None) -> tuple[str | None, str | None]:
    """The node or the community that is meant; (None, None) for all. Raises ``Unknown``."""
    if of is None:
        return None, None
    try:
        return request.node.peering.find(of.strip().lower()), None
    except UnknownPeer:
        every = request.node.communities.values()
        choices = [(one.realm.realm, (await one.name(),)) for one in every]
        found = find(_("node or community"), of, choices, "commons-node sync status")
        return None, found.hex()


def _told(cause: Cause, names: Mapping[str, str]) -> dict[str, object]:
    return {
        "code": cause.code,
        "community": cause.community or None,
        "name": names.get(cause.community),
        "node": cause.node or None,
        "count": cause.count,
        "sentence": cause.sentence,
        "next_action": cause.action,
        "command": cause.command,
    }


async def metrics(request: Request[Daemon], _args: Nothing) -> Reading:
    """The node's figures in the text format of Prometheus."""
    return Reading({"text": await exposition(request.node)})


REGISTRY = Registry(
    views=(
        View("sync.status", "How every community stands with every peer.", Nothing, status,
             table=Table("peers", (Column("name", "Community"), Column("node", "Node", "id"),
                                   Column("state", "Sync"), Column("have", "Have", "number"),
                                   Column("missing", "Missing", "number"),
                                   Column("compared", "Compared", "time"), Column("way", "Way"),
                                   Column("version", "Version"),
                                   Column("reason", "Why")), "In no community yet."), watch=True),
        View("sync.why", "Why this node is not in sync, and what to do.", Of, why, says="{summary}",
             table=Table("causes", (Column("code", "Code"), Column("node", "Node", "id"),
                                    Column("sentence", "Why"), Column("next_action", "Next")),
                         "Nothing keeps it from being in sync."), watch=True),
        View("metrics", "The node's figures, in the text format of Prometheus.", Nothing, metrics,
             says="{text:lines}"),
    ),
)  # fmt: skip
