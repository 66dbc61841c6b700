"""Deterministic CBOR (RFC 8949 §4.2.1): one value has one encoding, and no other is accepted.

The values are plain: integers of at most 64 bits, bytes, text, bool, None, and lists of these.
Maps, floats and tags are never built: a tag would let a peer's bytes ask for a regular expression
or a number of ten million digits. Decoding is bounded in length and depth before anything is
built, and refuses every encoding that differs from the canonical one, so that a hash over bytes
is a hash over the value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import cbor2

from commons_crdt.errors import Refused

MAX_DEPTH = 8

_SCALARS = frozenset({int, bytes, str, bool, type(None)})


def encode(value: object) -> bytes:
    """The canonical bytes of a plain ``value``; tuples are lists."""
    return cbor2.dumps(value, canonical=True)


def decode(data: bytes, limit: int, depth: int = MAX_DEPTH) -> Any:
    """The value of ``data``; ``Refused("size" or "encoding")`` for anything not canonical."""
    if len(data) > limit:
        raise Refused("size")
    value = read(data, depth)
    try:
        same = _plain(value) and cbor2.dumps(value, canonical=True) == data
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise Refused("encoding") from error
    if not same:
        raise Refused("encoding")
    return value


def read(data: bytes, depth: int = MAX_DEPTH) -> Any:
    """The value of bytes that were decoded when they came; compares nothing.

    ``Refused("encoding")`` for what is no CBOR: a disk may have changed it.
    """
    try:
        return cbor2.loads(
            data,
            max_depth=depth,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            semantic_decoders=_NO_TAGS,
        )
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise Refused("encoding") from error


def _plain(value: object) -> bool:
    if type(value) is not list:
        return type(value) in _SCALARS
    waiting = [value]
    while waiting:
        for item in waiting.pop():
            if type(item) is list:
                waiting.append(item)
            elif type(item) not in _SCALARS:
                return False
    return True


def _refuse_tag(*_: object) -> NoReturn:
    raise ValueError("a tag")


class _NoTags(Mapping[int, Any]):
    """Has a decoder for every tag, and each refuses before the tagged value is read."""

    def __getitem__(self, tag: int) -> Any:
        return _refuse_tag

    def __iter__(self) -> Iterator[int]:
        return iter(())

    def __len__(self) -> int:
        return 0


_NO_TAGS = _NoTags()
