"""Which facts about loans stand. Pure: an operation's own body, author, role and refs, no more.

That a loan is free, or that an acceptance fits its offer, is no rule but a fold: two islands may
each be right, and their facts must still meet.
"""

from __future__ import annotations

from datetime import UTC, datetime

from commons_crdt.ids import ZERO
from commons_crdt.kinds import Antecedent, Claim, Kind
from commons_crdt.operation import SALT_BYTES
from commons_crdt.roles import Role
from commons_node.domains.lending.facts import (
    ACCEPT,
    ASKED,
    CANCEL,
    DECISION,
    EXTEND,
    EXTENDED,
    HANDOVER,
    MAX_LOAN_MS,
    MAX_TEXT,
    NOTE,
    REASON,
    RECEIVE,
    REQUEST,
    REQUESTS,
    RETURN,
    SINCE,
    Accept,
    Asked,
    Cancel,
    Decision,
    Extend,
    Extended,
    Handover,
    Receive,
    Request,
    Return,
)

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_MOST_AHEAD_MS, _MOST_BEHIND_MS = 14 * _HOUR_MS, 12 * _HOUR_MS
"""How far local days are from those of UTC, at most."""


def _request(claim: Claim) -> str:
    """It is about itself, and ends after it begins, within a year."""
    body: Request | Asked = claim.body
    if claim.header.document != ZERO:
        return "document"
    if body.resource == ZERO or not 0 < body.until_ms - body.from_ms <= MAX_LOAN_MS:
        return "terms"
    return ""


def _asked(claim: Claim) -> str:
    """And its days are days of a calendar, the due one around the moment at which it ends.

    Which moment a day ends at is never computed here: zone files differ from node to node.
    """
    return _request(claim) if _days_fit(claim.body) else "terms"


def _days_fit(body: Asked | Extend) -> bool:
    try:
        asked, due = (
            datetime.fromisoformat(day).replace(tzinfo=UTC) for day in (body.asked, body.due)
        )
        if body.meant[0] != "P":
            datetime.fromisoformat(body.meant)
    except ValueError:
        return False
    past = body.until_ms - int(due.timestamp()) * 1000
    return asked <= due and -_MOST_AHEAD_MS <= past <= _DAY_MS + _MOST_BEHIND_MS


def _decision(claim: Claim) -> str:
    """It refers to the request that it decides."""
    request = claim.refs.get(claim.header.document)
    return "" if request is not None and request.kind in REQUESTS else "reference"


def _handover(claim: Claim) -> str:
    """A thing, for the one who asked for it."""
    body: Handover = claim.body
    if claim.header.document == ZERO:
        return "document"
    if ZERO in {body.resource, body.taker}:
        return "terms"
    request = claim.refs.get(claim.header.document)
    if request is not None and (request.kind not in REQUESTS or request.member != body.taker):
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


def _cancel(claim: Claim) -> str:
    """It is about the author's own request."""
    body: Cancel = claim.body
    if claim.header.document == ZERO:
        return "document"
    if body.resource == ZERO:
        return "terms"
    return _own_request(claim)


def _extend(claim: Claim) -> str:
    """As a request: days of a calendar, for the author's own loan."""
    body: Extend = claim.body
    if claim.header.document == ZERO:
        return "document"
    if body.resource == ZERO or not _days_fit(body):
        return "terms"
    return _own_request(claim)


def _own_request(claim: Claim) -> str:
    """ "reference" if the request is among the refs and is somebody else's, or none."""
    request = claim.refs.get(claim.header.document)
    if request is None:
        return ""
    return "" if request.kind in REQUESTS and request.member == claim.member else "reference"


def _extended(claim: Claim) -> str:
    """It refers to the wish that it answers."""
    body: Extended = claim.body
    if claim.header.document == ZERO:
        return "document"
    wish = claim.refs.get(body.extension)
    if wish is None or wish.kind != EXTEND or wish.document != claim.header.document:
        return "reference"
    return ""


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
    Kind(ASKED, Asked, Role.NEWCOMER, rule=_asked, since=SINCE),
    Kind(DECISION, Decision, Role.STEWARD, parts=_text(REASON), rule=_decision),
    Kind(HANDOVER, Handover, Role.STEWARD, rule=_handover),
    Kind(ACCEPT, Accept, Role.NEWCOMER, rule=_accept),
    Kind(RETURN, Return, Role.NEWCOMER, rule=_return),
    Kind(RECEIVE, Receive, Role.STEWARD, parts=_text(NOTE), rule=_receive),
    Kind(CANCEL, Cancel, Role.NEWCOMER, parts=_text(REASON), rule=_cancel, since=SINCE),
    Kind(EXTEND, Extend, Role.NEWCOMER, rule=_extend, since=SINCE),
    Kind(EXTENDED, Extended, Role.STEWARD, parts=_text(REASON), rule=_extended, since=SINCE),
)
