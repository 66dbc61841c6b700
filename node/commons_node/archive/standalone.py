"""Check an archive of a community with Python 3.11 alone: no commons-node, no library, no network.

    python3 ARCHIVE.verify.py ARCHIVE

It checks what can be checked from bytes: the hash over the file, every operation's form, id, body,
parts and place in its chain, and every Ed25519 signature under the key that the community granted
to the device that signed. It does not judge who was allowed to do what: that takes the rules, which
`commons-node community verify` applies and docs/protocol/authority.md of commons-node describes.
Erased texts are absent in the file; everything that they hung on verifies without them.

This file belongs to its archive and may be copied with it. The format: docs/protocol/archive.md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from hashlib import blake2b, sha512
from pathlib import Path
from typing import Any, Final, NamedTuple

MAGIC: Final = b"commons-archive\x01"
SIGNED: Final = b"commons/operation/1\x00"
_DEPTH: Final = 16


class Bad(Exception):
    """The archive is not what it says."""


# --- CBOR, as far as it is used (RFC 8949): integers, bytes, text, lists, true, false, null ----


def cbor(data: bytes) -> Any:
    """The one value in ``data``."""
    value, end = _item(data, 0, 0)
    if end != len(data):
        raise Bad("something follows a value")
    return value


def _item(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if depth > _DEPTH or at >= len(data):
        raise Bad("a value is cut off or too deep")
    major, info = data[at] >> 5, data[at] & 31
    at += 1
    if major == 7:
        if info not in (20, 21, 22):
            raise Bad("a value of a kind that is not used")
        return {20: False, 21: True, 22: None}[info], at
    if info >= 24:
        size = {24: 1, 25: 2, 26: 4, 27: 8}.get(info)
        if size is None or at + size > len(data):
            raise Bad("a length is cut off")
        number, at = int.from_bytes(data[at : at + size], "big"), at + size
    else:
        number = info
    if major == 0:
        return number, at
    if major == 1:
        return -1 - number, at
    if major in (2, 3):
        raw = data[at : at + number]
        if len(raw) != number:
            raise Bad("bytes are cut off")
        return (raw if major == 2 else raw.decode("utf-8")), at + number
    if major != 4 or number > len(data):
        raise Bad("a value of a kind that is not used")
    items = []
    for _ in range(number):
        one, at = _item(data, at, depth + 1)
        items.append(one)
    return items, at


# --- Ed25519 (RFC 8032 §5.1.7), slow and plain; stricter than the RFC as libsodium is ----------

P: Final = 2**255 - 19
L: Final = 2**252 + 27742317777372353535851937790883648493
D: Final = -121665 * pow(121666, P - 2, P) % P
Point = tuple[int, int, int, int]
_BASE_Y: Final = 4 * pow(5, P - 2, P) % P


def _add(a: Point, b: Point) -> Point:
    e = (a[1] - a[0]) * (b[1] - b[0]) % P
    f = (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    x, y, z, t = f - e, h - g, h + g, f + e
    return x * y % P, t * z % P, y * z % P, x * t % P


def _times(scalar: int, point: Point) -> Point:
    found: Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            found = _add(found, point)
        point = _add(point, point)
        scalar >>= 1
    return found


def _same(a: Point, b: Point) -> bool:
    return not ((a[0] * b[2] - b[0] * a[2]) % P or (a[1] * b[2] - b[1] * a[2]) % P)


def _point(data: bytes) -> Point | None:
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (1 << 255) - 1
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether this is the key's signature, as libsodium sees it."""
    scalar = int.from_bytes(signature[32:], "little")
    by, r = _point(key), _point(signature[:32])
    if by is None or r is None or scalar >= L or len(signature) != 64:
        return False
    if any(_same(_times(8, one), (0, 1, 1, 0)) for one in (by, r)):
        return False  # of small order
    base = _point(_BASE_Y.to_bytes(32, "little"))
    if base is None:
        return False
    hashed = int.from_bytes(sha512(signature[:32] + key + message).digest(), "little") % L
    return _same(_times(scalar, base), _add(r, _times(hashed, by)))


# --- the archive ---------------------------------------------------------------------------------


