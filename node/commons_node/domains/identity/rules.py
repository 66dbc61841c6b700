"""Who may name a device and who may ask guardians."""

from __future__ import annotations

from commons_crdt.errors import Refused
from commons_crdt.kinds import Claim, Kind, decode_fact
from commons_crdt.operation import SALT_BYTES
from commons_crdt.roles import Role
from commons_node.domains.identity.facts import (
    LABEL,
    LABEL_PART,
    MAX_LABEL,
    MAX_TERMS,
    REQUEST,
    TERMS,
    Label,
    Request,
)


def _request(claim: Claim) -> str:
    """Terms that can be read, about the member that it names."""
    body: Request = claim.body
    try:
        terms = decode_fact(TERMS[body.act], body.terms, MAX_TERMS)
    except Refused:
        return "malformed"
    return "" if claim.header.document == terms.member else "document"


KINDS = (
    Kind(
        LABEL,
        Label,
        Role.NEWCOMER,
        parts={LABEL_PART: MAX_LABEL + SALT_BYTES},
        erased="body",
    ),
    Kind(
        REQUEST,
        Request,
        Role.NEWCOMER,
        unattended=True,  # who has lost their device has nothing to sign with: a node carries it
        max_body=MAX_TERMS + 1024,
        rule=_request,
    ),
)
