"""Targets of what peers send: frames, every message, pieces, paths, sealed hints, LAN records.

Messages are not signed, so they need not be canonical; but they mean one thing, and nobody can
make a node hold more than a frame of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from random import Random

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from tests.fuzz.mutations import OF
from tests.fuzz.target import Target, hold, only
from tests.fuzz.vectors import operations
from zeroconf import ServiceInfo

from commons_crdt.errors import Refused
from commons_crdt.ids import digest
from commons_crdt.operation import Operation
from commons_protocol import beacon, carriage, gossip, part_messages, proof, wire
from commons_protocol.frame import decode, encode
from commons_protocol.lan import found as lan

NODE_ADDRESS = "/ip4/192.0.2.7/tcp/4001/p2p/12D3KooWGzJNKnfBS4RdHzYYJYFJHcFd6LmTbpwb1PqqDF3YNTxB"
EPOCH_KEY = digest("f-epoch")


# --- frames and messages -------------------------------------------------------------------------


def _frame(data: bytes) -> bool:
    try:
        with only("size", "encoding"):
            value = decode(data)
    except Refused:
        return False
    written = encode(value)
    hold(encode(decode(written, len(written))) == written, "a value comes back as it was")
    return True


def _frame_seeds() -> Mapping[str, bytes]:
    return {
        "plain": encode([1, -1, b"bytes", "text", True, None, [[]], 2**64 - 1]),
        "a map": encode({1: [2], "k": b"v"}),
        "floats": encode([1.5, float("nan"), float("inf")]),
        "a long form": b"\x18\x01",
        "bad two values": b"\x00\x00",
        "bad a tag": b"\xd8\x1c\x81\xd8\x1d\x00",
        "bad a count that cannot be": b"\x9b" + b"\xff" * 8,
    }


def _sync(data: bytes) -> bool:
    try:
        with only("size", "encoding", "message"):
            message = wire.unpack_sync(data)
    except Refused:
        return False
    hold(wire.unpack_sync(wire.pack(message)) == message, "a message means one thing")
    _operations_in(message)
    return True


def _join(data: bytes) -> bool:
    try:
        with only("size", "encoding", "message"):
            message = wire.unpack_join(data)
    except Refused:
        return False
    hold(wire.unpack_join(wire.pack(message)) == message, "a message means one thing")
    _operations_in(message)
    return True


def _operations_in(message: wire.SyncMessage | wire.JoinMessage) -> None:
    if isinstance(message, wire.Operations | wire.Push | wire.Page):
        for packed, operation in zip(
            message.operations, carriage.unpack_operations(message.operations), strict=True
        ):
            hold(tuple(carriage.pack_operation(operation)[:3]) == packed[:3], "as it was sent")


def sync_messages() -> list[wire._Message]:
    """One good message of each type of `/commons/sync/1`."""
    invite = carriage.pack_operation(operations()["alice invites once"])
    packed = (invite[0], invite[1], invite[2], (None, b"p" * 40))
    end = (b"d" * 32, 7, b"i" * 32, 0, 3, b"m" * 32)
    return [
        wire.Hello(1, b"n" * 32),
        wire.Tags(b"t" * 256),
        wire.Proof(15, b"x" * 144),
        wire.AskPath(0, b"a" * 16),
        wire.Path(3, False, b"path" * 8),
        wire.Members(0, ((b"k" * 32, (NODE_ADDRESS, "/dns/drill.example/tcp/1")),)),
        wire.Digest(0, False, b"d" * 32, b"z" * 16),
        wire.Ranges(
            0,
            1,
            True,
            ((0, (b"b", b"bound" * 6), b"f" * 48), (9, (b"\x80",), b"g" * 32)),
            ((3, (end, (b"e" * 32, 2**53 - 1, bytes(32), 9, 0, b"")), ()), (4, (), (0, 1))),
        ),
        wire.Want(0, 16, ((b"d" * 32, 1, 1, 2**53 - 1),), (b"i" * 32,)),
        wire.Operations(0, (packed,)),  # type: ignore[arg-type]  # as CBOR takes it
        wire.Piece(0, True, b"piece"),
        wire.Credit(0, 4),
        wire.Served(0),
        wire.Done(0),
        wire.Push(0, (packed, packed)),  # type: ignore[arg-type]  # likewise
    ]


def join_messages() -> list[wire._Message]:
    """One good message of each type of `/commons/join/1`."""
    page = wire.unpack_join(next(iter(carriage.pages([operations()["genesis"]]))))
    return [
        wire.Welcome(1, b"n" * 32),
        wire.Knock(b"i" * 32, b"s" * 64),
        wire.Realm(b"r" * 32),
        wire.Enter(b"identity", b"p" * 64, b"c" * 64),
        page,
        wire.Turned("expired"),
        wire.KnockKey(b"k" * 32, b"s" * 64),
        wire.Subject(
            b"r" * 32, b"m" * 32, b"b" * 32, ((b"d" * 32, b"n" * 32, 3, b"i" * 32, 0, bytes(32)),)
        ),
        wire.Apply(b"device", b"c" * 64, b"node", b"n" * 64, b"p" * 64, (b"r" * 32,)),
        wire.Pending(b"s" * 16),
    ]


def _sync_seeds() -> Mapping[str, bytes]:
    found = {type(one).__name__: wire.pack(one) for one in sync_messages()}
    return found | {"bad of joining": wire.pack(wire.Realm(b"r" * 32)), "bad slot": b"\x82\x10\x10"}


def _join_seeds() -> Mapping[str, bytes]:
    found = {type(one).__name__: wire.pack(one) for one in join_messages()}
    return found | {"bad of syncing": wire.pack(wire.Done(0)), "bad no code": b"\x82\x18\x23\x60"}


def _pieces(data: bytes) -> bool:
    try:
        with only("size", "encoding", "message"):
            operation = carriage.unpack_pieces(data)
    except Refused:
        return False
    (frame, held), *more = carriage.frames(0, [operation])
    hold(held + sum(n for _, n in more) == 1, "it goes out as one operation")
    if not more:
        message = wire.unpack_sync(frame)
        hold(isinstance(message, wire.Operations), "in a frame of its own")
    return True


def _pieces_seeds() -> Mapping[str, bytes]:
    admit = operations()["the node admits bob"]
    absent = Operation(admit.header, admit.signature, None, (None, b"part", None))
    return {
        "whole": encode(carriage.pack_operation(admit)),
        "absent": encode(carriage.pack_operation(absent)),
        "bad short signature": encode([b"h", b"s" * 63, None, []]),
    }


def _path(data: bytes) -> bool:
    try:
        with only("size", "encoding", "message"):
            found = proof._parse_path(data)
    except Refused:
        return False
    hold(proof._parse_path(b"".join(proof._pieces(found))) == found, "a path means one thing")
    return True


def _path_seeds() -> Mapping[str, bytes]:
    some = [operations()["genesis"], operations()["alice grants her node"]]
    return {
        "two": b"".join(proof._pieces(some)),
        "none": b"".join(proof._pieces([])),
        "bad no list": encode(1),
    }


# --- sealed hints --------------------------------------------------------------------------------

CHANNEL = gossip.Channel.of(EPOCH_KEY)


def _gossip(data: bytes) -> bool:
    try:
        with only("gossip_seal", "gossip_message"):
            hint = CHANNEL.open(data)
    except Refused:
        return False
    return _hint(hint)


def _gossip_plain(data: bytes) -> bool:
    """What is inside the seal, its length and the message: a member writes anything there."""
    data = data[: gossip.MAX_PLAIN + 2]
    size = next(s for s in gossip.SIZES if len(data) + 28 <= s)
    padded = data + bytes(size - 28 - len(data))
    sealed = ChaCha20Poly1305(CHANNEL.key).encrypt(bytes(12), padded, CHANNEL.topic.encode())
    taken = _gossip(bytes(12) + sealed)
    length = int.from_bytes(padded[:2], "big")
    hold(not taken or length <= len(padded) - 2, "a message ends before its seal does")
    return taken


def _hint(hint: gossip.Hint) -> bool:
    if isinstance(hint, gossip.Said):
        said = carriage.unpack_operations(hint.operations)
        hold(0 < len(said) <= gossip.MAX_AT_ONCE, "a handful at most")
    else:
        hold(len(hint.digest) == 32, "a digest has its size")
    return True


def _hints() -> dict[str, bytes]:
    some = [operations()[name] for name in ("genesis", "alice invites once")]
    said, *_ = gossip.hints(some, digest("f-digest"))
    (heads,) = gossip.hints(some * 5, digest("f-digest"))
    return {"said": said, "heads": heads}


def _gossip_seeds() -> Mapping[str, bytes]:
    found = {name: CHANNEL.seal(plain, bytes(12)) for name, plain in _hints().items()}
    return found | {"bad key": gossip.Channel.of(bytes(32)).seal(_hints()["heads"], bytes(12))}


def _gossip_plain_seeds() -> Mapping[str, bytes]:
    bad = {"none said": encode([1, []]), "short digest": encode([2, b"d" * 31])}
    heads = _hints()["heads"]
    found = {name: _sized(plain) for name, plain in _hints().items()}
    found |= {f"bad {name}": _sized(plain) for name, plain in bad.items()}
    # As long as the whole block, so that nothing but the length is wrong.
    exact = encode([1, [[b"h", bytes(64), b"x" * 151, []]]])
    assert len(exact) == gossip.SIZES[0] - 30, len(exact)
    return found | {
        "fills its block": _sized(exact),
        "bad longer than its block": (len(exact) + 1).to_bytes(2, "big") + exact,
        "bad shorter than it is": (len(heads) - 1).to_bytes(2, "big") + heads,
    }


def _sized(plain: bytes) -> bytes:
    return len(plain).to_bytes(2, "big") + plain


def _changed_within(data: bytes, other: bytes, rng: Random) -> bytes:
    """The message changed, its length right."""
    return _sized(rng.choice(OF["cbor"])(data[2:], other[2:], rng)[: gossip.MAX_PLAIN])


# --- the LAN -------------------------------------------------------------------------------------


def _lan_record(data: bytes) -> bool:
    """A TXT record off the network, as zeroconf hands it over, with port and addresses before it.

    Two bytes of port, one byte of addresses, the record.
    """
    port = int.from_bytes(data[:2], "big")
    addresses = [f"192.0.2.{n}" for n in range(data[2] % 12)] if len(data) > 2 else []
    info = ServiceInfo("_f._tcp.local.", "f._f._tcp.local.", properties=data[3:])
    found = lan.parse(addresses, port, info.properties)
    if found is None:
        return False
    hold(0 < len(found.addresses) <= lan.MOST_ADDRESSES, "some addresses, not too many")
    hold(len(found.txt) <= lan.MOST_KEYS, "not too many keys")
    size = sum(len(key) + len(value) for key, value in found.txt.items())
    hold(size <= lan.MOST_TXT_BYTES, "not too many bytes")
    beacon.read(found.txt, [EPOCH_KEY])
    return True


def _beacon(data: bytes) -> bool:
    """Read by a member whose epoch's key it may be: the strings one after the other."""
    txt = {str(n): data[at : at + 240] for n, at in zip(range(8), count(0, 240), strict=False)}
    shown = beacon.read(txt, [digest("f-other"), EPOCH_KEY])
    hold(all(len(key) == 32 for key in shown), "what is shown is a transport key")
    hold(beacon.read(txt, []) == set(), "a stranger reads nothing")
    return bool(shown)


