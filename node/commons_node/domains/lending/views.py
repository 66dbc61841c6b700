"""The fold of a loan: where it stands, from whatever facts about it are here.

Total and order-free: any subset of the facts, in any order, gives one row. What two people say
against each other goes by role, then each one's own chain, then BLAKE2b(document ‖ member); never
by a time, a lamport number or an id. Whether a loan is overdue is not said here: that is now's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from commons_crdt.folds import Fact, Subject, Value, View, by_document, prevailing
from commons_crdt.ids import ZERO, DeviceId
from commons_node.domains.lending.custody import CUSTODY, completes, signs_alone
from commons_node.domains.lending.extending import CANCELS, EXTENSIONS, TERMS, longest
from commons_node.domains.lending.facts import (
    ACCEPT,
    ASKED,
    CANCEL,
    DECISION,
    EXTEND,
    EXTENDED,
    HANDOVER,
    RECEIVE,
    REQUEST,
    REQUESTS,
    RETURN,
)

COLUMNS = {
    "state": "TEXT NOT NULL",
    "resource": "BLOB NOT NULL",
    "borrower": "BLOB",
    "from_ms": "INTEGER",
    "until_ms": "INTEGER",
    "zone": "TEXT",
    "request": "BLOB",
    "decision": "BLOB",
    "approved": "INTEGER",  # what that decision says
    "handover": "BLOB",
    "accept": "BLOB",
    "return_offer": "BLOB",
    "receive": "BLOB",
    "confirmation": "BLOB",  # the decision or hand-over by which it is confirmed
    "confirmer": "BLOB",
    "confirmer_role": "INTEGER",
    "receiver": "BLOB",
    "provisional": "INTEGER NOT NULL",  # 1: the other half of a step is not here
    "conflicts": "BLOB NOT NULL",  # operations that say otherwise, 32 bytes each
}


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts of one loan by kind, without repeats and without those that say nothing."""

    request: Fact | None
    decisions: Sequence[Fact]
    handovers: Sequence[Fact]
    accepts: Sequence[Fact]
    returns: Sequence[Fact]
    receives: Sequence[Fact]
    cancels: Sequence[Fact]
    extensions: Sequence[Fact]
    """Wishes to keep it longer, and the answers to them."""
    offered: frozenset[bytes]
    """The ids of all hand-overs that are here, those to somebody else too."""

    @classmethod
    def of(cls, subject: Subject) -> Facts:
        """Sort a subject's facts into kinds."""
        kinds: dict[str, dict[bytes, Fact]] = {}
        for fact in subject.facts:
            if fact.body is not None and fact.document == subject.key:
                kinds.setdefault(fact.kind, {})[fact.id] = fact
        request = next(
            (found for kind in REQUESTS if (found := kinds.get(kind, {}).get(subject.key))), None
        )

        def known(kind: str) -> list[Fact]:
            found = kinds.get(kind, {}).values()
            if request is None or kind in {DECISION, EXTENDED}:
                return list(found)
            return [fact for fact in found if fact.body.resource == request.body.resource]

        handovers = known(HANDOVER)
        offered = frozenset(kinds.get(HANDOVER, {}))
        if request is not None:
            handovers = [fact for fact in handovers if fact.body.taker == request.member]
        return cls(
            request,
            known(DECISION),
            handovers,
            known(ACCEPT),
            known(RETURN),
            known(RECEIVE),
            known(CANCEL),
            [*known(EXTEND), *known(EXTENDED)],
            offered,
        )


