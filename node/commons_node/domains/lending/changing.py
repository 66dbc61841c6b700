"""Second thoughts of a borrower: calling a request off, and asking to keep a thing longer.

A longer loan is a wish that a steward grants. Where somebody else wants the thing in that time it
is refused, by the borrower's own node already, with who that is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

import msgspec

from commons_crdt.author import Draft
from commons_crdt.errors import CommonsError
from commons_crdt.ids import DocumentId, MemberId
from commons_crdt.texts import N_, _
from commons_node.community import Actor, Community, WrongState, written
from commons_node.domains.lending.booking import Booking, busiest
from commons_node.domains.lending.changes import NONE, Extension, changes_of
from commons_node.domains.lending.deciding import part
from commons_node.domains.lending.facts import (
    CANCEL,
    EXTEND,
    EXTENDED,
    MAX_LOAN_MS,
    REASON,
    SINCE,
    Cancel,
    Extend,
    Extended,
)
from commons_node.domains.lending.limits import TooMany
from commons_node.domains.lending.loans import OUT, PROMISED, Loan, find_loan, here, loan, loans
from commons_node.domains.lending.places import place_of
from commons_node.domains.lending.terms import MAX_DAYS, BadTerms, instant, longer, until_day
from commons_node.domains.lending.wording import moved
from commons_node.domains.needed import needs_rules
from commons_node.explaining.words import word
from commons_node.registry import Command, Complete, Count, Registry, argument, option
from commons_node.registry import Request as Call

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_LOANS = Complete("loan.list", "loans", "loan")
_LIST = "commons-node loan list"


class Wanted(CommonsError):
    """{name} wants {what} in that time, so it cannot be kept longer."""

    code: ClassVar[str] = "wanted"
    hint: ClassVar[str] = "bring it back: commons-node loan return {loan}"


class CallingOff(msgspec.Struct):
    """Arguments of ``loan cancel``."""

    loan: Annotated[str, argument("the loan's id, or the thing's number", complete=_LOANS)]
    reason: Annotated[str | None, option("why, in your own words")] = None


async def call_off(request: Call[Daemon], args: CallingOff) -> Mapping[str, object]:
    """Say that you do not want it any more, before you have it."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    found = await find_loan(community, args.loan)
    await _needs_borrower(community, actor, found)
    if found.state not in {"requested", *PROMISED}:
        raise WrongState(
            why=_("The loan of {label} is {state}: it cannot be called off.").format(
                label=found.label, state=word(found.state)
            ),
            next=f"commons-node loan return {_short(found)}" if found.state in OUT else _LIST,
        )
    needs_rules(community, SINCE, N_("calling a request off"))
    refs = await here(community, found.operation("request"))
    parts = [(REASON, part(args.reason))] if args.reason else []
    draft = Draft.fact(
        CANCEL, Cancel(found.resource), document=DocumentId(found.id), refs=refs, parts=parts
    )
    (result,) = await community.write(actor, draft)
    return await _answer(community, found, written(result))


class Longer(msgspec.Struct):
    """Arguments of ``loan extend``."""

    loan: Annotated[str, argument("the loan's id, or the thing's number", complete=_LOANS)]
    days: Annotated[Count | None, option("so many days longer")] = None
    due: Annotated[str | None, option("the new last day, such as 2026-05-04", metavar="DAY")] = None


