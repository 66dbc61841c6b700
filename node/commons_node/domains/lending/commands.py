"""The verbs of lending but asking: decide, hand over, accept, return, receive, list, show."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import msgspec

from commons_crdt.roles import Role
from commons_crdt.texts import _
from commons_node.community import Community, WrongState, written
from commons_node.domains.lending import handing
from commons_node.domains.lending.asking import Ask, ask
from commons_node.domains.lending.changes import NONE, changes_of
from commons_node.domains.lending.changing import answer_longer, asked_longer, nobody_waits
from commons_node.domains.lending.deciding import decide, keep_free
from commons_node.domains.lending.facts import (
    NOTE,
    REASON,
    Condition,
)
from commons_node.domains.lending.handing import Done
from commons_node.domains.lending.limits import may_have
from commons_node.domains.lending.listing import Listing, list_loans, reading_of
from commons_node.domains.lending.loans import Loan, find_loan, loan
from commons_node.domains.lending.news import (
    Nothing,
    OneThing,
    list_news,
    list_waiting,
    waiting_of,
)
from commons_node.domains.lending.offering import code_of, file_of
from commons_node.domains.lending.terms import instant
from commons_node.domains.lending.wording import COMPLETES
from commons_node.domains.resources.things import thing
from commons_node.explaining.words import word
from commons_node.registry import (
    Column,
    Command,
    Complete,
    File,
    Reading,
    Registry,
    Table,
    View,
    argument,
    file_out,
    option,
)
from commons_node.registry import Request as Call

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

_THINGS = Complete("resource.list", "resources", "number")
_LOANS = Complete("loan.list", "loans", "loan")


class OneLoan(msgspec.Struct):
    """Arguments of verbs about one loan."""

    loan: Annotated[str, argument("the loan's id, or the thing's number", complete=_LOANS)]


async def approve(request: Call[Daemon], args: OneLoan) -> Mapping[str, object]:
    """Let the one who asked have the thing, or keep it longer."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    actor.needs(Role.STEWARD)
    found = await find_loan(community, args.loan)
    now = request.node.now_ms()
    wish = await asked_longer(community, found)
    if wish is not None and wish.state != "granted":
        await nobody_waits(community, found, wish.until_ms, now)
        return await answer_longer(community, actor, found, wish, None, approve=True)
    if found.lapsed(now):
        raise WrongState(
            why=_("{label} was promised, and not fetched in time.").format(label=found.label),
            next=f"commons-node loan handover {found.id.hex()[:12]}",
        )
    if found.state not in {"requested", "declined"}:
        raise _already(found)
    await keep_free(community, found, now)
    await may_have(community, found, now)
    return await decide(community, actor, found, None, approve=True)


class Refusal(msgspec.Struct):
    """Arguments of ``loan decline``."""

    loan: Annotated[str, argument("the loan's id, or the thing's number", complete=_LOANS)]
    reason: Annotated[str | None, option("why, in your own words")] = None


async def decline(request: Call[Daemon], args: Refusal) -> Mapping[str, object]:
    """Say no to a request, with a reason."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    actor.needs(Role.STEWARD)
    found = await find_loan(community, args.loan)
    wish = await asked_longer(community, found)
    if wish is not None and wish.state == "asked":
        return await answer_longer(community, actor, found, wish, args.reason, approve=False)
    if found.state not in {"requested", "approved", "offered"}:
        raise _already(found)
    return await decide(community, actor, found, args.reason, approve=False)


def _already(found: Loan) -> WrongState:
    return WrongState(
        why=_("The loan of {label} is {state} already.").format(
            label=found.label, state=word(found.state)
        ),
        next=f"commons-node loan show {found.id.hex()[:12]}",
    )


class Offer(msgspec.Struct):
    """Arguments of ``loan handover`` and ``loan return``."""

    loan: Annotated[str, argument("the loan's id, or the thing's number", complete=_LOANS)]
    out: Annotated[
        str | None,
        file_out("also write the offer as a file, for a node that has not heard of it",
                 result="file"),
    ] = None  # fmt: skip


async def hand_over(request: Call[Daemon], args: Offer) -> Mapping[str, object]:
    """Offer the thing to the borrower; it is theirs once they accept."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    found = await find_loan(community, args.loan)
    if found.lapsed(request.node.now_ms()):  # somebody else may have been promised it since
        await keep_free(community, found, request.node.now_ms())
    done = await handing.hand_over(community, actor, found)
    return await _offer(request, community, done, args.out)


