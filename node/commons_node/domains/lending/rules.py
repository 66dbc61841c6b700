"""Which facts about loans stand. Pure: an operation's own body, author, role and refs, no more.

That a loan is free, or that an acceptance fits its offer, is no rule but a fold: two islands may
each be right, and their facts must still meet.
"""

from __future__ import annotations

from commons_crdt.ids import ZERO
from commons_crdt.kinds import Antecedent, Claim, Kind
from commons_crdt.operation import SALT_BYTES
from commons_crdt.roles import Role
from commons_node.domains.lending.facts import (
    ACCEPT,
    DECISION,
    HANDOVER,
    MAX_LOAN_MS,
    MAX_TEXT,
    NOTE,
    REASON,
    RECEIVE,
    REQUEST,
    RETURN,
    Accept,
    Decision,
    Handover,
    Receive,
    Request,
    Return,
)


def _request(claim: Claim) -> str:
    """It is about itself, and ends after it begins, within a year."""
    body: Request = claim.body
    if claim.header.document != ZERO:
        return "document"
    if body.resource == ZERO or not 0 < body.until_ms - body.from_ms <= MAX_LOAN_MS:
        return "terms"
    return ""


def _decision(claim: Claim) -> str:
    """It refers to the request that it decides."""
    request = claim.refs.get(claim.header.document)
    return "" if request is not None and request.kind == REQUEST else "reference"


def _handover(claim: Claim) -> str:
    """A thing, for the one who asked for it."""
    body: Handover = claim.body
    if claim.header.document == ZERO:
        return "document"
    if ZERO in {body.resource, body.taker}:
        return "terms"
    request = claim.refs.get(claim.header.document)
    if request is not None and (request.kind != REQUEST or request.member != body.taker):
        return "reference"
    if body.previous == claim.header.document:
        return ""
    return _fits(claim, body.previous, None, ACCEPT, RECEIVE, elsewhere=True)


def _accept(claim: Claim) -> str:
    """It names an offer."""
    body: Accept = claim.body
    if claim.header.document == ZERO:
        return "document"
    if body.resource == ZERO:
        return "terms"
    return "reference" if body.handover == ZERO else _fits(claim, body.handover, None, HANDOVER)


def _return(claim: Claim) -> str:
    """It names the author's own acceptance."""
    body: Return = claim.body
    if claim.header.document == ZERO:
        return "document"
    if body.resource == ZERO:
        return "terms"
    return "reference" if body.accept == ZERO else _fits(claim, body.accept, claim.member, ACCEPT)


def _receive(claim: Claim) -> str:
    """It names the offer, the acceptance, or both; an acceptance has a borrower."""
    body: Receive = claim.body
    if claim.header.document == ZERO:
        return "document"
    if body.resource == ZERO or (body.previous != ZERO and body.borrower == ZERO):
        return "terms"
    if body.offer == body.previous == ZERO:
        return "reference"
    borrower = body.borrower if body.borrower != ZERO else None
    return _fits(claim, body.offer, borrower, RETURN) or _fits(
        claim, body.previous, borrower, ACCEPT
    )


def _fits(
    claim: Claim, ident: bytes, author: bytes | None, *kinds: str, elsewhere: bool = False
) -> str:
    """ "reference" if ``ident`` is among the refs and is not what the body says that it is."""
    known: Antecedent | None = claim.refs.get(ident)
    if known is None:
        return ""
    same = elsewhere or known.document == claim.header.document
    own = author is None or known.member == author
    return "" if known.kind in kinds and same and own else "reference"


def _text(name: str) -> dict[str, int]:
    return {name: MAX_TEXT + SALT_BYTES}


KINDS = (
    Kind(REQUEST, Request, Role.NEWCOMER, rule=_request),
    Kind(DECISION, Decision, Role.STEWARD, parts=_text(REASON), rule=_decision),
    Kind(HANDOVER, Handover, Role.STEWARD, rule=_handover),
    Kind(ACCEPT, Accept, Role.NEWCOMER, rule=_accept),
    Kind(RETURN, Return, Role.NEWCOMER, rule=_return),
    Kind(RECEIVE, Receive, Role.STEWARD, parts=_text(NOTE), rule=_receive),
)