async def extend(request: Call[Daemon], args: Longer) -> Mapping[str, object]:
    """Ask to keep a thing longer; a steward says yes or no."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    found = await find_loan(community, args.loan)
    await _needs_borrower(community, actor, found)
    if found.state not in OUT:
        raise WrongState(
            why=_("The loan of {label} is {state}: only what you have can be kept longer.").format(
                label=found.label, state=word(found.state)
            ),
            next=f"commons-node loan show {_short(found)}",
        )
    needs_rules(community, SINCE, N_("keeping a thing longer"))
    now = request.node.now_ms()
    body = await _wish(community, found, args, now)
    refs = await here(community, found.operation("request"))
    draft = Draft.fact(EXTEND, body, document=DocumentId(found.id), refs=refs)
    (result,) = await community.write(actor, draft)
    return {
        **await _answer(community, found, written(result)),
        "extension": result.id.hex(),
        "due": instant(body.until_ms),
        "due_day": body.due,
        "zone": body.zone,
        "meant": body.meant,
        "moved": moved(body.asked, body.due),
    }


async def _wish(community: Community, found: Loan, args: Longer, now_ms: int) -> Extend:
    """The wish. Raises ``BadTerms``, ``TooMany``, ``Wanted``, ``WrongState``."""
    place = place_of(community, found.resource)
    until, begin = found.row["until_ms"], found.row["from_ms"]
    if (args.days is None) == (args.due is None):
        raise BadTerms(why=_("give days, or the due day"))
    if args.days is not None:
        terms = longer(now_ms, args.days, until, place.zone, place.opening)
    else:
        terms = until_day(now_ms, args.due or "", place.zone, place.opening)
    if until is not None and terms.until_ms <= until:
        raise BadTerms(why=_("that is no longer than what you have already"))
    if begin is not None and terms.until_ms - begin > MAX_LOAN_MS:
        raise BadTerms(why=_("it is longer than {max_days} days").format(max_days=MAX_DAYS))
    known = (await changes_of(community, [found])).get(found.id, NONE)
    if known.last is not None and known.last.state == "asked":
        raise WrongState(
            why=_("You have asked to keep {label} longer already.").format(label=found.label),
            next=f"commons-node loan show {_short(found)}",
        )
    granted = sum(one.state == "granted" for one in known.wishes)
    limit = community.realm.judge.authority.constitution.loan_extensions
    if granted >= limit:
        raise TooMany(
            why=_("a loan is made longer at most so many times: {limit}").format(limit=limit),
            next=f"commons-node loan return {_short(found)}",
        )
    await nobody_waits(community, found, terms.until_ms, now_ms)
    asked, due = terms.asked.isoformat(), terms.due.isoformat()
    return Extend(found.resource, terms.until_ms, place.zone.key, terms.meant, asked, due)


async def nobody_waits(community: Community, found: Loan, until_ms: int, now_ms: int) -> None:
    """Raise ``Wanted`` if others need the thing before ``until_ms``: asked for it, or promised."""
    if found.quantity is None:
        return
    others = []
    for one in await loans(community, "l.resource = ?", (found.resource,)):
        taken = one.booking(now_ms)
        if taken is None and one.state == "requested" and not one.forgotten(now_ms):
            taken = _as_booking(one)
        if taken is not None and one.id != found.id and taken.overlaps(now_ms, until_ms):
            others.append((one, taken))
    if busiest([taken for _one, taken in others], now_ms, until_ms) < max(found.quantity, 1):
        return
    first, _taken = min(others, key=lambda pair: (pair[1].from_ms, pair[0].id))
    name = await _called(community, first.borrower)
    raise Wanted(name=name, what=found.label, loan=_short(found))


def _as_booking(wish: Loan) -> Booking:
    begin, until = wish.row["from_ms"] or 0, wish.row["until_ms"] or 0
    return Booking(wish.id, wish.resource, begin, until, False, 0, b"", b"", 0)


async def asked_longer(community: Community, found: Loan) -> Extension | None:
    """The last wish to keep it longer, while the thing is out."""
    if found.state not in OUT:
        return None
    return (await changes_of(community, [found])).get(found.id, NONE).last


async def answer_longer(
    community: Community,
    actor: Actor,
    found: Loan,
    wish: Extension,
    reason: str | None,
    *,
    approve: bool,
) -> dict[str, object]:
    """A steward grants or refuses a wish; the answer of ``loan approve`` and ``loan decline``."""
    if found.borrower == actor.member:
        raise WrongState(
            why=_("It is your own wish, and another steward answers it."),
            next=f"commons-node loan show {_short(found)}",
        )
    parts = [(REASON, part(reason))] if reason else []
    refs = await here(community, wish.id)
    draft = Draft.fact(
        EXTENDED, Extended(wish.id, approve), document=DocumentId(found.id), refs=refs, parts=parts
    )
    (result,) = await community.write(actor, draft)
    return {
        **await _answer(community, found, written(result)),
        "extension": wish.id.hex(),
        "granted": approve,
        "kept_until" if approve else "back_by": wish.due if approve else found.due_day,
    }


async def _answer(
    community: Community, found: Loan, said: Mapping[str, object]
) -> dict[str, object]:
    now = await loan(community, found.id)
    state = now.state if now else found.state
    return {**said, "loan": found.id.hex(), "name": found.label, "state": state}


async def _needs_borrower(community: Community, actor: Actor, found: Loan) -> None:
    if found.borrower != actor.member:
        raise WrongState(
            why=_("It was asked for by {name}.").format(
                name=await _called(community, found.borrower)
            ),
            next=_LIST,
        )


async def _called(community: Community, member: MemberId | None) -> str:
    if member is None:
        return _("somebody")
    return (await community.names()).get(member, member.hex()[:8])


def _short(found: Loan) -> str:
    return found.id.hex()[:12]


VERBS = Registry(
    commands=(
        Command("loan.cancel", "Call off what you asked for.", CallingOff, call_off, member=True,
                trustable=True,
                says="The loan of {name} is {state}."),
        Command("loan.extend", "Ask to keep a thing longer.", Longer, extend, member=True,
                trustable=True,
                says=(("You asked to keep {name} until the end of {due_day:day}. {moved}\n"
                       "A steward answers."),
                      ("You asked to keep {name} until the end of {due_day:day}.\n"
                       "A steward answers."))),
    ),
)  # fmt: skip
