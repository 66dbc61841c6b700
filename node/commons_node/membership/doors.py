"""What a new machine shows at a node's door: a ticket, a recovery key, or an old device's key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from commons_crdt.authority.identity_facts import NewDevice
from commons_crdt.device import DeviceSecrets, sign_claim
from commons_crdt.ids import DeviceId, MemberId, RealmId
from commons_node.domains.identity.facts import RecoverTerms, statement
from commons_node.keystore.recovery_key import RecoveryKey, knock_with
from commons_protocol import wire
from commons_protocol.applying import Asked, Met, Owned, chosen
from commons_protocol.network import PeerId
from commons_protocol.tickets import Ticket, digits, statement_digits

NodeDevice = Callable[[RealmId], DeviceSecrets | None]
"""The device of this machine's node in a realm; None if it stands there already."""


def consent(secrets: DeviceSecrets, realm: RealmId, member: MemberId) -> bytes:
    """The new device's signature for being let in."""
    return sign_claim("consent", secrets.signing, realm, member)


@dataclass(slots=True)
class TicketDoor:
    """A new machine of a member who has another one at hand."""

    ticket: Ticket
    secrets: DeviceSecrets
    node: NodeDevice
    met: Met | None = None

    def knock(self, nonce: bytes, node: PeerId, joiner: PeerId) -> wire.Knock:
        """With the ticket."""
        return wire.Knock(self.ticket.id, self.ticket.knock(nonce, node, joiner))

    def ask(self, met: Met) -> Asked | None:
        """To be a device, with this machine's node."""
        if not self.ticket.fits_realm(met.realm) or met.member != self.ticket.member:
            return None
        self.met = met
        node = self.node(met.realm)
        return Asked(
            self.secrets.keys,
            consent(self.secrets, met.realm, met.member),
            self.ticket.possess(met.realm, self.secrets.keys.id),
            node.keys if node is not None else None,
            consent(node, met.realm, met.member) if node is not None else b"",
        )

    def shown(self, salt: bytes) -> str:
        """The digits that the member compares."""
        assert self.met is not None
        return digits(self.met.realm, self.met.member, self.secrets.keys.id, salt)


@dataclass(slots=True)
class _Recovering:
    """What both ways of recovering share: the terms of the act."""

    secrets: DeviceSecrets
    keep: Sequence[str] = ()
    spare: Callable[[RealmId], frozenset[bytes]] = lambda _realm: frozenset()
    met: Met | None = field(default=None, init=False)
    terms: RecoverTerms | None = field(default=None, init=False)

    def compose(self, met: Met) -> tuple[RecoverTerms, tuple[bytes, ...]]:
        """The terms, and which devices are retired: all but those that are kept."""
        retire = tuple(dict.fromkeys(owner for owner, _ in met.endings if not self._kept(owner)))
        device = NewDevice(self.secrets.keys, consent(self.secrets, met.realm, met.member))
        self.met = met
        self.terms = RecoverTerms(met.member, met.base, (device,), chosen(met.endings, retire))
        return self.terms, retire

    def _kept(self, owner: DeviceId) -> bool:
        return any(owner.hex().startswith(one.lower()) for one in self.keep)

    def fits(self, met: Met) -> bool:
        """True if every device that shall be kept is one of the member's."""
        known = {owner for owner, _ in met.endings}
        return all(any(o.hex().startswith(one.lower()) for o in known) for one in self.keep)


@dataclass(slots=True)
class HelpDoor(_Recovering):
    """A new machine of somebody who has lost theirs, and whose guardians will be asked."""

    ticket: Ticket | None = None

    def knock(self, nonce: bytes, node: PeerId, joiner: PeerId) -> wire.Knock:
        """With the ticket that a neighbour has made."""
        assert self.ticket is not None
        return wire.Knock(self.ticket.id, self.ticket.knock(nonce, node, joiner))

    def ask(self, met: Met) -> Asked | None:
        """That the guardians be asked for exactly these terms."""
        assert self.ticket is not None
        wrong = not self.ticket.fits_realm(met.realm) or met.member != self.ticket.member
        if wrong or not self.fits(met):
            return None
        terms, retire = self.compose(met)
        claim = self.ticket.possess(met.realm, self.secrets.keys.id)
        return Asked(self.secrets.keys, terms.device[0].consent, claim, retire=retire)

    def shown(self, _salt: bytes) -> str:
        """The digits that the guardians must hear."""
        assert self.met is not None
        assert self.terms is not None
        return statement_digits(statement(self.met.realm, self.terms))


@dataclass(slots=True)
class KeyDoor(_Recovering):
    """A new machine of somebody who has their recovery key."""

    key: RecoveryKey | None = None
    told: Callable[[Met], None] = lambda _met: None

    def knock(self, nonce: bytes, node: PeerId, joiner: PeerId) -> wire.KnockKey:
        """With the recovery key."""
        assert self.key is not None
        return self.key.knock(nonce, node, joiner)

    def ask(self, met: Met) -> Asked | None:
        """The act itself, signed by the key."""
        assert self.key is not None
        if not self.fits(met):
            return None
        terms, retire = self.compose(met)
        claim = self.key.sign(statement(met.realm, terms))
        return Asked(self.secrets.keys, terms.device[0].consent, claim, retire=retire)


@dataclass(slots=True)
class OldDeviceDoor:
    """A member whose suspension is over, with the device that they had."""

    old: DeviceSecrets
    secrets: DeviceSecrets
    realm: RealmId
    member: MemberId

    def knock(self, nonce: bytes, node: PeerId, joiner: PeerId) -> wire.KnockKey:
        """With the old device's key."""
        return knock_with(self.old.signing, nonce, node, joiner)

    def ask(self, met: Met) -> Asked | None:
        """To come back with the new device."""
        if (met.realm, met.member) != (self.realm, self.member):
            return None
        device = self.secrets.keys
        release = sign_claim("release", self.old.signing, met.realm, met.member, device.id)
        return Asked(device, consent(self.secrets, met.realm, met.member), release)


Door = TicketDoor | HelpDoor | KeyDoor | OldDeviceDoor
__all__ = ["Door", "HelpDoor", "KeyDoor", "OldDeviceDoor", "Owned", "TicketDoor"]
