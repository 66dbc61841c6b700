"""The typed bodies of log 0: genesis, roles, invites, admissions, node grants, epoch keys.

They hold keys and hashes only: names stand in parts of log 1, where they can be erased.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from commons_crdt import canonical
from commons_crdt.authority.endings import Ending
from commons_crdt.device import DeviceKeys, Key, Signature
from commons_crdt.ids import MemberId, digest
from commons_crdt.operation import Hash

Sealed = Annotated[bytes, msgspec.Meta(min_length=80, max_length=80)]
"""A 32-byte key in a libsodium sealed box."""

Setting = tuple[
    Annotated[str, msgspec.Meta(max_length=40)], int | Annotated[str, msgspec.Meta(max_length=64)]
]


class Identity(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What a member's id is a hash of: first device, guardians, m of them, recovery key's hash.

    Guardians ascend; 32 zero bytes stand for "no recovery key".
    """

    device: DeviceKeys
    guardians: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=8)]
    threshold: Annotated[int, msgspec.Meta(ge=0, le=8)]
    recovery: Hash

    def __post_init__(self) -> None:
        """Refuse guardians who could never act, or any of whom could be left out."""
        if self.guardians != tuple(sorted(set(self.guardians))):
            raise ValueError("guardians ascend")
        if not bool(self.guardians) <= self.threshold <= len(self.guardians):
            raise ValueError("at least one guardian, at most all")

    @property
    def member(self) -> MemberId:
        """The member id: needs no admission, and is the same wherever it is computed."""
        return MemberId(
            digest(
                "member",
                canonical.encode(
                    [self.device.id, list(self.guardians), self.threshold, self.recovery]
                ),
            )
        )


class Genesis(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The first operation of a realm: grants the founder's first device, and the first base.

    ``constitution``: pairs in ascending order of their names; the names are in ``settings``.
    """

    identity: Identity
    rules: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    constitution: Annotated[tuple[Setting, ...], msgspec.Meta(max_length=64)]


class RoleAct(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A coordinator gives a member a role from ``newcomer`` (1) to ``host`` (4)."""

    member: Hash
    role: Annotated[int, msgspec.Meta(ge=1, le=4)]


class Invite(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """An invite: its one-time public key, how many it admits, and until when (ms, UTC)."""

    key: Key
    uses: Annotated[int, msgspec.Meta(ge=1, le=1000)]
    expires_ms: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]


class SealedKey(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One epoch's key for the device that is let in: the epoch operation and the sealed key."""

    epoch: Hash
    key: Sealed


class Admit(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A node lets a newcomer in: grants the first device of the identity.

    ``possession``: by the invite's key; ``consent``: by the new device; both over realm,
    invite and member, in this order.
    """

    invite: Hash
    identity: Identity
    possession: Signature
    consent: Signature
    epochs: Annotated[tuple[SealedKey, ...], msgspec.Meta(max_length=64)]


class NodeGrant(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A member grants the unattended device of a node; ``consent`` over realm and member."""

    device: DeviceKeys
    consent: Signature
    epochs: Annotated[tuple[SealedKey, ...], msgspec.Meta(max_length=64)]


class EpochShare(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """An epoch's key sealed to one standing device."""

    device: Hash
    key: Sealed


class Epoch(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A fresh 32-byte key for every standing device; the epoch is named by the operation.

    ``commitment`` is ``digest("epoch", key)``: whoever passes the key on can't pass on another.
    """

    commitment: Hash
    shares: Annotated[tuple[EpochShare, ...], msgspec.Meta(min_length=1, max_length=384)]


class Erasure(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Erase one fact, or the whole document that the named edit belongs to (log 1)."""

    target: Hash


REASONS = ("conduct", "lost", "moved", "other", "request", "security")
"""Why somebody's rights were taken away: a word; what is personal stands in a note of log 1."""

Reason = Literal["conduct", "lost", "moved", "other", "request", "security"]


class Demotion(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Beyond ``endings`` the member has at most ``role``; chains go on."""

    member: Hash
    role: Annotated[int, msgspec.Meta(ge=1, le=4)]
    endings: Annotated[tuple[Ending, ...], msgspec.Meta(max_length=128)]
    reason: Reason


class Removal(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The member's chains end at ``endings``; ``until_ms`` > 0: a suspension up to then."""

    member: Hash
    until_ms: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
    endings: Annotated[tuple[Ending, ...], msgspec.Meta(max_length=128)]
    reason: Reason


class Revocation(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Takes back a node grant (its device ends at ``endings``) or an invite (no endings)."""

    target: Hash
    endings: Annotated[tuple[Ending, ...], msgspec.Meta(max_length=1)]
    reason: Reason


class Branch(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Names the branch of a member's forked device: it stands up to ``ending``, and ends."""

    member: Hash
    ending: Ending
