"""The verbs of membership: found, invite, join, name roles, unlock and lock."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from commons_crdt.author import Draft
from commons_crdt.authority.facts import RoleAct
from commons_crdt.authority.kinds import ROLE
from commons_crdt.ids import DocumentId, MemberId
from commons_crdt.roles import Role
from commons_node.certainty import provisional_members
from commons_node.community import written
from commons_node.domains.closing import needs_open
from commons_node.domains.sanctions.taking import demote, subject_of
from commons_node.membership import unlocking
from commons_node.membership.founding import found
from commons_node.printing.join_sheet import join_sheet
from commons_node.registry import (
    Column,
    Command,
    Complete,
    Count,
    File,
    Reading,
    Registry,
    Request,
    Seconds,
    Table,
    View,
    argument,
    file_out,
    option,
    passphrase,
)

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_MEMBERS = Complete("member.list", "members", "name")
_WEEK_S = 7 * 24 * 3600


class Init(msgspec.Struct):
    """Arguments of ``community init``."""

    name: Annotated[str, argument("what the community is called")]
    member: Annotated[str, option("what you are called")]
    passphrase: Annotated[str, passphrase("protects your keys on this node", new=True)]
    timezone: Annotated[str, option("where its days end, such as Europe/Stockholm")] = "UTC"


async def init(request: Request[Daemon], args: Init) -> Mapping[str, object]:
    """Found a community with yourself as its only coordinator."""
    return await found(request, args.name, args.member, args.timezone, args.passphrase)


class CreateInvite(msgspec.Struct):
    """Arguments of ``invite create``."""

    uses: Annotated[Count, option("how many newcomers it lets in")] = 1
    expires: Annotated[Seconds, option("how long it is good for, such as 7d")] = _WEEK_S
    out: Annotated[
        str | None, file_out("also write the invite as a file with more addresses", result="file")
    ] = None


async def create_invite(request: Request[Daemon], args: CreateInvite) -> Mapping[str, object]:
    """Make an invite that any node of the community honours."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    actor.needs(Role.MEMBER)
    await needs_open(community)
    made = await request.node.admissions.invite(community, actor, args.uses, args.expires)
    answer: dict[str, object] = {
        **written(made.written),
        "invite": made.written.id.hex(),
        "code": made.code,
        "uses": args.uses,
        "expires": made.expires,
    }
    if args.out:
        answer["file"] = base64.b64encode(made.file).decode("ascii")
    return answer


class Sheet(msgspec.Struct):
    """Arguments of ``invite sheet``."""

    out: Annotated[str, file_out("the HTML file to print", result="sheet")]
    uses: Annotated[Count, option("how many newcomers it lets in")] = 5
    expires: Annotated[Seconds, option("how long it is good for, such as 7d")] = _WEEK_S


async def print_sheet(request: Request[Daemon], args: Sheet) -> Mapping[str, object]:
    """Make an invite, and a page with it to hang on the wall."""
    made = await create_invite(request, CreateInvite(args.uses, args.expires))
    community = await request.node.community(request)
    code, expires = str(made["code"]), str(made["expires"])
    sheet = join_sheet(await community.name(), code, args.uses, expires)
    return {**made, "sheet": base64.b64encode(sheet).decode("ascii")}


class Join(msgspec.Struct):
    """Arguments of ``join``."""

    member: Annotated[str, option("what you are called")]
    passphrase: Annotated[str, passphrase("protects your keys on this node", new=True)]
    code: Annotated[str | None, argument("the invite's code")] = None
    invite: Annotated[File | None, option("the invite as a file, instead of the code")] = None
    address: Annotated[str | None, option("where a node of the community is")] = None
    wait: Annotated[Seconds, option("how long to wait for an answer")] = 30


async def join(request: Request[Daemon], args: Join) -> Mapping[str, object]:
    """Join a community with an invite."""
    return await request.node.joining.join(
        args.code,
        args.member,
        args.passphrase,
        file=args.invite.data if args.invite else None,
        address=args.address,
        wait_s=args.wait,
        session=request.session,
    )


class Nothing(msgspec.Struct):
    """No arguments."""


async def list_members(request: Request[Daemon], _args: Nothing) -> Reading:
    """Everybody in the community."""
    community = await request.node.community(request)
    names = await community.names()
    authority = community.realm.judge.authority
    flagged = authority.flagged()
    devices: dict[MemberId, int] = {}
    for grant in authority.standing_devices().values():
        if not grant.unattended:
            devices[grant.member] = devices.get(grant.member, 0) + 1
    provisional = await provisional_members(community)
    left = {MemberId(key) for (key,) in await community.query("SELECT key FROM v_goodbyes")}
    left -= devices.keys()
    rows = [
        {
            "member": member.hex(),
            "name": names[member],
            "role": role.word,
            "devices": devices.get(member, 0),
            "standing": "left" if member in left else "flagged" if member in flagged else "good",
            "settled": member not in provisional,
        }
        for member, role in sorted(
            authority.members().items(), key=lambda one: (-one[1], names[one[0]].casefold())
        )
    ]
    return await community.reading({"members": rows})


