"""Codes that people carry: an invite in a QR code or a file, an offer in a few letters.

A code holds a secret (the seed of an invite) or nothing secret at all (an offer); those that let a
member's new machine in stand in `tickets`. Reading one
proves nothing: whoever answers at its address must still be the node that `check` names and
show the realm that `pin` names. This module never opens a connection.

The layout of an invite, and what its truncated node key is worth: docs/decisions/0003.
Text form: Crockford's Base32 (https://www.crockford.com/base32.html), which a QR code stores in
its alphanumeric mode.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import msgspec
from nacl.signing import SigningKey

from commons_crdt.device import sign_claim
from commons_crdt.errors import CommonsError, Refused, Status
from commons_crdt.ids import OperationId, RealmId, digest
from commons_crdt.operation import Operation, operation_id
from commons_crdt.texts import _
from commons_protocol.carriage import WireOperation, pack_operation, unpack_operation
from commons_protocol.circuit import by_check, split
from commons_protocol.frame import decode, encode
from commons_protocol.names import peer_key
from commons_protocol.network import Address, PeerId, Unreachable

MAX_CODE = 96
"""Bytes in an invite code: 154 letters, a QR code of version 5, 23 lines of half blocks."""

SEED_BYTES = 16
PIN_BYTES = 16
MAX_INVITE_FILE = 16_384
CHECKSUM = 3
_CHECK = {"none": 0, "ip4": 16, "ip6": 10, "dns": 10}
ADDRESS_KINDS = ("none", "ip4", "ip6", "dns", "relay/ip4", "relay/ip6", "relay/dns")
"""Behind a relay: the relay's address, and the check of the node that it is asked for."""
_INVITE = 0x10
_OFFER = 0x20
_MAGIC = "commons-invite"
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TO_CROCKFORD = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", _CROCKFORD)
_FROM_CROCKFORD = str.maketrans(_CROCKFORD + "OIL", "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" + "ABB")
_MULTIADDR = re.compile(
    r"/(ip4|ip6|dns|dns4|dns6)/([^/]{1,255})/tcp/([0-9]{1,5})(?:/p2p/([1-9A-HJ-NP-Za-km-z]{1,64}))?\Z"
)
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?\Z")


class BadCode(CommonsError):
    """The code could not be read: {why}."""

    code: ClassVar[str] = "code"
    hint: ClassVar[str] = (
        "Copy it again as a whole; dashes, blanks and small letters do not matter."
    )
    status: ClassVar[Status] = "usage"


class LongAddress(CommonsError):
    """The address {address} does not fit into an invite code."""

    code: ClassVar[str] = "address"
    hint: ClassVar[str] = "Give the invite as a file, or use a numeric address."
    status: ClassVar[Status] = "usage"


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invite as the newcomer holds it.

    ``seed``: 16 secret bytes. ``pin``: the first 16 (code) or all 32 (file) bytes of the realm's
    pin. ``check``: the first bytes of a hash of the node's transport key; empty where each
    address names its peer. ``operation``: the invite itself, in the file form only.
    """

    invite: OperationId
    seed: bytes
    pin: bytes
    addresses: tuple[Address, ...]
    check: bytes = b""
    operation: Operation | None = None

    def __repr__(self) -> str:
        """Leave the seed out: reprs end in logs."""
        return f"Invitation({self.invite.hex()[:8]}…, {self.addresses})"

    @property
    def public_key(self) -> bytes:
        """The one-time public key that stands in the invite operation."""
        return invite_key(self.seed)

    def possess(self, realm: RealmId, member: bytes) -> bytes:
        """The signature that proves to hold this invite (``facts.Admit.possession``)."""
        return sign_claim("possess", _signing_seed(self.seed), realm, self.invite, member)

    def knock(self, nonce: bytes, node: PeerId, joiner: PeerId) -> bytes:
        """The signature that a node wants before it says anything (``joining``)."""
        parts = knock_parts(nonce, node, joiner, self.invite)
        return sign_claim("knock", _signing_seed(self.seed), *parts)

    def fits_realm(self, realm: RealmId) -> bool:
        """True if ``realm`` is the one that the pin names."""
        return len(realm) == 32 and realm.startswith(self.pin)

    def fits_peer(self, peer: PeerId) -> bool:
        """True if ``peer`` may be the node that the code was made for."""
        return not self.check or node_check(peer, len(self.check)) == self.check


@dataclass(frozen=True, slots=True)
class OfferCode:
    """A hand-over in short: the offer's id, the loan, and the first 16 bytes of the thing's id."""

    offer: OperationId
    loan: OperationId
    resource: bytes


def invite_key(seed: bytes) -> bytes:
    """The public key of an invite's 16-byte seed (``facts.Invite.key``)."""
    return bytes(SigningKey(_signing_seed(seed)).verify_key)


