"""Letting a new machine of an existing member in: the rest of a conversation of `joining`.

    new machine                       any node, or for a device ticket the one that made it
                     ←   Welcome(nonce)
    Knock(ticket, signature) or KnockKey(key, signature)   →
                     ←   Subject(realm, member, base, endings)   only to a good knock
    Apply(new device, consent, node, consent, claim, retire)    →
                     ←   Pending(salt)?   people compare digits now
                     ←   Page(operations)… or Turned(code)

A ticket's seed, a recovery key and a device's key are shown to nobody: they sign. The new machine
believes the ticket's pin, or the realm that its own recovery key is known in; what it receives
goes to the judge. The machines read no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from commons_crdt.authority.endings import Ending, Position
from commons_crdt.device import DeviceKeys, verify_claim
from commons_crdt.errors import Refused
from commons_crdt.ids import DeviceId, MemberId, OperationId, RealmId
from commons_crdt.kinds import decode_fact, encode_fact
from commons_crdt.operation import Operation
from commons_protocol import carriage, wire
from commons_protocol.effects import Close, Send
from commons_protocol.network import PeerId

Way = Literal["device", "help", "recovery", "readmit"]
_MOST_PAGES = 1_024
_MOST_KEYS = 128
_LATER = "later"


Owned = tuple[DeviceId, Ending]
"""A member's device, and where it ends, or the node that goes with it."""


def chosen(endings: tuple[Owned, ...], retire: tuple[bytes, ...]) -> tuple[Ending, ...]:
    """The endings of these devices, in the order in which the node named them."""
    return tuple(ending for owner, ending in endings if owner in retire)


@dataclass(frozen=True, slots=True)
class Opened:
    """What a ticket or key opens at this node.

    ``name``: the ticket's id or the key itself; ``key`` checks the knock. ``base``: the head of
    the member's identity; ``endings``: where the devices end that may be retired this way, each
    and its node's under the device.
    """

    way: Way
    name: bytes
    key: bytes
    realm: RealmId
    member: MemberId
    base: OperationId
    endings: tuple[Owned, ...] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """Find what a ticket's id or a key opens here; answer with ``Host.on_look``."""

    name: bytes


@dataclass(frozen=True, slots=True)
class Application:
    """A new device that asks to be let in; its own signature holds, and the claim.

    Only the recovery key's claim is not checked yet: it is over the act that the node composes.
    """

    opened: Opened
    device: DeviceKeys
    consent: bytes
    node: DeviceKeys | None
    node_consent: bytes
    claim: bytes
    retire: tuple[bytes, ...]


def subject(opened: Opened) -> wire.Subject:
    """What a node says after a good knock."""
    endings = tuple(
        (owner, e.device, e.authority.seq, e.authority.id, e.record.seq, e.record.id)
        for owner, e in opened.endings
    )
    return wire.Subject(opened.realm, opened.member, opened.base, endings)


def endings_of(message: wire.Subject) -> tuple[Owned, ...]:
    """The endings in a ``Subject``; ``Refused`` if one makes no sense."""
    try:
        return tuple(
            (DeviceId(owner), Ending(device, Position(seq0, id0), Position(seq1, id1)))
            for owner, device, seq0, id0, seq1, id1 in message.endings
        )
    except ValueError as error:
        raise Refused("message") from error


def application(opened: Opened, message: wire.Apply) -> Application:
    """Check what a new machine asks; ``Refused`` with the reason."""
    device = decode_fact(DeviceKeys, message.device, _MOST_KEYS)
    signed = (opened.realm, opened.member)
    if not verify_claim("consent", device.signing, message.consent, *signed):
        raise Refused("consent")
    if not device.usable:
        raise Refused("keys")
    node = None
    if message.node:
        node = decode_fact(DeviceKeys, message.node, _MOST_KEYS)
        if not verify_claim("consent", node.signing, message.node_consent, *signed):
            raise Refused("consent")
        if not node.usable:
            raise Refused("keys")
    claimed = (*signed, device.id)
    purpose = {"device": "possess", "help": "possess", "readmit": "release"}.get(opened.way)
    if purpose and not verify_claim(purpose, opened.key, message.claim, *claimed):
        raise Refused("possession")
    known = {owner for owner, _ in opened.endings}
    if not known.issuperset(message.retire) or len(set(message.retire)) < len(message.retire):
        raise Refused("message")
    return Application(
        opened, device, message.consent, node, message.node_consent, message.claim, message.retire
    )


