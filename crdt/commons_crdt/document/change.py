"""Bounded parse of the header of one Automerge change chunk, in pure Python.

Source: https://automerge.org/automerge-binary-format-spec/ (chunk header, change chunk). Accepts
exactly one encoding of each change, the uncompressed one, so that a change has one id and there is
nothing to inflate. Every count is bounded before it is looped over. Never imports automerge, never
reads the operations (`operations` does) and never judges (`rules` does).
"""

from hashlib import sha256
from itertools import pairwise
from typing import Literal, TypeAlias

import msgspec

from commons_crdt.document.leb import MalformedNumber, read_sleb, read_uleb

MAGIC = b"\x85\x6f\x4a\x83"
CHANGE_CHUNK = 1
DEFLATED_CHUNK = 2

CHANGE_SIZE_LIMIT = 49_120
"""An operation's body holds 49,152 bytes: the change and 32 bytes of salt."""

DEPENDENCIES_LIMIT = 16
ACTORS_LIMIT = 1_024
MESSAGE_LIMIT = 4_096
HASH_SIZE = 32
ACTOR_SIZE = 32
COUNTER_LIMIT = 2**31
"""Automerge counts operations in 32 bits and panics near the end; no honest document comes near."""

MalformedCode: TypeAlias = Literal[
    "size",  # longer than CHANGE_SIZE_LIMIT
    "magic",
    "type",  # a document chunk, or an unknown one
    "deflated",  # our own encoder never compresses: one change, one encoding
    "truncated",
    "trailing",
    "checksum",
    "number",  # a LEB128 number that is truncated, not the shortest form, or too large
    "dependencies",  # more than 16, or not sorted
    "actor",  # not 32 bytes
    "actors",  # too many, not 32 bytes, not sorted, or not used
    "message",  # too long, or not UTF-8
    "columns",  # operation columns that no encoder writes
    "unsupported",  # well-formed, but something else than writing scalar fields of the root map
]


class MalformedChange(ValueError):
    """These bytes are not a change that a commons node can have written."""

    def __init__(self, code: MalformedCode) -> None:
        super().__init__(code)
        self.code: MalformedCode = code


class ChangeHeader(msgspec.Struct, frozen=True, gc=False):
    """The header of a change. `hash`, `actor`, `deps`, `other_actors`: 32 bytes each; `time`: Unix
    seconds, 0 in ours; `columns`: the encoded operations, undecoded.
    """

    hash: bytes
    actor: bytes
    seq: int
    start_op: int
    time: int
    message: str
    deps: tuple[bytes, ...]
    other_actors: tuple[bytes, ...]
    columns: bytes


def parse_change(data: bytes) -> ChangeHeader:
    """Parses the header of one change chunk. Raises `MalformedChange`, and nothing else."""
    try:
        return _parse(data)
    except MalformedNumber:
        raise MalformedChange("number") from None


def _parse(data: bytes) -> ChangeHeader:
    size = len(data)
    if size > CHANGE_SIZE_LIMIT:
        raise MalformedChange("size")
    if data[:4] != MAGIC:
        raise MalformedChange("magic")
    if size < 10:
        raise MalformedChange("truncated")
    if data[8] != CHANGE_CHUNK:
        raise MalformedChange("deflated" if data[8] == DEFLATED_CHUNK else "type")
    length, position = read_uleb(data, 9, size)
    if position + length != size:
        raise MalformedChange("truncated" if position + length > size else "trailing")
    digest = sha256(memoryview(data)[8:]).digest()
    if data[4:8] != digest[:4]:
        raise MalformedChange("checksum")

    count, position = read_uleb(data, position, size)
    if count > DEPENDENCIES_LIMIT:
        raise MalformedChange("dependencies")
    end = position + count * HASH_SIZE
    if end > size:
        raise MalformedChange("truncated")
    deps = tuple([data[at : at + HASH_SIZE] for at in range(position, end, HASH_SIZE)])
    if count > 1 and any(a >= b for a, b in pairwise(deps)):
        raise MalformedChange("dependencies")
    position = end

    length, position = read_uleb(data, position, size)
    if length != ACTOR_SIZE:
        raise MalformedChange("actor")
    actor = data[position : position + ACTOR_SIZE]
    position += ACTOR_SIZE  # when this is past the end, so is the next number
    seq, position = read_uleb(data, position, size)
    start_op, position = read_uleb(data, position, size)
    if not (0 < seq < COUNTER_LIMIT and 0 < start_op < COUNTER_LIMIT):
        raise MalformedChange("number")
    time, position = read_sleb(data, position, size)

    length, position = read_uleb(data, position, size)
    if length > MESSAGE_LIMIT:
        raise MalformedChange("message")
    if position + length > size:
        raise MalformedChange("truncated")
    try:
        message = data[position : position + length].decode() if length else ""
    except UnicodeDecodeError:
        raise MalformedChange("message") from None
    position += length

    count, position = read_uleb(data, position, size)
    if count > ACTORS_LIMIT:
        raise MalformedChange("actors")
    others: list[bytes] = []
    for _ in range(count):
        length, position = read_uleb(data, position, size)
        if length != ACTOR_SIZE:
            raise MalformedChange("actors")
        other = data[position : position + ACTOR_SIZE]
        position += ACTOR_SIZE
        if len(other) < ACTOR_SIZE:
            raise MalformedChange("truncated")
        if other == actor or (others and other <= others[-1]):
            raise MalformedChange("actors")
        others.append(other)
    return ChangeHeader(
        digest, actor, seq, start_op, time, message, deps, tuple(others), data[position:]
    )
