"""The offer file: a hand-over carried by hand, for nodes that cannot reach each other.

It holds what the other side needs to judge the offer: log 0 of the realm and the log 1 of the
offering device, the offer among them. Nothing in it is believed: its operations go through the
same verifier as those of a peer, and reading it twice changes nothing. It is not sealed: whoever
finds the file reads what it holds, as with a paper form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import msgspec

from commons_crdt.errors import CommonsError, Refused, Status
from commons_crdt.ids import OperationId, RealmId
from commons_crdt.operation import Operation, operation_id
from commons_crdt.texts import _
from commons_protocol import carriage, wire
from commons_protocol.frame import decode, encode

MAX_BYTES = 8 * 1024 * 1024
MAX_OPERATIONS = 50_000
_MAGIC = "commons-offer"


class BadOffer(CommonsError):
    """The offer could not be read: {why}."""

    code: ClassVar[str] = "offer"
    hint: ClassVar[str] = "Ask for the file again, or for the short code of the offer."
    status: ClassVar[Status] = "usage"


class LargeOffer(CommonsError):
    """The offer would be larger than a file may be."""

    code: ClassVar[str] = "offer"
    hint: ClassVar[str] = "Hand it over between two nodes that reach each other."


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer with what it builds on; ``operations`` are in causal order, log 0 first."""

    realm: RealmId
    offer: OperationId
    operations: tuple[Operation, ...]


class _File(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    magic: Literal["commons-offer"]
    version: Literal[1]
    realm: wire.Bytes32
    offer: wire.Bytes32
    operations: Annotated[
        tuple[carriage.WireOperation, ...], msgspec.Meta(min_length=1, max_length=MAX_OPERATIONS)
    ]


def encode_offer_file(
    realm: RealmId,
    offer: OperationId,
    log_zero: Sequence[Operation],
    chain: Sequence[Operation],
) -> bytes:
    """The bytes of an offer file; ``chain``: the offering device's log 1, up to the offer.

    Parts travel as far as they fit. Raises ``LargeOffer``, ``ValueError`` if the offer is not
    in the chain.
    """
    if all(operation_id(operation.header) != offer for operation in chain):
        raise ValueError("the chain must hold the offer")
    operations = [*log_zero, *chain]
    data = _file(realm, offer, operations)
    if len(data) > MAX_BYTES:
        bare = [
            Operation(o.header, o.signature, o.body, (None,) * len(o.parts)) for o in operations
        ]
        data = _file(realm, offer, bare)
    if len(data) > MAX_BYTES or len(operations) > MAX_OPERATIONS:
        raise LargeOffer
    return data


def _file(realm: RealmId, offer: OperationId, operations: Sequence[Operation]) -> bytes:
    packed = [carriage.pack_operation(carriage.slimmed(operation)) for operation in operations]
    return encode([_MAGIC, 1, realm, offer, packed])


def decode_offer_file(data: bytes) -> Offer:
    """Read an offer file, nothing of it verified; ``BadOffer`` if it is not one."""
    try:
        file = msgspec.convert(decode(data, MAX_BYTES), _File)
    except (Refused, msgspec.ValidationError) as error:
        raise BadOffer(why=_("it is not an offer file")) from error
    operations = carriage.unpack_operations(file.operations)
    if all(operation_id(operation.header) != file.offer for operation in operations):
        raise BadOffer(why=_("the offer itself is missing"))
    return Offer(RealmId(file.realm), OperationId(file.offer), operations)
