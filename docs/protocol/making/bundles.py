"""Bundles, good and bad."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

from nacl.signing import SigningKey

from commons_crdt import canonical
from commons_crdt.ids import DeviceId, OperationId, digest
from commons_crdt.operation import (
    MAX_LARGE_PART,
    Operation,
    decode_header,
    operation_id,
    part_hash,
)
from commons_protocol.bundles.chunks import CHUNK, open_chunk
from commons_protocol.bundles.contents import (
    MAX_PIECE,
    Kind,
    Manifest,
    Piece,
    decode_frame,
)
from commons_protocol.bundles.writer import Writer
from commons_protocol.ends import ChainEnd
from commons_protocol.parts import PartId
from making.judge_story import story
from making.names import START_MS, secrets


def _drawn(name: str) -> Callable[[int], bytes]:
    """Bytes as if by chance, the same each time."""
    numbers = iter(range(1 << 30))

    def draw(count: int) -> bytes:
        found = b""
        while len(found) < count:
            found += digest("v-rng", name.encode(), next(numbers).to_bytes(4))
        return found[:count]

    return draw


def _filled(chance: str) -> tuple[Writer, bytes, list[Operation]]:
    """A bundle up to its end, for bob's device: the story's first operations."""
    town = story()
    node = secrets("node")
    ops = list(town.operations.values())
    zero = [op for op in ops if not decode_header(op.header).log][:3]
    one = [op for op in ops if decode_header(op.header).log][:2]
    manifest = Manifest(
        bytes(town.realm), bytes(town.realm), node.keys, digest("v-node"), START_MS,
        START_MS + 86_400_000, 0, (),
    )  # fmt: skip
    key = SigningKey(node.signing)
    writer = Writer(
        manifest, [secrets("bob").keys.sealing], lambda d: key.sign(d).signature, _drawn(chance)
    )
    last = decode_header(zero[-1].header)
    ends = [ChainEnd(DeviceId(last.device), 0, last.seq, operation_id(zero[-1].header))]
    data = writer.header + b"".join(writer.ends(ends))
    for kind, some in ((Kind.ZERO, zero), (Kind.ONE, one)):
        for op in some:
            data += b"".join(writer.add(kind, op))
    return writer, data, [*zero, *one]


def bundle() -> dict[str, Any]:
    """A bundle of the story's first operations for bob's device, and edits that are refused.

    Chunks are large and mostly zeroes: each is given by what it seals, and by a hash of its bytes.
    """
    writer, data, operations = _filled("bundle")
    data += b"".join(writer.end())
    start = len(writer.header)
    file_key = _drawn("bundle")(32)
    opened = open_chunk(file_key, writer.name, 0, data[start:])
    bad = [
        ("no magic", "set", 0, b"x", "magic"),
        ("a later version", "set", 14, b"\x02", "version"),
        ("no slots", "set", 15, b"\0\0", "format"),
        ("too many slots", "set", 15, b"\xff\xf1", "format"),
        ("torn in its header", "cut", 500, b"", "truncated"),
        ("torn in its chunk", "cut", len(data) - 1, b"", "truncated"),
        ("a slot of somebody else is changed", "set", start - 1, bytes([data[start - 1] ^ 1]),
         "damaged"),
        ("a bit is flipped", "set", start + 9, bytes([data[start + 9] ^ 1]), "damaged"),
    ]  # fmt: skip
    return {
        "sealing_seed": secrets("bob").sealing.hex(),
        "header": writer.header.hex(),
        "name": writer.name.hex(),
        "file_key": file_key.hex(),
        "chunks": [
            {
                "number": opened.number,
                "before": opened.before,
                "signature": opened.signature.hex(),
                "payload": opened.payload.hex(),
                "hash": hashlib.blake2b(data[start:], digest_size=32).hexdigest(),
            }
        ],
        "realm": bytes(story().realm).hex(),
        "signer": bytes(secrets("node").keys.id).hex(),
        "operations": [operation_id(op.header).hex() for op in operations],
        "bad": [
            {"name": name, how: at, "bytes": value.hex(), "code": f"bundle_{code}"}
            for name, how, at, value, code in bad
        ],
    }


def bundle_parts() -> dict[str, Any]:
    """A bundle with a large part behind its end, and one that is asked for; and such that are
    refused. What a piece holds is given by where it stands in the part.
    """
    writer, data, operations = _filled("bundle parts")
    content = hashlib.shake_128(b"a photo").digest(50_000)
    wanted = PartId(OperationId(digest("v-op", b"wanted")), digest("v-part", b"wanted"))
    operation, named = digest("v-op", b"photo"), part_hash(content)
    data += b"".join((*writer.announce(operations[0]), *writer.end(), *writer.wanted([wanted])))
    for at in range(0, len(content), MAX_PIECE):
        piece = Piece(operation, named, at, content[at : at + MAX_PIECE])
        data += b"".join(writer.piece(piece))
    data += b"".join(writer.last(1, 1))
    start = len(writer.header)
    file_key = _drawn("bundle parts")(32)
    chunks = []
    for number, at in enumerate(range(start, len(data), CHUNK)):
        sealed = data[at : at + CHUNK]
        opened = open_chunk(file_key, writer.name, number, sealed)
        chunks.append(
            {
                "number": number,
                "before": opened.before,
                "signature": opened.signature.hex(),
                "frames": [_framed(kind, frame) for kind, frame in _cut(opened.payload)],
                "hash": hashlib.blake2b(sealed, digest_size=32).hexdigest(),
            }
        )
    row = [operation, named]
    bad: dict[str, tuple[Kind, object]] = {
        "a piece of nothing": (Kind.PIECE, [*row, 0, b""]),
        "a piece behind every part": (Kind.PIECE, [*row, MAX_LARGE_PART, b"x"]),
        "a name that is none": (Kind.PIECE, [operation[1:], named, 0, b"x"]),
        "nothing is asked for": (Kind.WANTED, []),
        "one field too many": (Kind.LAST, [0, 0, 0]),
    }
    return {
        "sealing_seed": secrets("bob").sealing.hex(),
        "header": writer.header.hex(),
        "file_key": file_key.hex(),
        "name": writer.name.hex(),
        "part": {
            "shake_128": b"a photo".hex(),
            "length": len(content),
            "operation": operation.hex(),
            "hash": named.hex(),
        },
        "wanted": [[one.hex() for one in wanted]],
        "operations": [operation_id(op.header).hex() for op in operations],
        "chunks": chunks,
        "bad": [
            {"name": name, "kind": int(kind), "frame": canonical.encode(value).hex(),
             "code": "bundle_format"}
            for name, (kind, value) in bad.items()
        ],
    }  # fmt: skip


def _cut(payload: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(payload):
        end = at + 5 + int.from_bytes(payload[at + 1 : at + 5])
        yield payload[at], payload[at + 5 : end]
        at = end


def _framed(kind: int, frame: bytes) -> dict[str, Any]:
    found = decode_frame(kind, frame)
    if isinstance(found, Piece):
        return {"kind": kind, "offset": found.offset, "length": len(found.data)}
    return {"kind": kind, "frame": frame.hex()}