def knock_parts(
    nonce: bytes, node: PeerId, joiner: PeerId, invite: OperationId
) -> tuple[bytes, ...]:
    """What a knock signs: the node's nonce, both transport keys, the invite."""
    return (nonce, peer_key(node), peer_key(joiner), invite)


def node_check(peer: PeerId, length: int) -> bytes:
    """The first ``length`` bytes of the hash that stands for a node in a code."""
    return digest("node", peer_key(peer))[:length]


# --- invite code ---


def encode_invite(invite: OperationId, seed: bytes, realm: RealmId, address: Address | None) -> str:
    """The short code of an invite, upper case, without dashes; ``LongAddress`` if it is too long.

    ``address`` ends in ``/p2p/<peer id>``; None for communities that meet on one LAN.
    """
    if len(invite) != 32 or len(seed) != SEED_BYTES or len(realm) != 32:
        raise ValueError("an invite code needs an id, a seed of 16 bytes and a realm")
    kind, where = "none", b""
    if address is not None:
        kind, where = pack_address(address)
    payload = (
        bytes([_INVITE | ADDRESS_KINDS.index(kind)]) + invite + seed + realm[:PIN_BYTES] + where
    )
    if len(payload) + CHECKSUM > MAX_CODE:
        raise LongAddress(address=address)
    return letters(payload)


def decode_invite(text: str) -> Invitation:
    """Read a short code; ``BadCode`` if it is not one."""
    data = payload_of(text)
    if data[0] & 0xF0 != _INVITE or data[0] & 0x0F >= len(ADDRESS_KINDS) or len(data) < 65:
        raise BadCode(why=_("it is no invite that this version knows"))
    kind = ADDRESS_KINDS[data[0] & 0x0F]
    addresses, check = unpack_address(kind, data[65:])
    return Invitation(OperationId(data[1:33]), data[33:49], data[49:65], addresses, check)


def pack_address(address: Address) -> tuple[str, bytes]:
    """An address that ends in a peer id, as codes carry it; ``LongAddress`` if they can't."""
    first, circuit, last = address.partition("/p2p-circuit")
    found = _MULTIADDR.match(first)
    peer = last.removeprefix("/p2p/") if circuit else found and found[4]
    if not found or not peer or int(found[3]) > 0xFFFF:
        raise LongAddress(address=address)
    kind, host, port = found[1], found[2], int(found[3]).to_bytes(2, "big")
    try:
        if kind == "ip4":
            where = ipaddress.IPv4Address(host).packed
        elif kind == "ip6":
            where = ipaddress.IPv6Address(host).packed
        else:
            kind, name = "dns", host.lower()
            if not _NAME.match(name):
                raise LongAddress(address=address)
            where = bytes([len(name)]) + name.encode("ascii")
        packed = where + port + node_check(PeerId(peer), _CHECK[kind])
        return f"relay/{kind}" if circuit else kind, packed
    except ValueError as error:
        raise LongAddress(address=address) from error


def unpack_address(kind: str, data: bytes) -> tuple[tuple[Address, ...], bytes]:
    """The address in a code, and the check of the node behind it. Raises ``BadCode``."""
    relay, kind = kind.startswith("relay/"), kind.removeprefix("relay/")
    length = {"none": 0, "ip4": 4, "ip6": 16, "dns": 1 + data[0] if data else 0}[kind]
    port_end = length + (2 if length else 0)
    if len(data) != port_end + _CHECK[kind]:
        raise BadCode(why=_("its address has the wrong length"))
    if not length:
        return (), b""
    host, port = data[:length], int.from_bytes(data[length:port_end], "big")
    if kind == "ip4":
        name = str(ipaddress.IPv4Address(host))
    elif kind == "ip6":
        name = str(ipaddress.IPv6Address(host))
    else:
        name = host[1:].decode("ascii", "replace")
        if not _NAME.match(name):
            raise BadCode(why=_("its address is not a name"))
    where, check = Address(f"/{kind}/{name}/tcp/{port}"), data[port_end:]
    return (by_check(where, check) if relay else where,), check


