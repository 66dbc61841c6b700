"""The verbs of devices: add one with a code, list, name, retire, close."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import msgspec

from commons_crdt.author import Draft
from commons_crdt.authority.endings import Ending
from commons_crdt.authority.identity_facts import Close, Own
from commons_crdt.authority.kinds_identity import CLOSE
from commons_crdt.ids import DocumentId
from commons_crdt.roles import Role
from commons_crdt.texts import _
from commons_node.community import Actor, Community, WrongState, find, written
from commons_node.domains.identity.changing import Change, change
from commons_node.domains.identity.facts import (
    LABEL,
    LABEL_PART,
    Label,
    PickTerms,
    RecoverTerms,
)
from commons_node.domains.identity.limits import limit_of
from commons_node.domains.identity.whose import moment, named, own_member
from commons_node.membership import warrants
from commons_node.membership.devices import TICKET_S
from commons_node.membership.identities import (
    Machine,
    ends_of,
    find_machine,
    head,
    identity,
    machines,
    tip,
)
from commons_node.membership.labels import label_part
from commons_node.membership.rotation import rotate_if_due
from commons_node.realm.authoring import Limited
from commons_node.registry import (
    Column,
    Command,
    Complete,
    Count,
    File,
    Reading,
    Request,
    Seconds,
    Table,
    View,
    argument,
    file_out,
    option,
    passphrase,
    secret,
)

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

DEVICES = Complete("member.device.list", "devices", "name")
MEMBERS = Complete("member.list", "members", "name")


class Add(msgspec.Struct):
    """Arguments of ``member device add``."""

    name: Annotated[str | None, option("what to call it, such as phone")] = None
    kinds: Annotated[
        list[str], option("all that it may write, such as lending.request; may be repeated")
    ] = msgspec.field(default_factory=list)
    operations: Annotated[Count | None, option("how much it may write")] = None
    until: Annotated[datetime | None, option("until when it may write")] = None
    offline: Annotated[
        bool, option("a code for a machine that can't reach this one: files go there and back")
    ] = False


async def add(request: Request[Daemon], args: Add) -> Mapping[str, object]:
    """Make a code with which another machine of yours asks to be let in."""
    daemon = request.node
    community = await daemon.community(request)
    actor = await daemon.actor(request, community)
    if head(community.realm, actor.member).devices.get(actor.device) is not None:
        raise Limited(why=_("it was let in for a few kinds of acts only"))
    if args.name is not None:
        label_part(args.name)
    limit = limit_of(daemon, args.kinds, args.operations, args.until)
    addresses = daemon.addresses
    code, ends_ms = daemon.devices.make(
        "device",
        community,
        actor.member,
        seconds=TICKET_S,
        address=addresses[0] if addresses and not args.offline else None,
        limit=limit,
        label=args.name,
    )
    return {
        "member": actor.member.hex(),
        "code": code,
        "expires": moment(ends_ms),
        "limited": limit is not None,
        "goes_on": not args.offline,
    }


class Confirm(msgspec.Struct):
    """Arguments of ``member device confirm``."""

    digits: Annotated[str, argument("the six digits that the new machine shows")]
    request: Annotated[File | None, option("the request that the new machine has written")] = None
    out: Annotated[
        str | None, file_out("the file that lets it in, with --request", result="grant")
    ] = None


async def confirm(request: Request[Daemon], args: Confirm) -> Mapping[str, object]:
    """Let the machine in that shows these digits."""
    daemon = request.node
    community = await daemon.community(request)
    actor = await daemon.actor(request, community)
    if (args.request is None) != (args.out is None):
        raise WrongState(
            why=_("A request in a file is answered with a file."),
            next="commons-node member device confirm DIGITS --request FILE --out FILE",
        )
    if args.request is not None:
        daemon.devices.hear(community, actor, args.request.data)
    result, ticket = await daemon.devices.confirm(community, actor, args.digits)
    assert ticket.asked is not None
    device = ticket.asked.device.id
    if ticket.label is not None:
        await _say_name(community, actor, device, ticket.label)
    answer: dict[str, object] = {
        **written(result),
        "device": device.hex(),
        "name": ticket.label or device.hex()[:8],
        "limited": ticket.limit is not None,
    }
    if args.out is not None:
        data = await daemon.devices.grant_file(community, actor.member)
        answer["grant"] = base64.b64encode(data).decode("ascii")
    return answer


class Join(msgspec.Struct):
    """Arguments of ``member device join``."""

    passphrase: Annotated[str, passphrase("protects your keys on this machine", new=True)]
    code: Annotated[str, argument("the code that your other machine shows")]
    name: Annotated[str | None, option("what to call this machine, such as phone")] = None
    address: Annotated[str | None, option("where the other machine is")] = None
    request: Annotated[
        str | None,
        file_out("write a request for the other machine, and ask nobody", result="request_file"),
    ] = None
    grant: Annotated[File | None, option("the file that the other machine has answered with")] = (
        None
    )


async def join(request: Request[Daemon], args: Join) -> Mapping[str, object]:
    """Make this machine a device of a member who has another one."""
    arriving = request.node.arriving
    if args.grant is not None:
        return await arriving.grant_file(
            args.code, args.passphrase, args.name, args.grant.data, request.session
        )
    if args.request is not None:
        answer, data = await arriving.request_file(
            args.code, args.passphrase, args.name, request.session
        )
        file = base64.b64encode(data).decode("ascii")
        return {**answer, "request_file": file, "goes_on": False}
    return await arriving.by_code(
        args.code, args.passphrase, label=args.name, address=args.address, session=request.session
    )


class Finish(msgspec.Struct):
    """Arguments of ``member device finish`` and ``member recover finish``."""

    wait: Annotated[Seconds, option("how long to wait")] = 600


async def finish(request: Request[Daemon], args: Finish) -> Mapping[str, object]:
    """Wait until this machine is let in."""
    return await request.node.arriving.finish(float(args.wait), request.session)


class Whose(msgspec.Struct):
    """Arguments of ``member device list``."""

    who: Annotated[str | None, argument("the member, by name or id", complete=MEMBERS)] = None


async def list_devices(request: Request[Daemon], args: Whose) -> Reading:
    """The devices that a member has or had."""
    community = await request.node.community(request)
    member = await own_member(request, community, args.who)
    own = community.realm.own_credential
    rows = [
        _row(one, this=own is not None and one.node == own.device)
        for one in await machines(community, member)
    ]
    state = identity(community.realm, member)
    rivals = [act.hex() for act in state.frozen] if state is not None else []
    asking = request.node.devices.waiting(community.realm.realm, member)
    name = named(await community.names(), member)
    return await community.reading(
        {
            "member": member.hex(),
            "name": name,
            "devices": rows,
            "asking": asking,
            "frozen": rivals,
            "rivals": ", ".join(one[:12] for one in rivals) or None,
        },
        conflicts=rivals,
    )


def _row(one: Machine, *, this: bool) -> dict[str, object]:
    limit = one.limit
    return {
        "device": one.device.hex(),
        "name": one.label or one.device.hex()[:8],
        "node": one.node.hex() if one.node is not None else None,
        "since": moment(one.since_ms),
        "limited": limit is not None,
        "kinds": list(limit.kinds) if limit is not None else None,
        "operations": limit.operations if limit is not None else None,
        "until": moment(limit.until_ms) if limit is not None else None,
        "standing": one.why or "good",
        "end": {"authority": one.ends[0], "record": one.ends[1]},
        "this": this,
    }


class Name(msgspec.Struct):
    """Arguments of ``member device name``."""

    device: Annotated[str, argument("the device, by name or id", complete=DEVICES)]
    name: Annotated[str, argument("what to call it")]


async def name_device(request: Request[Daemon], args: Name) -> Mapping[str, object]:
    """Say what a device of yours is called."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    machine = await find_machine(community, actor.member, args.device)
    result = await _say_name(community, actor, machine.device, args.name)
    return {**result, "device": machine.device.hex(), "name": args.name}


