"""Joining with an invite: at this node if it is in the community, otherwise through its nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import structlog

from commons_crdt.authority.facts import Identity
from commons_crdt.device import DeviceSecrets, sign_claim
from commons_crdt.errors import CommonsError
from commons_crdt.ids import OperationId, RealmId
from commons_crdt.operation import Operation
from commons_crdt.texts import _
from commons_node.community import Community, device_of
from commons_node.keystore.sessions import Session
from commons_node.keystore.unlocked import Unlocked
from commons_node.membership.settling import (
    identity_of,
    keep,
    name_part,
    new_device,
    settle,
)
from commons_node.peering.entrance import WORDS
from commons_node.peering.types import Joined, NotJoined
from commons_protocol.codes import Invitation, decode_invite, decode_invite_file
from commons_protocol.joining import TurnedAwayError
from commons_protocol.network import Address

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

log = structlog.get_logger(component="membership")
_RETRY_S = 5.0
_FIRST_ROUND_S = 5.0
"""How long a newcomer waits for what the others have, so that names are known at once."""


class AlreadyHere(CommonsError):
    """{name} is a member on this node already."""

    code: ClassVar[str] = "exists"
    hint: ClassVar[str] = "choose another name, or: commons-node member unlock {name}"


class Joining:
    """Joins that run, and those that still wait for an answer."""

    def __init__(self, daemon: Daemon) -> None:
        """Belongs to one daemon."""
        self._daemon = daemon
        self._waiting: set[asyncio.Task[Community]] = set()

    async def join(
        self,
        code: str | None,
        name: str,
        passphrase: str,
        *,
        file: bytes | None,
        address: str | None,
        wait_s: float,
        session: Session | None,
    ) -> Mapping[str, object]:
        """The answer of ``join``; state ``waiting`` when nobody answered within ``wait_s``.

        The node then goes on asking. The same invite with the same passphrase goes on with the
        same keys, also after a restart.
        """
        name_part(name)
        invitation = decode_invite_file(file) if file is not None else decode_invite(code or "")
        local = self._local(invitation)
        if local is not None and name in (await local.names()).values():
            raise AlreadyHere(name=name)
        unlocked = await self._keys(invitation.invite, passphrase)
        secrets = device_of(unlocked)
        identity = identity_of(secrets)
        joining = asyncio.create_task(
            self._join(invitation, local, identity, secrets, name, address), name="join"
        )
        self._waiting.add(joining)
        joining.add_done_callback(self._ended)
        done, _ = await asyncio.wait({joining}, timeout=wait_s)
        community = joining.result() if done else None
        session = session or self._daemon.sessions.new()
        session.unlock(unlocked)
        answer: dict[str, object] = {
            "operation": None,
            "verdict": "pending",
            "reason": "missing",
            "community": invitation.pin.hex(),
            "member": identity.member.hex(),
            "member_name": name,
            "device": secrets.keys.id.hex(),
            "node": self._daemon.node,
            "session": session.token,
            "state": "waiting",
        }
        if community is None:
            return answer
        granted = community.realm.judge.authority.devices[secrets.keys.id]
        return {
            **answer,
            "operation": granted.id.hex(),
            "verdict": granted.verdict.name.lower(),
            "reason": "",
            "community": community.id,
            "name": await community.name(),
            "state": "joined",
        }

    def _ended(self, joining: asyncio.Task[Community]) -> None:
        self._waiting.discard(joining)
        if not joining.cancelled() and (error := joining.exception()) is not None:
            log.warning("not_joined", why=str(error))

    async def _keys(self, invite: OperationId, passphrase: str) -> Unlocked:
        """The keys that this node made for the invite, new ones the first time."""
        setting = f"join {invite.hex()}"
        member = await self._daemon.store.setting(setting)
        if member is not None and member not in {
            one.hex() for one in await self._daemon.store.members()
        }:
            return await self._daemon.keystore.unlock(member, passphrase)
        secrets = new_device()
        identity = identity_of(secrets)
        unlocked = await keep(self._daemon, identity.member, secrets, passphrase)
        await self._daemon.store.set(setting, identity.member.hex())
        return unlocked

    def _local(self, invitation: Invitation) -> Community | None:
        """The community of an invitation, if this node is in it already."""
        here = self._daemon.admissions.find(invitation.invite)
        if here is None or not invitation.fits_realm(here[0]):
            return None
        return self._daemon.communities.get(here[0])

    async def _join(
        self,
        invitation: Invitation,
        local: Community | None,
        identity: Identity,
        secrets: DeviceSecrets,
        name: str,
        address: str | None,
    ) -> Community:
        def consent(realm: RealmId) -> bytes:
            return sign_claim("consent", secrets.signing, realm, invitation.invite, identity.member)

        if local is not None:
            realm_id = local.realm.realm
            operations = await self._admit_here(local, invitation, identity, consent(realm_id))
        else:
            joined = await self._ask(invitation, identity, consent, address)
            realm_id, operations = joined.realm, joined.operations
        realm = await self._daemon.add_realm(realm_id, operations, identity.member)
        if local is None:
            await realm.pinning.keep_to(invitation.invite)
        if secrets.keys.id not in realm.judge.authority.devices:
            raise NotJoined(_("the answer does not hold your admission"))
        await settle(self._daemon, realm, identity.member, secrets, name_part(name))
        if local is None:
            await self._daemon.peering.wait_converged(timeout=_FIRST_ROUND_S)
        return self._daemon.communities[realm_id]

    async def _admit_here(
        self, local: Community, invitation: Invitation, identity: Identity, consent: bytes
    ) -> Sequence[Operation]:
        realm = local.realm.realm
        possession = invitation.possess(realm, identity.member)
        try:
            return await self._daemon.admissions.admit(
                realm, invitation.invite, identity, possession, consent
            )
        except TurnedAwayError as error:
            raise NotJoined(WORDS.get(error.code, WORDS["later"]), error.code) from error

    async def _ask(
        self,
        invitation: Invitation,
        identity: Identity,
        consent: Callable[[RealmId], bytes],
        address: str | None,
    ) -> Joined:
        """Ask until somebody answers; only a refusal of the invite itself ends it."""
        addresses = [Address(address)] if address else []
        while True:
            try:
                return await self._daemon.peering.join(
                    invitation, identity, consent, addresses=addresses
                )
            except NotJoined as error:
                if error.turned in {"expired", "spent"}:
                    raise
                log.info("join_again", why=str(error))
            await asyncio.sleep(_RETRY_S)

    async def stop(self) -> None:
        """Give up joins that still wait; the same invite goes on with the same keys."""
        waiting = list(self._waiting)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
