"""The four acts by which a thing changes hands: offer and accept, offer back and receive.

Each is one person's own; a pair of them moves custody. Refuses here what the folds would ignore
everywhere, and says who or what is missing. The other half may be known only from a code or a
file: then it is named in the body, and referred to only if it is here and stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote
from typing import ClassVar

from commons_crdt.author import Draft
from commons_crdt.errors import CommonsError
from commons_crdt.ids import ZERO, DocumentId, MemberId, OperationId
from commons_crdt.roles import Role
from commons_crdt.texts import _
from commons_node.community import Actor, Community, Unknown, WrongState
from commons_node.domains.lending.deciding import part
from commons_node.domains.lending.facts import (
    ACCEPT,
    HANDOVER,
    NOTE,
    RECEIVE,
    RETURN,
    Accept,
    Condition,
    Handover,
    Receive,
    Return,
)
from commons_node.domains.lending.loans import OUT, Loan, fact, find_loan, here, loan
from commons_node.domains.lending.offering import take
from commons_node.domains.resources.things import thing, things
from commons_node.explaining.words import word
from commons_node.realm.authoring import Written
from commons_node.registry import File
from commons_protocol.codes import OfferCode

_LIST = "commons-node loan list"


class NoLoan(CommonsError):
    """It is not said which loan is meant."""

    code: ClassVar[str] = "missing_argument"
    hint: ClassVar[str] = "name the loan, or give the offer as a code or a file"
    status = "usage"


@dataclass(frozen=True, slots=True)
class Done:
    """A step that was written: the loan after it, and its thing."""

    written: Written
    loan: OperationId
    resource: bytes


async def hand_over(community: Community, actor: Actor, found: Loan) -> Done:
    """A steward offers the thing to the borrower."""
    actor.needs(Role.STEWARD)
    taker = found.borrower
    if found.state not in {"approved", "offered"} or taker is None:
        hint = f"commons-node loan approve {found.id.hex()[:12]}"
        raise _wrong(
            found,
            _("The loan of {label} is {state}: it cannot be handed over."),
            hint if found.state == "requested" else _LIST,
        )
    if taker == actor.member:
        raise WrongState(
            why=_("It is yours to take, and a hand-over takes two people."),
            next=_("another steward runs commons-node loan handover"),
        )
    item = await thing(community, found.resource)
    previous = item.move if item is not None else ZERO
    if item is not None and item.stated != "active":
        raise WrongState(
            why=_("{label} is {state}.").format(label=item.label, state=word(item.stated)),
            next=f"commons-node resource edit {item.number or item.id.hex()[:12]} --state active",
        )
    if item is not None and not item.single:
        previous = found.id
    elif item is not None and item.loan not in {None, found.id}:
        other = (item.loan or b"").hex()[:12]
        raise WrongState(
            why=_("{label} has not come back from another loan.").format(label=item.label),
            next=f"commons-node loan receive {other}",
        )
    refs = await here(community, found.id, found.operation("decision"), previous)
    draft = Draft.fact(
        HANDOVER,
        Handover(found.resource, taker, previous),
        document=DocumentId(found.id),
        refs=refs,
    )
    return await _write(community, actor, draft, found.id, found.resource)


async def accept(
    community: Community, actor: Actor, selector: str | None, given: File | str | None
) -> Done:
    """The one to whom the thing was offered takes it."""
    offer = await take(community, given) if given is not None else None
    found = await _locate(community, selector, offer)
    if found is None:
        meant = selector or (offer.loan.hex()[:12] if offer is not None else "")
        hint = _("give the offer as a file, or: commons-node sync wait")
        raise Unknown(what="loan", name=meant, list=hint)
    if found.state in OUT and found.borrower == actor.member:
        raise _wrong(found, _("The loan of {label} is {state}: it is with you already."), _LIST)
    if found.state == "returned":
        raise _wrong(found, _("The loan of {label} is {state}: it cannot be taken."), _LIST)
    ident = offer.offer if offer is not None else found.operation("handover")
    if ident is None:
        raise WrongState(
            why=_("Nobody has offered {label} yet.").format(label=found.label),
            next=_("a steward runs commons-node loan handover {id}").format(id=found.id.hex()[:12]),
        )
    known = await fact(community, ident, HANDOVER, Handover)
    if known is None:
        _fits(found, offer)
        if found.borrower != actor.member:
            raise await _not_yours(community, found.borrower, _("It was asked for by {name}."))
    else:
        standing, body = known
        if bytes(standing.document) != bytes(found.id) or body.resource != found.resource:
            raise WrongState(why=_("The offer is about another loan."), next=_LIST)
        if body.taker != actor.member:
            raise await _not_yours(community, MemberId(body.taker), _("It is offered to {name}."))
        if standing.device == actor.device:
            raise WrongState(why=_("Whoever offers it cannot take it."), next=_LIST)
    draft = Draft.fact(ACCEPT, Accept(ident, found.resource), document=DocumentId(found.id))
    return await _write(community, actor, draft, found.id, found.resource)


async def give_back(community: Community, actor: Actor, found: Loan) -> Done:
    """The borrower offers the thing back, to any steward."""
    if found.borrower != actor.member:
        raise await _not_yours(community, found.borrower, _("It is with {name}."))
    taken = found.operation("accept")
    if found.state not in OUT or taken is None:
        raise _wrong(found, _("The loan of {label} is {state}: it cannot be returned."), _LIST)
    draft = Draft.fact(RETURN, Return(found.resource, taken), document=DocumentId(found.id))
    return await _write(community, actor, draft, found.id, found.resource)


async def receive(
    community: Community,
    actor: Actor,
    selector: str | None,
    given: File | str | None,
    condition: Condition,
    note: str | None,
) -> Done:
    """A steward takes the thing back: from the borrower's offer, or alone for who is gone."""
    actor.needs(Role.STEWARD)
    offer = await take(community, given) if given is not None else None
    found = await _locate(community, selector, offer)
    if found is None:
        assert offer is not None
        body = Receive(offer.offer, await _by_prefix(community, offer), ZERO, condition, ZERO)
        ident = OperationId(offer.loan)
    else:
        body = await _receipt(community, actor, found, offer, condition)
        ident = found.id
    refs = await here(community, body.offer, body.previous)
    parts = [(NOTE, part(note))] if note else []
    draft = Draft.fact(RECEIVE, body, document=DocumentId(ident), refs=refs, parts=parts)
    return await _write(community, actor, draft, ident, body.resource)


