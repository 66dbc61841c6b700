"""Check an archive of a community with Python 3.11 alone: no commons-node, no library, no network.

    python3 ARCHIVE.verify.py ARCHIVE

Proven is what follows from bytes: the hash over the file; each operation's form, id, body, parts
and place in its chain; each Ed25519 signature under the key that the community granted to the
device that signed; each photo and other large part that is here; that the verdicts which the file
gives its operations make the set hash, and the rows of the views the state hash; that each act of
the council which the file names was endorsed by more than half of the coordinators' keys of that
time; and which state hash the newest seal among these acts states.

Not proven is what takes the rules: that the verdicts are right, and that the rows are what the
accepted operations come to. Who wrote the file could have put in others, unless a seal states this
very state hash. `commons-node community verify` judges and folds everything again, as
docs/protocol/authority.md says. Nor can it be seen whether operations were left out at the end of a
chain, whether a text or photo that is absent was erased or only not held here, or whether the times
that people's clocks said are true.

This file belongs to its archive and may be copied with it. The format: docs/protocol/archive.md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b, sha512
from pathlib import Path
from typing import Any, BinaryIO, Final

MAGIC: Final = b"commons-archive"
VERSIONS: Final = (1, 2)
SIGNED: Final = b"commons/operation/1\x00"
SMALL_PART: Final = 2_048 + 32
"""Bytes, salt included, of the largest part that stands beside its operation."""
_MOST: Final = 1 << 20
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


def hasher(purpose: str) -> Any:
    """BLAKE2b-256 with the purpose as personalisation (RFC 7693 §2.8)."""
    return blake2b(digest_size=32, person=b"commons/" + purpose.encode())


def digest(purpose: str, *parts: bytes) -> bytes:
    """The hash of all parts, one after the other."""
    hashed = hasher(purpose)
    for part in parts:
        hashed.update(part)
    return bytes(hashed.digest())


@dataclass
class Found:
    """What a true archive holds. ``seal``: in words, what the newest seal states of the rows."""

    version: int = 0
    realm: str = ""
    operations: int = 0
    signatures: int = 0
    chains: int = 0
    absent: int = 0
    rows: int = 0
    parts: int = 0
    parts_absent: int = 0
    council_acts: int = 0
    set_hash: str = ""
    state_hash: str = ""
    seal: str = ""


class File:
    """The file, a frame at a time; the hash over all that was read."""

    def __init__(self, source: BinaryIO) -> None:
        """Read the magic and the version."""
        self._in = source
        self._hash = blake2b(digest_size=32)
        begin = self._take(len(MAGIC) + 1)
        if begin[:-1] != MAGIC or begin[-1] not in VERSIONS:
            raise Bad("it does not begin like an archive that this program knows")
        self.version = begin[-1]

    def frames(self) -> Iterator[bytes]:
        """One list, up to its end."""
        while length := int.from_bytes(self._take(4), "big"):
            if length > _MOST:
                raise Bad("a frame is larger than any may be")
            yield self._take(length)

    def end(self) -> None:
        """The hash was right, and nothing follows."""
        hashed = self._hash.digest()
        if self._take(32) != hashed:
            raise Bad("its bytes are not those that were written")
        if self._in.read(1):
            raise Bad("it does not end where it says")

    def _take(self, count: int) -> bytes:
        data = self._in.read(count)
        if len(data) != count:
            raise Bad("it ends too early")
        self._hash.update(data)
        return data


@dataclass
class Town:
    """What is remembered of the operations while they are read: bytes, not texts."""

    realm: bytes
    keys: dict[bytes, bytes] = field(default_factory=dict)
    known: dict[bytes, tuple[bytes, int, int]] = field(default_factory=dict)
    """By id, the device, the log and the place in its chain; in the file's order."""
    acts: dict[bytes, tuple[bytes, Any]] = field(default_factory=dict)
    """By id, the device and the body of acts of the council, the founding among them."""
    ballots: dict[bytes, list[tuple[bytes, bytes]]] = field(default_factory=dict)
    """By act, the ballots that repeat it, with the device of each."""
    endorsers: dict[bytes, set[bytes]] = field(default_factory=dict)
    """By act or ballot, the devices that endorse it."""
    large: list[tuple[bytes, int, int, bytes]] = field(default_factory=list)
    """Parts that do not stand beside their operation: its id, position, length and hash."""
    absent: int = 0

    def take(self, raw: bytes, signature: bytes, body: bytes | None, parts: list[Any]) -> None:
        """One operation; ``Bad`` if it is not what it says."""
        ident, header = digest("op", raw), cbor(raw)
        device, log, seq, prev = header[2], header[3], header[4], header[5]
        if ident in self.known or header[1] not in (self.realm, bytes(32)):
            raise Bad(f"{ident.hex()}: twice, or of another community")
        if header[1] != self.realm and ident != self.realm:
            raise Bad(f"{ident.hex()}: a founding that is not this community's")
        before = self.known.get(prev)
        if seq > 1 and before != (device, log, seq - 1):
            raise Bad(f"{ident.hex()}: it does not follow the one before it in its chain")
        if seq == 1 and before is None and any(prev):
            raise Bad(f"{ident.hex()}: what let its device in is not before it")
        if any(one not in self.known for one in (*header[10], *header[11])):
            raise Bad(f"{ident.hex()}: something that it builds on is not before it")
        if body is None:
            self.absent += 1
        elif digest("body", body) != header[12] or len(body) != header[13]:
            raise Bad(f"{ident.hex()}: its body is another one")
        elif log == 0:
            said = cbor(body[32:])
            keys_in(said, self.keys)
            self._hear(ident, header[8], device, said)
        if len(parts) > len(header[14]):
            raise Bad(f"{ident.hex()}: it has more parts than it says")
        for at, (_name, length, hashed) in enumerate(header[14]):
            part = parts[at] if at < len(parts) else None
            if length > SMALL_PART:
                self.large.append((ident, at, length, hashed))
            elif part is None:
                self.absent += 1
            if part is not None and (digest("part", part) != hashed or len(part) != length):
                raise Bad(f"{ident.hex()}: a part of it is another one")
        if device not in self.keys or not verify(self.keys[device], SIGNED + raw, signature):
            raise Bad(f"{ident.hex()}: its signature is not its device's")
        self.known[ident] = (device, log, seq)

    def _hear(self, ident: bytes, kind: str, device: bytes, said: Any) -> None:
        """What is said to the council."""
        if kind in ("council.genesis.1", "council.act.1"):
            self.acts[ident] = device, said
        elif kind == "council.ballot.1":
            self.ballots.setdefault(said[2], []).append((ident, device))
        elif kind == "council.endorse.1":
            self.endorsers.setdefault(said[1], set()).add(device)


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


