"""Letting new machines of existing members in: what this node does for whoever knocks.

Tickets are kept in memory only and end with their time. A device ticket is granted by the member
who made it, once they have typed the digits that the new machine shows; a help ticket by the
guardians; whoever holds the recovery key, or the key of a device whose suspension is over, needs
no ticket at all.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import structlog
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from commons_crdt.author import Draft
from commons_crdt.authority.facts import NodeGrant
from commons_crdt.authority.identity_facts import (
    AddDevice,
    Limit,
    NewDevice,
    Readmit,
    Recovery,
)
from commons_crdt.authority.kinds import NODE
from commons_crdt.authority.kinds_identity import DEVICE, READMIT
from commons_crdt.ids import DocumentId, MemberId, RealmId
from commons_crdt.kinds import encode_fact
from commons_crdt.operation import Operation
from commons_crdt.texts import _
from commons_node.community import Actor, Community
from commons_node.domains.identity.facts import REQUEST, RecoverTerms, Request, statement
from commons_node.keystore.recovery_key import recovery_hash
from commons_node.membership import warrants
from commons_node.membership.identities import ends_of, head, identity, machines, owner_of
from commons_node.membership.open_tickets import (
    NobodyAsks,
    NotGranted,
    OpenTicket,
    WrongDigits,
)
from commons_node.membership.warrants import Asked, NotCarried, NotEnough, Overtaken
from commons_node.realm.authoring import Written
from commons_node.standing import share
from commons_protocol.applying import Application, Opened, Owned, chosen
from commons_protocol.joining import TurnedAwayError
from commons_protocol.network import Address
from commons_protocol.request_files import checked, decode_request, encode_grant, opened_by
from commons_protocol.tickets import (
    SALT_BYTES,
    Purpose,
    Ticket,
    digits,
    encode_ticket,
    heard,
)

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

log = structlog.get_logger(component="membership")

TICKET_S = 15 * 60
HELP_S = 24 * 3600
_HOLD_S = 40.0
"""How long a request is held while people decide; the new machine then asks again."""
_LOOK_S = 0.5
_MOST_TICKETS = 64
_TRIES = 3


class Devices:
    """This node's part in letting machines in; see ``peering.types.Reception``."""

    def __init__(self, daemon: Daemon) -> None:
        """Belongs to one daemon."""
        self._daemon = daemon
        self._tickets: dict[bytes, OpenTicket] = {}
        self._composing = asyncio.Lock()

    # --- tickets ---

    def make(
        self,
        purpose: Purpose,
        community: Community,
        member: MemberId,
        *,
        seconds: int,
        address: Address | None,
        limit: Limit | None = None,
        label: str | None = None,
    ) -> tuple[str, int]:
        """The code of a new ticket and when it ends (ms). A new one replaces the one before."""
        seed = os.urandom(16)
        realm = community.realm.realm
        code = encode_ticket(purpose, member, seed, realm, address)
        ticket = Ticket(purpose, member, seed, bytes(realm))
        ends_ms = self._daemon.now_ms() + seconds * 1000
        self._drop(lambda one: one.ticket.purpose == purpose and one.ticket.member == member)
        while len(self._tickets) >= _MOST_TICKETS:
            del self._tickets[next(iter(self._tickets))]
        self._tickets[ticket.id] = OpenTicket(ticket, realm, ends_ms, limit, label)
        return code, ends_ms

    def _drop(self, which: Callable[[OpenTicket], bool]) -> None:
        for name in [name for name, one in self._tickets.items() if which(one)]:
            del self._tickets[name]

    def waiting(self, realm: RealmId, member: MemberId) -> bool:
        """Whether a machine asks to become a device of this member."""
        return any(self._asking(realm, member))

    def _asking(self, realm: RealmId, member: MemberId) -> list[OpenTicket]:
        now = self._daemon.now_ms()
        return [
            one
            for one in self._tickets.values()
            if one.ticket.purpose == "device"
            and one.ticket.member == member
            and one.realm == realm
            and one.asked is not None
            and not one.granted.is_set()
            and now <= one.ends_ms
        ]

    # --- who knocks ---

    async def look(self, name: bytes) -> Opened | None:
        """See ``peering.types.Reception``."""
        ticket = self._tickets.get(name)
        if ticket is not None:
            return await self._by_ticket(ticket)
        for community in self._daemon.kept():
            opened = await _by_recovery_key(community, name) or _by_old_device(
                community, name, self._daemon.now_ms()
            )
            if opened is not None:
                return opened
        return None

    async def _by_ticket(self, found: OpenTicket) -> Opened | None:
        community = self._daemon.communities.get(found.realm)
        ticket, member = found.ticket, found.ticket.member
        if community is None or self._daemon.now_ms() > found.ends_ms:
            return None
        state = identity(community.realm, member)
        if state is None:
            return None
        ends = await _retirable(community, member) if ticket.purpose == "help" else ()
        return Opened(
            ticket.purpose, ticket.id, ticket.public_key, found.realm, member, state.base, ends
        )

    # --- what is asked ---

    async def apply(
        self, application: Application, tell: Callable[[bytes], Awaitable[None]]
    ) -> Sequence[Operation]:
        """See ``peering.types.Reception``."""
        opened = application.opened
        community = self._daemon.communities.get(opened.realm)
        if community is None:
            raise TurnedAwayError("later")
        try:
            match opened.way:
                case "device":
                    await self._device(application, tell)
                case "help":
                    await self._help(community, application, tell)
                case "recovery":
                    await self._recover(community, application)
                case "readmit":
                    await self._readmit(community, application)
        except NotCarried as error:
            raise TurnedAwayError("later") from error
        known = await community.realm.store.everything("c.log = 0")
        return [operation for _, operation in known]

    async def _device(
        self, application: Application, tell: Callable[[bytes], Awaitable[None]]
    ) -> None:
        """Bind the ticket to the first machine that comes, and wait for the member."""
        found = self._tickets.get(application.opened.name)
        if found is None:
            raise TurnedAwayError("expired")
        if found.asked is None:
            self._bind(found, application)
        elif found.asked.device != application.device:
            raise TurnedAwayError("used")
        await tell(found.salt)
        try:
            async with asyncio.timeout(_HOLD_S):
                await found.granted.wait()
        except TimeoutError:
            raise TurnedAwayError("waiting") from None

    def _bind(self, found: OpenTicket, application: Application) -> None:
        found.asked, found.salt = application, os.urandom(SALT_BYTES)
        member = found.ticket.member.hex()
        self._daemon.events.publish("device", {"community": found.realm.hex(), "member": member})

    def hear(self, community: Community, actor: Actor, data: bytes) -> None:
        """A request that came as a file. Raises ``BadCode``, ``NobodyAsks``."""
        member, name, message = decode_request(data)
        found = self._tickets.get(name)
        mine = member == actor.member and found is not None and found.ticket.member == member
        if not mine or found is None or self._daemon.now_ms() > found.ends_ms:
            raise NobodyAsks
        key = found.ticket.public_key
        wanted = checked(opened_by(community.realm.realm, member, name, key), message)
        if found.asked is None:
            self._bind(found, wanted)
            found.salt = bytes(SALT_BYTES)  # nobody can be told another
        elif found.asked.device != wanted.device:
            raise WrongDigits(left=_("another machine has used this code; make a new one"))

    async def grant_file(self, community: Community, member: MemberId) -> bytes:
        """All of log 0, for a machine that can't be reached."""
        known = await community.realm.store.everything("c.log = 0")
        return encode_grant(community.realm.realm, member, [operation for _, operation in known])

    async def confirm(
        self, community: Community, actor: Actor, typed: str
    ) -> tuple[Written, OpenTicket]:
        """The member has typed what the new machine shows: sign for it.

        Raises ``NobodyAsks``, ``WrongDigits``, ``NotGranted``.
        """
        realm = community.realm.realm
        asking = self._asking(realm, actor.member)
        if not asking:
            raise NobodyAsks
        for one in asking:
            assert one.asked is not None
            if digits(realm, actor.member, one.asked.device.id, one.salt) == heard(typed):
                result = await self.grant(community, actor, one.asked, one.limit)
                one.granted.set()
                return result, one
        for one in asking:
            one.tries += 1
        self._drop(lambda one: one.tries >= _TRIES)
        left = (
            _("the code is void now: make a new one")
            if asking[0].tries >= _TRIES
            else _("try again")
        )
        raise WrongDigits(left=left)

    async def grant(
        self, community: Community, actor: Actor, asked: Application, limit: Limit | None
    ) -> Written:
        """Sign for a new device; for a limited one also for its node, which it could not."""
        realm = community.realm
        member = DocumentId(actor.member)
        body = AddDevice(
            head(realm, actor.member).base,
            asked.device,
            asked.consent,
            (limit,) if limit is not None else (),
            share(realm, asked.device.sealing),
        )
        drafts = [Draft.fact(DEVICE, body, log=0, document=member)]
        if limit is not None and asked.node is not None:
            node = NodeGrant(asked.node, asked.node_consent, share(realm, asked.node.sealing))
            drafts.append(Draft.fact(NODE, node, log=0, document=member))
        results = await community.write(actor, *drafts)
        if not warrants.stands(results):
            bad = next(r for r in results if not warrants.stands([r]))
            raise NotGranted(reason=bad.judgement.sentence, operation=bad.id.hex()[:12])
        return results[0]

    # --- without a device of one's own ---

    def _terms(self, application: Application) -> RecoverTerms:
        opened = application.opened
        device = NewDevice(application.device, application.consent)
        endings = chosen(opened.endings, application.retire)
        return RecoverTerms(opened.member, opened.base, (device,), endings)

    async def _recover(self, community: Community, application: Application) -> None:
        """One step: the key's signature is over exactly this act."""
        opened = application.opened
        if application.device.id in community.realm.judge.authority.devices:
            return  # asked again: it is done
        terms = self._terms(application)
        over = statement(opened.realm, terms)
        try:
            VerifyKey(opened.key).verify(over, application.claim)
        except (BadSignatureError, ValueError):
            raise TurnedAwayError("refused") from None
        warrant = Recovery(opened.key, application.claim)
        if not warrants.stands(
            await warrants.carry(self._daemon, community, warrants.draft(community, terms, warrant))
        ):
            raise TurnedAwayError("changed")
        log.info("recovered", member=opened.member.hex()[:8], by="recovery key")

    async def _help(
        self,
        community: Community,
        application: Application,
        tell: Callable[[bytes], Awaitable[None]],
    ) -> None:
        """Tell the guardians, and wait until enough of them have endorsed."""
        found = self._tickets.get(application.opened.name)
        if found is None:
            raise TurnedAwayError("expired")
        if found.asked is not None and found.asked.device != application.device:
            raise TurnedAwayError("used")
        found.asked = application
        authority = community.realm.judge.authority
        terms = self._terms(application)
        over = statement(application.opened.realm, terms)
        async with self._composing:
            await self._ask_guardians(community, terms, over)
        await tell(bytes(SALT_BYTES))
        loop = asyncio.get_running_loop()
        until = loop.time() + _HOLD_S
        while application.device.id not in authority.devices:
            async with self._composing:
                await self._finish(community, over)
            if application.device.id in community.realm.judge.authority.devices:
                return
            if loop.time() > until:
                raise TurnedAwayError("waiting")
            await asyncio.sleep(_LOOK_S)

    async def _ask_guardians(self, community: Community, terms: RecoverTerms, over: bytes) -> None:
        if any(one.statement == over for one in await warrants.requests(community)):
            return
        body = Request("recover", encode_fact(terms))
        await warrants.carry(
            self._daemon, community, Draft.fact(REQUEST, body, document=DocumentId(terms.member))
        )

    async def _finish(self, community: Community, over: bytes) -> None:
        asked = next((o for o in await warrants.requests(community) if o.statement == over), None)
        if asked is not None:
            try:
                await self.complete(community, asked)
            except NotEnough:
                return
            except Overtaken:
                raise TurnedAwayError("changed") from None

    async def carries(self, realm: RealmId) -> bool:
        """Whether this node stands in a community, and may sign."""
        community = self._daemon.communities.get(realm)
        standing = community is not None and community.realm.own_credential is not None
        return standing and self._daemon.may_sign(realm)

    async def complete(self, community: Community, asked: Asked) -> Written:
        """Carry what enough guardians have endorsed. Raises ``NotEnough``, ``Overtaken``."""
        warrant = warrants.by_guardians(community, asked)
        (result,) = await warrants.carry(
            self._daemon, community, warrants.draft(community, asked.terms, warrant)
        )
        log.info("carried", act=asked.act, member=asked.terms.member.hex()[:8])
        return result

    async def _readmit(self, community: Community, application: Application) -> None:
        """A suspension is over, and the old device has released the member to a new one."""
        opened = application.opened
        authority = community.realm.judge.authority
        if application.device.id in authority.devices:
            return
        old = next(g.keys.id for g in authority.devices.values() if g.keys.signing == opened.key)
        body = Readmit(
            opened.member,
            old,
            application.device,
            application.consent,
            application.claim,
            share(community.realm, application.device.sealing),
        )
        draft = Draft.fact(READMIT, body, log=0, document=DocumentId(opened.member))
        if not warrants.stands(await warrants.carry(self._daemon, community, draft)):
            raise TurnedAwayError("refused")
        log.info("readmitted", member=opened.member.hex()[:8])


async def _retirable(community: Community, member: MemberId) -> tuple[Owned, ...]:
    """The ends of all devices that may be lost, each with its node."""
    known = await machines(community, member)
    return ends_of(community.realm, [one for one in known if one.standing])


async def _by_recovery_key(community: Community, key: bytes) -> Opened | None:
    realm = community.realm
    member = owner_of(realm, recovery_hash(key))
    state = identity(realm, member) if member is not None else None
    if member is None or state is None:
        return None
    ends = await _retirable(community, member)
    return Opened("recovery", key, key, realm.realm, member, state.base, ends)


def _by_old_device(community: Community, key: bytes, now_ms: int) -> Opened | None:
    """A device of somebody who is no member now, and whose suspension is over."""
    authority = community.realm.judge.authority
    grants = authority.devices.values()
    grant = next((g for g in grants if g.keys.signing == key and not g.unattended), None)
    if grant is None or authority.role_now(grant.member) is not None:
        return None
    for cut in authority.cuts:
        if cut.member == grant.member and (
            cut.kind in {"removal", "dismissal"}
            or (cut.kind == "suspension" and cut.until_ms >= now_ms)
        ):
            return None
    return Opened("readmit", key, key, community.realm.realm, grant.member, grant.id)