async def _receipt(
    community: Community, actor: Actor, found: Loan, offer: OfferCode | None, condition: Condition
) -> Receive:
    """What a receiver says of a loan that is known here."""
    if found.borrower == actor.member:
        raise WrongState(
            why=_("It is with you, and a return takes two people."),
            next=_("another steward runs commons-node loan receive"),
        )
    ident = offer.offer if offer is not None else found.operation("return_offer")
    taken = found.operation("accept")
    if found.state == "returned":
        raise _wrong(
            found, _("The loan of {label} is {state}: it cannot be received again."), _LIST
        )
    if offer is not None:
        _fits(found, offer)
        known = await fact(community, offer.offer, RETURN, Return)
        if known is not None and bytes(known[0].document) != bytes(found.id):
            raise WrongState(why=_("The offer is about another loan."), next=_LIST)
    if ident is None and taken is None:
        raise _wrong(
            found, _("The loan of {label} is {state}: it was not taken by anybody."), _LIST
        )
    borrower = found.borrower if found.borrower is not None else ZERO
    return Receive(ident or ZERO, found.resource, borrower, condition, taken or ZERO)


async def _locate(
    community: Community, selector: str | None, offer: OfferCode | None
) -> Loan | None:
    """The loan that is meant; None if only an offer names it. Raises Unknown or Ambiguous."""
    if offer is None:
        if selector is None:
            raise NoLoan
        return await find_loan(community, selector)
    found = await loan(community, offer.loan)
    if selector is None:
        return found
    wanted = selector.strip().lower()
    if found is None:
        if len(wanted) < 8 or not offer.loan.hex().startswith(wanted):
            raise WrongState(
                why=_("The offer is about another loan."),
                next=_("name the loan as the offer does: {loan}").format(
                    loan=offer.loan.hex()[:12]
                ),
            )
        return None
    if not found.id.hex().startswith(wanted) or len(wanted) < 8:
        meant = await find_loan(community, selector)
        if meant.id != found.id:
            raise WrongState(why=_("The offer is about another loan."), next=_LIST)
    return found


def _fits(found: Loan, offer: OfferCode | None) -> None:
    if offer is not None and not found.resource.startswith(offer.resource):
        raise WrongState(why=_("The offer is about another thing."), next=_LIST)


async def _by_prefix(community: Community, offer: OfferCode) -> bytes:
    """The thing that a code names by the beginning of its id."""
    low, high = (offer.resource + fill * (32 - len(offer.resource)) for fill in (b"\0", b"\xff"))
    found = await things(community, "i.key BETWEEN ? AND ?", (low, high))
    if len(found) != 1:
        raise Unknown(
            what="thing", name=offer.resource.hex()[:12], list=_("ask for the offer as a file")
        )
    return found[0].id


async def _write(
    community: Community, actor: Actor, draft: Draft, ident: OperationId, resource: bytes
) -> Done:
    (result,) = await community.write(actor, draft)
    return Done(result, ident, resource)


def _wrong(found: Loan, template: str, hint: str) -> WrongState:
    return WrongState(
        why=template.format(label=found.label, state=word(found.state)),
        next=hint,
    )


async def _not_yours(community: Community, member: MemberId | None, template: str) -> WrongState:
    name = _("somebody else")
    if member is not None:
        name = (await community.names()).get(member, member.hex()[:8])
    return WrongState(
        why=template.format(name=name),
        next=f"commons-node --as {quote(name)} …",
    )
