"""Headers, ids, contents, devices, members and hashes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import msgspec

from commons_crdt import canonical
from commons_crdt.authority.facts import Identity
from commons_crdt.folds import set_hash, state_hash
from commons_crdt.ids import ZERO, digest
from commons_crdt.kinds import encode_fact
from commons_crdt.operation import (
    Header,
    Operation,
    PartRef,
    body_hash,
    check_contents,
    decode_header,
    encode_header,
    operation_id,
    part_hash,
    sign,
)
from making.names import NOTE, START_MS, code_of, identity, secrets, shown

# --- operations ---------------------------------------------------------------------------------

PLAIN = Header(
    1, b"r" * 32, b"d" * 32, 1, 2, b"p" * 32, 3, START_MS, NOTE, b"o" * 32,
    (b"1" * 32, b"2" * 32), (b"3" * 32,), body_hash(b"s" * 32 + b"body"), 36,
    (PartRef("text", 36, part_hash(b"t" * 32 + b"part")),),
)  # fmt: skip
SMALLEST = Header(1, ZERO, b"d" * 32, 0, 1, ZERO, 1, 0, "a.b.1", ZERO, (), (), b"h" * 32, 32, ())
LARGEST = Header(
    1, b"r" * 32, b"d" * 32, 1, 2**53 - 1, b"p" * 32, 2**53 - 1, 2**53 - 1,
    f"{'k' * 16}.{'n' * 15}.999", b"o" * 32,
    tuple(bytes([i]) * 32 for i in range(16)), tuple(bytes([i]) * 32 for i in range(16, 32)),
    b"h" * 32, 2**53 - 1, tuple(PartRef("p" * 16, 2**53 - 1, b"t" * 32) for _ in range(8)),
)  # fmt: skip


def altered(index: int, value: object) -> bytes:
    """A good header with another value at one position."""
    positions = canonical.decode(encode_header(PLAIN), 4096)
    positions[index] = value
    return canonical.encode(positions)


def bad_headers() -> Iterator[tuple[str, bytes]]:
    """Headers that no node takes, each with its name."""
    good = encode_header(PLAIN)
    names = ("version", "realm", "device", "log", "seq", "prev", "lamport", "time_ms", "kind",
             "document", "refs", "authority", "body_hash", "body_length", "parts")  # fmt: skip
    for index, name in enumerate(names):
        yield f"{name} is null", altered(index, None)
    yield "version 2", altered(0, 2)
    yield "realm of 31 bytes", altered(1, b"r" * 31)
    yield "realm as base64 text", altered(1, "cnJycnJycnJycnJycnJycnJycnJycnJycnJycnJycnI=")
    yield "log 2", altered(3, 2)
    yield "seq 0", altered(4, 0)
    yield "seq 2^53", altered(4, 2**53)
    yield "time before 1970", altered(7, -1)
    yield "kind without a number", altered(8, "vector.note")
    yield "kind with a line end", altered(8, NOTE + "\n")
    yield "refs out of order", altered(10, [b"2" * 32, b"1" * 32])
    yield "a ref twice", altered(10, [b"1" * 32, b"1" * 32])
    yield "17 refs", altered(10, [bytes([i]) * 32 for i in range(17)])
    yield "authority out of order", altered(11, [b"2" * 32, b"1" * 32])
    yield "body without room for its salt", altered(13, 31)
    yield "part without room for its salt", altered(14, [["text", 31, b"t" * 32]])
    yield "9 parts", altered(14, [["text", 36, b"t" * 32]] * 9)
    yield "too deep", altered(14, [[[[0]]]])
    yield "14 positions", canonical.encode(canonical.decode(good, 4096)[:14])
    yield "16 positions", canonical.encode([*canonical.decode(good, 4096), 0])
    yield "a byte behind it", good + b"\x00"
    yield "a byte less", good[:-1]
    yield "indefinite length", b"\x9f" + good[1:] + b"\xff"
    yield "version in two bytes", good[:1] + b"\x18\x01" + good[2:]
    yield "version as a float", good[:1] + b"\xf9\x3c\x00" + good[2:]
    yield "a tag around it", b"\xd9\xd9\xf7" + good
    yield "a map", b"\xa1\x01\x02"
    yield "empty", b""
    yield "2049 bytes", b"\x00" * 2049


def operations() -> dict[str, Any]:
    """Headers and their ids; bytes that are refused; contents that are not the header's."""
    alice = secrets("alice")
    good = []
    for name, header in (("plain", PLAIN), ("smallest", SMALLEST), ("largest", LARGEST)):
        data = encode_header(header)
        good.append(
            {
                "name": name,
                "fields": shown(msgspec.to_builtins(header, builtin_types=(bytes,))),
                "header": data.hex(),
                "id": operation_id(data).hex(),
                "signing_seed": alice.signing.hex(),
                "signature": sign(data, alice.signing).hex(),
            }
        )
    refused = [
        {"name": name, "header": data.hex(), "code": code_of(partial(decode_header, data))}
        for name, data in bad_headers()
    ]
    body, part = b"s" * 32 + b"body", b"t" * 32 + b"part"
    contents = []
    for name, one, other in (
        ("right", body, part),
        ("absent", None, None),
        ("another body", b"s" * 32 + b"Body", part),
        ("a longer body", body + b"!", part),
        ("another part", body, b"t" * 32 + b"Part"),
        ("body for part", body, body),
    ):
        operation = Operation(encode_header(PLAIN), b"", one, (other,))
        contents.append(
            {
                "name": name,
                "header": encode_header(PLAIN).hex(),
                "body": one.hex() if one is not None else None,
                "part": other.hex() if other is not None else None,
                "code": code_of(partial(check_contents, PLAIN, operation)),
            }
        )
    return {"accepted": good, "refused": refused, "contents": contents}


