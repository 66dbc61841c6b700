"""The kinds of identities, and the fork proof. What they do is in ``identity`` and ``proofs``."""

from __future__ import annotations

from commons_crdt.authority.identity_facts import (
    AddDevice,
    Close,
    ForkProof,
    GuardianEndorsement,
    Pick,
    Readmit,
    Recover,
    SetGuardians,
)
from commons_crdt.kinds import Kind
from commons_crdt.operation import MAX_BODY
from commons_crdt.roles import Role

DEVICE = "identity.device.1"
RECOVER = "identity.recover.1"
GUARDIANS = "identity.guardians.1"
PICK = "identity.pick.1"
GUARDIAN = "identity.endorse.1"
CLOSE = "identity.close.1"
READMIT = "membership.readmit.1"
PROOF = "fork.proof.1"

IDENTITY_KINDS: tuple[Kind, ...] = (
    Kind(DEVICE, AddDevice, Role.NEWCOMER, log=0, max_body=16_384),
    Kind(RECOVER, Recover, Role.NEWCOMER, log=0, max_body=MAX_BODY),
    Kind(GUARDIANS, SetGuardians, Role.NEWCOMER, log=0),
    Kind(PICK, Pick, Role.NEWCOMER, log=0),
    Kind(GUARDIAN, GuardianEndorsement, Role.NEWCOMER, log=0),
    Kind(CLOSE, Close, Role.NEWCOMER, log=0, unattended=None),
    Kind(READMIT, Readmit, Role.NEWCOMER, log=0, unattended=None, max_body=16_384),
    Kind(PROOF, ForkProof, Role.NEWCOMER, log=0, unattended=None, max_body=8_192),
)
