"""What GossipSub routers send each other, and how many bytes it takes on the wire.

Values only. The sizes are those of py-libp2p 0.8.1's protobuf, field by field; a test holds them
against the real messages.

Source: libp2p specs, pubsub/README.md "The RPC" and gossipsub-v1.0.md "Control messages";
`rpc.proto` of py-libp2p.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from commons_protocol.network import PeerId

HEADERS = 32
"""Bytes around one packet on TCP: its length (2), Yamux (12), Noise's length and tag (18)."""

FRAME_HEADERS = 34
"""Bytes around one frame of `/commons/sync/1` on TCP: its length (4), Yamux (12), Noise (18)."""

RECORD = 213
"""The sender's signed addresses, which py-libp2p puts into every packet (one TCP address)."""

_PEER = 38
_SEQNO = 8
_SIGNATURE = 64
_KEY = 36
_ID = _PEER + _SEQNO


class Message(NamedTuple):
    """A published message. ``number`` is the author's own count: with ``origin`` it is the id."""

    origin: PeerId
    number: int
    topic: str
    data: bytes

    @property
    def id(self) -> tuple[PeerId, int]:
        """What tells it from all others (`get_peer_and_seqno_msg_id` in py-libp2p)."""
        return self.origin, self.number


MessageId = tuple[PeerId, int]


@dataclass(frozen=True, slots=True)
class Packet:
    """One RPC. Subscriptions: (topic, on or off); IHAVE: (topic, ids); PRUNE: (topic, seconds)."""

    subscriptions: tuple[tuple[str, bool], ...] = ()
    publish: tuple[Message, ...] = ()
    ihave: tuple[tuple[str, tuple[MessageId, ...]], ...] = ()
    iwant: tuple[MessageId, ...] = ()
    graft: tuple[str, ...] = ()
    prune: tuple[tuple[str, int], ...] = ()

    @property
    def kind(self) -> str:
        """What it is mostly for, as one word."""
        if self.publish:
            return "publish"
        if self.ihave:
            return "ihave"
        if self.iwant:
            return "iwant"
        return "hello" if self.subscriptions else "mesh"

    @property
    def kept(self) -> bool:
        """True if it is said again when it is dropped: py-libp2p keeps GRAFT and PRUNE for later.

        Announcements of topics are tried again, too. What a full queue drops of all others is lost.
        """
        return bool(self.graft or self.prune or self.subscriptions)

    def size(self) -> int:
        """Bytes of the encoded RPC."""
        total = _field(RECORD)
        total += sum(_field(2 + _field(len(topic))) for topic, _ in self.subscriptions)
        for message in self.publish:
            total += _field(_message(message))
        control = sum(
            _field(_field(len(topic)) + len(ids) * _field(_ID)) for topic, ids in self.ihave
        )
        if self.iwant:
            control += _field(len(self.iwant) * _field(_ID))
        control += sum(_field(_field(len(topic))) for topic in self.graft)
        for topic, seconds in self.prune:
            # 0: the heartbeat's own PRUNE names no time, and the default counts.
            control += _field(_field(len(topic)) + (1 + _varint(seconds) if seconds else 0))
        return total + (_field(control) if control else 0)


def _varint(value: int) -> int:
    return max(1, (value.bit_length() + 6) // 7)


def _field(length: int) -> int:
    """A length-delimited field with a number below 16."""
    return 1 + _varint(length) + length


def _message(message: Message) -> int:
    return (
        _field(_PEER)
        + _field(len(message.data))
        + _field(_SEQNO)
        + _field(len(message.topic))
        + _field(_SIGNATURE)
        + _field(_KEY)
    )