# --- the new machine's side ---


@dataclass(frozen=True, slots=True)
class Met:
    """A ``Subject`` as the new machine reads it."""

    realm: RealmId
    member: MemberId
    base: OperationId
    endings: tuple[Owned, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the new machine asks for; fields as in ``wire.Apply``."""

    device: DeviceKeys
    consent: bytes
    claim: bytes
    node: DeviceKeys | None = None
    node_consent: bytes = b""
    retire: tuple[bytes, ...] = ()


def request(asked: Asked) -> wire.Apply:
    """What a new machine asks for, as it travels."""
    return wire.Apply(
        encode_fact(asked.device),
        asked.consent,
        encode_fact(asked.node) if asked.node is not None else b"",
        asked.node_consent,
        asked.claim,
        asked.retire,
    )


class Door(Protocol):
    """How a new machine shows what it holds: a ticket, a recovery key, an old device."""

    def knock(self, nonce: bytes, node: PeerId, joiner: PeerId) -> wire.Knock | wire.KnockKey:
        """The first word."""
        ...

    def ask(self, met: Met) -> Asked | None:
        """What to ask for; None if this is not the realm or the member that was meant."""
        ...


@dataclass(frozen=True, slots=True)
class Told:
    """The node has bound the request, and people must act; digits follow from ``salt``."""

    salt: bytes


@dataclass(frozen=True, slots=True)
class Granted:
    """All log-0 operations of the realm, unverified."""

    realm: RealmId
    member: MemberId
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class Denied:
    """The node knows what was knocked with, and says why it does not help."""

    code: str


Said = Send | Told | Granted | Denied | Close


class Applicant:
    """The new machine's side of one attempt."""

    def __init__(self, own: PeerId, peer: PeerId, door: Door) -> None:
        """``own`` and ``peer``: the transport keys of both ends."""
        self._own = own
        self._peer = peer
        self._door = door
        self._knocked = False
        self._met: Met | None = None
        self._operations: list[Operation] = []
        self._pages = 0

    def on_frame(self, frame: bytes) -> list[Said]:
        """A frame of the node."""
        try:
            message = wire.unpack_join(frame)
            match message:
                case wire.Welcome() if not self._knocked:
                    return self._knock(message)
                case wire.Subject() if self._knocked and self._met is None:
                    return self._ask(message)
                case wire.Pending() if self._met is not None and not self._pages:
                    return [Told(message.salt)]
                case wire.Page() if self._met is not None:
                    return self._page(message, self._met)
                case wire.Turned() if self._met is not None and not self._pages:
                    return [Denied(message.code)]
                case _:
                    return [Close("order")]
        except Refused as error:
            return [Close(error.why)]

    def _knock(self, message: wire.Welcome) -> list[Said]:
        if message.version != wire.VERSION:
            return [Close("version")]
        self._knocked = True
        return [Send(wire.pack(self._door.knock(message.nonce, self._peer, self._own)))]

    def _ask(self, message: wire.Subject) -> list[Said]:
        met = Met(
            RealmId(message.realm),
            MemberId(message.member),
            OperationId(message.base),
            endings_of(message),
        )
        asked = self._door.ask(met)
        if asked is None:
            return [Close("pin")]
        self._met = met
        return [Send(wire.pack(request(asked)))]

    def _page(self, message: wire.Page, met: Met) -> list[Said]:
        self._pages += 1
        if self._pages > _MOST_PAGES:
            return [Close("size")]
        self._operations.extend(carriage.unpack_operations(message.operations))
        if not message.last:
            return []
        return [Granted(met.realm, met.member, tuple(self._operations))]
