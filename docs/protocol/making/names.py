"""What all vectors share: names made into keys, a time, and the one kind that they add."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from commons_crdt.authority.facts import Identity
from commons_crdt.authority.kinds import CORE
from commons_crdt.device import DeviceSecrets
from commons_crdt.errors import Refused
from commons_crdt.ids import ZERO, digest
from commons_crdt.kinds import Kind, Rules
from commons_crdt.operation import Operation
from commons_crdt.roles import Role

START_MS = 1_750_000_000_000
NOTE = "vector.note.1"


class Note(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The body of the one kind that these vectors add to the core's."""

    value: int


RULES = Rules.of(
    1,
    (*CORE, Kind(NOTE, Note, Role.NEWCOMER, max_body=100, parts={"text": 100}, erased="body")),
)


def secrets(name: str) -> DeviceSecrets:
    """The device called ``name``."""
    return DeviceSecrets(digest("v-sign", name.encode()), digest("v-seal", name.encode()))


def identity(name: str) -> Identity:
    """An identity of one device."""
    return Identity(secrets(name).keys, (), 0, ZERO)


def code_of(act: Callable[[], object]) -> str:
    """The refusal code of ``act``; "" if it is not refused."""
    try:
        act()
    except Refused as refused:
        return refused.why
    return ""


def shown(value: object) -> object:
    """Bytes in hexadecimal, at any depth."""
    if isinstance(value, bytes):
        return value.hex()
    return [shown(item) for item in value] if isinstance(value, (list, tuple)) else value


def bytes_of(operation: Operation) -> dict[str, object]:
    """An operation as the files list it."""
    return {
        "header": operation.header.hex(),
        "signature": operation.signature.hex(),
        "body": operation.body.hex() if operation.body is not None else None,
        "parts": [part.hex() if part is not None else None for part in operation.parts],
    }
