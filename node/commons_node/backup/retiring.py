"""What a restored home owes: each member's new device, and the end of the lost machine's.

The old device adds the new one, gives it its seat in the council, and ends itself where the
community knows its chains to end; the old node's device closes itself. All of that is signed with
keys of the backup, behind what another node has told: see `restored`. Each step looks whether it
was done before, so that a crash between two of them costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from commons_crdt.author import Draft
from commons_crdt.authority.ballots import Step, open_at, propose
from commons_crdt.authority.council_facts import Coordinators
from commons_crdt.authority.endings import Ending
from commons_crdt.authority.identity_facts import AddDevice, Close, Own, Recover
from commons_crdt.authority.kinds_identity import CLOSE, DEVICE, RECOVER
from commons_crdt.device import DeviceSecrets, sign_claim
from commons_crdt.errors import CommonsError
from commons_crdt.ids import DocumentId, MemberId
from commons_crdt.texts import _
from commons_node.backup.restored import Restored
from commons_node.backup.restoring import LOOK_S, OldNodeLives
from commons_node.community import Community, Retired, device_of
from commons_node.domains.council.acts import content_of
from commons_node.keystore.unlocked import Unlocked
from commons_node.membership.arriving import next_device
from commons_node.membership.identities import head, identity, named_by, tip
from commons_node.membership.settling import settle
from commons_node.peering.types import PeerState
from commons_node.realm.authoring import NotWritten, Written
from commons_node.sealing.keeper import table_of, write_step
from commons_node.signing import CatchingUp, Copied
from commons_node.standing import share
from commons_protocol.names import NodeId
from commons_protocol.network import Address, NetworkError

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

log = structlog.get_logger(component="backup")

_OLD_SIGNING: Final = "old signing"
_OLD_SEALING: Final = "old sealing"
"""Names, in a key file, of the lost machine's device, until it has ended."""
_POLL_S: Final = 0.1


