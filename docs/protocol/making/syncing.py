"""What two nodes say on `/commons/sync/1`: keys of a stream, chain ends, ranges, every message."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
from nacl.signing import SigningKey

from commons_crdt.ids import DeviceId, OperationId, digest
from commons_crdt.operation import Operation, decode_header
from commons_protocol import carriage, wire
from commons_protocol.about import about_in
from commons_protocol.ends import ChainEnd, Vector, packed
from commons_protocol.frame import encode
from commons_protocol.ranges import Comparison, fingerprint, of_log
from commons_protocol.transcript import Ends, Sealer, Side, claim_parts
from making import giving, rounds
from making.judge_story import story
from making.names import code_of, secrets, shown

STREAM = Ends(
    digest("v-nonce", b"dialler"),
    digest("v-nonce", b"listener"),
    secrets("alice's network").keys.signing,
    secrets("bob's network").keys.signing,
)
EPOCH_KEY = digest("v-epoch", b"key")
REALM = digest("v-realm", b"town")
KEY = STREAM.range_key(REALM)
SLOT = 3


def sync() -> dict[str, Any]:
    """All of it."""
    return {
        "proof": proof(),
        "ends": ends(),
        "fingerprints": fingerprints(),
        "comparisons": [
            compared("a few chains each, listed at once", 1, few(0), few(1)),
            compared("a removal and a fork in log 0", 0, authority(0), authority(1)),
            compared("many chains, four of which differ", 1, many(0), many(1)),
            compared("one side holds nothing", 1, Vector.of([]), few(1)),
            compared("both are equal", 1, many(0), many(0)),
        ],
        "refused": refused(),
        "messages": messages(),
        "programs": programs(),
        "wanting": giving.wanting(),
        "pieces": giving.pieces(),
        "credit": giving.credit(),
        "bad_messages": giving.bad_messages(),
        "rounds": rounds.rounds(KEY),
    }


# --- keys of a stream ---------------------------------------------------------------------------


def proof() -> dict[str, Any]:
    """What follows from both nonces, both transport keys and an epoch's key."""
    fill = [digest("v-fill", bytes([n]))[: wire.TAG_BYTES] for n in range(15)]
    sides: tuple[Side, ...] = ("dialler", "listener")
    tags = {side: b"".join(sorted([STREAM.tag(EPOCH_KEY, side), *fill])) for side in sides}
    transcript = STREAM.transcript(tags["dialler"], tags["listener"])
    device, grant = secrets("alice's node"), digest("v-grant", b"alice's node")
    side: Side = "dialler"
    parts = claim_parts(transcript, SLOT, side, REALM, device.keys.id, grant)
    signature = SigningKey(device.signing).sign(digest("proof", *parts)).signature
    plain = device.keys.id + grant + signature
    sealer = Sealer(EPOCH_KEY, transcript, SLOT, side)
    return {
        "nonce_dialler": STREAM.nonce_dialler.hex(),
        "nonce_listener": STREAM.nonce_listener.hex(),
        "key_dialler": STREAM.key_dialler.hex(),
        "key_listener": STREAM.key_listener.hex(),
        "epoch_key": EPOCH_KEY.hex(),
        "realm": REALM.hex(),
        "tag_dialler": STREAM.tag(EPOCH_KEY, "dialler").hex(),
        "tag_listener": STREAM.tag(EPOCH_KEY, "listener").hex(),
        "tags_dialler": tags["dialler"].hex(),
        "tags_listener": tags["listener"].hex(),
        "transcript": transcript.hex(),
        "slot": SLOT,
        "device_seed": device.signing.hex(),
        "device": device.keys.id.hex(),
        "grant": grant.hex(),
        "claim": plain.hex(),
        "sealed_claim": sealer.seal(plain, b"proof").hex(),
        "sealed_ask": sealer.seal(b"", b"ask").hex(),
        "sealed_path": sealer.seal(b"a piece", b"path").hex(),
        "range_key": KEY.hex(),
    }


