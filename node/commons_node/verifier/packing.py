"""How items and results go to a worker and back: as one string of bytes, where their type is known.

Pickle looks at every field of every item and asks each class how it is made; MessagePack of a
typed list costs a quarter of that. Only named tuples of plain values are packed, everything else
goes as it is. Between processes of one daemon only: nothing of this is stored or sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import msgspec

_encode = msgspec.msgpack.Encoder().encode


class Packed:
    """A list of one named tuple's instances, which pickles as one string of bytes."""

    __slots__ = ("items",)

    def __init__(self, items: Sequence[Any]) -> None:
        """``items``: at least one, all of the first one's class."""
        self.items = items

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[type, bytes]]:
        """It arrives as a plain list."""
        return _unpacked, (type(self.items[0]), _encode(self.items))


def packed(items: Sequence[Any]) -> Sequence[Any] | Packed:
    """``items`` on their way; what can't be packed stays what it is."""
    if items and hasattr(items[0], "_fields"):
        return Packed(items)
    return items


def _unpacked(kind: type, data: bytes) -> list[Any]:
    return _decoder(kind).decode(data)


@lru_cache(maxsize=16)
def _decoder(kind: type) -> msgspec.msgpack.Decoder[list[Any]]:
    return msgspec.msgpack.Decoder(list[kind])  # type: ignore[valid-type]  # known at run time
