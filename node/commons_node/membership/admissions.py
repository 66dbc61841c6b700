"""Invites, and letting their holders in: what any node of a community does unattended."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from commons_crdt.author import Draft
from commons_crdt.authority.facts import Admit, Identity, Invite
from commons_crdt.authority.kinds import ADMIT, INVITE
from commons_crdt.ids import DocumentId, OperationId, RealmId
from commons_crdt.operation import Operation
from commons_node.community import Actor, Community
from commons_node.realm.authoring import Written
from commons_node.realm.realm import Realm
from commons_node.standing import share
from commons_protocol.codes import LongAddress, encode_invite, encode_invite_file, invite_key
from commons_protocol.joining import TurnedAwayError
from commons_protocol.network import Address

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

log = structlog.get_logger(component="membership")


@dataclass(frozen=True, slots=True)
class MadeInvite:
    """An invite in all its forms; ``expires`` is RFC 3339 UTC."""

    written: Written
    code: str
    file: bytes
    expires: str


class Admissions:
    """This node's part in letting people in; see ``peering.types.Admissions``."""

    def __init__(self, daemon: Daemon, own: Callable[[], Mapping[RealmId, Realm]] = dict) -> None:
        """Belongs to one daemon. ``own``: realms of single members, which it lets in to as well."""
        self._daemon = daemon
        self._own = own

    async def invite(
        self, community: Community, actor: Actor, uses: int, expires_s: int
    ) -> MadeInvite:
        """A one-time key in the inviter's log 0, and the code that carries its private half."""
        seed = os.urandom(16)
        expires_ms = self._daemon.now_ms() + expires_s * 1000
        body = Invite(invite_key(seed), uses, expires_ms)
        (result,) = await community.write(actor, Draft.fact(INVITE, body, log=0))
        realm = community.realm
        addresses = self._daemon.addresses
        ((_, operation),) = await realm.store.everything("o.id = ?", (result.id,))
        moment = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=expires_ms)
        return MadeInvite(
            result,
            _code(result.id, seed, realm.realm, addresses),
            encode_invite_file(operation, seed, realm.realm, addresses),
            moment.isoformat(timespec="seconds").replace("+00:00", "Z"),
        )

    def find(self, invite: OperationId) -> tuple[RealmId, bytes] | None:
        """The realm and the public key of an invite that stands here."""
        kept = (community.realm for community in self._daemon.kept())
        for held in [*kept, *self._own().values()]:
            known = held.judge.authority.invites.get(invite)
            if known is not None and known[1]:
                return held.realm, known[0].key
        return None

    async def admit(
        self,
        realm: RealmId,
        invite: OperationId,
        identity: Identity,
        possession: bytes,
        consent: bytes,
    ) -> Sequence[Operation]:
        """Let a newcomer in by this node's device, once; gives all of log 0."""
        community = self._daemon.communities.get(realm)
        held = community.realm if community is not None else self._own().get(realm)
        if held is None:
            raise TurnedAwayError("later")
        authority = held.judge.authority
        if authority.role(identity.member, authority.whole) is None:
            self._check(held, invite)
            device, credential = self._daemon.standing.device(realm), held.own_credential
            if device is None or credential is None or not self._daemon.may_sign(realm):
                raise TurnedAwayError("later")
            body = Admit(
                invite, identity, possession, consent, share(held, identity.device.sealing)
            )
            draft = Draft.fact(ADMIT, body, log=0, document=DocumentId(identity.member))
            (result,) = await held.write([draft], device, credential.grant)
            log.info("admitted", member=identity.member.hex()[:8], reason=result.judgement.reason)
            if result.judgement.reason:
                raise TurnedAwayError("spent" if result.judgement.reason == "spent" else "later")
        return [operation for _, operation in await held.store.everything("c.log = 0")]

    def _check(self, held: Realm, invite: OperationId) -> None:
        """Turn away before anything is signed that would be rejected."""
        authority = held.judge.authority
        terms, _ = authority.invites[invite]
        if self._daemon.now_ms() > terms.expires_ms:
            raise TurnedAwayError("expired")
        if authority.admissions(invite, authority.whole) >= terms.uses:
            raise TurnedAwayError("spent")


def _code(invite: OperationId, seed: bytes, realm: RealmId, addresses: Sequence[Address]) -> str:
    """The short code, with the first address that fits into it, or none."""
    for address in addresses:
        with suppress(LongAddress):
            return encode_invite(invite, seed, realm, address)
    return encode_invite(invite, seed, realm, None)
