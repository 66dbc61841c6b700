"""Joining with an invite: `/commons/join/1`, one short stream from newcomer to any node.

    newcomer                          node
                     ←   Welcome(nonce)
    Knock(invite, signature)   →          signed by the invite's key over nonce and transport keys
                     ←   Realm(realm)     only to a good knock; everything else: the same end
    Enter(identity, possession, consent)  →   only if the realm fits the pin
                     ←   Page(operations)… or Turned(code)

The knock comes first so that knowing an invite's id (every member does) is not enough to learn
which community a node belongs to. The newcomer believes nothing but the pin: the operations go to
the judge. The machines read no clock. What a knock for an existing member leads to stands in
`applying`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from commons_crdt.authority.facts import Identity
from commons_crdt.device import verify_claim
from commons_crdt.errors import Refused
from commons_crdt.ids import OperationId, RealmId
from commons_crdt.kinds import decode_fact, encode_fact
from commons_crdt.operation import Operation
from commons_protocol import carriage, wire
from commons_protocol.applying import Application, Look, Opened, application, subject
from commons_protocol.codes import Invitation, knock_parts
from commons_protocol.effects import Close, Send
from commons_protocol.network import PeerId, ProtocolName

JOIN = ProtocolName("/commons/join/1")

MAX_PAGES = 1_024
"""Frames of operations that a newcomer takes: 64 MiB."""

HELPFUL = frozenset({"expired", "spent", "later", "waiting", "used", "changed", "refused"})
"""What may be told to whoever holds the invite, ticket or key."""


class TurnedAwayError(Exception):
    """The newcomer holds the invite, and cannot come in; ``code`` is one of `HELPFUL`."""

    def __init__(self, code: str) -> None:
        """Other codes than the helpful ones become ``later``."""
        super().__init__(code)
        self.code = code if code in HELPFUL else "later"


@dataclass(frozen=True, slots=True)
class Admit:
    """Let this newcomer in: both signatures hold. Answer with ``admitted`` or ``turned``."""

    realm: RealmId
    invite: OperationId
    identity: Identity
    possession: bytes
    consent: bytes


@dataclass(frozen=True, slots=True)
class Received:
    """The newcomer has everything: all log-0 operations of the realm, unverified."""

    realm: RealmId
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """The node knows the invite, and says why it does not help."""

    code: str


Find = Callable[[OperationId], tuple[RealmId, bytes] | None]
"""The realm and the one-time key of an invite, if this node has it."""


HostState = Literal["welcomed", "looking", "known", "opened", "entering", "over"]
NewcomerState = Literal["outside", "knocked", "entering", "inside", "over"]


class Host:
    """The node's side of one attempt."""

    def __init__(self, own: PeerId, peer: PeerId, find: Find, nonce: bytes) -> None:
        """``nonce``: 32 fresh random bytes."""
        self.state: HostState = "welcomed"
        self._own = own
        self._peer = peer
        self._find = find
        self._nonce = nonce
        self._invite: OperationId
        self._found: tuple[RealmId, bytes]
        self._opened: Opened
        self._knock_signature: bytes

    @property
    def knocked(self) -> bool:
        """True once the newcomer has shown that it holds an invite, a ticket or a key."""
        return self.state in {"known", "opened"}

    def begin(self) -> list[Send]:
        """The first frame, the same for everybody."""
        return [Send(wire.pack(wire.Welcome(wire.VERSION, self._nonce)))]

    def on_frame(self, frame: bytes) -> list[Send | Admit | Look | Application | Close]:
        """A frame of the newcomer."""
        try:
            match self.state, wire.unpack_join(frame):
                case "welcomed", wire.Knock() as message:
                    return self._knock(message)
                case "welcomed", wire.KnockKey() as message:
                    return self._look(OperationId(message.key), message.signature)
                case "opened", wire.Apply() as message:
                    self.state = "entering"
                    return [application(self._opened, message)]
                case "known", wire.Enter() as message:
                    return self._enter(message)
                case _:
                    return self._end("join_order")
        except Refused as error:
            return self._end(f"join_{error.why}")

    def _end(self, code: str) -> list[Send | Admit | Look | Application | Close]:
        self.state = "over"
        return [Close(code)]

    def _look(
        self, name: OperationId, signature: bytes
    ) -> list[Send | Admit | Look | Application | Close]:
        self._invite, self._knock_signature = name, signature
        self.state = "looking"
        return [Look(name)]

    def on_look(self, opened: Opened | None) -> list[Send | Close]:
        """The answer to ``Look``; as silent as ever to whoever does not hold the ticket or key."""
        parts = knock_parts(self._nonce, self._own, self._peer, self._invite)
        # What is unknown costs a verification, too: the time tells nothing.
        key = opened.key if opened is not None else bytes(self._nonce)
        good = verify_claim("knock", key, self._knock_signature, *parts)
        if opened is None or not good:
            self.state = "over"
            return [Close("join_stranger")]
        self._opened, self.state = opened, "opened"
        return [Send(wire.pack(subject(opened)))]

    def _knock(self, message: wire.Knock) -> list[Send | Admit | Look | Application | Close]:
        self._invite = OperationId(message.invite)
        found = self._find(self._invite)
        if found is None:
            return self._look(self._invite, message.signature)
        parts = knock_parts(self._nonce, self._own, self._peer, self._invite)
        if not verify_claim("knock", found[1], message.signature, *parts):
            return self._end("join_stranger")
        self._found, self.state = found, "known"
        return [Send(wire.pack(wire.Realm(found[0])))]

    def _enter(self, message: wire.Enter) -> list[Send | Admit | Look | Application | Close]:
        realm, key = self._found
        identity = decode_fact(Identity, message.identity, 1024)
        signed = (realm, self._invite, identity.member)
        if not verify_claim("possess", key, message.possession, *signed):
            return self._end("join_possession")
        if not verify_claim("consent", identity.device.signing, message.consent, *signed):
            return self._end("join_consent")
        if not identity.device.usable:
            return self._end("join_keys")  # nothing could be sealed to it
        self.state = "entering"
        return [Admit(realm, self._invite, identity, message.possession, message.consent)]

    def admitted(self, operations: Sequence[Operation]) -> list[Send | Close]:
        """The answer to ``Admit``: all log-0 operations, the admission among them."""
        self.state = "over"
        pages = list(carriage.pages(operations))
        return [*(Send(page) for page in pages), Close("")]

    def pending(self, salt: bytes) -> list[Send]:
        """An answer to ``Application`` before the last one: people are asked."""
        return [Send(wire.pack(wire.Pending(salt)))]

    def turned(self, code: str) -> list[Send | Close]:
        """The other answer to ``Admit``."""
        self.state = "over"
        return [Send(wire.pack(wire.Turned(TurnedAwayError(code).code))), Close("join_turned")]


