"""Targets of relays: their messages as they come over a stream, and addresses through them."""

from __future__ import annotations

from collections.abc import Mapping

import trio
from libp2p.exceptions import BaseLibp2pError
from libp2p.relay.circuit_v2.pb.circuit_pb2 import HopMessage, Status
from libp2p.utils.varint import encode_varint_prefixed
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # ships no types
from tests.fuzz.messages import NODE_ADDRESS
from tests.fuzz.target import Target, hold

from commons_crdt.ids import digest
from commons_protocol import circuit, codes, names
from commons_protocol.libp2p_host import circuits, punching
from commons_protocol.network import (
    Address,
    NotAtRelay,
    PeerId,
    RelayRefuses,
    RelayUnreachable,
    Unreachable,
)

PEER = PeerId(NODE_ADDRESS.rpartition("/")[2])
OTHER = names.peer_of_key(digest("f-relay"))


class _Said:
    """A stream on which somebody has said these bytes and no more."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self, n: int) -> bytes:
        data, self._data = self._data[:n], self._data[n:]
        return data

    async def write(self, data: bytes) -> None: ...


def _message(data: bytes) -> bool:
    """Whoever opens a hop stream, and a relay that answers."""
    answered = False
    try:
        # As bytes of a stranger to a relay:
        message = trio.run(circuits.read_message, _Said(data), HopMessage)
        hold(len(message.SerializeToString()) <= 4096, "a message is short")
    except BaseLibp2pError:
        pass
    try:
        answer = trio.run(circuits.ask, _Said(data), HopMessage(type=HopMessage.RESERVE))
        answered = True
        hold(answer.status == Status.OK, "only a yes is an answer")
    except (RelayRefuses, NotAtRelay, RelayUnreachable) as error:
        str(error).encode()
    return answered


def _messages() -> Mapping[str, bytes]:
    yes = circuits.status(Status.OK)
    yes.reservation.expire = 2_000_000_000
    yes.limit.data = 1 << 28
    call = HopMessage(type=HopMessage.CONNECT)
    call.peer.id = names.peer_key(PEER)
    no = circuits.status(Status.NO_RESERVATION)
    found = {"yes": yes, "bad call": call, "bad no": no}
    packed = {name: encode_varint_prefixed(m.SerializeToString()) for name, m in found.items()}
    return packed | {"bad length": b"\xff\xff\xff\x7f", "bad end": packed["yes"][:-3]}


def _relayed(data: bytes) -> bool:
    """An address through a relay, as peers, invites and people give it."""
    text = Address(data.decode("utf-8", "replace"))
    try:
        found = circuit.split(text)
    except Unreachable as error:
        str(error).encode()
        return False
    hold((found is None) == (not circuit.is_relayed(text)), "it is one, or it is none")
    if found is None:
        return False
    if found.peer is None:
        hold(len(found.check) in range(10, 17), "a check of some bytes")
        hold(circuit.split(circuit.by_check(found.relay, found.check)) == found, "means one node")
        return True
    again = circuit.through(found.relay, found.peer)
    hold(again is None or circuit.split(again) == found, "an address means one node")
    try:
        kind, packed = codes.pack_address(text)
    except codes.LongAddress:
        return True
    (where,), check = codes.unpack_address(kind, packed)
    hold(codes.node_check(found.peer, len(check)) == check, "a code means the same node")
    hold(circuit.is_relayed(where), "behind a relay")
    return True


def _addresses() -> Mapping[str, bytes]:
    relay = NODE_ADDRESS.rpartition("/p2p/")[0]
    return {
        "named": f"{relay}/p2p/{OTHER}/p2p-circuit/p2p/{PEER}".encode(),
        "unnamed": f"{relay}/p2p-circuit/p2p/{PEER}".encode(),
        "dns": f"/dns/oak.example/tcp/1/p2p-circuit/p2p/{PEER}".encode(),
        "check": circuit.by_check(Address(relay), bytes(16)).encode(),
        "bad direct": NODE_ADDRESS.encode(),
        "bad twice": f"{relay}/p2p-circuit/p2p/{OTHER}/p2p-circuit/p2p/{PEER}".encode(),
        "bad check": f"{relay}/p2p-circuit/check/00".encode(),
    }


def _dialled(data: bytes) -> bool:
    """An address that a peer wants to be dialled at, in binary form."""
    found = punching.public(data)
    if found is None:
        return False
    read = punching.read_address(found.to_bytes())
    hold(read is not None and read[1] >= 1024, "an IPv4 address and a port")
    hold(read is not None and not read[0].is_loopback, "on the internet")
    return True


def _binary() -> Mapping[str, bytes]:
    given = {
        "public": "/ip4/203.0.113.5/tcp/4001",
        "bad private": "/ip4/192.168.1.1/tcp/4001",
        "bad udp": "/ip4/203.0.113.5/udp/4001",
        "bad port": "/ip4/203.0.113.5/tcp/25",
    }
    return {name: Multiaddr(one).to_bytes() for name, one in given.items()}


TARGETS = (
    Target("dialled-address", _dialled, _binary),
    Target("relay-message", _message, _messages),
    Target("relayed-address", _relayed, _addresses, "text"),
)
