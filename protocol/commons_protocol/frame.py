"""Bounded CBOR for what peers send: lengths, depth and counts are checked, tags are refused.

Unlike the bytes of an operation, a message is not signed, so it need not be canonical; but it is
plain: no indefinite lengths, no repeated keys, nothing behind the value, and no tag, because a
CBOR library turns tags into dates, regular expressions and cyclic lists before anybody can look.

Source: RFC 8949 §§3, 3.4.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any, NoReturn

import cbor2
import msgspec

from commons_crdt.errors import Refused
from commons_protocol.network import MAX_FRAME

MAX_DEPTH = 6

# Every tag that cbor2 6 decodes by itself; any other reaches `tag_hook`.
_TAGS = (*range(6), 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799)


def _refuse(*_: object) -> NoReturn:
    raise ValueError("no tags")


_DECODERS = dict.fromkeys(_TAGS, _refuse)


def encode(value: object) -> bytes:
    """The bytes of ``value`` (ints, bytes, text, bool, None, lists)."""
    return cbor2.dumps(value)


def decode(data: bytes, limit: int = MAX_FRAME) -> Any:
    """The value of ``data``; ``Refused`` with ``size`` or ``encoding``."""
    if len(data) > limit:
        raise Refused("size")
    try:
        source = BytesIO(data)
        value = cbor2.CBORDecoder(
            source,
            max_depth=MAX_DEPTH,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            semantic_decoders=_DECODERS,
            tag_hook=_refuse,
        ).decode()
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise Refused("encoding") from error
    if source.tell() != len(data):
        raise Refused("encoding")
    return value


def read(data: bytes, kind: Any, limit: int = MAX_FRAME) -> Any:
    """A value of a type; ``Refused`` with ``size``, ``encoding`` or ``message``."""
    try:
        return msgspec.convert(decode(data, limit), kind)
    except msgspec.ValidationError as error:
        raise Refused("message") from error
