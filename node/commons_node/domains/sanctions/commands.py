"""The verbs of coordinators who act alone: remove, suspend, revoke, resolve a fork."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import msgspec

from commons_crdt.authority.facts import Reason
from commons_crdt.ids import DeviceId, MemberId
from commons_crdt.roles import Role
from commons_crdt.texts import _
from commons_node.community import Community, Unknown, find, written
from commons_node.domains.leaving.settling import out_with
from commons_node.domains.lending.terms import instant
from commons_node.domains.sanctions import forks, taking
from commons_node.domains.sanctions.finding import find_operation
from commons_node.explaining.explained import Explaining
from commons_node.explaining.gone import all_gone, gone_in_words
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

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_MEMBERS = Complete("member.list", "members", "name")


class Nothing(msgspec.Struct):
    """No arguments."""


class Remove(msgspec.Struct):
    """Arguments of ``member remove``."""

    who: Annotated[str, argument("the member, by name or id", complete=_MEMBERS)]
    reason: Annotated[Reason, option("why, in a word")] = "other"
    note: Annotated[str | None, option("why, in your own words; can be erased later")] = None
    since: Annotated[datetime | None, option("nothing written after this time stands")] = None


async def run_remove(request: Request[Daemon], args: Remove) -> Mapping[str, object]:
    """Remove a member: what was written so far stands, nothing after it."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    member = await taking.subject_of(community, actor, args.who)
    name = (await community.names())[member]
    done = await taking.remove(
        request.node, community, actor, member, args.reason,
        before_ms=None if args.since is None else _ms(args.since), note=args.note,
    )  # fmt: skip
    return {**done, "name": name, **await _owed(community, member)}


class Suspend(msgspec.Struct):
    """Arguments of ``member suspend``."""

    who: Annotated[str, argument("the member, by name or id", complete=_MEMBERS)]
    days: Annotated[Seconds, option("for how long, such as 30d")] = msgspec.field(name="for")
    reason: Annotated[Reason, option("why, in a word")] = "other"
    note: Annotated[str | None, option("why, in your own words; can be erased later")] = None


async def run_suspend(request: Request[Daemon], args: Suspend) -> Mapping[str, object]:
    """Suspend a member, who comes back with a new device when the time is over."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    member = await taking.subject_of(community, actor, args.who)
    until = request.node.now_ms() + args.days * 1000
    name = (await community.names())[member]
    done = await taking.remove(
        request.node, community, actor, member, args.reason, until_ms=until, note=args.note
    )
    return {**done, "name": name, "until": instant(until), **await _owed(community, member)}


class RevokeInvite(msgspec.Struct):
    """Arguments of ``invite revoke``."""

    invite: Annotated[str, argument("the invite's operation, by its id")]
    reason: Annotated[Reason, option("why, in a word")] = "other"


async def run_revoke_invite(request: Request[Daemon], args: RevokeInvite) -> Mapping[str, object]:
    """Take an invite back."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    invite = await find_operation(community, args.invite)
    if invite not in community.realm.judge.authority.invites:
        raise Unknown(what="invite", name=args.invite, list="commons-node invite list")
    if await taking.author_of(community, invite) != actor.member:
        actor.needs(Role.COORDINATOR)
    result = await taking.revoke_invite(community, actor, invite, args.reason)
    return {**written(result), "invite": invite.hex()}


class RevokeNode(msgspec.Struct):
    """Arguments of ``peer revoke``."""

    device: Annotated[str, argument("the node's device, by its id in member devices")]
    reason: Annotated[Reason, option("why, in a word")] = "other"