async def give_back(request: Call[Daemon], args: Offer) -> Mapping[str, object]:
    """Offer the thing back; a steward receives it, at any node."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    done = await handing.give_back(community, actor, await find_loan(community, args.loan))
    return await _offer(request, community, done, args.out)


async def _offer(
    request: Call[Daemon], community: Community, done: Done, out: str | None
) -> Mapping[str, object]:
    answer = await _answer(request, community, done)
    answer["offer"] = code_of(done.written.id, done.loan, done.resource)
    if out:
        data = await file_of(community, done.written.id)
        answer["file"] = base64.b64encode(data).decode("ascii")
    return answer


async def _answer(request: Call[Daemon], community: Community, done: Done) -> dict[str, object]:
    found = await loan(community, done.loan)
    until = found.row["until_ms"] if found else None
    return {
        **written(done.written),
        "loan": done.loan.hex(),
        "name": found.label if found else None,
        "state": found.state if found else None,
        "due": instant(until),
        "due_day": found.due_day if found else None,
        "zone": found.zone if found else None,
        "overdue": found.overdue(request.node.now_ms()) if found else False,
        "provisional": bool(found.row["provisional"]) if found else True,
    }


class Accepting(msgspec.Struct):
    """Arguments of ``loan accept``."""

    loan: Annotated[
        str | None,
        argument("the loan's id, or the thing's number; not needed with an offer", complete=_LOANS),
    ] = None
    offer: Annotated[File | str | None, option("the offer, as a code or a file")] = None


async def accept(request: Call[Daemon], args: Accepting) -> Mapping[str, object]:
    """Take what was offered to you: from now on you answer for it."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    done = await handing.accept(community, actor, args.loan, args.offer)
    names = await community.names()
    return {**await _answer(request, community, done), "custodian": actor.member.hex(),
            "custodian_name": names.get(actor.member)}  # fmt: skip


class Receiving(msgspec.Struct):
    """Arguments of ``loan receive``."""

    loan: Annotated[
        str | None,
        argument("the loan's id, or the thing's number; not needed with an offer", complete=_LOANS),
    ] = None
    offer: Annotated[File | str | None, option("the borrower's offer, as a code or a file")] = None
    condition: Annotated[Condition, option("how it came back; a ticket says: to be repaired")] = (
        "ok"
    )
    note: Annotated[str | None, option("what is to be said about it")] = None


async def receive(request: Call[Daemon], args: Receiving) -> Mapping[str, object]:
    """Take a thing back, from the borrower's offer, or alone for somebody who is gone."""
    community = await request.node.community(request)
    actor = await request.node.actor(request, community)
    done = await handing.receive(community, actor, args.loan, args.offer, args.condition, args.note)
    item = await thing(community, done.resource)
    custodian = item.custodian if item is not None and item.single else actor.member
    number = (item.number if item is not None else "") or done.resource.hex()[:12]
    ticket = f"commons-node resource edit {number} --state maintenance"
    answer = await _answer(request, community, done)
    return {
        **answer,
        "completes": _(COMPLETES) if answer["provisional"] and args.offer else None,
        "resource": done.resource.hex(),
        "custodian": custodian.hex() if custodian else None,
        "custodian_name": (await community.names()).get(custodian) if custodian else None,
        "next": ticket if args.condition == "ticket" else None,
    }


