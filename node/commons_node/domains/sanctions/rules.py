"""Who may explain an act of log 0: coordinators."""

from __future__ import annotations

from commons_crdt.kinds import Claim, Kind
from commons_crdt.operation import SALT_BYTES
from commons_crdt.roles import Role
from commons_node.domains.sanctions.facts import MAX_REASON, NOTE, REASON, Note


def _about(claim: Claim) -> str:
    """It refers to the operation of log 0 that it explains."""
    found = claim.refs.get(claim.body.about)
    return "" if found is not None and found.log == 0 else "reference"


KINDS = (
    Kind(
        NOTE,
        Note,
        Role.COORDINATOR,
        parts={REASON: MAX_REASON + SALT_BYTES},
        erased="body",
        rule=_about,
    ),
)
