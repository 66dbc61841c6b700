"""The kinds of log 0 and the erasure: the same in every community."""

from __future__ import annotations

from commons_crdt.authority.facts import (
    Admit,
    Branch,
    Demotion,
    Epoch,
    Erasure,
    Genesis,
    Invite,
    NodeGrant,
    Removal,
    Revocation,
    RoleAct,
)
from commons_crdt.authority.judge import ERASURE, GENESIS
from commons_crdt.authority.kinds_council import COUNCIL_KINDS
from commons_crdt.authority.kinds_identity import IDENTITY_KINDS
from commons_crdt.kinds import Claim, Kind
from commons_crdt.operation import MAX_BODY
from commons_crdt.roles import Role

ROLE = "membership.role.1"
DEMOTION = "membership.demotion.1"
REMOVAL = "membership.removal.1"
REVOCATION = "membership.revocation.1"
BRANCH = "membership.branch.1"
INVITE = "membership.invite.1"
ADMIT = "membership.admit.1"
NODE = "membership.node.1"
EPOCH = "membership.epoch.1"


def _erasure(claim: Claim) -> str:
    """The author's own, or by a steward a document, or by a coordinator anything erasable.

    A document is its creator's: an edit of it gives no right to erase what others wrote.
    """
    target = claim.refs.get(claim.body.target)
    if target is None:
        return "reference"
    if target.log == 0:
        return "target"
    created = not target.edit or bytes(target.id) == bytes(target.document)
    own = created and target.member == claim.member
    if not own and claim.role < (Role.STEWARD if target.edit else Role.COORDINATOR):
        return "target"
    return "" if claim.header.document == target.document else "document"


CORE: tuple[Kind, ...] = (
    Kind(GENESIS, Genesis, Role.COORDINATOR, log=0),
    *COUNCIL_KINDS,
    *IDENTITY_KINDS,
    Kind(ROLE, RoleAct, Role.COORDINATOR, log=0),
    Kind(DEMOTION, Demotion, Role.COORDINATOR, log=0, max_body=MAX_BODY),
    Kind(REMOVAL, Removal, Role.COORDINATOR, log=0, max_body=MAX_BODY),
    Kind(REVOCATION, Revocation, Role.NEWCOMER, log=0),
    Kind(BRANCH, Branch, Role.COORDINATOR, log=0),
    Kind(INVITE, Invite, Role.MEMBER, log=0),
    Kind(ADMIT, Admit, Role.NEWCOMER, log=0, unattended=None, max_body=16_384),
    Kind(NODE, NodeGrant, Role.NEWCOMER, log=0, max_body=16_384),
    Kind(EPOCH, Epoch, Role.COORDINATOR, log=0, max_body=MAX_BODY),
    Kind(ERASURE, Erasure, Role.NEWCOMER, rule=_erasure),
)
"""Rules version 1, as far as every community shares it; the domains add their own kinds.

The own rules of log 0 are not here: they rest on the strata, and are in ``strata``, ``council``,
``identity`` and ``proofs``.
"""