async def show(request: Call[Daemon], args: OneLoan) -> Reading:
    """A loan, step by step."""
    community = await request.node.community(request)
    found = await find_loan(community, args.loan, ended=True)
    decision, received = found.operation("decision"), found.operation("receive")
    change = (await changes_of(community, [found])).get(found.id, NONE)
    answered = change.last.answer if change.last is not None else None
    told = change.cancel or answered or decision
    more = {
        "reason_given": await community.part(told, REASON) if told else None,
        "note": await community.part(received, NOTE) if received else None,
        "waiting": await waiting_of(community, found, request.node.now_ms()),
    }
    return await reading_of(request, community, [found], request.node.now_ms(), more)


_STEPS = (
    Column("step", "Step"),
    Column("name", "By"),
    Column("time", "When", "time"),
    Column("operation", "Id", "id"),
)

VERBS = Registry(
    commands=(
        Command("loan.request", "Ask to borrow a thing.", Ask, ask, member=True, trustable=True,
                says=("You asked for {name}; but {note}.\nThe loan is {loan:id}.",
                      ("You asked for {name}, until the end of {due_day:day}. {moved}\n"
                       "The loan is {loan:id}."),
                      ("You asked for {name}, until the end of {due_day:day}.\n"
                       "The loan is {loan:id}."))),
        Command("loan.approve", "Let the one who asked have the thing, or keep it longer.",
                OneLoan, approve, member=True, trustable=True,
                says=("{name} may be kept until the end of {kept_until:day}.",
                      "The loan of {name} is {state}.")),
        Command("loan.decline", "Say no to a request, or to a longer loan.", Refusal, decline,
                member=True, trustable=True,
                says=("{name} is due at the end of {back_by:day}, as before.",
                      "The loan of {name} is {state}.")),
        Command("loan.handover", "Offer the thing to the borrower.", Offer, hand_over,
                says="{name} is offered. It changes hands when the borrower accepts:\n"
                "commons-node loan accept {loan:id} --offer {offer}", qr="offer", member=True),
        Command("loan.accept", "Take what was offered to you.", Accepting, accept, member=True,
                says=("{name} is with you until the end of {due_day:day}.", "{name} is with you.")),
        Command("loan.return", "Offer the thing back, to any steward.", Offer, give_back,
                says="{name} is offered back. It is returned when a steward receives it:\n"
                "commons-node loan receive {loan:id} --offer {offer}", qr="offer", member=True),
        Command("loan.receive", "Take a thing back.", Receiving, receive, member=True,
                says=("The loan is {state}; it is with {custodian_name}.\nIt needs repair: {next}",
                      "The loan is {state}; it is with {custodian_name}.\n{completes}",
                      "The loan is {state}; it is with {custodian_name}.")),
    ),
    views=(
        View("loan.list", "Who asked for what, and where it is.", Listing, list_loans,
             table=Table("loans", (Column("number", "Number"), Column("name", "Thing"),
                                   Column("borrower_name", "Who"), Column("state", "State"),
                                   Column("due_day", "Until", "day"),
                                   Column("overdue", "Overdue", "yes"),
                                   Column("loan", "Id", "id")), "No loans.")),
        View("loan.show", "A loan, step by step.", OneLoan, show,
             says=(("{name}, asked for by {borrower_name}: {state}, until the end of"
                    " {due_day:day}\n{moved}\n{certainty}"),
                   ("{name}, asked for by {borrower_name}: {state}, until the end of"
                    " {due_day:day}\n{certainty}"),
                   "{name}: {state}\n{certainty}"),
             table=Table("steps", _STEPS)),
        View("loan.waiting", "Who waits for a thing, and why.", OneThing, list_waiting,
             table=Table("waiting", (Column("place", "Place", "number"),
                                     Column("borrower_name", "Who"), Column("state", "State"),
                                     Column("why", "Why"), Column("loan", "Id", "id")),
                         "Nobody waits for it.")),
        View("loan.news", "What is due, ready, moved or waiting, of what you borrow.", Nothing,
             list_news, member=True,
             table=Table("news", (Column("sentence", "News"), Column("next", "Next")),
                         "Nothing is due, and nothing waits.")),
    ),
    nouns={"loan": "borrowing and returning things"},
)  # fmt: skip