# --- devices and members ------------------------------------------------------------------------


def devices() -> list[dict[str, Any]]:
    """Seeds, public keys and the id that follows from them."""
    return [
        {
            "name": name,
            "signing_seed": secrets(name).signing.hex(),
            "sealing_seed": secrets(name).sealing.hex(),
            "suite": 1,
            "signing_key": secrets(name).keys.signing.hex(),
            "sealing_key": secrets(name).keys.sealing.hex(),
            "device": secrets(name).keys.id.hex(),
        }
        for name in ("alice", "bob", "eve")
    ]


def members() -> list[dict[str, Any]]:
    """Identities, their canonical bytes and the member id."""
    guardians = tuple(sorted(identity(name).member for name in ("bob", "eve")))
    listed = [
        ("alone", identity("alice")),
        ("with guardians", Identity(secrets("alice").keys, guardians, 2, ZERO)),
        ("with a recovery key", Identity(secrets("alice").keys, (), 0, digest("v-hash", b"key"))),
    ]
    return [
        {
            "name": name,
            "device": who.device.id.hex(),
            "guardians": [guardian.hex() for guardian in who.guardians],
            "threshold": who.threshold,
            "recovery": who.recovery.hex(),
            "fact": encode_fact(who).hex(),
            "member": who.member.hex(),
        }
        for name, who in listed
    ]


# --- signatures ---------------------------------------------------------------------------------

# --- hashes -------------------------------------------------------------------------------------


def hashes() -> dict[str, Any]:
    """Digests by purpose, and the hashes of a set and of a state."""
    pairs = [(digest("v-id", bytes([n])), n % 5) for n in range(6)]
    rows: list[tuple[str, bytes, list[str | int | bytes | bool | None]]] = [
        ("members", b"m" * 32, [5, False]),
        ("loans", b"k" * 32, ["returned", None, b"\x00", -1]),
        ("loans", b"a" * 32, ["borrowed", True, b"", 2**40]),
    ]
    return {
        "digests": [
            {"purpose": purpose, "data": data.hex(), "digest": digest(purpose, data).hex()}
            for purpose in ("op", "body", "part", "device", "member", "set", "state")
            for data in (b"", b"commons")
        ],
        "set_hash": [
            {
                "verdicts": [{"id": ident.hex(), "verdict": v} for ident, v in chosen],
                "hash": set_hash(chosen).hex(),
            }
            for chosen in ([], pairs)
        ],
        "state_hash": [
            {
                "rows": [[view, key.hex(), _tagged(row)] for view, key, row in chosen],
                "hash": state_hash(chosen).hex(),
            }
            for chosen in ([], rows)
        ],
    }


def _tagged(row: list[str | int | bytes | bool | None]) -> list[object]:
    """A row with its bytes as {"bytes": hex}: JSON has none."""
    return [{"bytes": value.hex()} if isinstance(value, bytes) else value for value in row]