# --- chain ends ---------------------------------------------------------------------------------


def end(n: int, seq: int, log: int = 1, **more: Any) -> ChainEnd:
    """The end of a chain that is called by a number."""
    device = DeviceId(digest("v-dev", bytes([n])))
    ident = OperationId(digest("v-op", device + bytes([log, seq])))
    return ChainEnd(device, log, seq, ident, **more)


def few(side: int) -> Vector:
    """Four chains, of which two are the same."""
    return Vector.of([end(1, 7), end(2, 1 + side), end(3, 9), end(10 + side, 4)])


def authority(side: int) -> Vector:
    """Log 0, where a removal has come to one side and a fork's proof to the other; and log 1."""
    ends = [end(n, n, 0) for n in range(1, 5)]
    ends += [end(n, 5) for n in range(3)]
    if side:
        return Vector.of([*ends, end(9, 3, 0, fork=4)])
    return Vector.of([*ends, end(8, 12, 0), end(9, 5, 0, more=digest("beyond", b"v"))])


def many(side: int) -> Vector:
    """Sixty chains; four end otherwise on the other side, two of them are not there at all."""
    ends = [end(n, 20 + n) for n in range(60)]
    if side:
        ends[7] = end(7, 31)
        ends[31] = end(31, 51, hollow=4, more=digest("hollow", (4).to_bytes(8)))
        del ends[50]
        ends.append(end(77, 1))
    return Vector.of(ends)


def listed(one: ChainEnd) -> dict[str, Any]:
    """An end with its fields' names."""
    return {name: shown(value) for name, value in one._asdict().items()}


def ends() -> list[dict[str, Any]]:
    """Sets of ends with their digests, and each end as it is hashed."""
    return [
        {
            "ends": [{**listed(one), "packed": packed(one).hex()} for one in vector],
            "digest": vector.digest().hex(),
        }
        for vector in (Vector.of([]), few(0), authority(0), authority(1))
    ]


def fingerprints() -> list[dict[str, Any]]:
    """Of rows of the fourth set of ``ends``, from ``first`` up to, not including, ``last``."""
    vector = authority(1)
    return [
        {"first": first, "last": last, "fingerprint": fingerprint(vector, first, last, KEY).hex()}
        for first, last in ((0, 0), (0, 1), (0, 5), (5, 8), (0, 8))
    ]


# --- ranges -------------------------------------------------------------------------------------


def compared(name: str, log: int, leader: Vector, follower: Vector) -> dict[str, Any]:
    """All frames of a comparison, and what each side knows at its end."""
    sides = {
        who: Comparison(vector, log, KEY, SLOT)
        for who, vector in (("leader", leader), ("follower", follower))
    }
    who, frames = "leader", sides["leader"].opening()
    said = []
    while frames:
        said += [{"from": who, "frame": frame.hex()} for frame in frames]
        who = "follower" if who == "leader" else "leader"
        answers: list[bytes] = []
        for frame in frames:
            answers += sides[who].on_frame(_ranges(frame))
        frames = answers
    return {
        "name": name,
        "log": log,
        "slot": SLOT,
        "leader": [packed(one).hex() for one in leader],
        "follower": [packed(one).hex() for one in follower],
        "frames": said,
        "learned": {
            who: {
                "differing": sorted(one.device.hex() for one in side.theirs),
                "absent": sorted(one.device.hex() for one in side.absent),
            }
            for who, side in sides.items()
        },
    }


def _ranges(frame: bytes) -> wire.Ranges:
    message = wire.unpack_sync(frame)
    assert isinstance(message, wire.Ranges)
    return message


