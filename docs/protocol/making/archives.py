"""Archive files, good and bad."""

from __future__ import annotations

import io
from typing import Any

import msgspec

from commons_crdt.folds import set_hash, state_hash
from commons_crdt.operation import Operation, decode_header, operation_id
from commons_node.archive.format import Head, Writer
from making.judge_story import story

ROWS = [("members", bytes(32), [4, 0]), ("notes", bytes(32), ["a", None, b"b", True]),
        ("notes", bytes([1] * 32), [-1])]  # fmt: skip


def archive() -> dict[str, Any]:
    """A file of the story's first operations in each version, and files that are refused.

    ``state_hash`` is that of no rows, since these rules have no views; ``file_2`` has three rows
    that no view gives, so it is read, and not verified.
    """
    town = story()
    realm = bytes(town.realm)
    first = [op for op in town.operations.values() if not decode_header(op.header).log][:3]
    ids = [operation_id(op.header) for op in first]
    of_set = set_hash(sorted((i, int(town.standings[i].judgement.verdict)) for i in ids))
    head = Head(realm, realm, (realm,), len(ids), of_set, state_hash([]))

    def written(head: Head, operations: list[Operation]) -> bytes:
        out = io.BytesIO()
        writer = Writer(out, head, 1)
        for operation in operations:
            writer.add(operation)
        writer.close()
        writer.end()
        return out.getvalue()

    def rich(head: Head) -> bytes:
        out = io.BytesIO()
        writer = Writer(out, msgspec.structs.replace(head, state_hash=state_hash(ROWS)))
        for operation in first:
            writer.add(operation)
        writer.close()
        writer.verdicts(bytes(int(town.standings[i].judgement.verdict) for i in ids))
        writer.close()
        for row in ROWS:
            writer.row(*row)
        writer.close()
        writer.close()
        writer.end()
        return out.getvalue()

    good = written(head, first)
    whole = written(msgspec.structs.replace(head, operations=9), first)
    longer = len(good).to_bytes(4)
    bad = {
        "no magic": (b"x" + good[1:], "magic"),
        "another version": (good[:15] + b"\xff" + good[16:], "version"),
        "torn": (good[:-40], "truncated"),
        "fewer operations than it says": (whole, "truncated"),
        "a bit is flipped": (good[:-50] + bytes([good[-50] ^ 1]) + good[-49:], "hash"),
        "a frame that is too large": (good[:16] + b"\x7f" + longer[1:] + good[20:], "size"),
        "something behind the end": (good + b"\x00", "format"),
    }
    return {
        "file": good.hex(),
        "file_2": rich(head).hex(),
        "state_hash_2": state_hash(ROWS).hex(),
        "realm": realm.hex(),
        "pin": realm.hex(),
        "chain": [realm.hex()],
        "operations": [ident.hex() for ident in ids],
        "set_hash": of_set.hex(),
        "state_hash": state_hash([]).hex(),
        "bad": [
            {"name": name, "file": data.hex(), "code": f"archive_{code}"}
            for name, (data, code) in bad.items()
        ],
    }
