"""The first room of what comes: the headers of a batch are read, and nothing of it is believed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from commons_crdt.errors import Refused
from commons_crdt.ids import OperationId
from commons_crdt.operation import Header, Operation, decode_header, operation_id
from commons_node.verifier.work import Checked
from commons_protocol.replica import Turned


class Parsed(msgspec.Struct, frozen=True):
    """An operation whose header was read."""

    id: OperationId
    header: Header
    operation: Operation


@dataclass(slots=True)
class Reading:
    """A batch whose headers were read; ``refused`` counts those that could not be, ``turned``
    names them.

    ``checked``: what workers have said so far. It holds for ever, since a device's id is a hash
    of its keys, so that it may be asked for before it is this batch's turn.
    """

    parsed: dict[OperationId, Parsed] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    turned: list[Turned] = field(default_factory=list)
    checked: dict[OperationId, Checked | None] = field(default_factory=dict)


def read(operations: Iterable[Operation], realm: bytes) -> Reading:
    """Read the headers; what cannot be read, or belongs to another realm, is counted."""
    reading = Reading()
    for operation in operations:
        ident = operation_id(operation.header)
        try:
            header = decode_header(operation.header)
        except Refused as error:
            reading.refused[error.why] += 1
            reading.turned.append(Turned(ident, error.why))
            continue
        if realm not in {header.realm, ident}:
            reading.refused["realm"] += 1
            reading.turned.append(Turned(ident, "realm"))
        elif ident not in reading.parsed or reading.parsed[ident].operation.body is None:
            reading.parsed[ident] = Parsed(ident, header, operation)
    return reading
