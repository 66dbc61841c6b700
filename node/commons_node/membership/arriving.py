"""This machine becomes a member's: with a code, the recovery key, guardians, or after a suspension.

Keys are made here and are on the disk before anybody hears of them. What takes people's time runs
in the background; asking again with the same passphrase goes on with the same keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from commons_crdt.author import Draft
from commons_crdt.device import DeviceSecrets
from commons_crdt.ids import DocumentId, MemberId, OperationId, RealmId
from commons_crdt.operation import Operation
from commons_crdt.texts import _
from commons_node.community import device_of
from commons_node.domains.identity.facts import LABEL, LABEL_PART, Label
from commons_node.keystore.recovery_key import RecoveryKey
from commons_node.keystore.sessions import Session
from commons_node.keystore.store import Keystore
from commons_node.keystore.unlocked import Unlocked
from commons_node.membership.arrival import (
    AlreadyYours,
    Arrival,
    NotArriving,
    Probe,
    WrongGrant,
)
from commons_node.membership.doors import Door, HelpDoor, KeyDoor, OldDeviceDoor, TicketDoor
from commons_node.membership.identities import identity
from commons_node.membership.labels import label_part
from commons_node.membership.settling import keep, new_device, settle
from commons_node.peering.types import NotJoined
from commons_protocol.applying import Application, Met, application, request
from commons_protocol.joining import TurnedAwayError
from commons_protocol.network import Address, PeerId
from commons_protocol.request_files import decode_grant, encode_request
from commons_protocol.tickets import SALT_BYTES, Ticket, decode_ticket, spoken

if TYPE_CHECKING:
    from commons_node.daemon import Daemon

log = structlog.get_logger(component="membership")
_FIRST_WORD_S = 45.0
"""How long a command waits until a node has answered at all."""
_FIRST_ROUND_S = 5.0


class Arriving:
    """Arrivals that run, and those that still wait for people."""

    def __init__(self, daemon: Daemon) -> None:
        """Belongs to one daemon."""
        self._daemon = daemon
        self._arrivals: dict[MemberId, Arrival] = {}

    # --- the ways in ---

    async def by_code(
        self,
        code: str,
        passphrase: str,
        *,
        label: str | None,
        address: str | None,
        session: Session | None,
    ) -> Mapping[str, object]:
        """``member device join``: ask the machine that has made the code."""
        ticket, arrival = await self._begin("device", code, passphrase, label)
        door = TicketDoor(ticket, arrival.secrets, self._node_device)
        self._start(arrival, door, door.shown, ticket, address)
        return await self._first_word(arrival, session)

    async def by_guardians(
        self,
        code: str,
        passphrase: str,
        *,
        label: str | None,
        address: str | None,
        kept: Sequence[str],
        session: Session | None,
    ) -> Mapping[str, object]:
        """``member recover start``: have the guardians asked by the node that made the code."""
        ticket, arrival = await self._begin("help", code, passphrase, label, lost=True)
        door = HelpDoor(arrival.secrets, kept, ticket=ticket)
        self._start(arrival, door, door.shown, ticket, address)
        return await self._first_word(arrival, session)

    async def by_key(
        self,
        key: RecoveryKey,
        passphrase: str,
        *,
        label: str | None,
        address: str | None,
        kept: Sequence[str],
        session: Session | None,
    ) -> Mapping[str, object]:
        """``member recover key``: one step, through any node of the community."""
        if label is not None:
            label_part(label)
        met, via = await self._probe(key, self._candidates(address))
        arrival = await self._keys(met.member, passphrase, label, lost=True)
        door = KeyDoor(arrival.secrets, kept, key=key)
        if via is None:
            realm = await self._here(arrival, door)
        else:
            realm = await self._elsewhere(arrival, door, _no_digits, _any, [via])
        answer = await self._answer(arrival, realm, session)
        assert door.terms is not None
        return {**answer, "retired": [ending.device.hex() for ending in door.terms.endings]}

    async def readmit(
        self, unlocked: Unlocked, realm: RealmId, *, address: str | None, session: Session | None
    ) -> Mapping[str, object]:
        """``member readmit``: after a suspension, with a new device released by the old one."""
        member = MemberId(bytes.fromhex(unlocked.member))
        secrets = await next_device(self._daemon.keystore, unlocked)
        arrival = Arrival(member, secrets, unlocked)
        door = OldDeviceDoor(device_of(unlocked), secrets, realm, member)
        devices = self._daemon.devices
        # A node that nobody speaks to any more has not heard of the suspension itself.
        known = await devices.look(door.old.keys.signing) is not None
        if known and await devices.carries(realm):
            found = await self._here(arrival, door)
        else:
            found = await self._elsewhere(
                arrival, door, _no_digits, _any, self._candidates(address)
            )
        return await self._answer(arrival, found, session)

    # --- by files ---

    async def request_file(
        self, code: str, passphrase: str, label: str | None, session: Session | None
    ) -> tuple[Mapping[str, object], bytes]:
        """The request for the other machine, and the digits that both must show."""
        ticket, arrival = await self._begin("device", code, passphrase, label)
        realm = ticket.realm
        if realm is None:
            raise NotJoined(_("this code is for machines that can reach each other"))
        door = TicketDoor(ticket, arrival.secrets, self._node_device)
        asked = door.ask(Met(realm, ticket.member, _NO_BASE, ()))
        assert asked is not None
        arrival.tell(door.shown(bytes(SALT_BYTES)))
        answer = await self._first_word(arrival, session)
        return answer, encode_request(ticket.member, ticket.id, asked)

    async def grant_file(
        self, code: str, passphrase: str, label: str | None, data: bytes, session: Session | None
    ) -> Mapping[str, object]:
        """Come in with the file that the other machine has written."""
        ticket, arrival = await self._begin("device", code, passphrase, label)
        realm, member, operations = decode_grant(data)
        if member != ticket.member or not ticket.fits_realm(realm):
            raise WrongGrant
        await self._enter(arrival, realm, operations, remote=False)
        return await self._answer(arrival, realm, session)

    # --- waiting ---

    async def finish(self, wait_s: float, session: Session | None) -> Mapping[str, object]:
        """Wait for people. Raises ``NotArriving``, and what ended the arrival."""
        found = [one for one in self._arrivals.values() if one.task]
        if not found:
            raise NotArriving
        arrival = found[-1]
        assert arrival.task is not None
        await asyncio.wait({arrival.task}, timeout=wait_s)
        if not arrival.task.done():
            return await self._answer(arrival, None, session)
        del self._arrivals[arrival.member]
        return await self._answer(arrival, arrival.task.result(), session)

    async def stop(self) -> None:
        """Give up what still waits; the same code goes on with the same keys."""
        tasks = [one.task for one in self._arrivals.values() if one.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- steps ---

    async def _begin(
        self, purpose: str, code: str, passphrase: str, label: str | None, *, lost: bool = False
    ) -> tuple[Ticket, Arrival]:
        if label is not None:
            label_part(label)
        ticket = decode_ticket(code, "help" if purpose == "help" else "device")
        return ticket, await self._keys(ticket.member, passphrase, label, lost=lost)

    async def _keys(
        self, member: MemberId, passphrase: str, label: str | None, *, lost: bool
    ) -> Arrival:
        """The keys that this node made for this arrival, new ones the first time."""
        daemon, name = self._daemon, member.hex()
        running = self._arrivals.pop(member, None)
        if running is not None and running.task is not None:
            running.task.cancel()
        if await daemon.store.setting(_pending(member)):
            unlocked = await daemon.keystore.unlock(name, passphrase)
            return Arrival(member, device_of(unlocked), unlocked, label)
        if name in daemon.keystore.members():
            if not lost and await self._stands(member, passphrase):
                raise AlreadyYours
            await daemon.keystore.set_aside(name)
        secrets = new_device()
        unlocked = await keep(daemon, member, secrets, passphrase)
        await daemon.store.set(_pending(member), secrets.keys.id.hex())
        return Arrival(member, secrets, unlocked, label)

    async def _stands(self, member: MemberId, passphrase: str) -> bool:
        """Whether the device in this node's key file still is one of the member's."""
        held = await self._daemon.keystore.unlock(member.hex(), passphrase)
        device = device_of(held).keys.id
        held.wipe()
        realm = (await self._daemon.store.members()).get(member)
        community = self._daemon.communities.get(realm) if realm is not None else None
        if community is None:
            return False
        state = identity(community.realm, member)
        return state is not None and device in state.devices

    def _node_device(self, realm: RealmId) -> DeviceSecrets | None:
        community = self._daemon.communities.get(realm)
        if community is not None and community.realm.own_credential is not None:
            return None
        return self._daemon.standing.fresh_device(realm, community.realm if community else None)

    def _candidates(self, address: str | None) -> list[Address]:
        """Where to ask: as told, then the nodes that this one knows."""
        known = [one for p in self._daemon.peering.peers() if not p.blocked for one in p.addresses]
        told = [Address(address)] if address else []
        return list(dict.fromkeys([*told, *known]))

    def _start(
        self,
        arrival: Arrival,
        door: TicketDoor | HelpDoor,
        shown: Callable[[bytes], str],
        ticket: Ticket,
        address: str | None,
    ) -> None:
        told = [Address(address)] if address else []
        addresses = list(dict.fromkeys([*told, *ticket.addresses]))
        work = self._elsewhere(arrival, door, shown, ticket.fits_peer, addresses)
        arrival.task = asyncio.create_task(work, name="arrival")
        arrival.task.add_done_callback(_ended)
        self._arrivals[arrival.member] = arrival

    async def _probe(
        self, key: RecoveryKey, addresses: Sequence[Address]
    ) -> tuple[Met, Address | None]:
        """Whose key this is: nothing is asked for before this machine's keys are on its disk."""
        opened = await self._daemon.devices.look(key.public)
        if opened is not None and await self._daemon.devices.carries(opened.realm):
            return Met(opened.realm, opened.member, opened.base, opened.endings), None
        probe = Probe(key)
        reasons = []
        for address in addresses:
            try:
                await self._daemon.peering.apply(probe, addresses=[address], told=_nothing)
            except NotJoined as error:
                if probe.met is not None:
                    return probe.met, address
                reasons.append(str(error.details["why"]))
        raise NotJoined("; ".join(reasons) or _("no address is known; give one with --address"))

    async def _here(self, arrival: Arrival, door: KeyDoor | OldDeviceDoor) -> RealmId:
        """Through this node itself, which stands in the community."""
        daemon = self._daemon
        name = door.key.public if isinstance(door, KeyDoor) and door.key else b""
        if isinstance(door, OldDeviceDoor):
            name = door.old.keys.signing
        opened = await daemon.devices.look(name)
        if opened is None:
            raise NotJoined(_("the suspension is not over, or there was none"))
        own = daemon.standing.device(opened.realm)
        mine = own.keys.id if own is not None else None
        ends = tuple((owner, end) for owner, end in opened.endings if end.device != mine)
        asked = door.ask(Met(opened.realm, opened.member, opened.base, ends))
        if asked is None:
            raise NotJoined(_("no device of this member is called as you say"))
        wanted: Application = application(replace(opened, endings=ends), request(asked))
        try:
            operations = await daemon.devices.apply(wanted, _tell_nobody)
        except TurnedAwayError as error:
            raise NotJoined(str(error), error.code) from error
        await self._enter(arrival, opened.realm, operations, remote=False)
        return opened.realm

    async def _elsewhere(
        self,
        arrival: Arrival,
        door: Door,
        shown: Callable[[bytes], str],
        fits: Callable[[PeerId], bool],
        addresses: Sequence[Address],
    ) -> RealmId:
        granted = await self._daemon.peering.apply(
            door, addresses=addresses, fits=fits, told=lambda salt: arrival.tell(shown(salt))
        )
        await self._enter(arrival, granted.realm, granted.operations, remote=True)
        return granted.realm

    async def _enter(
        self, arrival: Arrival, realm_id: RealmId, operations: Sequence[Operation], *, remote: bool
    ) -> None:
        """What came goes to the judge; then this machine is at home."""
        daemon, member, device = self._daemon, arrival.member, arrival.secrets.keys.id
        realm = await daemon.add_realm(realm_id, operations, member)
        state = identity(realm, member)
        if device not in realm.judge.authority.devices:
            raise WrongGrant
        if state is None or device not in state.devices:
            raise NotJoined(_("another act on this identity came before it; ask again"))
        await self._promote(arrival)
        await daemon.store.set(_pending(member), "")
        await settle(daemon, realm, member, arrival.secrets, None)
        if arrival.label is not None and state.devices[device] is None:
            parts = [(LABEL_PART, label_part(arrival.label))]
            draft = Draft.fact(LABEL, Label(), document=DocumentId(device), parts=parts)
            grant = realm.judge.authority.devices[device].id
            await realm.write([draft], arrival.secrets, grant)
        if remote:
            await daemon.peering.wait_converged(timeout=_FIRST_ROUND_S)
        log.info("arrived", member=member.hex()[:8], device=device.hex()[:8])

    async def _promote(self, arrival: Arrival) -> None:
        """A device that waited beside an older one takes its place in the key file."""
        unlocked = arrival.unlocked
        if device_of(unlocked).keys.id != arrival.secrets.keys.id:
            own = {"signing": arrival.secrets.signing, "sealing": arrival.secrets.sealing}
            await self._daemon.keystore.add_all(unlocked.member, own, unlocked)

    # --- answers ---

    async def _first_word(self, arrival: Arrival, session: Session | None) -> Mapping[str, object]:
        """Answer as soon as the digits are known, or it is over."""
        waiting: set[asyncio.Future[object]] = {arrival.digits}  # type: ignore[arg-type]  # read only
        if arrival.task is not None:
            waiting.add(arrival.task)  # type: ignore[arg-type]  # likewise
        await asyncio.wait(waiting, timeout=_FIRST_WORD_S, return_when=asyncio.FIRST_COMPLETED)
        realm = arrival.task.result() if arrival.task is not None and arrival.task.done() else None
        return await self._answer(arrival, realm, session)

    async def _answer(
        self, arrival: Arrival, realm: RealmId | None, session: Session | None
    ) -> Mapping[str, object]:
        session = session or self._daemon.sessions.new()
        session.unlock(arrival.unlocked)
        answer: dict[str, object] = {
            "operation": None,  # nothing is written here before somebody has let us in
            "verdict": None,
            "reason": None,
            "member": arrival.member.hex(),
            "device": arrival.secrets.keys.id.hex(),
            "node": self._daemon.node,
            "session": session.token,
        }
        if realm is None:
            known = arrival.digits.done()
            digits = arrival.digits.result() if known else None
            return {
                **answer,
                "state": "asked" if known else "waiting",
                "digits": digits,
                "spoken": spoken(digits) if digits else None,
            }
        community = self._daemon.communities[realm]
        granted = community.realm.judge.authority.devices[arrival.secrets.keys.id]
        return {
            **answer,
            "operation": granted.id.hex(),
            "verdict": granted.verdict.name.lower(),
            "reason": "",
            "community": community.id,
            "name": await community.name(),
            "member_name": (await community.names()).get(arrival.member),
            "state": "joined",
            "goes_on": False,
        }