class SetRole(msgspec.Struct):
    """Arguments of ``member role``."""

    who: Annotated[str, argument("the member, by name or id", complete=_MEMBERS)]
    role: Annotated[Literal["newcomer", "member", "steward", "host"], argument("the new role")]


async def set_role(request: Request[Daemon], args: SetRole) -> Mapping[str, object]:
    """Give a member another role."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    member = await subject_of(community, actor, args.who)
    role = Role[args.role.upper()]
    authority = community.realm.judge.authority
    if role < authority.members().get(member, role):
        result = await demote(request.node, community, actor, member, role)
    else:
        body = RoleAct(member, int(role))
        (result,) = await community.write(
            actor, Draft.fact(ROLE, body, log=0, document=DocumentId(member))
        )
    name = (await community.names())[member]
    return {**written(result), "member": member.hex(), "name": name, "role": args.role}


class Unlock(msgspec.Struct):
    """Arguments of ``member unlock``."""

    passphrase: Annotated[str, passphrase("the member's passphrase")]
    member: Annotated[
        str | None, argument("who, by name or id; not needed on a node of one", complete=_MEMBERS)
    ] = None
    idle: Annotated[Seconds, option("how long without doing anything, such as 15m")] = (
        msgspec.field(default=15 * 60, name="for")
    )


async def unlock(request: Request[Daemon], args: Unlock) -> Mapping[str, object]:
    """Let a member act at this terminal."""
    return await unlocking.unlock(request, args.member, args.passphrase, args.idle)


class Change(msgspec.Struct):
    """Arguments of ``member passphrase``."""

    passphrase: Annotated[str, passphrase("the passphrase as it is now")]
    new: Annotated[str, passphrase("the new one", new=True)]
    member: Annotated[
        str | None, argument("who, by name or id; not needed on a node of one", complete=_MEMBERS)
    ] = None


async def change(request: Request[Daemon], args: Change) -> Mapping[str, object]:
    """Protect a member's keys on this node with another passphrase."""
    return await unlocking.change_passphrase(request, args.member, args.passphrase, args.new)


class Lock(msgspec.Struct):
    """Arguments of ``member lock``."""

    member: Annotated[str | None, argument("who, by name or id; everybody if left out")] = None


async def lock(request: Request[Daemon], args: Lock) -> Mapping[str, object]:
    """Stop acting as a member at this terminal."""
    return await unlocking.lock(request, args.member)


class Here(msgspec.Struct):
    """Arguments of ``member here``."""

    stay: Annotated[bool, option("and stay unlocked: somebody is at the terminal")] = False


async def here(request: Request[Daemon], args: Here) -> Reading:
    """Who lives on this node, and who is unlocked at this terminal."""
    return Reading({"members": await unlocking.here(request, stay=args.stay)})


VERBS = Registry(
    commands=(
        Command("community.init", "Found a community.", Init, init,
                says="{name} is founded. You are {member_name}, its coordinator.\n{advice}",
                opens_session=True),
        Command("invite.create", "Invite somebody.", CreateInvite, create_invite,
                says="Give this code to the newcomer; it is good until {expires:time}:\n{code}",
                qr="code", member=True),
        Command("invite.sheet", "Print a page by which neighbours join.", Sheet, print_sheet,
                says="Good until {expires:time}: open the file in a browser and print it.",
                member=True),
        Command("join", "Join a community with an invite.", Join, join,
                says=("You are in {name} as {member_name}.",
                      "Nobody answered yet; the node goes on asking."),
                opens_session=True, timeout_s=120.0),
        Command("member.role", "Give a member another role.", SetRole, set_role,
                says="{name} is now a {role}.", member=True),
        Command("member.unlock", "Act as a member at this terminal.", Unlock, unlock,
                says=("{name} is unlocked at this terminal until {until:time}.\n{news}",
                      "{name} is unlocked at this terminal until {until:time}."),
                opens_session=True),
        Command("member.passphrase", "Change the passphrase of a member on this node.", Change,
                change,
                says="The keys of {name} on this node open with the new passphrase only. Backups of"
                " before open theirs with the old one; a keyring and a service's file are told"
                " by you.", needs="session"),
        Command("member.lock", "Stop acting as a member at this terminal.", Lock, lock,
                says="Locked.", needs="session"),
    ),
    views=(
        View("member.list", "Everybody in the community.", Nothing, list_members,
             table=Table("members", (Column("name", "Name"), Column("role", "Role"),
                                     Column("devices", "Devices", "number"),
                                     Column("standing", "Standing"),
                                     Column("member", "Id", "id")), "Nobody yet.")),
        View("member.here", "Who lives on this node, and who is unlocked at this terminal.",
             Here, here,
             table=Table("members", (Column("name", "Name"), Column("role", "Role"),
                                     Column("unlocked", "Unlocked", "yes"),
                                     Column("seconds", "For", "number"),
                                     Column("member", "Id", "id")),
                         "Nobody lives on this node yet.")),
    ),
    nouns={"community": "the community as a whole", "invite": "letting newcomers in",
           "member": "members, roles, and who acts at this terminal"},
)  # fmt: skip
