"""Reads the one canonical encoding of most headers in a single pass.

A shortcut for `operation.decode_header`, never a second opinion: what is returned is what decoding,
encoding again and comparing would have given, and whatever is not certain is left to that way. So
every refusal and its code come from there. Headers that name parts are left to it, too.

Source: RFC 8949 §4.2.1: the shortest form of each integer and length, definite lengths.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, NamedTuple

_MOST = 2**53 - 1
_SALT = 32

_INTEGER = (
    rb"([\x00-\x17]|\x18[\x18-\xff]|\x19(?!\x00)..|\x1a(?!\x00\x00)....|\x1b(?!\x00{4})\x00.{7})"
)
"""The shortest form of each; of eight bytes the first is zero: none above 2^56 is ours."""
_HASH = rb"X (.{32})"
_NAME = (
    rb"((?:[\x60-\x77]|x[\x18-\x24])"
    rb"[a-z][a-z_]{0,15}\.[a-z][a-z_]{0,15}\.[1-9][0-9]{0,2})"
)
_LISTS = rb"([\x80-\x90])"
_HEAD = re.compile(
    rb"\x8f\x01" + _HASH + _HASH + rb"([\x00\x01])" + _INTEGER + _HASH + _INTEGER + _INTEGER
    + _NAME + _HASH + _LISTS,
    re.DOTALL,
)  # fmt: skip
_TAIL = re.compile(_HASH + _INTEGER + rb"\x80", re.DOTALL)

Hashes = tuple[bytes, ...]


class Fields(NamedTuple):
    """The positions of a header, in its order; those of ``operation.Header``."""

    version: int
    realm: bytes
    device: bytes
    log: Literal[0, 1]
    seq: int
    prev: bytes
    lamport: int
    time_ms: int
    kind: str
    document: bytes
    refs: Hashes
    authority: Hashes
    body_hash: bytes
    body_length: int
    parts: tuple[()]


def scan(data: bytes) -> Fields | None:
    """The fields of a canonical header without parts; None for anything else."""
    head = _HEAD.match(data)
    if head is None:
        return None
    realm, device, log, seq, prev, lamport, time, kind, document, count = head.groups()
    at = head.end()
    name = _name(kind)
    refs, at = _hashes(data, at, count[0] - 0x80)
    if name is None or refs is None or at >= len(data):
        return None
    authority, at = _hashes(data, at + 1, data[at] - 0x80)
    tail = _TAIL.fullmatch(data, at)
    if authority is None or tail is None:
        return None
    contents, length = tail.groups()
    place, clock, when, size = _number(seq), _number(lamport), _number(time), _number(length)
    if not (0 < place <= _MOST and 0 < clock <= _MOST and when <= _MOST and _SALT <= size <= _MOST):
        return None
    return Fields(
        1, realm, device, 1 if log[0] else 0, place, prev, clock, when, name, document, refs,
        authority, contents, size, (),
    )  # fmt: skip


@lru_cache(maxsize=256)
def _name(encoded: bytes) -> str | None:
    """The text, if its length is the one that it says."""
    text = encoded[2:] if encoded[0] == ord("x") else encoded[1:]
    said = encoded[1] if encoded[0] == ord("x") else encoded[0] - 0x60
    return text.decode() if said == len(text) else None


def _number(encoded: bytes) -> int:
    return int.from_bytes(encoded[1:], "big") if len(encoded) > 1 else encoded[0]


def _hashes(data: bytes, at: int, count: int) -> tuple[Hashes | None, int]:
    """So many strings of 32 bytes, strictly ascending, and where they end."""
    if not count:
        return (), at
    if not 0 < count <= 16:
        return None, at
    end = at + 34 * count
    found = []
    last = b""
    for place in range(at, end, 34):
        one = data[place + 2 : place + 34]
        if data[place : place + 2] != b"X " or len(one) < 32 or one <= last:
            return None, at
        found.append(one)
        last = one
    return tuple(found), end