def _noise(length: int) -> bytes:
    return b"".join(digest("f-noise", bytes([n])) for n in range(length // 32 + 1))[:length]


def _shown() -> dict[str, bytes]:
    return beacon.show([EPOCH_KEY], digest("f-trans"), _noise)


def _lan_seeds() -> Mapping[str, bytes]:
    record = b"".join(
        bytes([len(key) + 1 + len(value)]) + key.encode() + b"=" + value
        for key, value in _shown().items()
    )
    return {
        "a beacon": b"\x0f\xa1\x02" + record,
        "strange keys": b"\x00\x01\x01" + b"\x01=\x03a=b\x03a=c\x02d=\x01e\x04f==g",
        "bad port": b"\x00\x00\x01" + record,
        "bad too many keys": b"\x00\x01\x01" + b"".join(b"\x03%c=x" % c for c in range(97, 120)),
    }


def _beacon_seeds() -> Mapping[str, bytes]:
    other = beacon.show([bytes(32)], digest("f-trans"), _noise)
    return {
        "a member's": b"".join(_shown().values()),
        "bad a stranger's": b"".join(other.values()),
        "bad short": b"".join(_shown().values())[:-1],
    }


def _parts(data: bytes) -> bool:
    try:
        with only("size", "encoding", "message"):
            message = part_messages.unpack_parts(data)
    except Refused:
        return False
    again = encode(msgspec.to_builtins(message, builtin_types=(bytes,)))
    hold(part_messages.unpack_parts(again) == message, "a message means one thing")
    return True


def _parts_seeds() -> Mapping[str, bytes]:
    ask = part_messages.AskPart(3, digest("f-op"), digest("f-part"), 65_536, 16)
    return {
        "asks": part_messages.pack(ask),
        "holds": part_messages.pack(part_messages.Holding(3, 700_000)),
        "lacks": part_messages.pack(part_messages.Lacking(3)),
        "gives": part_messages.pack(part_messages.Chunk(3, _noise(300))),
        "credits": part_messages.pack(part_messages.More(3, 8)),
        "proves": wire.pack(wire.Hello(1, digest("f-nonce"))),
        "bad credit": encode([44, 3, 17]),
        "bad offset": encode([40, 3, digest("f-op"), digest("f-part"), -1, 1]),
        "bad chunk": encode([43, 3, b""]),
        "bad digest": wire.pack(wire.Digest(3, False, digest("f-ends"), digest("f-ends")[:16])),
    }


TARGETS = (
    Target("frame", _frame, _frame_seeds, "cbor"),
    Target("sync-message", _sync, _sync_seeds, "cbor"),
    Target("parts-message", _parts, _parts_seeds, "cbor"),
    Target("join-message", _join, _join_seeds, "cbor"),
    Target("pieces", _pieces, _pieces_seeds, "cbor"),
    Target("path", _path, _path_seeds, "cbor"),
    Target("gossip", _gossip, _gossip_seeds),
    Target("gossip-plain", _gossip_plain, _gossip_plain_seeds, own=(_changed_within,)),
    Target("lan-record", _lan_record, _lan_seeds),
    Target("beacon", _beacon, _beacon_seeds),
)
