"""Bundles, good and bad."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from nacl.signing import SigningKey

from commons_crdt.ids import DeviceId, digest
from commons_crdt.operation import decode_header, operation_id
from commons_protocol.bundles.chunks import open_chunk
from commons_protocol.bundles.contents import Kind, Manifest
from commons_protocol.bundles.writer import Writer
from commons_protocol.ends import ChainEnd
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


def bundle() -> dict[str, Any]:
    """A bundle of the story's first operations for bob's device, and edits that are refused.

    Chunks are large and mostly zeroes: each is given by what it seals, and by a hash of its bytes.
    """
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
        manifest, [secrets("bob").keys.sealing], lambda d: key.sign(d).signature, _drawn("bundle")
    )
    last = decode_header(zero[-1].header)
    ends = [ChainEnd(DeviceId(last.device), 0, last.seq, operation_id(zero[-1].header))]
    data = writer.header + b"".join(writer.ends(ends))
    for kind, some in ((Kind.ZERO, zero), (Kind.ONE, one)):
        for op in some:
            data += b"".join(writer.add(kind, op))
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
        "realm": bytes(town.realm).hex(),
        "signer": bytes(node.keys.id).hex(),
        "operations": [operation_id(op.header).hex() for op in (*zero, *one)],
        "bad": [
            {"name": name, how: at, "bytes": value.hex(), "code": f"bundle_{code}"}
            for name, how, at, value, code in bad
        ],
    }
