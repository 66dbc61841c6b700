"""Making a new member, and this node with them, at home in a community.

Every step looks first whether it is done already: what a crash cut off is finished the next time
the member is unlocked.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar

from commons_crdt.author import Draft
from commons_crdt.authority.facts import Epoch, EpochShare, Identity
from commons_crdt.authority.kinds import EPOCH, NODE
from commons_crdt.device import DeviceSecrets, seal
from commons_crdt.errors import CommonsError
from commons_crdt.ids import ZERO, DocumentId, MemberId, digest
from commons_crdt.roles import Role
from commons_node.community import SEALING, SIGNING
from commons_node.domains.membership.facts import MAX_NAME, NAME, PROFILE, Profile
from commons_node.keystore.unlocked import Unlocked
from commons_node.membership.identities import identity
from commons_node.realm.realm import Realm
from commons_node.standing import open_epochs

if TYPE_CHECKING:
    from commons_node.daemon import Daemon


class BadName(CommonsError):
    """A name has 1 to 120 bytes of text, without line breaks."""

    code: ClassVar[str] = "name"
    hint: ClassVar[str] = "choose a shorter name"
    status = "usage"


def name_part(text: str) -> bytes:
    """A name as it stands in a part. Raises ``BadName``."""
    data = text.strip().encode("utf-8")
    if not 1 <= len(data) <= MAX_NAME or not text.strip().isprintable():
        raise BadName
    return data


def new_device() -> DeviceSecrets:
    """Fresh secrets, made on this machine, never copied."""
    return DeviceSecrets(os.urandom(32), os.urandom(32))


def identity_of(secrets: DeviceSecrets) -> Identity:
    """A new member with one device, no guardians and no recovery key."""
    return Identity(secrets.keys, (), 0, ZERO)


async def keep(daemon: Daemon, member: MemberId, secrets: DeviceSecrets, phrase: str) -> Unlocked:
    """Seal a new member's keys on this node, before anything is signed with them."""
    keys = {SIGNING: secrets.signing, SEALING: secrets.sealing}
    return await daemon.keystore.create(member.hex(), keys, phrase)


async def settle(
    daemon: Daemon, realm: Realm, member: MemberId, secrets: DeviceSecrets, name: bytes | None
) -> None:
    """See the module. ``name``: what the member is called, None if that was said before."""
    grant = realm.judge.authority.devices[secrets.keys.id].id
    await _open_epochs(realm, member, secrets)
    await daemon.standing.refresh(realm)
    stands = secrets.keys.id in realm.judge.authority.standing_devices()
    if realm.own_credential is None and stands and not is_limited(realm, member, secrets):
        body = daemon.standing.grant_body(realm, member)
        draft = Draft.fact(NODE, body, log=0, document=DocumentId(member))
        await realm.write([draft], secrets, grant)
    if name is not None:
        draft = Draft.fact(PROFILE, Profile(), document=DocumentId(member), parts=[(NAME, name)])
        await realm.write([draft], secrets, grant)
    await daemon.refresh(realm)


def is_limited(realm: Realm, member: MemberId, secrets: DeviceSecrets) -> bool:
    """Whether this device may write only what it was granted for: no node, no epoch, no name."""
    found = identity(realm, member)
    return found is not None and found.devices.get(secrets.keys.id) is not None


async def _open_epochs(realm: Realm, member: MemberId, secrets: DeviceSecrets) -> None:
    """Open what is sealed to the member; a founder without any epoch makes the first."""
    authority = realm.judge.authority
    if not authority.epochs and authority.role(member, authority.whole) is Role.COORDINATOR:
        key = os.urandom(32)
        body = Epoch(
            digest("epoch", key),
            (EpochShare(secrets.keys.id, seal(key, secrets.keys.sealing)),),
        )
        grant = authority.devices[secrets.keys.id].id
        await realm.write([Draft.fact(EPOCH, body, log=0)], secrets, grant)
    await read(realm, secrets)


async def read(realm: Realm, secrets: DeviceSecrets) -> None:
    """Open every epoch key that is sealed to a device; writes nothing."""
    known = await realm.store.everything("c.log = 0")
    realm.epoch_keys.update(open_epochs(known, secrets))