def loan(subject: Subject) -> Sequence[Value] | None:
    """The row of one loan; None while there is nothing but claims that nobody may make."""
    facts = Facts.of(subject)
    claims = newest([*facts.decisions, *facts.handovers])
    confirmed = prevailing(claims)
    accept, whole = _accepted(facts)
    borrower = _borrower(facts, accept)
    offered = _returned(facts, accept, borrower)
    receives = _received(facts, accept, borrower)
    receive = prevailing(receives)
    resource = _resource(facts, accept, receive)
    if resource is None:
        return None
    declined = confirmed is not None and not _approves(confirmed)
    handover = _handover(facts, claims, accept)
    if receive is not None:
        state = "returned"
    elif accept is not None:
        state = "returning" if offered is not None else "on_loan"
    elif any(one.member == borrower for one in facts.cancels):
        state = "cancelled"
    elif declined:
        state = "declined"
    elif handover is not None:
        state = "offered"
    else:
        state = "requested" if confirmed is None else "approved"
    closed = receive is not None and not (
        whole and any(one.id == receive.body.offer for one in facts.returns)
    )
    request = facts.request
    terms = longest(facts.extensions, borrower) or request
    decision = prevailing(facts.decisions)
    stands = confirmed if confirmed is not None and not declined else None
    against = [one for one in claims if confirmed and _approves(one) == declined]
    against += [one for one in newest(receives) if one is not receive]
    return (
        state,
        resource,
        borrower,
        request.body.from_ms if request else None,
        terms.body.until_ms if terms else None,
        terms.body.zone if terms else None,
        _id(request),
        _id(decision),
        int(decision.body.approve) if decision else None,
        _id(handover),
        _id(accept),
        _id(offered),
        _id(receive),
        _id(stands),
        stands.member if stands else None,
        int(stands.role) if stands else None,
        receive.member if receive else None,
        int(closed or (accept is not None and not whole)),
        b"".join(sorted(one.id for one in against)),
    )


def newest(facts: Iterable[Fact]) -> list[Fact]:
    """Each device's last word."""
    last: dict[DeviceId, Fact] = {}
    for fact in facts:
        known = last.get(fact.device)
        if known is None or fact.seq > known.seq:
            last[fact.device] = fact
    return list(last.values())


def _approves(claim: Fact) -> bool:
    return claim.kind == HANDOVER or bool(claim.body.approve)


def _accepted(facts: Facts) -> tuple[Fact | None, bool]:
    """The acceptance that counts, and whether its hand-over is here.

    Without the hand-over only the one who asked can have accepted, and only provisionally.
    """
    offers = {one.id: one for one in facts.handovers}
    both = [
        one
        for one in facts.accepts
        if (offer := offers.get(one.body.handover)) is not None and completes(one, offer)
    ]
    if both:
        return prevailing(both), True
    asked = facts.request.member if facts.request else None
    alone = [
        one
        for one in facts.accepts
        if one.member == asked and one.body.handover not in facts.offered
    ]
    return prevailing(alone), False


def _borrower(facts: Facts, accept: Fact | None) -> bytes | None:
    if facts.request is not None:
        return facts.request.member
    if accept is not None:
        return accept.member
    offer = prevailing(facts.handovers)
    if offer is not None:
        taker: bytes = offer.body.taker
        return taker
    receive = prevailing(one for one in facts.receives if one.body.borrower != ZERO)
    return bytes(receive.body.borrower) if receive is not None else None


def _returned(facts: Facts, accept: Fact | None, borrower: bytes | None) -> Fact | None:
    """The borrower's offer to bring it back."""
    own = [one for one in facts.returns if one.member == borrower]
    if accept is not None:
        mine = {one.id for one in facts.accepts if one.member == borrower}
        own = [one for one in own if one.body.accept == accept.id or one.body.accept not in mine]
    return prevailing(own)


def _received(facts: Facts, accept: Fact | None, borrower: bytes | None) -> list[Fact]:
    """Receipts by somebody else's device than the borrower's, and alone never one's own debt."""
    offers = {one.id: one for one in facts.returns}
    return [
        one
        for one in facts.receives
        if not signs_alone(one, offer := offers.get(one.body.offer), accept)
        and (offer is not None or one.member != borrower)
    ]


def _resource(facts: Facts, accept: Fact | None, receive: Fact | None) -> bytes | None:
    for fact in (facts.request, accept, prevailing(facts.handovers), receive):
        if fact is not None:
            resource: bytes = fact.body.resource
            return resource
    return None


def _handover(facts: Facts, claims: Sequence[Fact], accept: Fact | None) -> Fact | None:
    """The offer that was taken, or the one that waits to be."""
    if accept is not None:
        return next((one for one in facts.handovers if one.id == accept.body.handover), None)
    return prevailing(one for one in claims if one.kind == HANDOVER)


def _id(fact: Fact | None) -> bytes | None:
    return fact.id if fact is not None else None


LOANS = View(
    "loans",
    frozenset(
        {REQUEST, ASKED, DECISION, HANDOVER, ACCEPT, RETURN, RECEIVE, CANCEL, EXTEND, EXTENDED}
    ),
    COLUMNS,
    by_document,
    loan,
    indexes=("resource", "state"),
)

VIEWS = (LOANS, CUSTODY, TERMS, EXTENSIONS, CANCELS)