async def _say_name(
    community: Community, actor: Actor, device: bytes, name: str
) -> dict[str, object]:
    parts = [(LABEL_PART, label_part(name))]
    draft = Draft.fact(LABEL, Label(), document=DocumentId(device), parts=parts)
    (result,) = await community.write(actor, draft)
    return written(result)


class Retire(msgspec.Struct):
    """Arguments of ``member device retire``."""

    device: Annotated[str, argument("the device, by name or id", complete=DEVICES)]
    recovery: Annotated[str | None, secret("your recovery key")] = None
    guardians: Annotated[bool, option("ask your guardians instead")] = False


async def retire(request: Request[Daemon], args: Retire) -> Mapping[str, object]:
    """End a device of yours where it stands now: for a lost phone, or one that you give away."""
    daemon = request.node
    community = await daemon.community(request)
    actor = await daemon.actor(request, community)
    machine = await find_machine(community, actor.member, args.device)
    realm = community.realm
    stronger = args.guardians or args.recovery is not None
    state = head(realm, actor.member, stronger=stronger)
    if machine.device not in state.devices:
        raise WrongState(why=_("This device ends already."), next="commons-node member device list")
    answer = {"device": machine.device.hex(), "name": machine.label or machine.device.hex()[:8]}
    if machine.device == actor.device and args.recovery is None and not args.guardians:
        ending = Ending(actor.device, tip(realm, actor.device, 0), tip(realm, actor.device, 1))
        terms = RecoverTerms(actor.member, state.base, (), (ending,))
        act = warrants.draft(community, terms, Own())
        (result,) = await community.write(actor, act)
        return {**written(result), **answer}
    terms = RecoverTerms(
        actor.member, state.base, (), tuple(end for _, end in ends_of(realm, [machine]))
    )
    done = await change(daemon, community, Change(actor, terms, args.recovery, args.guardians))
    if done.get("verdict") == "accepted" and "asked" not in done:
        await rotate_if_due(daemon, community, actor)
    return {**done, **answer}


