"""What people write in any small town, whoever judges it: drafts, consents, headers signed again.

Shared by the simulator and by the tests that hold one copy of a realm by hand.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Protocol

import msgspec

from commons_crdt.author import Draft
from commons_crdt.authority.facts import Admit, Erasure, Identity, Invite, NodeGrant, RoleAct
from commons_crdt.authority.judge import ERASURE, Standing
from commons_crdt.authority.kinds import ADMIT, INVITE, NODE, ROLE
from commons_crdt.device import DeviceSecrets, sign_claim
from commons_crdt.ids import ZERO, DocumentId, MemberId, OperationId, RealmId
from commons_crdt.operation import Operation, decode_header, encode_header, sign
from commons_crdt.roles import Role
from commons_node.domains.membership.facts import NAME, PROFILE, Profile

START_MS = 1_750_000_000_000
"""When every town is founded, UTC."""
DAY_MS = 86_400_000


class Somebody(Protocol):
    """Whoever is a member."""

    @property
    def member(self) -> MemberId:
        """Their id."""


def identity(device: DeviceSecrets) -> Identity:
    """An identity of one device, without guardians or a recovery key."""
    return Identity(device.keys, (), 0, ZERO)


def role_act(subject: Somebody, role: Role) -> Draft:
    """What a coordinator writes to give a role."""
    body = RoleAct(subject.member, int(role))
    return Draft.fact(ROLE, body, log=0, document=DocumentId(subject.member))


def renamed(member: MemberId, name: str, rng: random.Random) -> Draft:
    """What a member writes to be called something else."""
    part = f"{name} {rng.randrange(10**9)}".encode()
    return Draft.fact(PROFILE, Profile(), document=DocumentId(member), parts=[(NAME, part)])


def erasure(target: Standing) -> Draft:
    """What somebody writes to erase an operation, or the document it belongs to."""
    return Draft.fact(ERASURE, Erasure(target.id), document=target.document, refs=[target.id])


def invitation(key: bytes, uses: int, expires_ms: int) -> Draft:
    """What a member writes to invite; ``key``: the public half of the invite's."""
    return Draft.fact(INVITE, Invite(key, uses, expires_ms), log=0)


def consent(device: DeviceSecrets, realm: RealmId, invite: OperationId) -> bytes:
    """The newcomer's own signature under an admission."""
    signed = (realm, invite, identity(device).member)
    return sign_claim("consent", device.signing, *signed)


def admission(realm: RealmId, invite: OperationId, seed: bytes, newcomer: DeviceSecrets) -> Draft:
    """What a node writes to let a newcomer in; ``seed``: the private half of the invite's key."""
    who = identity(newcomer)
    possess = sign_claim("possess", seed, realm, invite, who.member)
    fact = Admit(invite, who, possess, consent(newcomer, realm, invite), ())
    return Draft.fact(ADMIT, fact, log=0, document=DocumentId(who.member))


def node_grant(realm: RealmId, owner: Somebody, node: DeviceSecrets) -> Draft:
    """What a member writes to grant a node's device, with the node's signature."""
    signature = sign_claim("consent", node.signing, realm, owner.member)
    fact = NodeGrant(node.keys, signature, ())
    return Draft.fact(NODE, fact, log=0, document=DocumentId(owner.member))


def resign(operation: Operation, by: DeviceSecrets, /, **changes: object) -> Operation:
    """The operation with other header fields, signed again: what a forger would write."""
    header = encode_header(msgspec.structs.replace(decode_header(operation.header), **changes))
    return replace(operation, header=header, signature=sign(header, by.signing))
