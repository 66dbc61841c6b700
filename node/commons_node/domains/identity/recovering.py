"""The verbs for a loss: a recovery key before it, and the ways back after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import msgspec

from commons_crdt.ids import RealmId
from commons_crdt.texts import _
from commons_node.community import WrongState
from commons_node.domains.identity.changing import Change, change
from commons_node.domains.identity.devices import MEMBERS, Finish, finish
from commons_node.domains.identity.facts import GuardiansTerms
from commons_node.domains.identity.whose import moment
from commons_node.keystore.recovery_key import RecoveryKey
from commons_node.keystore.sessions import pick
from commons_node.membership.devices import HELP_S
from commons_node.membership.identities import head
from commons_node.registry import Command, Request, argument, option, passphrase, secret

if TYPE_CHECKING:
    from commons_node.daemon import Daemon


class Nothing(msgspec.Struct):
    """No arguments."""


async def create(request: Request[Daemon], _args: Nothing) -> Mapping[str, object]:
    """Make a recovery key and show it once; it counts when it was checked back."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    head(community.realm, actor.member)
    printed = request.node.papers.print(community.realm.realm, actor.member)
    groups = printed.key.groups
    return {
        "member": actor.member.hex(),
        "key": " ".join(groups),
        "check": list(printed.asked),
        "asked": ", ".join(str(number) for number in printed.asked),
        "expires": moment(printed.ends_ms),
    }


class ConfirmKey(msgspec.Struct):
    """Arguments of ``member recovery confirm``."""

    groups: Annotated[str, secret("the groups of the key that were asked for")]
    recovery: Annotated[str | None, secret("the recovery key that it replaces")] = None
    guardians: Annotated[bool, option("ask your guardians instead of using the old key")] = False


async def confirm(request: Request[Daemon], args: ConfirmKey) -> Mapping[str, object]:
    """Make the recovery key count, now that some of it was typed back from the paper."""
    daemon = request.node
    community = await daemon.community(request)
    actor = await daemon.actor(request, community)
    realm = community.realm.realm
    key = daemon.papers.check(realm, actor.member, args.groups)
    stronger = args.guardians or args.recovery is not None
    state = head(community.realm, actor.member, stronger=stronger)
    terms = GuardiansTerms(actor.member, state.base, state.guardians, state.threshold, key.hash)
    done = await change(daemon, community, Change(actor, terms, args.recovery, args.guardians))
    daemon.papers.forget(realm, actor.member)
    return {**done, "member": actor.member.hex()}


class WithKey(msgspec.Struct):
    """Arguments of ``member recover key``."""

    recovery: Annotated[str, secret("your recovery key")]
    passphrase: Annotated[str, passphrase("protects your keys on this machine", new=True)]
    name: Annotated[str | None, option("what to call this machine, such as phone")] = None
    address: Annotated[str | None, option("where a node of the community is")] = None
    keep: Annotated[
        list[str], option("a device that is not lost, by 8 digits of its id; may be repeated")
    ] = msgspec.field(default_factory=list)


async def with_key(request: Request[Daemon], args: WithKey) -> Mapping[str, object]:
    """Come back with the recovery key: your lost devices end, this machine is yours."""
    return await request.node.arriving.by_key(
        RecoveryKey.read(args.recovery),
        args.passphrase,
        label=args.name,
        address=args.address,
        kept=_kept(args.keep),
        session=request.session,
    )


def _kept(words: list[str]) -> list[str]:
    for word in words:
        if len(word) < 8 or any(c not in "0123456789abcdef" for c in word.lower()):
            raise WrongState(
                why=_("{word!r} is not 8 or more digits of a device's id.").format(word=word),
                next=_("a neighbour sees them: commons-node member device list YOU"),
            )
    return words