class PickOne(msgspec.Struct):
    """Arguments of ``member device pick``."""

    act: Annotated[str, argument("the act that shall count, by 8 or more digits of its id")]
    who: Annotated[str | None, option("whose act it is; for coordinators", complete=MEMBERS)] = None
    recovery: Annotated[str | None, secret("your recovery key")] = None
    guardians: Annotated[bool, option("ask your guardians instead")] = False


async def pick_one(request: Request[Daemon], args: PickOne) -> Mapping[str, object]:
    """Say which of several acts on one identity counts: two machines acted without each other."""
    daemon = request.node
    community = await daemon.community(request)
    actor = await daemon.actor(request, community)
    member = await community.member(args.who) if args.who is not None else actor.member
    state = head(community.realm, member, stronger=True)
    rivals = [(act, ()) for act in state.frozen]
    act = find(
        _("contested act on this identity"), args.act, rivals, "commons-node member device list"
    )
    terms = PickTerms(member, state.base, act)
    if member != actor.member or (actor.role is Role.COORDINATOR and not state.guarded):
        actor.needs(Role.COORDINATOR)
        (result,) = await community.write(actor, warrants.draft(community, terms, Own()))
        return {**written(result), "act": act.hex()}
    done = await change(daemon, community, Change(actor, terms, args.recovery, args.guardians))
    return {**done, "act": act.hex()}


class Nothing(msgspec.Struct):
    """No arguments."""


async def close(request: Request[Daemon], _args: Nothing) -> Mapping[str, object]:
    """End the chains of the device that you act with here."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    body = Close(tip(community.realm, actor.device, 1))
    draft = Draft.fact(CLOSE, body, log=0, document=DocumentId(actor.member))
    (result,) = await community.write(actor, draft)
    if request.session is not None:
        request.session.lock(actor.member.hex())
    return {**written(result), "device": actor.device.hex()}


COMMANDS = (
    Command("member.device.add", "Let another machine of yours in.", Add, add,
            says="Give this code to your other machine; it is good until {expires:time}:\n{code}",
            qr="code", member=True, then="member.device.confirm"),
    Command("member.device.confirm", "Let the machine in that shows these digits.",
            Confirm, confirm, says="{name} is a device of yours now.", member=True),
    Command("member.device.join", "Make this machine a device of yours.", Join, join,
            says=("You are in {name} as {member_name}, on this machine too.",
                  "This machine shows: {spoken}\nType it on your other machine.",
                  "Nobody answered yet; the node goes on asking."),
            opens_session=True, timeout_s=120.0, then="member.device.finish"),
    Command("member.device.finish", "Wait until this machine is let in.", Finish, finish,
            says=("You are in {name} as {member_name}, on this machine too.",
                  "Nobody has let this machine in yet; the node goes on asking."),
            opens_session=True),
    Command("member.device.name", "Say what a device of yours is called.", Name, name_device,
            says="It is called {name} now.", member=True),
    Command("member.device.retire", "End a device of yours where it stands.", Retire, retire,
            says=("Your guardians are asked. Tell them these digits: {spoken}",
                  "{name} is retired. What it writes from now on does not count."),
            asks="Retire {device}? It can't be undone.", member=True),
    Command("member.device.pick", "Say which of two contradicting acts counts.", PickOne, pick_one,
            says=("Your guardians are asked. Tell them these digits: {spoken}",
                  "The act {act:id} counts."), member=True),
    Command("member.device.close", "End the device that you act with here.", Nothing, close,
            says="This device writes nothing more.",
            asks="Close this device for good? It can't be undone.", member=True),
)  # fmt: skip

LISTS = (
    View("member.device.list", "The devices that a member has or had.", Whose, list_devices,
         says="Of these acts only one can count: {rivals}. Say which: member device pick ACT",
         table=Table("devices", (Column("name", "Name"), Column("standing", "Standing"),
                                 Column("this", "Here", "yes"), Column("limited", "Limited", "yes"),
                                 Column("since", "Since", "time"),
                                 Column("device", "Id", "id")), "No devices.")),
)  # fmt: skip
