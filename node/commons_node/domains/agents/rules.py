"""Who may share an agent: members. What an erasure takes: all of it. Pure."""

from __future__ import annotations

from commons_crdt.kinds import Claim, Kind
from commons_crdt.operation import SALT_BYTES
from commons_crdt.roles import Role
from commons_node.agents.package import MAX_PACKAGE
from commons_node.domains.agents.facts import CONTENT, PACKAGE, SINCE, Shared


def _shared(claim: Claim) -> str:
    """A document of its own, with the file and nothing else."""
    if any(claim.header.document):
        return "document"
    return "" if [part.name for part in claim.header.parts] == [CONTENT] else "terms"


KINDS = (
    Kind(
        PACKAGE,
        Shared,
        Role.MEMBER,
        max_body=256,
        parts={CONTENT: MAX_PACKAGE + SALT_BYTES},
        erased="body",
        rule=_shared,
        since=SINCE,
    ),
)
