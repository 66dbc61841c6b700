"""Parts on demand: messages, frames that are refused, and a part in chunks."""

from __future__ import annotations

import hashlib
from typing import Any

from commons_crdt.ids import digest
from commons_crdt.operation import MAX_LARGE_PART, SMALL_PART, part_hash
from commons_protocol import part_messages
from commons_protocol.frame import encode as frame_of


def parts() -> dict[str, Any]:
    """Messages with their frames, frames that are refused, and a part in chunks."""
    operation, part = digest("v-op"), hashlib.shake_128(b"a photo").digest(80_000)
    messages: dict[str, part_messages.PartMessage] = {
        "asks from the beginning": part_messages.AskPart(3, operation, part_hash(part), 0, 16),
        "asks only whether it is held": part_messages.AskPart(3, operation, part_hash(part), 0, 0),
        "goes on": part_messages.AskPart(3, operation, part_hash(part), 40_000, 2),
        "holds it": part_messages.Holding(3, len(part)),
        "lacks it": part_messages.Lacking(3),
        "gives": part_messages.Chunk(3, part[:40]),
        "credits": part_messages.More(3, 8),
    }
    ask = [40, 3, operation, part_hash(part)]
    bad = {
        "more credit than may be open": ([*ask, 0, 17], "message"),
        "an offset behind every part": ([*ask, 6 << 20, 1], "message"),
        "a slot that is none": ([42, 16], "message"),
        "an empty chunk": ([43, 3, b""], "message"),
        "a chunk that is too long": ([43, 3, bytes(part_messages.CHUNK + 1)], "message"),
        "a message of another protocol": ([10, 3, bytes(32)], "message"),
        "one field too many": ([42, 3, 0], "message"),
        "something that is no array": (b"x", "message"),
    }
    offset, chunks = 40_000, list[int]()
    while (at := offset + sum(chunks)) < len(part):
        chunks.append(min(part_messages.CHUNK, len(part) - at))
    return {
        "small": SMALL_PART,
        "largest": MAX_LARGE_PART,
        "messages": [
            {"name": name, "frame": part_messages.pack(one).hex()} for name, one in messages.items()
        ],
        "bad": [
            {"name": name, "frame": frame_of(value).hex(), "code": code}
            for name, (value, code) in bad.items()
        ],
        "part": {
            "shake_128": b"a photo".hex(),
            "length": len(part),
            "hash": part_hash(part).hex(),
            "offset": offset,
            "chunks": chunks,
        },
    }
