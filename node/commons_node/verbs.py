"""The node's own verbs: how it is, and what it does with a community as a whole.

They belong to no domain: they would be the same if people shared songs.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated

import msgspec

from commons_crdt.ids import RealmId
from commons_crdt.verdict import Verdict
from commons_node.archive.writing import standalone_script, write_archive
from commons_node.bundles.standing_with import by_bundle
from commons_node.certainty import standing_of_seals
from commons_node.community import Community
from commons_node.explaining.doubting import Doubt, doubt_of
from commons_node.explaining.splitting import alone_in_words, split_in_words
from commons_node.health.overview import of_pause
from commons_node.parts.verbs import space
from commons_node.peering.states import state_with_all
from commons_node.registry import (
    Column,
    Command,
    Reading,
    Registry,
    Request,
    Table,
    View,
    option,
    path_out,
)
from commons_node.whole_file import checked_path, whole_file
from commons_protocol.reasons import Cause, of_held
from commons_protocol.status import SyncStatus

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

VERSION = version("commons-node")
_HOW = "Node {node:id}, version {version}, up {uptime_s} s, peers connected: {peers}."


class Nothing(msgspec.Struct):
    """No arguments."""


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
            "rules": daemon.rules.version,
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
                "taken": dict(+daemon.peering.load.taken),
                "frames": daemon.peering.load.frames,
            },
            "peers": sum(peer.connected for peer in peers),
            "health": safe.health,
            "backup": safe.backup,
            "repaired": safe.repaired,
            "restored": safe.restored,
            "unattended": safe.unattended,
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
    pause = of_pause(daemon.keeping, realm)
    if pause is not None:
        sync, doubt, causes = None, None, [pause]
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
    parts_up_to: Annotated[
        int | None, option("leave larger photos and other large parts out", metavar="BYTES")
    ] = None


async def community_archive(request: Request[Daemon], args: Archive) -> Mapping[str, object]:
    """Write everything that this node holds of a community to one file."""
    community = await request.node.community(request)
    path = checked_path(args.file)
    found = await write_archive(community.realm, path, args.parts_up_to)
    script: dict[str, object] = {}
    if args.script:
        beside = checked_path(f"{path}.verify.py")
        with whole_file(beside) as out:
            out.write(standalone_script())
        script["script"] = str(beside)
    return {"community": community.id, "file": str(path), **found, **script}


REGISTRY = Registry(
    commands=(
        Command("community.pause", "Keep this node out of a community for a while.", Pausing, pause,
                says=("{name} is paused on this node; {let_go} operations are let go.",
                      "{name} is paused on this node: nothing comes or goes.")),
        Command("community.resume", "Keep this node in step with a community again.", Nothing,
                resume, says="{name} is kept in step again."),
        Command("community.archive", "Write all that this node holds of the community to a file.",
                Archive, community_archive, timeout_s=3600.0,
                says=(("{operations} operations and {parts} photos and other large parts, {bytes}"
                       " bytes, are in {file}. Not on this node, and not in it: {parts_missing}."
                       " It can be checked anywhere: commons-node community verify FILE, or"
                       " without this program: python3 {script} FILE"),
                      ("{operations} operations and {parts} photos and other large parts, {bytes}"
                       " bytes, are in {file}. Not on this node, and not in it: {parts_missing}."
                       " It can be checked anywhere: commons-node community verify FILE"))),
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
    ),
    nouns={"community": "the community as a whole"},
)  # fmt: skip
