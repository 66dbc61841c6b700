"""A member's other machines come into the own realm: by an invite in it, sealed to their devices.

The community sees that a member has written something for own devices, and no more: neither the
realm's name nor the invite. Only nodes of the same member are asked to let a machine in.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import structlog

from commons_crdt.author import Draft
from commons_crdt.authority.facts import Invite
from commons_crdt.authority.kinds import INVITE
from commons_crdt.device import DeviceSecrets, seal, sign_claim, unseal
from commons_crdt.errors import Refused
from commons_crdt.ids import DeviceId, DocumentId, MemberId, OperationId, RealmId
from commons_crdt.kinds import decode_fact
from commons_crdt.operation import content
from commons_node.community import Community, device_of
from commons_node.domains.own.facts import DOOR, DOOR_BYTES, MAX_DOORS, Door, DoorShare
from commons_node.domains.spaces.facts import SINCE
from commons_node.keystore.unlocked import Unlocked
from commons_node.membership.settling import identity_of, new_device
from commons_node.own.realms import DAY_MS, OwnRealm
from commons_node.peering.types import NotJoined
from commons_protocol.codes import Invitation, invite_key
from commons_protocol.names import node_id
from commons_protocol.network import Address

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

log = structlog.get_logger(component="own")
_YEARS_MS = 3650 * DAY_MS


async def look_at_doors(daemon: Daemon, community: Community, unlocked: Unlocked) -> bool:
    """Go in where another machine of the member has opened a door; else open one for the others.

    False if there is a door, and nobody behind it is here now: it is tried again another time.
    """
    if community.realm.judge.authority.council.rules < SINCE:
        return True
    if daemon.own.inside(unlocked):
        await _open_for_others(daemon, community, unlocked)
        return True
    door = await _door_for(community, unlocked)
    if door is None:
        return True
    secrets = daemon.own.asked_with(unlocked) or new_device()
    return await _go_in(daemon, community, unlocked, secrets, door)


async def _doors(community: Community, member: MemberId) -> list[Door]:
    """The doors that a member has opened here."""
    rows = await community.query(
        "SELECT o.body, c.device FROM operations o JOIN chains c ON c.n = o.chain"
        " WHERE o.kind = ? AND o.verdict = 1 AND o.body IS NOT NULL ORDER BY o.n",
        (DOOR,),
    )
    devices = community.realm.judge.authority.devices
    found = []
    for body, device in rows:
        granted = devices.get(DeviceId(device))
        if granted is None or granted.member != member or granted.unattended:
            continue
        try:
            found.append(decode_fact(Door, content(body)))
        except Refused:
            continue
    return found


async def _door_for(community: Community, unlocked: Unlocked) -> bytes | None:
    device = device_of(unlocked)
    for door in await _doors(community, MemberId(bytes.fromhex(unlocked.member))):
        for share in door.shares:
            opened = unseal(share.sealed, device.sealing) if share.device == device.keys.id else b""
            if opened is not None and len(opened) == DOOR_BYTES:
                return opened
    return None


async def _open_for_others(daemon: Daemon, community: Community, unlocked: Unlocked) -> None:
    """A door for each device of the member that has none yet."""
    own = await daemon.own.of(unlocked)
    member = MemberId(bytes.fromhex(unlocked.member))
    mine = device_of(unlocked).keys.id
    has = {share.device for door in await _doors(community, member) for share in door.shares}
    grants = community.realm.judge.authority.standing_devices()
    others = [
        grant.keys
        for device, grant in sorted(grants.items())
        if grant.member == member and not grant.unattended and grant.limit is None
        and device != mine and device not in has
    ][:MAX_DOORS]  # fmt: skip
    if own is None or not others or not _founded(own):
        return
    seed = os.urandom(16)
    body = Invite(invite_key(seed), len(others), daemon.now_ms() + _YEARS_MS)
    grant = own.realm.judge.authority.devices[own.secrets.keys.id].id
    (invite,) = await own.realm.write([Draft.fact(INVITE, body, log=0)], own.secrets, grant)
    inside = own.realm.realm + invite.id + seed + own.key
    shares = tuple(DoorShare(keys.id, seal(inside, keys.sealing)) for keys in others)
    actor = await community.actor(unlocked)
    await community.write(actor, Draft.fact(DOOR, Door(shares), document=DocumentId(member)))


def _founded(own: OwnRealm) -> bool:
    """Only the device that founded the realm invites: the others are guests in it."""
    granted = own.realm.judge.authority.devices.get(own.secrets.keys.id)
    return granted is not None and bytes(granted.id) == bytes(own.realm.realm)


async def _go_in(
    daemon: Daemon, community: Community, unlocked: Unlocked, secrets: DeviceSecrets, door: bytes
) -> bool:
    """Ask the member's other nodes, those that are here now; True when this machine is in.

    Who was let in and did not hear of it asks again with the same device: an invite lets in once.
    """
    realm, invite = RealmId(door[:32]), OperationId(door[32:64])
    seed, key = door[64:80], door[80:]
    identity = identity_of(secrets)
    addresses = _own_nodes(daemon, community, MemberId(bytes.fromhex(unlocked.member)))
    if not addresses:
        return False
    await daemon.own.keep(unlocked, realm, secrets, key)

    def consent(_realm: RealmId) -> bytes:
        return sign_claim("consent", secrets.signing, realm, invite, identity.member)

    invitation = Invitation(invite, seed, realm, ())
    try:
        joined = await daemon.peering.join(invitation, identity, consent, addresses=addresses)
    except NotJoined as error:
        log.info("door", why=error.turned or "nobody answered")
        return False
    if joined.realm != realm:
        return False
    await daemon.own.enter(unlocked, secrets, key, realm, joined.operations)
    return daemon.own.inside(unlocked)


def _own_nodes(daemon: Daemon, community: Community, member: MemberId) -> list[Address]:
    """Addresses of connected nodes that the member has granted."""
    devices = community.realm.judge.authority.devices
    found: list[Address] = []
    for peer, talk in daemon.peering.talks.now.items():
        device = talk.session.devices.get(community.realm.realm)
        granted = devices.get(device) if device is not None else None
        known = daemon.peering.book.get(node_id(peer))
        if granted is not None and granted.member == member and known is not None:
            found.extend(known.addresses)
    return found