def digest(purpose: str, *parts: bytes) -> bytes:
    """BLAKE2b-256 with the purpose as personalisation (RFC 7693 §2.8)."""
    return blake2b(b"".join(parts), digest_size=32, person=b"commons/" + purpose.encode()).digest()


class Found(NamedTuple):
    """What a true archive holds."""

    realm: str
    operations: int
    signatures: int
    chains: int
    absent: int
    set_hash: str
    state_hash: str


def frames(data: bytes) -> Iterator[bytes]:
    """The frames after the magic, up to the end; the hash over all before it was right."""
    if not data.startswith(MAGIC):
        raise Bad("it does not begin like an archive of version 1")
    if blake2b(data[:-32], digest_size=32).digest() != data[-32:]:
        raise Bad("its bytes are not those that were written")
    at = len(MAGIC)
    while length := int.from_bytes(data[at : at + 4], "big"):
        yield data[at + 4 : at + 4 + length]
        at += 4 + length
    if at + 4 + 32 != len(data):
        raise Bad("it does not end where it says")


def keys_in(value: Any, found: dict[bytes, bytes]) -> None:
    """Remember every device's signing key, wherever it was published: its id is its hash."""
    if not isinstance(value, list):
        return
    if (
        len(value) == 3
        and value[0] == 1
        and all(isinstance(one, bytes) and len(one) == 32 for one in value[1:])
    ):
        found[digest("device", b"\x01", value[1], value[2])] = value[1]
    for one in value:
        keys_in(one, found)


def check(data: bytes) -> Found:
    """What the archive holds, if its bytes are true; ``Bad`` says what is not."""
    packed = [cbor(frame) for frame in frames(data)]
    if not packed:
        raise Bad("it is empty")
    realm, _pin, _chain, count, of_set, of_state = packed[0]
    operations = packed[1:]
    if len(operations) != count:
        raise Bad("it does not hold as many operations as it says")
    keys: dict[bytes, bytes] = {}
    known: dict[bytes, tuple[bytes, int, int]] = {}
    absent = 0
    for raw, signature, body, parts in operations:
        ident, header = digest("op", raw), cbor(raw)
        device, log, seq, prev = header[2], header[3], header[4], header[5]
        if ident in known or header[1] not in (realm, bytes(32)):
            raise Bad(f"{ident.hex()}: twice, or of another community")
        if header[1] != realm and ident != realm:
            raise Bad(f"{ident.hex()}: a founding that is not this community's")
        before = known.get(prev)
        if seq > 1 and before != (device, log, seq - 1):
            raise Bad(f"{ident.hex()}: it does not follow the one before it in its chain")
        if seq == 1 and before is None and any(prev):
            raise Bad(f"{ident.hex()}: what let its device in is not before it")
        if any(one not in known for one in (*header[10], *header[11])):
            raise Bad(f"{ident.hex()}: something that it builds on is not before it")
        if body is None:
            absent += 1
        elif digest("body", body) != header[12] or len(body) != header[13]:
            raise Bad(f"{ident.hex()}: its body is another one")
        elif log == 0:
            keys_in(cbor(body[32:]), keys)
        for part, (_name, length, hashed) in zip(parts, header[14], strict=False):
            if part is None:
                absent += 1
            elif digest("part", part) != hashed or len(part) != length:
                raise Bad(f"{ident.hex()}: a part of it is another one")
        if device not in keys or not verify(keys[device], SIGNED + raw, signature):
            raise Bad(f"{ident.hex()}: its signature is not its device's")
        known[ident] = (device, log, seq)
    chains = {(device, log) for device, log, _seq in known.values()}
    return Found(realm.hex(), count, count, len(chains), absent, of_set.hex(), of_state.hex())


def main(words: list[str]) -> int:
    """Check the file that is named; 0 if it is true."""
    if len(words) != 2:
        sys.stdout.write(f"{__doc__}\n")
        return 2
    try:
        found = check(Path(words[1]).read_bytes())
    except (Bad, ValueError, TypeError, OSError) as error:
        sys.stdout.write(f"NOT TRUE: {error}\n")
        return 1
    for name, value in found._asdict().items():
        sys.stdout.write(f"{name:12}{value}\n")
    sys.stdout.write("Every byte is as it was signed.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
