"""Who may say goodbye, forgive, close, and which nodes' receipts say anything. Pure."""

from __future__ import annotations

from commons_crdt.authority.judge import ERASURE
from commons_crdt.kinds import Claim, Kind
from commons_crdt.operation import SALT_BYTES
from commons_crdt.roles import Role
from commons_node.domains.leaving.facts import (
    CLOSING,
    FORGIVEN,
    GOODBYE,
    MAX_REASON,
    REASON,
    RECEIPT,
    SINCE,
    Closing,
    Forgiven,
    Goodbye,
    Receipt,
)
from commons_node.domains.lending.facts import REQUESTS


def _receipt(claim: Claim) -> str:
    """It refers to the erasures that it names, each once."""
    body: Receipt = claim.body
    if list(body.erasures) != sorted(set(body.erasures)):
        return "terms"
    known = [claim.refs.get(one) for one in body.erasures]
    return "" if all(one is not None and one.kind == ERASURE for one in known) else "reference"


def _goodbye(claim: Claim) -> str:
    """Everybody leaves for themselves."""
    return "" if claim.header.document == claim.member else "document"


def _forgiven(claim: Claim) -> str:
    """The other party: nobody forgives an own debt. The request may not be here."""
    body: Forgiven = claim.body
    if body.borrower == claim.member:
        return "terms"
    request = claim.refs.get(claim.header.document)
    if request is not None and (request.kind not in REQUESTS or request.member != body.borrower):
        return "reference"
    return ""


def _closing(claim: Claim) -> str:
    """It is about the realm."""
    return "" if claim.header.document == claim.header.realm else "document"


KINDS = (
    Kind(RECEIPT, Receipt, Role.NEWCOMER, unattended=True, rule=_receipt, since=SINCE),
    Kind(GOODBYE, Goodbye, Role.NEWCOMER, rule=_goodbye, since=SINCE),
    Kind(
        FORGIVEN,
        Forgiven,
        Role.STEWARD,
        parts={REASON: MAX_REASON + SALT_BYTES},
        rule=_forgiven,
        since=SINCE,
    ),
    Kind(CLOSING, Closing, Role.COORDINATOR, rule=_closing, since=SINCE),
)
