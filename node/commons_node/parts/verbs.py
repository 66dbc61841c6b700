"""The verbs of parts: what of photos and texts is on this node, fetch it, and how much may be.

For hosts; whoever looks at a photo needs none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from commons_crdt.ids import OperationId
from commons_crdt.texts import N_, _
from commons_node.community import Community, Unknown
from commons_node.parts.keeper import NotHere
from commons_node.registry import (
    Column,
    Command,
    Complete,
    Count,
    Reading,
    Registry,
    Request,
    Table,
    View,
    argument,
    option,
)

if TYPE_CHECKING:
    from commons_node.daemon import Daemon
    from commons_node.store.large_parts import LargePart

_PARTS = Complete("part.list", "parts", "operation")
_MIB = 1 << 20
_PREFIX = 8
WORDS: dict[str, tuple[str, str]] = {
    "": ("", ""),
    "nobody": (
        N_("nobody who is connected has all of them"),
        N_("wait for a node, or a bundle, that has them: commons-node peer list"),
    ),
    "quota": (
        N_("the quota is used up"),
        N_("commons-node part policy --quota MIB, or look at one: it is fetched at once"),
    ),
    "disk": (N_("the disk is nearly full"), N_("make room on the disk")),
    "policy": (N_("this node fetches them when somebody looks"), "commons-node part policy all"),
}
"""Why not all parts are here, and what to do."""


class Listing(msgspec.Struct):
    """Arguments of ``part list``."""

    lacking: Annotated[bool, option("only those that are not here")] = False
    limit: Annotated[Count | None, option("at most so many")] = None


class Fetching(msgspec.Struct):
    """Arguments of ``part fetch``."""

    operation: Annotated[
        str | None,
        argument("the operation that names it, or 8 or more digits; none: all", complete=_PARTS),
    ] = None


class Choosing(msgspec.Struct):
    """Arguments of ``part policy``."""

    policy: Annotated[
        Literal["all", "recent", "texts", "on-demand"] | None,
        argument("what is fetched before somebody looks"),
    ] = None
    quota: Annotated[Count | None, option("MiB that photos may take here")] = None


async def space(daemon: Daemon, community: Community) -> dict[str, object]:
    """What ``status`` says of a community's parts."""
    keeper, realm = daemon.parts, community.realm
    usage = await realm.parts.usage()
    complete = usage.whole == usage.known
    reason, advice = ("", "") if complete else map(_, WORDS[keeper.why(realm)])
    return {
        "policy": await keeper.policy(realm),
        "known": usage.known,
        "here": usage.whole,
        "bytes": usage.bytes,
        "quota": await keeper.quota(realm),
        "reason": reason,
        "next_action": advice,
    }


async def list_parts(request: Request[Daemon], args: Listing) -> Reading:
    """Photos and other large parts, and what of them is here."""
    community = await request.node.community(request)
    found = await community.realm.store.large.parts("o.verdict = 1 ORDER BY l.n")
    wanted = [one for one in found if community.realm.parts.wants(one)]
    shown = [one for one in wanted if not (args.lacking and one.whole)]
    rows = [
        {
            "operation": one.operation.hex(),
            "part": one.name,
            "bytes": one.length,
            "have": one.have,
            "here": one.whole,
            "own": one.own,
        }
        for one in shown[: args.limit]
    ]
    missing = [row for row in rows if not row["here"]]
    answer = {"parts": rows, **await space(request.node, community)}
    return await community.reading(answer, missing=missing)


async def fetch(request: Request[Daemon], args: Fetching) -> Mapping[str, object]:
    """Fetch parts that are not here, now."""
    community = await request.node.community(request)
    realm, keeper = community.realm, request.node.parts
    wanted = await _wanted(community, args.operation)
    fetched = absent = size = 0
    for part in wanted:
        try:
            await keeper.fetch(realm, part)
        except NotHere:
            if args.operation is not None:
                raise
            absent += 1
        else:
            fetched += 1
            size += part.length
    for small in await realm.parts.lacking_small() if args.operation is None else ():
        found = await keeper.fetch_small(realm, small)
        fetched, absent = fetched + found, absent + (not found)
    reason, advice = map(_, WORDS["nobody"]) if absent else (None, None)
    return {"community": community.id, "fetched": fetched, "bytes": size, "absent": absent,
            "reason": reason, "next_action": advice}  # fmt: skip


async def _wanted(community: Community, selector: str | None) -> list[LargePart]:
    lacking = await community.realm.parts.lacking()
    if selector is None:
        return lacking
    wanted = selector.strip().lower()
    known = await community.realm.store.large.parts()
    ids = {one.operation for one in known if one.operation.hex().startswith(wanted)}
    if len(wanted) < _PREFIX or len(ids) != 1:
        raise Unknown(what=_("operation with parts"), name=selector, list="commons-node part list")
    (ident,) = ids
    return [one for one in lacking if one.operation == OperationId(ident)]


async def policy(request: Request[Daemon], args: Choosing) -> Mapping[str, object]:
    """What of a community's parts this node fetches by itself, and how much it keeps."""
    community = await request.node.community(request)
    keeper, realm = request.node.parts, community.realm
    if args.policy is not None or args.quota is not None:
        await keeper.choose(realm, args.policy, None if args.quota is None else args.quota * _MIB)
    now = await space(request.node, community)
    return {"community": community.id, "quota_mib": await keeper.quota(realm) // _MIB, **now}


REGISTRY = Registry(
    commands=(
        Command("part.fetch", "Fetch photos and texts that are not here, now.", Fetching, fetch,
                says=("{fetched} parts came, {bytes} bytes; {absent} did not: {reason}.",
                      "{fetched} parts came, {bytes} bytes."),
                timeout_s=600.0),
        Command("part.policy", "What of photos is fetched by itself, and how much is kept.",
                Choosing, policy,
                says="Fetched by itself: {policy}. Room for {quota_mib} MiB, {bytes} bytes used."),
    ),
    views=(
        View("part.list", "Photos and other large parts, and what of them is here.", Listing,
             list_parts, says="{here} of {known} are here, {bytes} of {quota} bytes. {next_action}",
             table=Table("parts", (Column("part", "Part"), Column("bytes", "Bytes", "number"),
                                   Column("here", "Here", "yes"), Column("own", "Own", "yes"),
                                   Column("operation", "Id", "id")), "There is none.")),
    ),
    nouns={"part": "photos and texts that do not travel with what they belong to"},
)  # fmt: skip