def check_verdicts(file: File, town: Town, of_set: bytes) -> None:
    """The verdicts, a byte each, make the set hash; what has 0 stands in no hash."""
    said = b"".join(file.frames())
    if len(said) != len(town.known):
        raise Bad("its verdicts are not as many as its operations")
    final = sorted((one, byte) for one, byte in zip(town.known, said, strict=True) if byte)
    if digest("set", *(one + bytes([byte]) for one, byte in final)) != of_set:
        raise Bad("its verdicts do not give the set hash that it names")


def check_rows(file: File, of_state: bytes) -> int:
    """The rows, by ascending view and key, make the state hash; how many they are."""
    hashed, count, last = hasher("state"), 0, ("", b"")
    for frame in file.frames():
        view, key, values = cbor(frame)
        if not isinstance(values, list) or (count and (view, key) <= last):
            raise Bad("its rows are out of their order")
        last, count = (view, key), count + 1
        hashed.update(frame)
    if hashed.digest() != of_state:
        raise Bad("its rows do not give the state hash that it names")
    return count


def check_parts(file: File, town: Town) -> int:
    """Each large part that the operations name, in their order, whole or absent; how many are."""
    held, expected = 0, iter(town.large)
    for frame in file.frames():
        operation, position = cbor(frame)
        ident, at, length, expects = next(expected, (b"", 0, 0, b""))
        if (operation, position) != (ident, at):
            raise Bad("it holds other large parts than its operations name")
        hashed, size = hasher("part"), 0
        for piece in file.frames():
            hashed.update(piece)
            size += len(piece)
        if size and (size != length or hashed.digest() != expects):
            raise Bad(f"{ident.hex()}: a large part of it is another one")
        held += bool(size)
    if next(expected, None) is not None:
        raise Bad("it holds other large parts than its operations name")
    return held