async def run_revoke_node(request: Request[Daemon], args: RevokeNode) -> Mapping[str, object]:
    """Make a node no longer the community's."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    grants = [g for g in community.realm.judge.authority.devices.values() if g.unattended]
    choices = [(g.keys.id, ()) for g in grants]
    device = find(_("node's device"), args.device, choices, "commons-node member device list")
    granted = next(g for g in grants if g.keys.id == device)
    if granted.member != actor.member:
        actor.needs(Role.COORDINATOR)
    result = await taking.revoke_node(request.node, community, actor, granted.id, args.reason)
    return {**written(result), "device": device.hex()}


async def list_forks(request: Request[Daemon], _args: Nothing) -> Reading:
    """Devices that told two stories, and what hangs on each."""
    community = await request.node.community(request)
    return await community.reading({"forks": await forks.rows(community)})


async def list_gone(request: Request[Daemon], _args: Nothing) -> Reading:
    """Who was removed or is suspended, by whom, and by which act (the one that can be lifted)."""
    community = await request.node.community(request)
    explaining = await Explaining.of(community)
    rows = []
    for member, found in all_gone(community).items():
        act = await community.realm.standing(found.act)
        if act is None:
            continue
        owed = await _owed(community, member)
        rows.append(
            {
                "member": member.hex(),
                "name": explaining.name(member),
                "way": found.way,
                "by": explaining.who(act),
                "since": instant(act.time_ms),
                "until": instant(found.until_ms) if found.until_ms else None,
                "owes": owed.get("owes"),
                "operation": found.act.hex(),
                "sentence": await gone_in_words(community, member, found),
            }
        )
    return await community.reading({"gone": rows})


class Resolve(msgspec.Struct):
    """Arguments of ``fork resolve``."""

    device: Annotated[str, argument("the device, by its id",
                                    complete=Complete("fork.list", "forks", "device"))]  # fmt: skip
    branch: Annotated[str, option("an operation on the branch that shall be told")]


async def run_resolve(request: Request[Daemon], args: Resolve) -> Mapping[str, object]:
    """Say which of a device's two stories is told; the device writes no more."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    actor.needs(Role.COORDINATOR)
    operation = await find_operation(community, args.branch)
    member, ending = await forks.ending_of(community, args.device, operation)
    authority = community.realm.judge.authority
    if authority.role_now(member) is Role.COORDINATOR:
        raise forks.OfCoordinator(
            name=(await community.names())[member],
            device=ending.device.hex()[:12],
            branch=operation.hex()[:12],
        )
    result = await taking.name_branch(request.node, community, actor, member, ending)
    touched = await forks.touched(community, DeviceId(ending.device))
    others = sum(int(str(one["count"])) for one in touched if one["member"] != member.hex())
    said = " ".join(str(one["sentence"]) for one in touched)
    return {
        **written(result),
        "member": member.hex(),
        "touched": others,
        "touches": touched,
        "said": said or None,
    }


async def _owed(community: Community, member: MemberId) -> dict[str, str]:
    """What the member still has of others': it comes back by the other party's act alone."""
    found = await out_with(community, member)
    return {"owes": ", ".join(one.label for one in found)} if found else {}


def _ms(moment: datetime) -> int:
    return (moment - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)


VERBS = Registry(
    commands=(
        Command("member.remove", "Remove a member.", Remove, run_remove,
                says=("{name} is removed, and still has: {owes}.", "{name} is removed."),
                asks="Remove {who}? Nothing they write from now on will stand.", member=True),
        Command("member.suspend", "Suspend a member for a time.", Suspend, run_suspend,
                says=("{name} is suspended until {until:time}, and still has: {owes}.",
                      "{name} is suspended until {until:time}."),
                asks="Suspend {who}?", member=True),
        Command("invite.revoke", "Take an invite back.", RevokeInvite, run_revoke_invite,
                says="Nobody comes in by it any more.", member=True),
        Command("peer.revoke", "Make a node no longer the community's.", RevokeNode,
                run_revoke_node, says="{device:id} is no node of the community any more.",
                asks="Revoke {device}?", member=True),
        Command("fork.resolve", "Say which of a device's two stories is told.", Resolve,
                run_resolve, says=("One story is told; the device writes no more.\n{said}",
                                   "One story is told; the device writes no more."),
                asks="Let only the branch with {branch} stand?", member=True),
    ),
    views=(
        View("member.gone", "Who was removed or is suspended, and by which act.", Nothing,
             list_gone,
             table=Table("gone", (Column("name", "Name"), Column("way", "Was"), Column("by", "By"),
                                  Column("until", "Until", "time"), Column("owes", "Owes"),
                                  Column("operation", "By the act", "id")),
                         "Nobody was removed, and nobody is suspended.")),
        View("fork.list", "Devices that told two stories.", Nothing, list_forks,
             table=Table("forks", (Column("name", "Whose"), Column("log", "Log", "number"),
                                   Column("seq", "At", "number"), Column("branches", "Branches"),
                                   Column("state", "State"), Column("device", "Device", "id")),
                         "No device told two stories.")),
    ),
    nouns={"fork": "devices that told two stories", "invite": "letting newcomers in",
           "member": "members, roles, and who acts at this terminal", "peer": "other nodes"},
)  # fmt: skip
