"""The verbs of guardians: name them, see who they are, rehearse, endorse, finish."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

import msgspec

from commons_crdt.author import Draft
from commons_crdt.authority.identity_facts import GuardianEndorsement
from commons_crdt.authority.kinds_identity import GUARDIAN
from commons_crdt.errors import CommonsError
from commons_crdt.ids import DocumentId, MemberId
from commons_crdt.texts import _, listed, ngettext
from commons_node.community import Community, WrongState, written
from commons_node.domains.identity.changing import Change, ask, change
from commons_node.domains.identity.devices import MEMBERS
from commons_node.domains.identity.facts import (
    GuardiansTerms,
    PickTerms,
    RecoverTerms,
    RehearsalTerms,
)
from commons_node.domains.identity.whose import moment, named, own_member
from commons_node.membership import warrants
from commons_node.membership.identities import head, identity
from commons_node.membership.warrants import Asked
from commons_node.registry import (
    Column,
    Command,
    Reading,
    Request,
    Table,
    View,
    argument,
    option,
    secret,
)
from commons_protocol.tickets import heard, statement_digits

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_MOST = 8


class BadGuardians(CommonsError):
    """These guardians will not do: {why}."""

    code: ClassVar[str] = "guardians"
    hint: ClassVar[str] = "for example: commons-node member guardian set BOB CIA DAN --threshold 2"
    status = "usage"


class NoSuchRequest(CommonsError):
    """Nobody whose guardian you are asks for something with these digits."""

    code: ClassVar[str] = "digits"
    hint: ClassVar[str] = (
        "if you heard them right, wait for your node to catch up: commons-node sync wait"
    )
    status = "not_found"


class TwoRequests(CommonsError):
    """Two requests have these digits, so somebody has made one to look like the other."""

    code: ClassVar[str] = "digits"
    hint: ClassVar[str] = "endorse neither; have a new request made"
    status = "locked"


class SetGuardians(msgspec.Struct):
    """Arguments of ``member guardian set``."""

    members: Annotated[
        list[str], argument("members whom you trust, by name or id", complete=MEMBERS)
    ] = msgspec.field(default_factory=list)
    threshold: Annotated[
        int | None, option("how many of them it takes; more than half if left out")
    ] = None
    recovery: Annotated[str | None, secret("your recovery key")] = None
    guardians: Annotated[bool, option("ask the guardians whom you have now")] = False


async def set_guardians(request: Request[Daemon], args: SetGuardians) -> Mapping[str, object]:
    """Name the members who together can replace a lost device of yours; none: nobody can."""
    daemon = request.node
    community = await daemon.community(request)
    actor = await daemon.actor(request, community)
    chosen = sorted({await community.member(one) for one in args.members})
    if actor.member in chosen:
        raise BadGuardians(why=_("you can't be your own guardian"))
    if len(chosen) < len(args.members) or len(chosen) > _MOST:
        raise BadGuardians(why=_("name at most {most} members, each once").format(most=_MOST))
    threshold = args.threshold if args.threshold is not None else len(chosen) // 2 + bool(chosen)
    if not bool(chosen) <= threshold <= len(chosen):
        raise BadGuardians(
            why=_("{threshold} of {count} can't be").format(threshold=threshold, count=len(chosen))
        )
    stronger = args.guardians or args.recovery is not None
    state = head(community.realm, actor.member, stronger=stronger)
    terms = GuardiansTerms(actor.member, state.base, tuple(chosen), threshold, state.recovery)
    done = await change(daemon, community, Change(actor, terms, args.recovery, args.guardians))
    names = await community.names()
    return {
        **done,
        "guardians": [{"member": one.hex(), "name": named(names, one)} for one in chosen],
        "threshold": threshold,
        "of": len(chosen),
    }


class Whose(msgspec.Struct):
    """Arguments of ``member guardian list``."""

    who: Annotated[str | None, argument("the member, by name or id", complete=MEMBERS)] = None


async def list_guardians(request: Request[Daemon], args: Whose) -> Reading:
    """Who guards whom, and what guardians are asked."""
    community = await request.node.community(request)
    member = await own_member(request, community, args.who)
    names = await community.names()
    state = identity(community.realm, member)
    wards = [
        one
        for one in community.realm.judge.authority.identities
        if (its := identity(community.realm, one)) is not None and member in its.guardians
    ]
    rows = [
        _asked(community, one, member, names)
        for one in await warrants.requests(community)
        if one.terms.member == member or one.terms.member in wards
    ]
    guardians = state.guardians if state is not None else ()
    return await community.reading(
        {
            "member": member.hex(),
            "name": named(names, member),
            "guardians": [{"member": one.hex(), "name": named(names, one)} for one in guardians],
            "who": ", ".join(named(names, one) for one in guardians) or _("nobody"),
            "threshold": state.threshold if state is not None else 0,
            "recovery_key": state is not None and any(state.recovery),
            "guards": [{"member": one.hex(), "name": named(names, one)} for one in sorted(wards)],
            "requests": rows,
        }
    )


def _asked(
    community: Community, one: Asked, viewer: MemberId, names: Mapping[MemberId, str]
) -> dict[str, object]:
    """A request without its digits: guardians must hear them from the person."""
    state = identity(community.realm, MemberId(one.terms.member))
    guardians = set(state.guardians) if state is not None else set()
    endorsed = sorted(who for who in one.endorsed if who in guardians)
    needed = state.threshold if state is not None else 0
    terms = one.terms
    done = state is not None and not isinstance(terms, RehearsalTerms) and state.base != terms.base
    return {
        "request": one.id.hex(),
        "act": one.act,
        "member": one.terms.member.hex(),
        "name": named(names, one.terms.member),
        "time": moment(one.time_ms),
        "needed": needed,
        "endorsed": [named(names, who) for who in endorsed],
        "missing": [named(names, who) for who in sorted(guardians - set(endorsed))],
        "count": _("{count} of {needed}").format(count=len(endorsed), needed=needed),
        "enough": bool(needed) and len(endorsed) >= needed,
        "mine": viewer in guardians,
        "over": done,
        "what": _what(one),
    }


def _what(one: Asked) -> str:
    match one.terms:
        case RecoverTerms() as terms:
            count = len(terms.endings)
            said = [_("let a new machine in")] if terms.device else []
            if count:
                ended = ngettext("end {count} device", "end {count} devices", count)
                said.append(ended.format(count=count))
            return listed(said) or _("nothing")
        case GuardiansTerms():
            return _("other guardians or another recovery key")
        case PickTerms():
            return _("one of two acts that contradict each other")
        case RehearsalTerms():
            return _("a rehearsal, without any effect")


class Nothing(msgspec.Struct):
    """No arguments."""


async def rehearse(request: Request[Daemon], _args: Nothing) -> Mapping[str, object]:
    """See whether your guardians can be reached, without any effect."""
    daemon = request.node
    community = await daemon.community(request)
    actor = await daemon.actor(request, community)
    state = head(community.realm, actor.member)
    if not state.guardians:
        raise WrongState(
            why=_("You have named no guardians."), next="commons-node member guardian set MEMBER"
        )
    terms = RehearsalTerms(actor.member, os.urandom(32))
    return {
        **await ask(daemon, community, terms),
        "needed": state.threshold,
        "of": len(state.guardians),
    }


class Digits(msgspec.Struct):
    """Arguments of ``member guardian endorse`` and ``member guardian finish``."""

    digits: Annotated[str, argument("the twelve digits that the member tells you")]


async def endorse(request: Request[Daemon], args: Digits) -> Mapping[str, object]:
    """Stand for a member who has asked for your help, and whom you have spoken to."""
    daemon = request.node
    community = await daemon.community(request)
    actor = await daemon.actor(request, community)
    found = [
        one
        for one in await _with_digits(community, args.digits)
        if (state := identity(community.realm, MemberId(one.terms.member))) is not None
        and actor.member in state.guardians
    ]
    one = _only(found)
    names = await community.names()
    about = {
        "request": one.id.hex(),
        "act": one.act,
        "member": one.terms.member.hex(),
        "name": named(names, one.terms.member),
        "what": _what(one),
    }
    if actor.member in one.endorsed:
        known = one.endorsed[actor.member].hex()
        return {"operation": known, "verdict": "accepted", "reason": "", **about}
    body = GuardianEndorsement(one.terms.member, one.statement)
    draft = Draft.fact(GUARDIAN, body, log=0, document=DocumentId(one.terms.member))
    (result,) = await community.write(actor, draft)
    return {**written(result), **about}


async def finish(request: Request[Daemon], args: Digits) -> Mapping[str, object]:
    """Carry out what enough guardians have endorsed."""
    daemon = request.node
    community = await daemon.community(request)
    await daemon.actor(request, community)
    one = _only(await _with_digits(community, args.digits))
    if isinstance(one.terms, RehearsalTerms):
        raise WrongState(
            why=_("A rehearsal has no effect, so there is nothing to finish."),
            next="commons-node member guardian list",
        )
    result = await daemon.devices.complete(community, one)
    names = await community.names()
    return {
        **written(result),
        "request": one.id.hex(),
        "act": one.act,
        "member": one.terms.member.hex(),
        "name": named(names, one.terms.member),
        "what": _what(one),
    }


async def _with_digits(community: Community, typed: str) -> list[Asked]:
    wanted = heard(typed)
    return [
        one
        for one in await warrants.requests(community)
        if statement_digits(one.statement) == wanted
    ]


def _only(found: list[Asked]) -> Asked:
    if not found:
        raise NoSuchRequest
    if len({one.statement for one in found}) > 1:
        raise TwoRequests
    return found[0]


COMMANDS = (
    Command("member.guardian.set", "Name the members who can replace a lost device of yours.",
            SetGuardians, set_guardians,
            says=("Your guardians are asked. Tell them these digits: {spoken}",
                  "{threshold} of {of} guardians can bring you back."), member=True),
    Command("member.guardian.rehearse", "See whether your guardians can be reached.",
            Nothing, rehearse,
            says="Tell each of your guardians these digits: {spoken}\n"
            "Each types: commons-node member guardian endorse DIGITS\n"
            "It takes {needed} of {of}. Who has answered: commons-node member guardian list",
            member=True),
    Command("member.guardian.endorse", "Stand for a member whom you have spoken to.",
            Digits, endorse, says="You stand for {name}: {what}.",
            asks="Did the member tell you {digits} in their own voice, or in person?",
            member=True),
    Command("member.guardian.finish", "Carry out what enough guardians have endorsed.",
            Digits, finish, says="Done for {name}: {what}.", member=True),
)  # fmt: skip

LISTS = (
    View("member.guardian.list", "Who guards whom, and what guardians are asked.",
         Whose, list_guardians,
         says="Guardians of {name}: {who}; it takes {threshold}.",
         table=Table("requests", (Column("name", "Asks"), Column("what", "For"),
                                  Column("count", "Endorsed"), Column("enough", "Enough", "yes"),
                                  Column("time", "Since", "time"),
                                  Column("request", "Id", "id")), "Nothing is asked.")),
)  # fmt: skip