# --- invite file ---


class _InviteFile(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    magic: Literal["commons-invite"]
    version: Literal[1]
    operation: WireOperation
    seed: Annotated[bytes, msgspec.Meta(min_length=SEED_BYTES, max_length=SEED_BYTES)]
    pin: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    addresses: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=200)], ...], msgspec.Meta(max_length=8)
    ]


def encode_invite_file(
    operation: Operation, seed: bytes, realm: RealmId, addresses: tuple[Address, ...]
) -> bytes:
    """The file form of an invite: the operation itself, the whole pin, up to 8 addresses."""
    return encode([_MAGIC, 1, pack_operation(operation), seed, realm, list(addresses[:8])])


def decode_invite_file(data: bytes) -> Invitation:
    """Read an invite file; ``BadCode`` if it is not one. The operation is not verified here."""
    try:
        file = msgspec.convert(decode(data, MAX_INVITE_FILE), _InviteFile)
        operation = unpack_operation(file.operation)
    except (Refused, msgspec.ValidationError) as error:
        raise BadCode(why=_("it is not an invite file")) from error
    for address in file.addresses:
        if not _names_its_peer(address):
            raise BadCode(why=_("an address in it is not one"))
    return Invitation(
        operation_id(operation.header),
        file.seed,
        file.pin,
        tuple(Address(address) for address in file.addresses),
        operation=operation,
    )


def _names_its_peer(address: str) -> bool:
    """An address of a node that says which one, direct or through a relay."""
    try:
        circuit = split(Address(address))
    except Unreachable:
        return False
    found = _MULTIADDR.match(circuit.relay if circuit is not None else address)
    return found is not None and bool(circuit.peer if circuit is not None else found[4])


# --- offer code ---


def encode_offer(offer: OfferCode) -> str:
    """The short code of an offer: 84 bytes, 135 letters."""
    if len(offer.offer) != 32 or len(offer.loan) != 32 or len(offer.resource) < 16:
        raise ValueError("an offer code needs two ids and 16 bytes of a third")
    return letters(bytes([_OFFER]) + offer.offer + offer.loan + offer.resource[:16])


def decode_offer(text: str) -> OfferCode:
    """Read an offer code; ``BadCode`` if it is not one."""
    data = payload_of(text)
    if data[0] != _OFFER or len(data) != 81:
        raise BadCode(why=_("it is no offer that this version knows"))
    return OfferCode(OperationId(data[1:33]), OperationId(data[33:65]), data[65:])


def grouped(code: str, size: int = 6) -> str:
    """A code in groups with dashes, as people read it aloud."""
    return "-".join(code[start : start + size] for start in range(0, len(code), size))


def _signing_seed(seed: bytes) -> bytes:
    return digest("invite", seed)


def letters(payload: bytes) -> str:
    """A payload with its checksum, as letters that people can read aloud."""
    data = payload + digest("code", payload)[:CHECKSUM]
    return base64.b32encode(data).decode("ascii").rstrip("=").translate(_TO_CROCKFORD)


def payload_of(text: str) -> bytes:
    """The payload of a code, its checksum checked."""
    letters = re.sub(r"[\s-]+", "", text[:1024]).upper()
    if not letters.isascii() or "U" in letters:
        raise BadCode(why=_("it has letters that no code has"))
    standard = letters.translate(_FROM_CROCKFORD)
    try:
        data = base64.b32decode(standard + "=" * (-len(standard) % 8))
    except binascii.Error as error:
        raise BadCode(
            why=_("a part of it is missing, or it has letters that no code has")
        ) from error
    payload, checksum = data[:-CHECKSUM], data[-CHECKSUM:]
    if not payload or digest("code", payload)[:CHECKSUM] != checksum:
        raise BadCode(why=_("a letter is wrong, or a part of it is missing"))
    if len(data) > MAX_CODE:
        raise BadCode(why=_("it is too long"))
    return payload