_NO_BASE = OperationId(bytes(32))
_NEXT_SIGNING, _NEXT_SEALING = "next signing", "next sealing"
"""Names, in a key file, of a device that takes the place of the one that is in use."""


async def next_device(keystore: Keystore, unlocked: Unlocked) -> DeviceSecrets:
    """A second device beside the one in the key file, until it takes its place."""
    signing, sealing = unlocked.find(_NEXT_SIGNING), unlocked.find(_NEXT_SEALING)
    if signing is not None and sealing is not None:
        return DeviceSecrets(signing, sealing)
    made = new_device()
    secrets = {_NEXT_SIGNING: made.signing, _NEXT_SEALING: made.sealing}
    await keystore.add_all(unlocked.member, secrets, unlocked)
    return made


def _pending(member: MemberId) -> str:
    return f"arriving {member.hex()}"


def _any(_peer: PeerId) -> bool:
    return True


def _no_digits(_salt: bytes) -> str:
    return ""


def _nothing(_salt: bytes) -> None:
    """Nobody compares digits on this way."""


async def _tell_nobody(_salt: bytes) -> None:
    """Nobody compares digits on this way."""


def _ended(arrival: asyncio.Task[RealmId]) -> None:
    if not arrival.cancelled() and (error := arrival.exception()) is not None:
        log.warning("not_arrived", why=str(error))
