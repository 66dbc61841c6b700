"""The verbs of a council: propose, endorse, look; and of coordinators: remove, suspend, revoke."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import msgspec

from commons_crdt.authority.ballots import Step, Waiting, answer, open_at, propose
from commons_crdt.authority.council_facts import Ballot, CouncilContent, Promise
from commons_crdt.errors import CommonsError
from commons_crdt.ids import OperationId
from commons_crdt.roles import Role
from commons_node.community import Actor, Community, written
from commons_node.domains.council import proposing
from commons_node.domains.council.acts import council_rows, ledger
from commons_node.domains.sanctions.finding import find_operation
from commons_node.explaining.splitting import split_in_words
from commons_node.membership.rotation import rotate_if_due
from commons_node.registry import (
    Column,
    Command,
    Complete,
    Reading,
    Registry,
    Request,
    Table,
    View,
    argument,
    option,
)
from commons_node.sealing.checking import seal_of
from commons_node.sealing.keeper import write_step

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_MEMBERS = Complete("member.list", "members", "name")
Fate = Literal["removed", "newcomer", "member", "steward", "host"]


class NoKey(CommonsError):
    """This device is not one that the council listed."""

    code: ClassVar[str] = "not_permitted"
    hint: ClassVar[str] = "commons-node community acts"
    status = "locked"


class NotOfTheSplit(CommonsError):
    """The council is not split at this act: there is nothing to follow."""

    code: ClassVar[str] = "state"
    hint: ClassVar[str] = "commons-node community acts"


class Follow(msgspec.Struct):
    """Arguments of ``community follow``."""

    act: Annotated[str, argument("one of the acts that exclude each other, by its id")]


class Split(CommonsError):
    """{why}"""

    code: ClassVar[str] = "split"
    hint: ClassVar[str] = "commons-node community acts"


class NotOpen(CommonsError):
    """There is nothing of yours to answer there: it is decided, or you answered a later ballot."""

    code: ClassVar[str] = "state"
    hint: ClassVar[str] = "commons-node community acts"


class BadSeal(CommonsError):
    """This seal does not check on this node, so it is not endorsed or repeated: {why}"""

    code: ClassVar[str] = "seal"
    hint: ClassVar[str] = "commons-node sync wait; then commons-node community acts says why"


class Propose(msgspec.Struct):
    """Arguments of ``community propose``."""

    what: Annotated[
        Literal["coordinators", "members", "constitution", "rules", "lift", "branch", "seal"],
        argument("what the council is to decide about"),
    ]
    add: Annotated[list[str], option("who becomes a coordinator", complete=_MEMBERS)] = (
        msgspec.field(default_factory=list)
    )
    drop: Annotated[
        list[str], option("who is coordinator no more, or (members) who is to go",
                          complete=_MEMBERS)
    ] = msgspec.field(default_factory=list)  # fmt: skip
    keep: Annotated[Fate, option("what a dropped coordinator is from then on")] = "member"
    settings: Annotated[list[str], option("a setting, NAME=VALUE")] = msgspec.field(
        default_factory=list, name="set"
    )
    version: Annotated[int | None, option("the rules version")] = None
    cut: Annotated[str | None, option("the act that is to be lifted")] = None
    device: Annotated[
        str | None,
        option("a coordinator's forked device", complete=Complete("fork.list", "forks", "device")),
    ] = None
    branch: Annotated[str | None, option("an operation on the story that shall be told")] = None
    repeat: Annotated[
        bool, option("put a seal to the vote again that others are bound to, and that fails here")
    ] = False


async def run_propose(request: Request[Daemon], args: Propose) -> Mapping[str, object]:
    """Put something to the council, or the next step of that."""
    community, actor = await _coordinator(request)
    council, base = ledger(community)
    content = await _content(request, community, actor, args)
    council, base = ledger(community)  # a seal takes a while
    try:
        step = propose(council, base, actor.device, content)
    except ValueError:
        raise NoKey from None
    if isinstance(step, Waiting):
        return {"state": "waiting", "more": step.more}
    if isinstance(step.body, Ballot) and not args.repeat:
        await _worthy(request.node, community, OperationId(step.body.act))
    return await _write(request, community, actor, step)


async def _content(
    request: Request[Daemon], community: Community, actor: Actor, args: Propose
) -> CouncilContent:
    council, base = ledger(community)
    state = council.states[base]
    role = None if args.keep == "removed" else Role[args.keep.upper()]
    match args.what:
        case "coordinators":
            return await proposing.coordinators(community, state, args.add, args.drop, role)
        case "members":
            return await proposing.removal(community, args.drop)
        case "constitution":
            return proposing.constitution(args.settings)
        case "rules":
            known = [one for one in sorted(request.node.rules.tables) if one >= state.rules]
            return proposing.rules(args.version, known)
        case "lift":
            return await proposing.lift(community, args.cut)
        case "branch":
            return await proposing.branch(community, args.device, args.branch)
        case "seal":
            return await proposing.seal(community, actor.device, request.node.now_ms())


class EndorseOne(msgspec.Struct):
    """Arguments of ``community endorse``."""

    operation: Annotated[
        str, argument("what is on the table, by its id",
                      complete=Complete("community.acts", "table", "operation"))
    ]  # fmt: skip


async def run_endorse(request: Request[Daemon], args: EndorseOne) -> Mapping[str, object]:
    """Endorse an act of the council, or promise its ballot."""
    community, actor = await _coordinator(request)
    operation = await find_operation(community, args.operation)
    act = next((one.act for one in open_at(*ledger(community)) if one.operation == operation), None)
    if act is not None:
        await _worthy(request.node, community, act)
    step = answer(*ledger(community), actor.device, operation)
    if step is None:
        raise NotOpen
    return await _write(request, community, actor, step)


async def _worthy(node: Daemon, community: Community, act: OperationId) -> None:
    """Raise ``BadSeal`` for a seal that this node does not find right."""
    if seal_of(community.realm, act) is not None:
        checked = await node.sealing.check(community.realm, act)
        if not checked.good:
            raise BadSeal(why=checked.why)


async def run_follow(request: Request[Daemon], args: Follow) -> Mapping[str, object]:
    """Tell this node which of two acts in force on one base people stand by here."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    authority, own = community.realm.judge.authority, community.realm.own_credential
    grant = authority.devices.get(own.device) if own is not None else None
    if grant is None or grant.member != actor.member:
        actor.needs(Role.HOST)
    act = await find_operation(community, args.act)
    if not await community.realm.pinning.follow(act):
        raise NotOfTheSplit
    council = community.realm.judge.authority.council
    return {"act": act.hex(), "base": council.base.hex(), "split": bool(council.split)}