class Newcomer:
    """The newcomer's side of one attempt."""

    def __init__(
        self,
        own: PeerId,
        peer: PeerId,
        invitation: Invitation,
        identity: Identity,
        consent: Callable[[RealmId], bytes],
    ) -> None:
        """``consent`` signs realm, invite and member with the new device's key."""
        self._own = own
        self._peer = peer
        self._invitation = invitation
        self._identity = identity
        self._consent = consent
        self.state: NewcomerState = "outside"
        self._realm: RealmId
        self._operations: list[Operation] = []
        self._pages = 0

    def on_frame(self, frame: bytes) -> list[Send | Received | TurnedAway | Close]:
        """A frame of the node."""
        try:
            message = wire.unpack_join(frame)
        except Refused as error:
            return self._end(error.why)
        match self.state, message:
            case "outside", wire.Welcome():
                return self._knock(message)
            case "knocked", wire.Realm():
                return self._enter(message)
            case "entering" | "inside", wire.Page():
                return self._page(message)
            case "entering", wire.Turned():
                self.state = "over"
                return [TurnedAway(message.code if message.code in HELPFUL else "later")]
            case _:
                return self._end("order")

    def _end(self, code: str) -> list[Send | Received | TurnedAway | Close]:
        self.state = "over"
        return [Close(code)]

    def _knock(self, message: wire.Welcome) -> list[Send | Received | TurnedAway | Close]:
        if message.version != wire.VERSION:
            return self._end("version")
        self.state = "knocked"
        signature = self._invitation.knock(message.nonce, self._peer, self._own)
        return [Send(wire.pack(wire.Knock(self._invitation.invite, signature)))]

    def _enter(self, message: wire.Realm) -> list[Send | Received | TurnedAway | Close]:
        realm = RealmId(message.realm)
        if not self._invitation.fits_realm(realm):
            return self._end("pin")
        self._realm, self.state = realm, "entering"
        return [
            Send(
                wire.pack(
                    wire.Enter(
                        encode_fact(self._identity),
                        self._invitation.possess(realm, self._identity.member),
                        self._consent(realm),
                    )
                )
            )
        ]

    def _page(self, message: wire.Page) -> list[Send | Received | TurnedAway | Close]:
        self._pages += 1
        self.state = "inside"
        if self._pages > MAX_PAGES:
            return self._end("size")
        self._operations.extend(carriage.unpack_operations(message.operations))
        if not message.last:
            return []
        self.state = "over"
        return [Received(self._realm, tuple(self._operations))]
