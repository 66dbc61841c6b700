"""Letting a new machine in by two files, where the two machines can't reach each other.

The new machine writes a *request*: what it would say in ``applying.Asked``, for a ticket that names
the whole realm. The old one answers with a *grant*: all log-0 operations, the new device's grant
among them. Neither holds a secret; neither is believed: signatures are checked, and the judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from commons_crdt.errors import Refused
from commons_crdt.ids import MemberId, OperationId, RealmId
from commons_crdt.operation import Operation
from commons_crdt.texts import _
from commons_protocol import carriage, wire
from commons_protocol.applying import Application, Asked, Opened, application, request
from commons_protocol.carriage import WireOperation, pack_operation, unpack_operations
from commons_protocol.codes import BadCode
from commons_protocol.frame import decode, encode
from commons_protocol.wire import Apply, Bytes32

MAX_REQUEST = 4_096
MAX_GRANT = 64 << 20
_REQUEST, _GRANT = "commons-device-request", "commons-device-grant"


class _Request(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    magic: Literal["commons-device-request"]
    version: Literal[1]
    member: Bytes32
    ticket: Bytes32
    apply: Annotated[bytes, msgspec.Meta(max_length=2_048)]


class _Grant(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    magic: Literal["commons-device-grant"]
    version: Literal[1]
    realm: Bytes32
    member: Bytes32
    operations: tuple[WireOperation, ...]


def encode_request(member: MemberId, ticket: bytes, asked: Asked) -> bytes:
    """The request of a new machine; ``ticket``: the id of its ticket."""
    return encode([_REQUEST, 1, member, ticket, wire.pack(request(asked))])


def decode_request(data: bytes) -> tuple[MemberId, bytes, Apply]:
    """Member, ticket id and what is asked; ``BadCode`` if it is no request."""
    try:
        file = msgspec.convert(decode(data, MAX_REQUEST), _Request)
        message = wire.unpack_join(file.apply)
    except (Refused, msgspec.ValidationError) as error:
        raise BadCode(why=_("it is not a request of a new machine")) from error
    if not isinstance(message, Apply):
        raise BadCode(why=_("it is not a request of a new machine"))
    return MemberId(file.member), file.ticket, message


def checked(opened: Opened, message: Apply) -> Application:
    """The request behind an opened ticket; ``BadCode`` if a signature in it does not hold."""
    try:
        return application(opened, message)
    except Refused as error:
        raise BadCode(why=_("it is not signed for this member and this code")) from error


def encode_grant(realm: RealmId, member: MemberId, operations: Sequence[Operation]) -> bytes:
    """The answer: all log-0 operations in causal order."""
    bare = [pack_operation(carriage.slimmed(one, 0) if one.parts else one) for one in operations]
    return encode([_GRANT, 1, realm, member, bare])


def decode_grant(data: bytes) -> tuple[RealmId, MemberId, tuple[Operation, ...]]:
    """Realm, member and operations, unverified; ``BadCode`` if it is no grant."""
    try:
        file = msgspec.convert(decode(data, MAX_GRANT), _Grant)
    except (Refused, msgspec.ValidationError) as error:
        raise BadCode(why=_("it is not a grant for a new machine")) from error
    return RealmId(file.realm), MemberId(file.member), unpack_operations(file.operations)


def opened_by(realm: RealmId, member: MemberId, ticket: bytes, key: bytes) -> Opened:
    """What a device ticket opens when nobody is asked over the network."""
    return Opened("device", ticket, key, realm, member, OperationId(bytes(32)))
