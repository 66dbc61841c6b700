"""Asking to borrow a thing: for how long, and what stands against it already."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import msgspec

from commons_crdt.author import Draft
from commons_crdt.roles import Role
from commons_crdt.texts import _, ngettext
from commons_node.community import Actor, Community, WrongState, written
from commons_node.domains.closing import needs_open
from commons_node.domains.lending.booking import busiest
from commons_node.domains.lending.facts import ASKED, REQUEST, SINCE, Asked, Request
from commons_node.domains.lending.limits import may_ask
from commons_node.domains.lending.loans import bookings_of
from commons_node.domains.lending.places import Place, place_of
from commons_node.domains.lending.terms import (
    BadTerms,
    Terms,
    between,
    for_days,
    instant,
    until_day,
)
from commons_node.domains.lending.wording import moved
from commons_node.domains.resources.things import Thing, find_thing
from commons_node.explaining.words import word
from commons_node.membership.identities import identity
from commons_node.registry import Complete, Count, argument, option
from commons_node.registry import Request as Call

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_THINGS = Complete("resource.list", "resources", "number")


class Ask(msgspec.Struct):
    """Arguments of ``loan request``."""

    resource: Annotated[str, argument("the thing, by number, name or id", complete=_THINGS)]
    days: Annotated[Count | None, option("for how many days, from now")] = None
    begin: Annotated[datetime | None, option("from when")] = msgspec.field(
        default=None, name="from"
    )
    end: Annotated[datetime | None, option("until when")] = msgspec.field(default=None, name="to")
    due: Annotated[
        str | None, option("the last day, such as 2026-05-04, where the thing is", metavar="DAY")
    ] = None


async def ask(request: Call[Daemon], args: Ask) -> Mapping[str, object]:
    """Ask to borrow a thing. A thing that is out may be asked for: a steward decides."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    if actor.role < Role.STEWARD:  # who keeps a thing hands it on by a loan, to the end
        await needs_open(community)
    item = await find_thing(community, args.resource)
    if item.stated != "active" or item.quantity == 0:
        raise WrongState(why=_not_lent(item), next="commons-node resource list")
    now, place = request.node.now_ms(), place_of(community, item.id)
    terms = _terms(args, now, place)
    await may_ask(community, actor.member, item, now)
    from_ms, until_ms = terms.from_ms, terms.until_ms
    (result,) = await community.write(actor, _wish(community, actor, item.id, terms, place))
    booked = await bookings_of(community, item.id, now)
    usual = item.kind["loan_days"]
    notes = []
    if item.quantity is not None and busiest(booked, from_ms, until_ms) >= item.quantity:
        notes.append(_("somebody has it or is promised it in that time"))
    if isinstance(usual, int) and usual and until_ms - from_ms > (usual + 1) * 24 * 3600 * 1000:
        told = ngettext(
            "it is usually lent for {days} day", "it is usually lent for {days} days", usual
        )
        notes.append(told.format(days=usual))
    return {
        **written(result),
        "loan": result.id.hex(),
        "resource": item.id.hex(),
        "name": item.label,
        "borrower": actor.member.hex(),
        "state": "requested",
        "due": instant(until_ms),
        "due_day": terms.due.isoformat(),
        "zone": place.zone.key,
        "meant": terms.meant,
        "moved": moved(terms.asked.isoformat(), terms.due.isoformat()),
        "note": "; ".join(notes) or None,
    }


def _not_lent(item: Thing) -> str:
    if item.quantity == 0:
        return _("{label} is not lent now: there is none of it.").format(label=item.label)
    return _("{label} is not lent now: it is {state}.").format(
        label=item.label, state=word(item.stated)
    )


def _terms(args: Ask, now_ms: int, place: Place) -> Terms:
    """What is asked for, in exactly one of three ways. Raises ``BadTerms``."""
    ways = [args.days is not None, args.due is not None, (args.begin or args.end) is not None]
    if sum(ways) > 1:
        raise BadTerms(why=_("give days, or the due day, or from and to"))
    if args.days is not None:
        return for_days(now_ms, args.days, place.zone, place.opening)
    if args.due is not None:
        return until_day(now_ms, args.due, place.zone, place.opening)
    return between(now_ms, args.begin, args.end, place.zone, place.opening)


def _wish(community: Community, actor: Actor, resource: bytes, terms: Terms, place: Place) -> Draft:
    """The request, as the community's rules and the limit of the actor's device allow it."""
    begin, until, zone = terms.from_ms, terms.until_ms, place.zone.key
    found = identity(community.realm, actor.member)
    limit = found.devices.get(actor.device) if found is not None else None
    old = limit is not None and ASKED not in limit.kinds
    if old or community.realm.judge.authority.council.rules < SINCE:
        return Draft.fact(REQUEST, Request(resource, begin, until, zone))
    asked, due = terms.asked.isoformat(), terms.due.isoformat()
    return Draft.fact(ASKED, Asked(resource, begin, until, zone, terms.meant, asked, due))