async def _coordinator(request: Request[Daemon]) -> tuple[Community, Actor]:
    """Who acts, on a council that is not split."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    actor.needs(Role.COORDINATOR)
    if (split := await split_in_words(community)) is not None:
        raise Split(why=split)
    return community, actor


async def _write(
    request: Request[Daemon], community: Community, actor: Actor, step: Step
) -> Mapping[str, object]:
    authority = community.realm.judge.authority
    before = authority.council.base
    result = await write_step(community, actor, step)
    after = community.realm.judge.authority.council.base
    if after == before:
        state = "asked" if isinstance(step.body, Promise) else "open"
        return {**written(result), "state": state}
    await rotate_if_due(request.node, community, actor)
    return {**written(result), "state": "in_force",
            "act": after.hex()}  # fmt: skip


class Nothing(msgspec.Struct):
    """No arguments."""


async def show_acts(request: Request[Daemon], _args: Nothing) -> Reading:
    """What the council decided, and what is on its table."""
    community = await request.node.community(request)
    device = None
    if request.session is not None and request.session.members():
        device = (await request.node.actor(request, community)).device
    sealing = request.node.sealing
    return await community.reading(await council_rows(community, device, sealing.check))


VERBS = Registry(
    commands=(
        Command("community.propose", "Put something to the council.", Propose, run_propose,
                says=("It is in force: {act:id}.",
                      "Others have to promise first: {more} more. Then propose it again.",
                      "It is on the table: {operation:id}. Others see it in community acts."),
                member=True),
        Command("community.follow", "Go on behind one of the acts that split the council.",
                Follow, run_follow, says="This node follows {act:id}.",
                asks="Follow {act}? This node never leaves it again, and agrees no more with those"
                     " that follow the other.", member=True),
        Command("community.endorse", "Endorse what is on the council's table.", EndorseOne,
                run_endorse, says=("It is in force: {act:id}.", "Endorsed."),
                asks="Endorse {operation}? It cannot be taken back.", member=True),
    ),
    views=(
        View("community.acts", "What the council decided, and what is on its table.", Nothing,
             show_acts, says=("{warning}\n\nCoordinators: {coordinators}. Rules version {rules}.",
                              "Coordinators: {coordinators}. Rules version {rules}."),
             table=Table("table", (Column("what", "On the table"), Column("by", "By"),
                                   Column("said", "Said", "number"),
                                   Column("needed", "Needed", "number"),
                                   Column("next", "Next"), Column("operation", "Id", "id")),
                         "Nothing is on the table.")),
    ),
    nouns={"community": "the community as a whole"},
)  # fmt: skip
