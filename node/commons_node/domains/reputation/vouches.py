"""The verbs of vouching, and what coordinators are told of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import msgspec

from commons_crdt.author import Draft
from commons_crdt.authority.settings import Constitution
from commons_crdt.ids import DocumentId, MemberId
from commons_crdt.roles import Role
from commons_crdt.texts import N_, _, listed
from commons_node.community import Community, WrongState, written
from commons_node.domains.closing import needs_open
from commons_node.domains.needed import needs_rules
from commons_node.domains.reputation import wording
from commons_node.domains.reputation.facts import VOUCH, Vouch
from commons_node.domains.reputation.reading import vouches as read_vouches
from commons_node.domains.reputation.rules import SINCE
from commons_node.domains.reputation.vouching import Given, Judged, enough, judged
from commons_node.moments import moment
from commons_node.registry import (
    Column,
    Command,
    Complete,
    Reading,
    Request,
    Table,
    View,
    argument,
    option,
)

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_MEMBERS = Complete("member.list", "members", "name")


class Vouching(msgspec.Struct):
    """Arguments of ``member vouch``."""

    who: Annotated[str, argument("the member, by name or id", complete=_MEMBERS)]
    withdraw: Annotated[bool, option("no more")] = False


async def vouch(request: Request[Daemon], args: Vouching) -> Mapping[str, object]:
    """Vouch for a member whom you know, or renew that; or take it back."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    actor.needs(Role.MEMBER)
    needs_rules(community, SINCE, N_("vouches"))
    if not args.withdraw:
        await needs_open(community)
    member, now = await community.member(args.who), request.node.now_ms()
    name = (await community.names())[member]
    if member == actor.member:
        raise WrongState(
            why=_("Nobody vouches for themselves."), next="commons-node member vouches"
        )
    known, here = await read_vouches(community, now)
    mine = [one for one in known if one.given.voucher == actor.member]
    if args.withdraw and not any(
        one.given.vouchee == member and one.standing in {"stands", "paused"} for one in mine
    ):
        raise WrongState(
            why=_("You do not vouch for {name} now.").format(name=name),
            next="commons-node member vouches",
        )
    limits = community.realm.judge.authority.constitution
    # what would become of it: a vouch that would not count is not written
    trial = Given(
        b"", actor.member, member, not args.withdraw, actor.device, 1 << 62,
        max([now, *(one.given.time_ms for one in mine)]),
    )  # fmt: skip
    outcome = next(
        one
        for one in judged([*(one.given for one in known), trial], here, limits, now)
        if one.given is trial
    )
    if not args.withdraw and outcome.standing != "stands":
        names = {actor.member: (await community.names())[actor.member]}
        why = _says(outcome, names, limits)
        raise WrongState(
            why=_("Your word for {name} would not count now: {why}.").format(name=name, why=why),
            next="commons-node member vouches",
        )
    draft = Draft.fact(VOUCH, Vouch(not args.withdraw), document=DocumentId(member))
    (result,) = await community.write(actor, draft)
    after, _here = await read_vouches(community, now)
    by = {o.given.voucher for o in after if o.given.vouchee == member and o.standing == "stands"}
    return {
        **written(result),
        "member": member.hex(),
        "name": name,
        "vouches": not args.withdraw,
        "until": moment(outcome.until_ms) if not args.withdraw else None,
        "have": len(by),
        "needed": limits.vouches,
    }


class Listing(msgspec.Struct):
    """Arguments of ``member vouches``."""

    all: Annotated[bool, option("those too that do not count")] = False


async def list_vouches(request: Request[Daemon], args: Listing) -> Reading:
    """Who vouches for whom, until when, and which newcomers have enough."""
    community = await request.node.community(request)
    now = request.node.now_ms()
    found, _here = await read_vouches(community, now)
    names = await community.names()
    limits = community.realm.judge.authority.constitution
    rows = [
        {
            "voucher": one.given.voucher.hex(),
            "voucher_name": _name(names, one.given.voucher),
            "member": one.given.vouchee.hex(),
            "name": _name(names, one.given.vouchee),
            "standing": one.standing,
            "sentence": _says(one, names, limits),
            "given": moment(one.given.time_ms),
            "until": moment(one.until_ms),
            "operation": one.given.id.hex(),
        }
        for one in found
        if args.all or one.standing in {"stands", "paused"}
    ]
    ready = await ready_newcomers(community, now)
    says = " ".join(str(one["sentence"]) for one in ready) or None
    return await community.reading(
        {"vouches": rows, "needed": limits.vouches, "ready": ready, "says": says}
    )


async def ready_newcomers(community: Community, now_ms: int) -> list[dict[str, object]]:
    """Newcomers for whom enough members vouch, each with the sentence and the next command."""
    found, here = await read_vouches(community, now_ms)
    needed = community.realm.judge.authority.constitution.vouches
    names = await community.names()
    by: defaultdict[bytes, set[bytes]] = defaultdict(set)
    newest: dict[bytes, bytes] = {}
    for one in found:
        if one.standing == "stands":
            by[one.given.vouchee].add(one.given.voucher)
            newest[one.given.vouchee] = one.given.id
    told = list[dict[str, object]]()
    for member in enough(found, here, needed):
        who = sorted(_name(names, voucher) for voucher in by[member])
        name = _name(names, member)
        told.append(
            {
                "member": member.hex(),
                "name": name,
                "vouchers": who,
                "what": wording.say(wording.READY_WHAT, name=name),
                "newest": newest[member].hex(),
                "sentence": wording.say(
                    wording.READY, name=name, who=listed(who), member=member.hex()[:12]
                ),
                "next": f"commons-node member role {member.hex()[:12]} member",
            }
        )
    return told


def _says(one: Judged, names: Mapping[MemberId, str], limits: Constitution) -> str:
    until = moment(one.until_ms) or ""
    return wording.STANDINGS[one.standing].format(
        until=until[:10],
        who=_name(names, one.given.voucher),
        age_days=limits.vouch_age_days,
        budget=limits.vouch_budget,
        period_days=limits.vouch_period_days,
    )


def _name(names: Mapping[MemberId, str], member: bytes) -> str:
    return names.get(MemberId(member), member.hex()[:8])


COMMANDS = (
    Command("member.vouch", "Vouch for a member whom you know.", Vouching, vouch,
            says=("You vouch for {name} until {until:time}: {have} of {needed}.",
                  "You vouch for {name} no more: {have} of {needed}."), member=True),
)  # fmt: skip
VIEWS = (
    View("member.vouches", "Who vouches for whom, and until when.", Listing, list_vouches,
         says="{says}",
         table=Table("vouches", (Column("name", "For"), Column("voucher_name", "By"),
                                 Column("sentence", "How it stands"),
                                 Column("operation", "Id", "id")), "Nobody vouches for anybody.")),
)  # fmt: skip