class Retiring:
    """Does it for each member once they are unlocked. Belongs to one daemon."""

    def __init__(self, daemon: Daemon, restored: Restored) -> None:
        """``restored``: what this home owes."""
        self._daemon = daemon
        self.restored = restored
        self._lock = asyncio.Lock()

    def owes(self, member: MemberId) -> bool:
        """Whether this member's old device has not ended yet."""
        return self.restored.owes(member)

    def acts_with_old(self, unlocked: Unlocked) -> bool:
        """Whether this member has no new device yet, so that nothing else may be signed."""
        owes = self.owes(MemberId(bytes.fromhex(unlocked.member)))
        return owes and not unlocked.find(_OLD_SIGNING)

    async def at_unlock(
        self, community: Community, unlocked: Unlocked
    ) -> Mapping[str, object] | None:
        """Do it now if somebody was met, otherwise as soon as somebody is; None if nothing is owed.

        ``state`` is ``done``, ``waiting`` (for another node), ``seat`` (for the council) or
        ``failed``, with a sentence under ``why``.
        """
        member = MemberId(bytes.fromhex(unlocked.member))
        if not self.owes(member):
            return None
        try:
            await self._daemon.signing.soon(community.realm.realm)
            return await self.finish(community, unlocked)
        except (Copied, CatchingUp) as error:
            self._daemon.spawn(self._later(community, unlocked))
            return {"state": "waiting", "why": str(error), "retired": []}
        except CommonsError as error:
            log.warning("not_retired", member=unlocked.member[:8], why=str(error))
            return {"state": "failed", "why": str(error), "retired": []}

    async def _later(self, community: Community, unlocked: Unlocked) -> None:
        await self._daemon.signing.until(community.realm.realm)
        if unlocked.wiped:
            return  # the next unlocking does it
        try:
            await self.finish(community, unlocked)
        except CommonsError as error:
            log.warning("not_retired", member=unlocked.member[:8], why=str(error))

    async def finish(self, community: Community, unlocked: Unlocked) -> Mapping[str, object]:
        """All steps that are left. Raises ``OldNodeLives``, and what keeps an act from counting."""
        async with self._lock:
            member = MemberId(bytes.fromhex(unlocked.member))
            if not self.owes(member):
                return {"state": "done", "why": "", "retired": []}
            await self._see_that_it_is_silent()
            old = await self._replace(community, member, unlocked)
            new = device_of(unlocked)
            if old is None:
                self.restored.member_done(member)
                return {"state": "done", "why": "", "retired": []}
            await self._node(community, member, new)
            if not await self._seat(community, member, old, new):
                why = _("the council has not moved the seat to the new device yet")
                return {"state": "seat", "why": why, "retired": []}
            await self._retire(community, member, old)
            await self._daemon.keystore.add_all(
                unlocked.member, {_OLD_SIGNING: b"", _OLD_SEALING: b""}, unlocked
            )
            self.restored.member_done(member)
            await self._daemon.refresh(community.realm)
            log.info("restored", member=unlocked.member[:8], device=new.keys.id.hex()[:8])
            return {"state": "done", "why": "", "retired": [old.keys.id.hex()]}

    async def _see_that_it_is_silent(self) -> None:
        """Raise ``OldNodeLives`` if the lost machine's node is here, or answers where it was."""
        owed, peering = self.restored.owed, self._daemon.peering
        if owed is None:
            return
        with suppress(TimeoutError):  # the end of a connection is heard a little later
            async with asyncio.timeout(LOOK_S):
                while self._connected(NodeId(owed.node)):  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(_POLL_S)
        if peer := self._connected(NodeId(owed.node)):
            raise OldNodeLives(address=next(iter(peer.addresses), peer.node[:8]))
        for address in owed.addresses:
            with suppress(NetworkError):
                await peering.network.connect(Address(address), timeout=LOOK_S)
                raise OldNodeLives(address=address)

    def _connected(self, node: NodeId) -> PeerState | None:
        peers = self._daemon.peering.peers()
        return next((peer for peer in peers if peer.connected and peer.node == node), None)

    # -- steps ---------------------------------------------------------------------------------

    async def _replace(
        self, community: Community, member: MemberId, unlocked: Unlocked
    ) -> DeviceSecrets | None:
        """The new device, in the identity and in the key file; the old one, None if it has ended.

        A limited device cannot add one: it ends, and whoever granted it grants another.
        """
        signing, sealing = unlocked.find(_OLD_SIGNING), unlocked.find(_OLD_SEALING)
        if signing and sealing:
            return DeviceSecrets(signing, sealing)
        old = device_of(unlocked)
        try:
            actor = await community.actor(unlocked)
        except Retired:
            return None
        realm = community.realm
        new = await next_device(self._daemon.keystore, unlocked)
        if new.keys.id not in realm.judge.authority.devices:
            body = AddDevice(
                head(realm, member).base,
                new.keys,
                sign_claim("consent", new.signing, realm.realm, member),
                (),
                share(realm, new.keys.sealing),
            )
            draft = Draft.fact(DEVICE, body, log=0, document=DocumentId(member))
            _counts(await community.write(actor, draft))
        secrets = {
            "signing": new.signing, "sealing": new.sealing,
            _OLD_SIGNING: old.signing, _OLD_SEALING: old.sealing,
        }  # fmt: skip
        await self._daemon.keystore.add_all(unlocked.member, secrets, unlocked)
        return old

    async def _node(self, community: Community, member: MemberId, new: DeviceSecrets) -> None:
        """The old node's device closes itself, and this node gets one of its own."""
        daemon, realm = self._daemon, community.realm
        owed = self.restored.owed
        if owed is None or realm.realm.hex() not in owed.realms:
            return
        node, credential = daemon.standing.device(realm.realm), realm.own_credential
        granted = realm.judge.authority.devices.get(node.keys.id) if node is not None else None
        if node is not None and credential is not None and granted is not None:
            body = Close(tip(realm, node.keys.id, 1))
            document = DocumentId(granted.member)
            draft = Draft.fact(CLOSE, body, log=0, document=document)
            _counts(await realm.write([draft], node, credential.grant))
            await daemon.refresh(realm)
        await settle(daemon, realm, member, new, None)
        if realm.own_credential is not None:
            self.restored.node_done(realm.realm)

    async def _seat(
        self, community: Community, member: MemberId, old: DeviceSecrets, new: DeviceSecrets
    ) -> bool:
        """Whether the old device has no seat in the council: what moves it is proposed, if it can.

        A council of one decides at once; of several, the others endorse.
        """
        council = community.realm.judge.authority.council
        if dict(council.seats).get(member) != old.keys.id:
            return True
        table = table_of(community.realm)
        assert table is not None
        ledger, base = table
        seats = tuple(
            (who, new.keys.id if who == member else key) for who, key in ledger.states[base].seats
        )
        wanted = Coordinators(seats, ())
        proposed = (one.act for one in open_at(ledger, base, old.keys.id) if one.act)
        if any(content_of(community, act) == wanted for act in proposed):
            return False
        step = propose(ledger, base, old.keys.id, wanted)
        if isinstance(step, Step):
            grant = community.realm.judge.authority.devices[old.keys.id]
            actor = await community.actor_of(member, old, grant.id)
            await write_step(community, actor, step)
        return dict(community.realm.judge.authority.council.seats).get(member) != old.keys.id

    async def _retire(self, community: Community, member: MemberId, old: DeviceSecrets) -> None:
        """The old device ends where its chains are known to end."""
        realm, device = community.realm, old.keys.id
        state = identity(realm, member)
        if state is None or device not in state.devices:
            return
        ending = Ending(device, tip(realm, device, 0), tip(realm, device, 1))
        base = head(realm, member).base
        body = Recover(member, base, (), (ending,), Own(), ())
        refs = list(dict.fromkeys([base, *named_by([ending])]))
        draft = Draft.fact(RECOVER, body, log=0, document=DocumentId(member), refs=refs)
        grant = realm.judge.authority.devices[device].id
        _counts(await realm.write([draft], old, grant))


def _counts(results: list[Written]) -> None:
    for one in results:
        if one.judgement.verdict.name != "ACCEPTED":
            raise NotWritten(why=one.judgement.sentence)
