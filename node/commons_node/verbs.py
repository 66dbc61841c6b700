"""The node's own verbs: how it is, who its peers are, whether they agree, and why.

They belong to no domain: they would be the same if people shared songs.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated

import msgspec

from commons_crdt.errors import CommonsError
from commons_crdt.ids import OperationId, RealmId
from commons_crdt.operation import decode_header
from commons_crdt.texts import _
from commons_crdt.verdict import Verdict
from commons_node.archive.writing import standalone_script, write_archive
from commons_node.bundles.standing_with import by_bundle, with_makers
from commons_node.certainty import OLD_HISTORY, certainty, is_assured, standing_of_seals
from commons_node.community import Ambiguous, Community, Unknown
from commons_node.explaining.doubting import Doubt, doubt_of
from commons_node.explaining.explained import Explaining
from commons_node.explaining.splitting import alone_in_words, split_in_words
from commons_node.moments import moment
from commons_node.parts.verbs import space
from commons_node.peering.states import state_with_all
from commons_node.proposals.wording import proposed
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
    path_out,
)
from commons_node.whole_file import checked_path, whole_file
from commons_protocol.network import Address, Blocked, NetworkError
from commons_protocol.reasons import Cause, of_held
from commons_protocol.status import SyncStatus

if TYPE_CHECKING:
    from commons_node.daemon import Daemon
    from commons_protocol.names import NodeId

_PEERS = Complete("peer.list", "peers", "node")
VERSION = version("commons-node")
_ITS_HEADER = (
    "SELECT header, (SELECT applied FROM edits e WHERE e.n = o.n) FROM operations o WHERE id = ?"
)
_HOW = "Node {node:id}, version {version}, up {uptime_s} s, peers connected: {peers}."
_EXPLAINED = tuple(
    "{kind} by {author}, {time:time}: {verdict}\n{sentence}\n" + rest
    for rest in ("{proposed_by}\n{certainty}", "{certainty}")
)


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


class OneOperation(msgspec.Struct):
    """Arguments of ``explain``."""

    operation: Annotated[str, argument("the operation's id, or 8 or more digits of it")]


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


async def counts(community: Community) -> dict[str, int]:
    """How many operations have which verdict; what waits is pending."""
    rows = await community.query("SELECT verdict, count(*) FROM operations GROUP BY verdict")
    found = {Verdict(verdict).name.lower(): n for verdict, n in rows}
    waiting = sum((await community.realm.store.waiting_count()).values())
    names = [v.name.lower() for v in Verdict]
    return {name: found.get(name, 0) + (waiting if name == "pending" else 0) for name in names}


async def status(request: Request[Daemon], _args: Nothing) -> Reading:
    """How the node is."""
    daemon = request.node
    peers = daemon.peering.peers()
    communities, warnings, advice = [], list[str](), list[str]()
    refusals = Counter(daemon.refusals)
    for realm, community in daemon.communities.items():
        of_set, of_state = await community.realm.hashes()
        refusals.update(community.realm.refusals)
        sync = state_with_all(realm, peers)
        held = await community.realm.store.waiting_count()
        causes = list(sync.causes()) if sync else [await by_bundle(community) or Cause("alone")]
        known = {cause.code for cause in causes}
        causes += [cause for cause in of_held(held) if cause.code not in known]  # of who is gone
        split = await split_in_words(community)
        seals = await standing_of_seals(community, peers)
        doubt = await doubt_of(community, peers)
        communities.append(
            {
                "community": community.id,
                "name": await community.name(),
                "timezone": community.timezone.key,
                "operations": await counts(community),
                "set_hash": of_set.hex(),
                "state_hash": of_state.hex(),
                **_in_step(daemon, realm, sync, doubt, causes),
                "held": held,
                "split": split,
                "parts": await space(daemon, community),
                **seals,
            }
        )
        advice += [said] if (said := alone_in_words(community)) else []
        warnings += [said for said in (split, doubt.sentence if doubt else None) if said]
    safe = await daemon.safety()
    warnings += [safe.warning] if safe.warning else []
    return Reading(
        {
            "version": VERSION,
            "node": daemon.node,
            "uptime_s": round(time.monotonic() - daemon.started, 1),
            "ready": daemon.ready,
            "communities": communities,
            "refusals": dict(sorted(refusals.items())),
            "limits": {
                "disk_free": daemon.room.free,
                "disk_reserve": daemon.room.reserve,
                "disk_short": daemon.room.short(),
                "kept_out": sum(p.penalty is not None for p in peers),
                "shed": dict(daemon.peering.load.shed),
                "queued": dict(+daemon.peering.load.waiting),
            },
            "peers": sum(peer.connected for peer in peers),
            "backup": safe.backup,
            "repaired": safe.repaired,
            "restored": safe.restored,
            "warning": " ".join(warnings) or None,
            "advice": " ".join(dict.fromkeys(advice)) or None,
        }
    )


def _in_step(
    daemon: Daemon,
    realm: RealmId,
    sync: SyncStatus | None,
    doubt: Doubt | None,
    causes: Sequence[Cause],
) -> dict[str, object]:
    """How a community stands with everybody who is here: a word, why, and what to do."""
    if realm in daemon.keeping.paused:
        freed = realm in daemon.keeping.freed
        held = _("who may do what") if freed else _("what had come until then")
        sync, doubt, causes = None, None, [Cause("paused", detail=held)]
    why = [doubt.sentence] if doubt else []
    why += [one.sentence for one in causes]
    todo = [doubt.next_action] if doubt else []
    todo += [one.action for one in causes]
    first = next((one.code for one in causes), "alone")
    paused = first == "paused"
    return {
        "kept": not paused,
        "sync": "paused" if paused else sync.state if sync else "alone",
        "code": doubt.code if doubt else sync.code if sync else first,
        "reason": "; ".join(why),
        "next_action": " ".join(dict.fromkeys(filter(None, todo))),
    }


class Pausing(msgspec.Struct):
    """Arguments of ``community pause``."""

    free: Annotated[bool, option("let go of what is here; it is fetched again when you resume")] = (
        False
    )


async def pause(request: Request[Daemon], args: Pausing) -> Mapping[str, object]:
    """Keep out of a community on this node, for a while."""
    community = await request.node.community(request)
    name = await community.name()
    gone = await request.node.keeping.pause(community, free=args.free)
    return {"community": community.id, "name": name, "kept": False, "let_go": gone or None}


async def resume(request: Request[Daemon], _args: Nothing) -> Mapping[str, object]:
    """Keep in step with a community again."""
    community = await request.node.community(request)
    await request.node.keeping.resume(community)
    return {"community": community.id, "name": await community.name(), "kept": True}


async def community_hash(request: Request[Daemon], _args: Nothing) -> Reading:
    """The hashes by which two nodes see that they hold the same truth."""
    community = await request.node.community(request)
    of_set, of_state = await community.realm.hashes()
    return await community.reading(
        {
            "community": community.id,
            "operations": await counts(community),
            "set_hash": of_set.hex(),
            "state_hash": of_state.hex(),
        }
    )


class Archive(msgspec.Struct):
    """Arguments of ``community archive``."""

    file: Annotated[str, path_out("where the archive goes; the node writes it")]
    script: Annotated[
        bool, option("also write FILE.verify.py, which checks it with Python alone")
    ] = False


async def community_archive(request: Request[Daemon], args: Archive) -> Mapping[str, object]:
    """Write everything that this node holds of a community to one file."""
    community = await request.node.community(request)
    path = checked_path(args.file)
    found = await write_archive(community.realm, path)
    script: dict[str, object] = {}
    if args.script:
        beside = checked_path(f"{path}.verify.py")
        with whole_file(beside) as out:
            out.write(standalone_script())
        script["script"] = str(beside)
    return {"community": community.id, "file": str(path), **found, **script}


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
    rows = [
        {
            "node": peer.node,
            "addresses": list(peer.addresses),
            "connected": peer.connected,
            "way": peer.way or None,
            "blocked": peer.blocked,
            "last_seen": moment(peer.last_seen_ms),
            "blocked_until": moment(peer.penalty.until_ms) if peer.penalty else None,
            "blocked_for": peer.penalty.why if peer.penalty else None,
            "sync": _sync(peer.sync),
            "state": peer.sync.state,
            "next": f"{peer.sync.reason} " * (peer.penalty is not None)
            + peer.sync.action(peer.node),
        }
        for peer in peers
    ]
    return Reading({"peers": rows})


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


async def explain(request: Request[Daemon], args: OneOperation) -> Reading:
    """Why an operation counts, or does not."""
    daemon = request.node
    found: list[tuple[Community, OperationId]] = []
    wanted = args.operation.strip().lower()
    if not 8 <= len(wanted) <= 64 or any(c not in "0123456789abcdef" for c in wanted):
        raise Unknown(
            what="operation", name=args.operation, list=_("give 8 or more digits of its id")
        )
    for community in daemon.communities.values():
        rows = await community.query(
            "SELECT id FROM operations WHERE id BETWEEN ?1 AND ?2"
            " UNION SELECT id FROM waiting WHERE id BETWEEN ?1 AND ?2 LIMIT 3",
            (bytes.fromhex(wanted.ljust(64, "0")), bytes.fromhex(wanted.ljust(64, "f"))),
        )
        found.extend((community, OperationId(row[0])) for row in rows)
    if not found:
        left_out = any(one.realm.memory.pruned for one in daemon.communities.values())
        where = (
            _("commons-node sync wait; or {old_history}").format(old_history=_(OLD_HISTORY))
            if left_out
            else "commons-node sync wait"
        )
        raise Unknown(what="operation", name=args.operation, list=where)
    if len(found) > 1:
        raise Ambiguous(name=args.operation, found=", ".join(i.hex()[:16] for _, i in found))
    community, ident = found[0]
    explaining = await Explaining.of(community)
    value = await explaining.held(ident) or (await explaining.explain(ident)).json
    value |= await proposed(daemon, ident)
    rows = await community.query(_ITS_HEADER, (ident,))
    header = decode_header(rows[0][0]) if rows else None
    links = []
    for link, ids in (
        (
            ("prev", (header.prev,)),
            ("ref", header.refs),
            ("authority", header.authority),
        )
        if header
        else ()
    ):
        for other in ids:
            past = await community.realm.standing(OperationId(other))
            if past is not None:
                links.append(
                    {
                        "link": link,
                        "operation": other.hex(),
                        "kind": past.kind,
                        "verdict": past.judgement.verdict.name.lower(),
                    }
                )
    applied = rows[0][1] if rows else None
    standing = await community.realm.standing(ident)
    final = standing is not None and community.realm.judge.settled(standing)
    settled = final and await is_assured(community)
    return await community.reading(
        {**value, "applied": applied, "builds_on": links, **certainty(settled)}
    )


REGISTRY = Registry(
    commands=(
        Command("peer.connect", "Dial a node, and remember where it is.", PeerAddress, connect,
                says="Connected to {node:id}."),
        Command("peer.block", "Refuse a node both ways.", OnePeer, block,
                says="{node:id} is blocked: nothing comes from it or goes to it."),
        Command("peer.unblock", "Let a node in again.", OnePeer, unblock,
                says="{node:id} may come in again."),
        Command("community.pause", "Keep this node out of a community for a while.", Pausing, pause,
                says=("{name} is paused on this node; {let_go} operations are let go.",
                      "{name} is paused on this node: nothing comes or goes.")),
        Command("community.resume", "Keep this node in step with a community again.", Nothing,
                resume, says="{name} is kept in step again."),
        Command("community.archive", "Write all that this node holds of the community to a file.",
                Archive, community_archive, timeout_s=3600.0,
                says=(("{operations} operations, {bytes} bytes, are in {file}. It can be checked"
                       " anywhere: commons-node community verify FILE, or without this program:"
                       " python3 {script} FILE"),
                      ("{operations} operations, {bytes} bytes, are in {file}. It can be checked"
                       " anywhere: commons-node community verify FILE"))),
        Command("sync.wait", "Wait until this node and its peers agree.", Wait, wait,
                says=("Nodes that agree with this one: {agrees_with}, after {seconds} seconds.",
                      "There is no other node to agree with."), timeout_s=600.0),
    ),
    views=(
        View("status", "How the node is.", Nothing, status,
             says=(f"{_HOW}\n\n{{warning}}\n{{advice}}", f"{_HOW}\n\n{{warning}}",
                   f"{_HOW}\n\n{{advice}}", _HOW),
             table=Table("communities", (Column("name", "Community"), Column("sync", "Sync"),
                                         Column("next_action", "Next"),
                                         Column("state_hash", "State", "id"),
                                         Column("community", "Id", "id")),
                         "In no community yet."), watch=True),
        View("community.hash", "The hashes of what this node holds.", Nothing, community_hash,
             says="set   {set_hash}\nstate {state_hash}"),
        View("peer.list", "The nodes that this one knows.", Nothing, list_peers,
             table=Table("peers", (Column("node", "Node", "id"), Column("connected", "Here", "yes"),
                                   Column("way", "Way"), Column("state", "Sync"),
                                   Column("last_seen", "Seen", "time"),
                                   Column("next", "Next")), "No peers yet."), watch=True),
        View("explain", "Why an operation counts, or does not.", OneOperation, explain,
             says=_EXPLAINED,
             table=Table("because", (Column("sentence", "Because"),
                                     Column("operation", "Id", "id")))),
    ),
    nouns={"peer": "other nodes", "sync": "agreeing with them",
           "community": "the community as a whole"},
)  # fmt: skip