class Start(msgspec.Struct):
    """Arguments of ``member recover start``."""

    code: Annotated[str, argument("the code that a neighbour has made for you")]
    passphrase: Annotated[str, passphrase("protects your keys on this machine", new=True)]
    name: Annotated[str | None, option("what to call this machine, such as phone")] = None
    address: Annotated[str | None, option("where the neighbour's node is")] = None
    keep: Annotated[
        list[str], option("a device that is not lost, by 8 digits of its id; may be repeated")
    ] = msgspec.field(default_factory=list)


async def start(request: Request[Daemon], args: Start) -> Mapping[str, object]:
    """Come back with your guardians: have them asked, and tell them digits."""
    return await request.node.arriving.by_guardians(
        args.code,
        args.passphrase,
        label=args.name,
        address=args.address,
        kept=_kept(args.keep),
        session=request.session,
    )


class Help(msgspec.Struct):
    """Arguments of ``member guardian help``."""

    who: Annotated[str, argument("who has lost a device, by name or id", complete=MEMBERS)]


async def give_help(request: Request[Daemon], args: Help) -> Mapping[str, object]:
    """Make a code for somebody who has lost every device, so that their guardians are asked."""
    daemon = request.node
    community = await daemon.community(request)
    await daemon.actor(request, community)
    member = await community.member(args.who)
    name = (await community.names())[member]
    state = head(community.realm, member, name)
    if not state.guardians:
        raise WrongState(
            why=_("{name} has named no guardians.").format(name=name),
            next=_("with a recovery key: commons-node member recover key, on the new machine"),
        )
    addresses = daemon.addresses
    code, ends_ms = daemon.devices.make(
        "help", community, member, seconds=HELP_S, address=addresses[0] if addresses else None
    )
    return {"member": member.hex(), "name": name, "code": code, "expires": moment(ends_ms)}


class Readmit(msgspec.Struct):
    """Arguments of ``member readmit``."""

    address: Annotated[str | None, option("where a node of the community is")] = None


async def readmit(request: Request[Daemon], args: Readmit) -> Mapping[str, object]:
    """Come back after a suspension, with a new device."""
    daemon = request.node
    community = await daemon.community(request)
    member = None
    if request.member is not None:
        member = (await community.member(request.member)).hex()
    unlocked = pick(request.session, member)
    return await daemon.arriving.readmit(
        unlocked, RealmId(community.realm.realm), address=args.address, session=request.session
    )


_BACK = "You are in {name} as {member_name}, on this machine."

COMMANDS = (
    Command("member.recovery.create", "Make a recovery key, to be kept on paper.",
            Nothing, create,
            says="Write this on paper; it is shown only now:\n\n  {key}\n\n"
            "Then type the groups {asked} back: commons-node member recovery confirm",
            member=True, then="member.recovery.confirm"),
    Command("member.recovery.confirm", "Make the recovery key count that you have on paper.",
            ConfirmKey, confirm,
            says=("Your guardians are asked. Tell them these digits: {spoken}",
                  "The key counts. Keep the paper where no thief of your phone finds it."),
            member=True),
    Command("member.recover.key", "Come back with your recovery key.", WithKey, with_key,
            says=_BACK, opens_session=True, timeout_s=120.0),
    Command("member.recover.start", "Come back with your guardians.", Start, start,
            says=(_BACK, "Your guardians are asked. Tell each of them in your own voice: {spoken}",
                  "Nobody answered yet; the node goes on asking."),
            opens_session=True, timeout_s=120.0, then="member.recover.finish"),
    Command("member.recover.finish", "Wait until enough guardians have endorsed.",
            Finish, finish,
            says=(_BACK, "Not enough guardians have endorsed yet; the node goes on asking."),
            opens_session=True),
    Command("member.guardian.help", "Make a code for somebody who has lost every device.",
            Help, give_help,
            says="Give this code to {name}, and to nobody else; it is good until"
            " {expires:time}:\n{code}", qr="code", member=True),
    Command("member.readmit", "Come back after a suspension, with a new device.",
            Readmit, readmit, says=_BACK, opens_session=True, timeout_s=120.0),
)  # fmt: skip