def refused() -> list[dict[str, Any]]:
    """First turns that a follower with the sixty chains takes from nobody."""
    two, three = b"f" * 32, b"f" * 48
    a, b = sorted(bytes(end(n, 1).device) for n in (100, 101))
    rest = (1, b"i" * 32, 0, 0, b"")
    cases: dict[str, tuple[list[Any], list[Any]]] = {
        "a range that was not opened": ([[1, [b"\x80"], two]], []),
        "bounds that do not ascend": ([[0, [b"\x80", b"\x40"], three]], []),
        "more fingerprints than parts": ([[0, [b"\x80"], three]], []),
        "a range split twice": ([[0, [b"\x80"], two], [0, [b"\x80"], two]], []),
        "a range split and listed": ([[0, [b"\x80"], two]], [[0, [], []]]),
        "ends that do not ascend": ([], [[0, [[b, *rest], [a, *rest]], []]]),
        "the same end twice": ([], [[0, [[a, *rest], [a, *rest]], []]]),
        "what is lacked, of no list": ([], [[0, [[a, *rest]], [0]]]),
        "a mark of a wrong length": ([], [[0, [[a, 1, b"i" * 32, 0, 0, b"x"]], []]]),
    }
    found = []
    for name, (splits, lists) in cases.items():
        frame = encode([11, SLOT, 1, True, splits, lists])
        follower = Comparison(many(0), 1, KEY, SLOT)
        code = code_of(partial(follower.on_frame, _ranges(frame)))
        found.append({"name": name, "frame": frame.hex(), "code": code})
    return found


# --- messages -----------------------------------------------------------------------------------


def messages() -> list[dict[str, Any]]:
    """One of each, as it is written; reading must not depend on how integers are written."""
    told = story().operations["bob writes a note"]
    whole = Operation(told.header, told.signature, told.body, (None, b"p" * 33))
    carried: Any = (tuple(carriage.pack_operation(whole)),)
    device = decode_header(told.header).device
    found: list[wire.SyncMessage] = [
        wire.Hello(wire.VERSION, STREAM.nonce_dialler),
        wire.Tags(b"t" * 256),
        wire.Proof(SLOT, b"s" * 144),
        wire.AskPath(SLOT, b"s" * 16),
        wire.Path(SLOT, True, b"s" * 40),
        wire.Members(SLOT, ((STREAM.key_dialler, ("/ip4/192.0.2.7/tcp/4001",)),)),
        wire.Digest(SLOT, False, few(0).digest(), of_log(few(0), 0, KEY)),
        wire.Ranges(SLOT, 1, True, ((0, (b"\x55", b"\xaa"), b"f" * 48),), ((1, (), (0, 2)),)),
        wire.Want(SLOT, 32, ((device, 1, 3, 9),), ()),
        wire.Want(SLOT, 32, (), (digest("v-op", b"named"),)),
        wire.Operations(SLOT, carried),
        wire.Piece(SLOT, False, b"a part of one operation"),
        wire.Credit(SLOT, 16),
        wire.Served(SLOT),
        wire.Done(SLOT),
        wire.Push(SLOT, carried),
    ]
    return [
        {
            "name": type(one).__name__,
            "fields": shown(msgspec.to_builtins(one, builtin_types=(bytes,))),
            "frame": wire.pack(one).hex(),
        }
        for one in found
    ]


def programs() -> list[dict[str, Any]]:
    """What an entry of `Members` says of its node's program."""
    where = "/ip4/192.0.2.7/tcp/4001/p2p/12D3KooW"
    cases = [
        ["/commons-node/1.2.0/rules/4", where],
        [where, "/commons-node/1.3.0.dev0+local/rules/5"],
        [where],
        ["/commons-node/1.2.0/rules/0"],
        ["/commons-node/new/rules/4"],
        ["/commons-node/1.2.0/rules/4/p2p/12D3KooW"],
        ["/commons-node/1.2.0/rules/4\n"],
    ]
    told = [(one, about_in(one)) for one in cases]
    return [
        {"addresses": one, "version": said and said.version, "rules": said and said.rules}
        for one, said in told
    ]
