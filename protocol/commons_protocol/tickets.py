"""Tickets: codes by which a machine of an existing member asks to be let in.

A *device* ticket is made by one of the member's own devices, a *help* ticket by a neighbour for
somebody who has lost theirs. Same layout as an invite code, with the member's id in the place of
the invite's. A ticket proves nothing but that two people have spoken: who answers must show the
realm that it names, and what it asks for is granted by the member's device, or the guardians.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nacl.signing import SigningKey

from commons_crdt.device import sign_claim
from commons_crdt.ids import DeviceId, MemberId, RealmId, digest
from commons_crdt.texts import _
from commons_protocol.codes import (
    ADDRESS_KINDS,
    CHECKSUM,
    MAX_CODE,
    PIN_BYTES,
    SEED_BYTES,
    BadCode,
    LongAddress,
    letters,
    node_check,
    pack_address,
    payload_of,
    unpack_address,
)
from commons_protocol.names import peer_key
from commons_protocol.network import Address, PeerId

Purpose = Literal["device", "help"]
_TYPES: dict[Purpose, int] = {"device": 0x30, "help": 0x40}
_PURPOSES = {number: purpose for purpose, number in _TYPES.items()}
_REALM_BYTES = 32
SALT_BYTES = 16


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket as the new machine holds it.

    ``seed``: 16 secret bytes. ``pin``: the first 16 bytes of the realm; all 32 where there is no
    address, so that the new machine can sign for the realm without asking anybody.
    """

    purpose: Purpose
    member: MemberId
    seed: bytes
    pin: bytes
    addresses: tuple[Address, ...] = ()
    check: bytes = b""

    def __repr__(self) -> str:
        """Leave the seed out: reprs end in logs."""
        return f"Ticket({self.purpose}, {self.member.hex()[:8]}…, {self.addresses})"

    @property
    def public_key(self) -> bytes:
        """The key that a node checks the knock and the request with."""
        return bytes(SigningKey(self._signing).verify_key)

    @property
    def id(self) -> bytes:
        """What a knock names: 32 bytes that only holders of the ticket know."""
        return digest("ticket", self.public_key)

    @property
    def realm(self) -> RealmId | None:
        """The whole realm, if the ticket has it."""
        return RealmId(self.pin) if len(self.pin) == _REALM_BYTES else None

    @property
    def _signing(self) -> bytes:
        return digest("tickseed", bytes([_TYPES[self.purpose]]), self.seed)

    def knock(self, nonce: bytes, node: PeerId, joiner: PeerId) -> bytes:
        """The signature that a node wants before it says anything."""
        parts = (nonce, peer_key(node), peer_key(joiner), self.id)
        return sign_claim("knock", self._signing, *parts)

    def possess(self, realm: RealmId, device: DeviceId) -> bytes:
        """The signature that binds the ticket to one new device."""
        return sign_claim("possess", self._signing, realm, self.member, device)

    def fits_realm(self, realm: RealmId) -> bool:
        """True if ``realm`` is the one that the ticket names."""
        return len(realm) == _REALM_BYTES and realm.startswith(self.pin)

    def fits_peer(self, peer: PeerId) -> bool:
        """True if ``peer`` may be the node that the ticket was made at."""
        return not self.check or node_check(peer, len(self.check)) == self.check


def encode_ticket(
    purpose: Purpose, member: MemberId, seed: bytes, realm: RealmId, address: Address | None
) -> str:
    """The code of a ticket, upper case, without dashes; ``LongAddress`` if it is too long.

    ``address`` ends in ``/p2p/<peer id>``; None where the request is carried as a file.
    """
    if len(member) != 32 or len(seed) != SEED_BYTES or len(realm) != _REALM_BYTES:
        raise ValueError("a ticket needs a member, a seed of 16 bytes and a realm")
    kind, where, pin = "none", b"", bytes(realm)
    if address is not None:
        kind, where = pack_address(address)
        pin = realm[:PIN_BYTES]
    payload = bytes([_TYPES[purpose] | ADDRESS_KINDS.index(kind)]) + member + seed + pin + where
    if len(payload) + CHECKSUM > MAX_CODE:
        raise LongAddress(address=address)
    return letters(payload)


def decode_ticket(text: str, purpose: Purpose) -> Ticket:
    """Read a ticket made for ``purpose``; ``BadCode`` if it is none."""
    data = payload_of(text)
    found = _PURPOSES.get(data[0] & 0xF0)
    if found is None or data[0] & 0x0F >= len(ADDRESS_KINDS):
        raise BadCode(
            why=_("it is no {purpose} code that this version knows").format(purpose=purpose)
        )
    if found != purpose:
        raise BadCode(
            why=_("it is a {found} code, and this takes a {purpose} code").format(
                found=found, purpose=purpose
            )
        )
    kind = ADDRESS_KINDS[data[0] & 0x0F]
    pin_end = 49 + (_REALM_BYTES if kind == "none" else PIN_BYTES)
    if len(data) < pin_end:
        raise BadCode(why=_("a part of it is missing"))
    addresses, check = unpack_address(kind, data[pin_end:])
    member, seed, pin = MemberId(data[1:33]), data[33:49], data[49:pin_end]
    return Ticket(purpose, member, seed, pin, addresses, check)


def digits(realm: RealmId, member: MemberId, device: DeviceId, salt: bytes) -> str:
    """Six digits that both machines show: the same only if they mean the same new device.

    ``salt``: 16 bytes that the member's own node draws *after* it has bound the ticket to one
    device, so that nobody can look for another device with the same digits.
    """
    number = int.from_bytes(digest("digits", realm, member, device, salt)[:8], "big") % 1_000_000
    return f"{number:06}"


def statement_digits(statement: bytes) -> str:
    """Twelve digits for a statement that guardians are asked to stand for, heard by voice."""
    return f"{int.from_bytes(digest('spoken', statement)[:8], 'big') % 10**12:012}"


def spoken(number: str) -> str:
    """Digits in groups, as people read them aloud: ``482 913``, ``4829 1377 0214``."""
    size = 3 if len(number) == 6 else 4
    return " ".join(number[start : start + size] for start in range(0, len(number), size))


def heard(text: str) -> str:
    """The digits in what somebody typed; blanks and dashes do not matter."""
    return "".join(letter for letter in text if letter in "0123456789")