# --- the council ---------------------------------------------------------------------------------


def endorsed(town: Town, act: bytes, seats: set[bytes]) -> int:
    """How many of these keys endorsed an act in one ballot, at most: by their own signatures."""
    ballots = [(act, town.acts[act][0]), *town.ballots.get(act, ())]
    return max(len({by, *town.endorsers.get(one, ())} & seats) for one, by in ballots)


def check_council(town: Town, pin: bytes, chain: list[bytes], state: bytes) -> str:
    """Each act was endorsed by more than half of its time's keys; what the newest seal says."""
    if not chain or chain[0] != town.realm or town.realm not in town.acts or pin not in chain:
        raise Bad("its council does not begin with the founding, or its pin is no act of it")
    seats, says, base = {town.acts[town.realm][0]}, "", chain[0]
    trusted = chain[: chain.index(pin) + 1]
    for act in chain[1:]:
        _device, body = town.acts.get(act, (b"", [b""]))
        if body[0] != base:
            raise Bad(f"{act.hex()}: no act of the council that follows the one before it")
        votes = endorsed(town, act, seats)
        if votes * 2 <= len(seats) and act not in trusted:
            raise Bad(f"{act.hex()}: not endorsed by more than half of the coordinators' keys")
        what = body[2]
        if what[0] == "seal":
            if any(town.known.get(tip[3]) != tuple(tip[:3]) for tip in what[1]):
                raise Bad(f"{act.hex()}: something that it seals is not here, or another one")
            which = "the very state of the rows here" if what[2] == state else "an earlier state"
            says = (
                f"{act.hex()[:16]}, endorsed by {votes} of {len(seats)} coordinators' keys,"
                f" states {which}: {what[2].hex()}"
            )
        if what[0] == "coordinators":
            seats = {device for _member, device in what[1]}
        base = act
    return says


# --- all of it -----------------------------------------------------------------------------------


def check(source: BinaryIO) -> Found:
    """What the archive holds, if its bytes are true; ``Bad`` says what is not."""
    try:
        return _check(source)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise Bad(f"a value in it is not what it should be ({error})") from error


def _check(source: BinaryIO) -> Found:
    file = File(source)
    frames = file.frames()
    head = next(frames, None)
    if head is None:
        raise Bad("it is empty")
    realm, pin, chain, count, of_set, of_state = cbor(head)
    town = Town(realm)
    for frame in frames:
        town.take(*cbor(frame))
    if len(town.known) != count:
        raise Bad("it does not hold as many operations as it says")
    found = Found(file.version, realm.hex(), count, count)
    found.chains = len({(device, log) for device, log, _seq in town.known.values()})
    found.absent, found.set_hash, found.state_hash = town.absent, of_set.hex(), of_state.hex()
    if file.version > 1:
        check_verdicts(file, town, of_set)
        found.rows = check_rows(file, of_state)
        found.parts = check_parts(file, town)
    file.end()
    found.parts_absent = len(town.large) - found.parts
    found.seal = check_council(town, pin, chain, of_state) or "none"
    found.council_acts = len(chain) - 1
    return found


def main(words: list[str]) -> int:
    """Check the file that is named; 0 if it is true."""
    if len(words) != 2:
        sys.stdout.write(f"{__doc__}\n")
        return 2
    try:
        with Path(words[1]).open("rb") as source:
            found = check(source)
    except (Bad, OSError) as error:
        sys.stdout.write(f"NOT TRUE: {error}\n")
        return 1
    for name, value in vars(found).items():
        sys.stdout.write(f"{name:14}{value}\n")
    limits = (__doc__ or "").partition("Not proven")[2].partition("This file")[0]
    sys.stdout.write(f"\nNot proven{limits}")
    if found.version == 1:
        sys.stdout.write("It is of version 1, without rows: its hashes are not proven at all.\n\n")
    sys.stdout.write("Every byte is as it was signed.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
