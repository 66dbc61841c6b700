"""Changes to an input that leave most of its form: what random bytes never reach.

Each mutation is a function of the input, of another input and of chance that is handed in, so that
hypothesis can shrink it and libFuzzer can repeat it. Some work on any bytes; the others read the
input as CBOR, JSON or text, change one thing in it, and write it again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any

import cbor2
from tests.fuzz.target import Grammar, Mutation, Target

from commons_crdt.errors import Refused
from commons_protocol.frame import decode

MOST = 1 << 16
"""No mutation makes an input longer than this."""

_NUMBERS = (0, 1, -1, 23, 24, 255, 256, 2**16, 2**31 - 1, 2**31, 2**32, 2**53 - 1, 2**53, 2**63 - 1,
            2**63, 2**64 - 1, -(2**63), -(2**64))  # fmt: skip
_HEADS = tuple(
    bytes.fromhex(head)
    for head in ("9bffffffffffffffff", "5b7fffffffffffffff", "7b00000000ffffffff", "9affffffff",
                 "5affffffff", "b9ffff", "9f", "5f", "bf", "ff", "c2", "d81c", "d81d", "d9d9f7",
                 "f7", "f97e00", "fb7ff0000000000000", "f818", "1c", "a0", "80", "f6")
)  # fmt: skip
"""Beginnings of CBOR that promise too much, or something that nobody takes."""
_LENGTHS = (
    b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00\x00\x00\x00", b"\xff" * 9,
    b"\x80" * 9 + b"\x01", b"\x80\x00", b"\x00\x01\x00\x01", b"\x80\x80\x80\x80\x08",
)  # fmt: skip
"""Lengths and counts in the ways in which files, frames and LEB128 write them."""
_TEXTS = (
    "\x00", "\n", "\r\n", " ", '"', "'", "\\", "/", "//", "%", "%ff", "%00", "=", "&", ";", ",",
    "{", "}", "[", "]", "[" * 600, "{" * 600, "(", "#", "=\n", "-", "+", ".", "..", ":", "0x",
    "\u0130", "\u0660", "\u202e", "\ufffd", "\ufeff", "\ud7ff", "\U0010ffff", "\u00e9", "e\u0301",
    "1e999", "-0", "nan", "inf", "Infinity", "true", "null", "9" * 30, "9" * 5000, "0" * 5000,
    "1979-05-27T07:32:00Z", "9999-12-31T23:59:60-23:59", "\\ud800", "\\u0000", "__proto__",
)  # fmt: skip


# --- any bytes -----------------------------------------------------------------------------------


def _flip(data: bytes, _other: bytes, rng: Random) -> bytes:
    if not data:
        return b"\x00"
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]


def _byte(data: bytes, _other: bytes, rng: Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    byte = bytes([rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))])
    return data[:at] + byte + data[at + rng.randrange(2) :]


def _cut(data: bytes, _other: bytes, rng: Random) -> bytes:
    """The end or the beginning is missing, or a piece in between."""
    start, end = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
    return rng.choice((data[:start], data[end:], data[:start] + data[end:]))


def _double(data: bytes, _other: bytes, rng: Random) -> bytes:
    """A piece comes twice, or many times."""
    start, end = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
    times = rng.choice((2, 2, 3, 40))
    return data[:start] + data[start:end] * times + data[end:]


def _splice(data: bytes, other: bytes, rng: Random) -> bytes:
    """The beginning of one, the end of another."""
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


def _length(data: bytes, _other: bytes, rng: Random) -> bytes:
    """Some bytes become a length that cannot be."""
    lie = rng.choice((*_LENGTHS, *_HEADS))
    at = rng.randrange(len(data) + 1)
    return data[:at] + lie + data[at + rng.choice((0, 1, len(lie))) :]


def _longer(data: bytes, _other: bytes, rng: Random) -> bytes:
    """A LEB128 number, if it is one, in a longer form."""
    at = rng.randrange(len(data) + 1)
    if at == len(data) or data[at] & 0x80:
        return _flip(data, _other, rng)
    return data[:at] + bytes([data[at] | 0x80, 0]) + data[at + 1 :]


def _deep(data: bytes, _other: bytes, rng: Random) -> bytes:
    """Nested, a little or without end."""
    at = rng.randrange(len(data) + 1)
    return (
        data[:at]
        + rng.choice((b"\x81", b"[", b"\xa1\x00", b"\xc6")) * rng.choice((1, 2, 5, 9, 3000))
        + data[at:]
    )


# --- trees: CBOR and JSON ------------------------------------------------------------------------


def _tree(value: Any, rng: Random) -> Any:
    """The value with one thing in it changed."""
    if isinstance(value, list) and value and rng.random() < 0.8:
        return _list(value, rng)
    if isinstance(value, dict) and value and rng.random() < 0.8:
        return _dict(value, rng)
    return _leaf(value, rng)


def _list(value: list[Any], rng: Random) -> list[Any]:
    at = rng.randrange(len(value))
    match rng.randrange(8):
        case 0:
            return value[:at] + value[at + 1 :]
        case 1:
            return value[: at + 1] + value[at:]
        case 2:
            return value + [value[at]] * rng.choice((1, 16, 600))
        case 3:
            other = rng.randrange(len(value))
            swapped = list(value)
            swapped[at], swapped[other] = swapped[other], swapped[at]
            return swapped
        case _:
            return [*value[:at], _tree(value[at], rng), *value[at + 1 :]]


def _dict(value: dict[Any, Any], rng: Random) -> dict[Any, Any]:
    key = rng.choice(list(value))
    match rng.randrange(6):
        case 0:
            return {k: v for k, v in value.items() if k != key}
        case 1:
            return {(_leaf(k, rng) if k == key else k): v for k, v in value.items()}
        case 2:
            return {**value, "more": value[key]}
        case _:
            return {**value, key: _tree(value[key], rng)}


def _leaf(value: Any, rng: Random) -> Any:
    match rng.randrange(8):
        case 0:
            return rng.choice((None, True, False, "", b"", [], {}, 0.5, "text", b"bytes"))
        case 1:
            return rng.choice(_NUMBERS)
        case 2:
            return [value]
        case 3:
            return rng.choice(_TEXTS)
    if isinstance(value, bytes):
        return rng.choice((_flip, _cut, _double, _byte))(value, b"", rng)
    if isinstance(value, str):
        at = rng.randrange(len(value) + 1)
        return value[:at] + rng.choice(_TEXTS) + value[at + rng.randrange(2) :]
    if isinstance(value, int):
        return value + rng.choice((1, -1, 256, -256))
    return value


def _cbor(data: bytes, _other: bytes, rng: Random) -> bytes:
    """One thing in the value changed; still canonical, most of the time."""
    try:
        value = _tree(decode(data), rng)  # ours: another would open tags, and count for ever
        return cbor2.dumps(value, canonical=rng.random() < 0.9)
    except (Refused, cbor2.CBORError, ValueError, TypeError, RecursionError, OverflowError):
        return _flip(data, _other, rng)


def _json(data: bytes, _other: bytes, rng: Random) -> bytes:
    try:
        value = _tree(json.loads(data), rng)
        return json.dumps(value, default=repr, ensure_ascii=rng.random() < 0.5).encode()
    except (ValueError, TypeError, RecursionError):
        return _word(data, _other, rng)


# --- text ----------------------------------------------------------------------------------------


def _word(data: bytes, _other: bytes, rng: Random) -> bytes:
    """Something that texts stumble over, in the middle of it."""
    at = rng.randrange(len(data) + 1)
    word = rng.choice(_TEXTS).encode("utf-8", "surrogatepass")
    return data[:at] + word + data[at + rng.choice((0, 0, 1, len(word))) :]


def _line(data: bytes, other: bytes, rng: Random) -> bytes:
    """A line of this or of the other, somewhere else or once more."""
    lines = data.split(b"\n")
    line = rng.choice([*lines, *other.split(b"\n")])
    at = rng.randrange(len(lines) + 1)
    return b"\n".join([*lines[:at], line, *lines[at + rng.randrange(2) :]])


def _case(data: bytes, _other: bytes, rng: Random) -> bytes:
    start, end = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
    return data[:start] + data[start:end].swapcase() + data[end:]


# --- one for all ---------------------------------------------------------------------------------

_ANY: tuple[Mutation, ...] = (_flip, _byte, _cut, _double, _splice, _length, _deep)
OF: dict[Grammar, tuple[Mutation, ...]] = {
    "binary": (*_ANY, _longer),
    "cbor": (*_ANY, *[_cbor] * 8),
    "json": (*_ANY, *[_json] * 6, _word, _case),
    "text": (*_ANY, *[_word] * 3, _line, _case, _json),
}


def mutate(target: Target, data: bytes, others: Sequence[bytes], rng: Random) -> bytes:
    """``data`` with one to four mutations that suit the target; ``others``: more of its inputs."""
    kept = b""
    if target.head and rng.random() < 0.9:
        line, found, rest = data.partition(b"\n")
        kept, data = line + found, rest
        others = [other.partition(b"\n")[2] for other in others]
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        of = target.own if target.own and rng.random() < 0.5 else OF[target.grammar]
        data = rng.choice(of)(data, rng.choice(others) if others else data, rng)[:MOST]
    return kept + data
