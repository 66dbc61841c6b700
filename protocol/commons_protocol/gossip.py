"""Sealed hints: what a node says to all members at once, and no stranger can read or count on.

Topic, key and padding say nothing: the topic is a hash of the epoch's key, the message is AEAD
under another, its size is one of five. A hint may be lost, doubled or late; `sync` is the truth.
Whoever holds the epoch's key can write hints, so nothing is believed: operations go to the judge,
digests only lead to a comparison. Relaying is the network's business.

Source: ARCHITECTURE §§6, 7; RFC 8439 (ChaCha20-Poly1305).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from commons_crdt.errors import Refused
from commons_crdt.ids import digest
from commons_crdt.operation import Operation
from commons_protocol import carriage, wire
from commons_protocol.frame import decode, encode
from commons_protocol.limits import Buckets
from commons_protocol.network import PeerId

SIZES = (256, 512, 1024, 2048, 4096)
"""Bytes of a sealed message, nonce and all."""

MAX_OPERATION = 1024
"""Bytes of an operation that is sent whole; beyond that only what leads to a comparison."""

MAX_AT_ONCE = 8
"""Operations that are sent whole at a time."""

MOST_SEEN = 8192
"""Things that a node remembers having seen."""
MOST_GATED = 512
"""Peers of whom a node remembers how much they say."""

_NONCE = 12
_SEAL = 16
_LENGTH = 2
MAX_PLAIN = SIZES[-1] - _NONCE - _SEAL - _LENGTH


class Said(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag=1):
    """New operations, whole."""

    operations: Annotated[
        tuple[carriage.WireOperation, ...], msgspec.Meta(min_length=1, max_length=MAX_AT_ONCE)
    ]


class Heads(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag=2):
    """Something is new at the sender, whose digest is this."""

    digest: wire.Bytes32


Hint = Said | Heads


@dataclass(frozen=True, slots=True)
class Channel:
    """One epoch of one realm: where its hints are heard, and how they are sealed."""

    topic: str
    key: bytes

    @classmethod
    def of(cls, epoch_key: bytes) -> Channel:
        """Derive both from the epoch's 32-byte key, one way."""
        return cls(digest("topic", epoch_key).hex()[:48], digest("gossip", epoch_key))

    def seal(self, plain: bytes, nonce: bytes) -> bytes:
        """A message of one of `SIZES`; ``nonce``: 12 fresh random bytes. Deterministic."""
        if len(plain) > MAX_PLAIN:
            raise ValueError("a hint is too long")
        size = next(s for s in SIZES if len(plain) + _NONCE + _SEAL + _LENGTH <= s)
        padded = len(plain).to_bytes(_LENGTH, "big") + plain
        padded += bytes(size - _NONCE - _SEAL - len(padded))
        return nonce + ChaCha20Poly1305(self.key).encrypt(nonce, padded, self.topic.encode())

    def open(self, sealed: bytes) -> Hint:
        """What was sealed; ``Refused`` with ``gossip_seal`` or ``gossip_message``."""
        if len(sealed) not in SIZES:
            raise Refused("gossip_seal")
        try:
            padded = ChaCha20Poly1305(self.key).decrypt(
                sealed[:_NONCE], sealed[_NONCE:], self.topic.encode()
            )
        except InvalidTag as error:
            raise Refused("gossip_seal") from error
        length = int.from_bytes(padded[:_LENGTH], "big")
        try:
            if length > len(padded) - _LENGTH:
                raise Refused("length")
            plain = padded[_LENGTH : _LENGTH + length]
            return msgspec.convert(decode(plain, MAX_PLAIN), Hint)  # type: ignore[no-any-return]
        except (Refused, msgspec.ValidationError) as error:
            raise Refused("gossip_message") from error


def hints(operations: Sequence[Operation], digest_now: bytes, *, whole: bool = True) -> list[bytes]:
    """What to seal for new operations: small ones whole, one digest for all others.

    More than a handful are announced by the digest alone: a comparison is cheaper. So are all of
    them unless ``whole``: every neighbour passes a message on to every other, and those who were
    told already would be told again by each of them (decision 12).
    """
    small = [o for o in operations if carriage.operation_size(o) <= MAX_OPERATION]
    heads = encode([2, digest_now])
    if not whole or len(operations) > MAX_AT_ONCE:
        return [heads]
    plain: list[bytes] = []
    batch: list[Operation] = []
    size = 16
    for operation in small:
        need = carriage.operation_size(operation)
        if batch and size + need > MAX_PLAIN:
            plain.append(_said(batch))
            batch, size = [], 16
        batch.append(operation)
        size += need
    if batch:
        plain.append(_said(batch))
    return plain if len(small) == len(operations) else [*plain, heads]


def _said(operations: Sequence[Operation]) -> bytes:
    return encode([1, [carriage.pack_operation(operation) for operation in operations]])


class Seen:
    """The latest so many things that were seen; forgets the oldest."""

    def __init__(self, most: int = MOST_SEEN) -> None:
        """``most``: how many are remembered."""
        self._most = most
        self._seen: OrderedDict[Hashable, None] = OrderedDict()

    def __contains__(self, thing: Hashable) -> bool:
        return thing in self._seen

    def add(self, thing: Hashable) -> bool:
        """Remember; True if it is new."""
        if thing in self._seen:
            self._seen.move_to_end(thing)
            return False
        self._seen[thing] = None
        if len(self._seen) > self._most:
            self._seen.popitem(last=False)
        return True


class Gate:
    """How many hints of one peer are opened at all: checked before anything is decrypted."""

    def __init__(
        self, burst: float = 64, per_second: float = 20, most_peers: int = MOST_GATED
    ) -> None:
        """``most_peers``: how many buckets are kept; the longest unused is forgotten."""
        self._buckets: Buckets[PeerId] = Buckets(burst, per_second, most_peers)

    def admits(self, peer: PeerId, now: int) -> bool:
        """Take a token of this peer at ``now`` (ms)."""
        return self._buckets.of(peer).take(now)
