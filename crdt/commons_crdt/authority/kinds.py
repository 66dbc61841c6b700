"""The kinds of log 0 and the erasure, with their own rules: the same in every community."""

from __future__ import annotations

from commons_crdt.authority.facts import (
    Admit,
    Epoch,
    Erasure,
    Genesis,
    Invite,
    NodeGrant,
    RoleAct,
)
from commons_crdt.authority.judge import ERASURE, GENESIS
from commons_crdt.device import verify_claim
from commons_crdt.ids import MemberId, OperationId
from commons_crdt.kinds import Claim, Kind
from commons_crdt.operation import MAX_BODY
from commons_crdt.roles import Role

ROLE = "membership.role.1"
INVITE = "membership.invite.1"
ADMIT = "membership.admit.1"
NODE = "membership.node.1"
EPOCH = "membership.epoch.1"


def _second_genesis(_claim: Claim) -> str:
    """A genesis stands only as the first operation of its realm."""
    return "document"


def _role_act(claim: Claim) -> str:
    """The subject is a member who is no coordinator in the author's view."""
    body: RoleAct = claim.body
    subject = claim.authority.role(MemberId(body.member), claim.view)
    if subject is None or subject is Role.COORDINATOR:
        return "subject"
    return "" if claim.header.document == body.member else "document"


def _admit(claim: Claim) -> str:
    """A known, unexpired, unspent invite, and both signatures of the newcomer."""
    body: Admit = claim.body
    invite = OperationId(body.invite)
    found = claim.authority.invites.get(invite)
    if found is None or not found[1] or not claim.authority.bit(invite) & claim.view:
        return "invite"
    if claim.header.time_ms > found[0].expires_ms:
        return "expired"
    realm, member = claim.authority.realm, body.identity.member
    signed = (realm, body.invite, member)
    if not verify_claim("possess", found[0].key, body.possession, *signed):
        return "possession"
    if not verify_claim("consent", body.identity.device.signing, body.consent, *signed):
        return "consent"
    if not body.identity.device.usable:
        return "keys"
    if claim.authority.admissions(invite, claim.view) >= found[0].uses:
        return "spent"
    return "" if claim.header.document == member else "document"


def _node(claim: Claim) -> str:
    """The node's own device signed for its grant, which names the granting member."""
    body: NodeGrant = claim.body
    signed = (claim.authority.realm, claim.member)
    if not verify_claim("consent", body.device.signing, body.consent, *signed):
        return "consent"
    if not body.device.usable:
        return "keys"
    return "" if claim.header.document == claim.member else "document"


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
    Kind(GENESIS, Genesis, Role.COORDINATOR, log=0, rule=_second_genesis),
    Kind(ROLE, RoleAct, Role.COORDINATOR, log=0, rule=_role_act),
    Kind(INVITE, Invite, Role.MEMBER, log=0),
    Kind(ADMIT, Admit, Role.NEWCOMER, log=0, unattended=True, max_body=16_384, rule=_admit),
    Kind(NODE, NodeGrant, Role.NEWCOMER, log=0, max_body=16_384, rule=_node),
    Kind(EPOCH, Epoch, Role.COORDINATOR, log=0, max_body=MAX_BODY),
    Kind(ERASURE, Erasure, Role.NEWCOMER, rule=_erasure),
)
"""Rules version 1, as far as every community shares it; the domains add their own kinds."""
