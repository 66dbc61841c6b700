"""Who may say what of whom: the two of a loan of each other; members of members.

What a rule sees are facts of bytes: which steps an attestation refers to, and by whom they are.
Whether the loan is whole (two devices, two people, twice) is the fold's to say.
"""

from __future__ import annotations

from commons_crdt.ids import ZERO
from commons_crdt.kinds import Antecedent, Claim, Kind
from commons_crdt.operation import SALT_BYTES
from commons_crdt.roles import Role
from commons_node.domains.lending.facts import ACCEPT, HANDOVER, RECEIVE, RETURN
from commons_node.domains.reputation.facts import (
    ATTEST,
    MAX_NOTE,
    NOTE,
    OPENING,
    REPLY,
    TEXT,
    VOUCH,
    Attest,
    Opening,
    Reply,
    Vouch,
)
from commons_node.domains.reputation.sealing import MAX_SEALED

SINCE = 3
"""The rules version that lists these kinds."""


def _attest(claim: Claim) -> str:
    """It refers to the four signatures of the loan, and is by one of its two about the other."""
    body: Attest = claim.body
    if claim.header.document == ZERO:
        return "document"
    if body.about == claim.member:
        return "self"
    steps = {one.kind: one for one in claim.refs.values() if one.document == claim.header.document}
    if not {HANDOVER, ACCEPT, RETURN, RECEIVE} <= steps.keys():
        return "reference"
    borrower = steps[ACCEPT].member
    if steps[RETURN].member != borrower:
        return "reference"
    two = {borrower, steps[RECEIVE].member}
    return "" if two == {claim.member, body.about} else "party"


def _opening(claim: Claim) -> str:
    """It opens an attestation of its own author."""
    body: Opening = claim.body
    found = _attestation(claim, body.attestation)
    if found is None:
        return "reference"
    return "" if found.member == claim.member else "party"


def _reply(claim: Claim) -> str:
    """It answers somebody else's attestation; whether about its author, the fold says."""
    body: Reply = claim.body
    found = _attestation(claim, body.attestation)
    if found is None:
        return "reference"
    return "" if found.member != claim.member else "self"


def _vouch(claim: Claim) -> str:
    """It is about somebody else."""
    if claim.header.document == ZERO:
        return "document"
    return "self" if claim.header.document == claim.member else ""


def _attestation(claim: Claim, ident: bytes) -> Antecedent | None:
    """The attestation of the same loan that is referred to."""
    found = claim.refs.get(ident)
    same = found is not None and found.document == claim.header.document
    return found if found is not None and same and found.kind == ATTEST else None


KINDS = (
    Kind(ATTEST, Attest, Role.NEWCOMER, max_body=128, parts={NOTE: MAX_SEALED + SALT_BYTES},
         rule=_attest, since=SINCE),
    Kind(OPENING, Opening, Role.NEWCOMER, max_body=128, rule=_opening, since=SINCE),
    Kind(REPLY, Reply, Role.NEWCOMER, max_body=96, parts={TEXT: MAX_NOTE + SALT_BYTES},
         erased="body", rule=_reply, since=SINCE),
    Kind(VOUCH, Vouch, Role.MEMBER, max_body=64, rule=_vouch, since=SINCE),
)  # fmt: skip
"""Erasing an attestation takes its note; what was counted stays. A reply goes as a whole."""
