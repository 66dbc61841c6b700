"""The typed bodies of identities: devices, recovery, guardians, closing, fork proofs.

Source: docs/protocol/authority.md "Bodies".
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from commons_crdt.authority.endings import Ending, Position
from commons_crdt.authority.facts import SealedKey
from commons_crdt.device import DeviceKeys, Key, Signature
from commons_crdt.operation import Hash, KindName

Epochs = Annotated[tuple[SealedKey, ...], msgspec.Meta(max_length=64)]


class Own(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="own"):
    """The author is a device of the member."""


class Recovery(
    msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="recovery"
):
    """By the offline recovery key, over the act's statement."""

    key: Key
    signature: Signature


class Guardians(
    msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="guardians"
):
    """By m guardians, each with an endorsement of the act's statement in the act's past."""

    endorsements: Annotated[tuple[Hash, ...], msgspec.Meta(min_length=1, max_length=8)]


Warrant = Own | Recovery | Guardians


class Limit(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What a kiosk's or an agent's device may write: kinds, how many in log 1, until when."""

    kinds: Annotated[tuple[KindName, ...], msgspec.Meta(min_length=1, max_length=16)]
    operations: Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
    until_ms: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]

    def __post_init__(self) -> None:
        """One encoding for one set of kinds."""
        if self.kinds != tuple(sorted(set(self.kinds))):
            raise ValueError("kinds ascend")


class NewDevice(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A device with its consent over (realm, member)."""

    keys: DeviceKeys
    consent: Signature


class AddDevice(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A member's device grants another one; at most one ``limit``."""

    base: Hash
    device: DeviceKeys
    consent: Signature
    limit: Annotated[tuple[Limit, ...], msgspec.Meta(max_length=1)]
    epochs: Epochs


class Recover(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Retires the devices in ``endings`` and grants at most one new one."""

    member: Hash
    base: Hash
    device: Annotated[tuple[NewDevice, ...], msgspec.Meta(max_length=1)]
    endings: Annotated[tuple[Ending, ...], msgspec.Meta(max_length=128)]
    warrant: Warrant
    epochs: Epochs


class SetGuardians(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Other guardians (members, ascending), m of them, another recovery hash (zeroes: none)."""

    member: Hash
    base: Hash
    guardians: Annotated[tuple[Hash, ...], msgspec.Meta(max_length=8)]
    threshold: Annotated[int, msgspec.Meta(ge=0, le=8)]
    recovery: Hash
    warrant: Warrant

    def __post_init__(self) -> None:
        """As in an ``Identity``."""
        if self.guardians != tuple(sorted(set(self.guardians))):
            raise ValueError("guardians ascend")
        if not bool(self.guardians) <= self.threshold <= len(self.guardians):
            raise ValueError("at least one guardian, at most all")


class Pick(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Of several acts on one base of an identity, this one counts."""

    member: Hash
    base: Hash
    act: Hash
    warrant: Warrant


class GuardianEndorsement(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A guardian stands for one act on the identity of ``member``."""

    member: Hash
    statement: Hash


class Close(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The device writes nothing more: log 0 ends here, log 1 at ``record``."""

    record: Position


class Readmit(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A suspended member comes back with a new device, released by the ``old`` one."""

    member: Hash
    old: Hash
    device: DeviceKeys
    consent: Signature
    release: Signature
    epochs: Epochs


class ForkProof(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Two signed headers at one place of a chain; it has no effect but these."""

    first: Annotated[bytes, msgspec.Meta(max_length=2048)]
    first_signature: Signature
    second: Annotated[bytes, msgspec.Meta(max_length=2048)]
    second_signature: Signature
