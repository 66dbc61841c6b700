"""The membership proof on a fresh stream: who stands in which community, without telling others.

    dialler                                listener
    Hello(nonce)              ⇄            Hello(nonce)
    16 tags                   →
                              ←            16 tags        no tag in common: both close
    Proof                     →                           sealed, for each community in common
                              ←            (AskPath)      its grant is not known here
    (Path)                    →                           the log-0 operations that lead to it
                              ←            Proof          only after the dialler's was good
    (AskPath ⇄ Path)                                      the other way round

A stranger sees 16 random values and the end. Who stole an epoch key gets nothing when it dials;
when it is dialled it sees the dialler's device, grant and log-0 path: keys and hashes. A proof
that fails makes its slot silent; when all are silent the stream ends.

The machine reads no clock and draws no randomness itself. Source: ARCHITECTURE §6.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

import msgspec

from commons_crdt.device import verify_claim
from commons_crdt.errors import Refused
from commons_crdt.ids import DeviceId, OperationId, RealmId, digest
from commons_crdt.operation import Operation
from commons_protocol import carriage, wire
from commons_protocol.effects import Close, Count, Effect, Ingest, Proven, Send
from commons_protocol.frame import decode, encode
from commons_protocol.names import peer_key
from commons_protocol.network import PeerId
from commons_protocol.replica import Credential, Replica
from commons_protocol.transcript import Ends, Sealer, Side, claim_parts, other

Random = Callable[[int], bytes]
"""Gives as many random bytes as it is asked for."""

KEPT = 12
"""Tags of a dialler that stay for communities that the peer has proven before; the rest of them
go round where not all find room."""

MAX_PATH = 8 * 1024 * 1024
"""Bytes of log-0 operations that a peer may show as the way to its grant."""
_PATH_PIECE = 60_000
_PROOF = 32 + 32 + 64


@dataclass(slots=True)
class _Slot:
    """One community that both ends seem to share, and how far its proof is."""

    number: int
    replica: Replica
    credential: Credential
    ours: Sealer
    theirs: Sealer
    claim: tuple[DeviceId, OperationId, bytes] | None = None
    path: bytearray = field(default_factory=bytearray)
    asked: bool = False
    shown: bool = False
    claimed: bool = False
    proven: bool = False
    dead: bool = False
    answered: bool = False


class Prover:
    """One stream's proof. Each method returns effects; after ``Close`` nothing more is done."""

    def __init__(
        self,
        side: Side,
        own: PeerId,
        peer: PeerId,
        replicas: Sequence[Replica],
        random: Random,
        *,
        turn: int = 0,
        met: Collection[RealmId] = (),
    ) -> None:
        """``replicas``: the realms of this node; those without a credential take no part.

        Of a dialler that knows more keys than a stream has tags: ``turn`` counts its streams with
        this peer, each shows others of them; ``met`` are the realms that the peer has proven.
        """
        self.side = side
        self._keys = (peer_key(own), peer_key(peer))
        self._random = random
        self._nonce = random(wire.NONCE_BYTES)
        self._replicas = [
            (replica, credential)
            for replica in replicas
            if (credential := replica.credential()) is not None
        ]
        self._turn = turn
        self._met = frozenset(met)
        self._ends: Ends | None = None
        self._own_tags = b""
        self._listed: dict[int, tuple[int, bytes]] = {}
        self.matched = False
        """True once the tags of both sides were compared."""
        self.slots: dict[int, _Slot] = {}

    def begin(self) -> list[Effect]:
        """The first frame."""
        return [Send(wire.pack(wire.Hello(wire.VERSION, self._nonce)))]

    @property
    def settled(self) -> bool:
        """True once every community in common is proven or has failed."""
        return bool(self.slots) and all(s.proven or s.dead for s in self.slots.values())

    @property
    def lacks(self) -> bool:
        """True if a community in common was not proven, and never will be on this stream."""
        return any(slot.dead for slot in self.slots.values())

    @property
    def left_out(self) -> bool:
        """True if there was no room to show each realm of this node on this stream."""
        if self.side != "dialler" or not self.matched:
            return False
        shown = {index for index, _ in self._listed.values()}
        return not shown.issuperset(index for index, _ in self._pairs())

    @property
    def shared(self) -> bool:
        """True once a community is proven."""
        return any(slot.proven for slot in self.slots.values())

    @property
    def denied(self) -> frozenset[RealmId]:
        """Where the peer has seen the whole way to our grant, and nothing came of it.

        Once the stream has ended: it knows the community, and does not take our device for one.
        """
        return frozenset(
            slot.replica.realm for slot in self.slots.values() if slot.shown and not slot.answered
        )

    def heard(self, number: int) -> None:
        """The peer speaks of this community: it has taken our proof."""
        if number in self.slots:
            self.slots[number].answered = True

    def range_key(self, realm: RealmId) -> bytes:
        """The key of this stream for comparing ranges of a realm; both nonces went into it."""
        assert self._ends is not None, "a realm is compared when it is proven"
        return self._ends.range_key(realm)

    def give_up(self) -> None:
        """What is not proven by now never will be, on this stream."""
        for slot in self.slots.values():
            slot.dead = slot.dead or not slot.proven

    def on_message(self, message: wire.SyncMessage) -> list[Effect]:
        """A message of the proof, in its turn; anything else ends the stream."""
        match message:
            case wire.Hello() if self._ends is None:
                return self._hello(message)
            case wire.Tags() if self._ends is not None and not self.slots:
                return self._tags(message)
            case wire.Proof() | wire.AskPath() | wire.Path() if message.slot in self.slots:
                slot = self.slots[message.slot]
                if slot.dead:
                    return []
                if isinstance(message, wire.Proof):
                    return self._proof(slot, message)
                if isinstance(message, wire.AskPath):
                    return self._ask_path(slot, message)
                return self._path(slot, message)
            case _:
                return [Close("order")]

    def on_path_ingested(self, realm: RealmId) -> list[Effect]:
        """The peer's path was given to the realm: judge its claim now."""
        for slot in self.slots.values():
            if slot.replica.realm == realm and slot.claim is not None and not slot.proven:
                return self._decide(slot)
        return []

    # --- the constant-shape part ---

    def _hello(self, message: wire.Hello) -> list[Effect]:
        if message.version != wire.VERSION:
            return [Close("version")]
        own, peer = self._keys
        if self.side == "dialler":
            self._ends = Ends(self._nonce, message.nonce, own, peer)
            return self._send_tags(self._in_turn(self._pairs()))
        self._ends = Ends(message.nonce, self._nonce, peer, own)
        return []

    def _pairs(self) -> list[tuple[int, bytes]]:
        """(index of the replica, epoch key): the newest of each realm first, then older ones."""
        columns = [
            [(index, key) for _, key in replica.epochs()]
            for index, (replica, _) in enumerate(self._replicas)
        ]
        return [pair for row in zip_longest(*columns) for pair in row if pair is not None]

    def _in_turn(self, pairs: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
        """Which of them this stream shows, where there are more than it has tags."""
        if len(pairs) <= wire.SLOTS:
            return pairs
        newest = {index: (index, key) for index, key in reversed(pairs)}
        met = [index for index, (one, _) in enumerate(self._replicas) if one.realm in self._met]
        kept = [newest[index] for index in met if index in newest][:KEPT]
        rest = [pair for pair in pairs if pair not in kept]
        room = wire.SLOTS - len(kept)
        begin = self._turn * room % len(rest)
        return [*kept, *(rest[begin:] + rest[:begin])[:room]]

    def _send_tags(self, pairs: list[tuple[int, bytes]]) -> list[Effect]:
        ends = self._ends
        assert ends is not None
        real = {ends.tag(key, self.side): (index, key) for index, key in pairs[: wire.SLOTS]}
        fill = {self._random(wire.TAG_BYTES) for _ in range(wire.SLOTS - len(real))}
        # Sorted, real tags and noise look alike: both are uniformly random.
        tags = sorted([*real, *fill])
        self._listed = {number: real[tag] for number, tag in enumerate(tags) if tag in real}
        self._own_tags = b"".join(tags)
        return [Send(wire.pack(wire.Tags(self._own_tags)))]

    def _tags(self, message: wire.Tags) -> list[Effect]:
        ends = self._ends
        assert ends is not None
        seen = [message.tags[i : i + wire.TAG_BYTES] for i in range(0, len(message.tags), 16)]
        pairs = self._pairs()
        theirs = other(self.side)
        known = {ends.tag(key, theirs): (index, key) for index, key in pairs}
        if self.side == "listener":
            matched = {n: known[tag] for n, tag in enumerate(seen) if tag in known}
            rest = [pair for pair in pairs if pair not in matched.values()]
            effects = self._send_tags([*matched.values(), *rest])
            tags = (message.tags, self._own_tags)
        else:
            common = {known[tag] for tag in seen if tag in known}
            matched = {n: pair for n, pair in self._listed.items() if pair in common}
            effects = []
            tags = (self._own_tags, message.tags)
        transcript = ends.transcript(*tags)
        taken: set[int] = set()
        for number, (index, key) in sorted(matched.items()):
            if index not in taken:  # one slot a realm: the lowest that matches
                taken.add(index)
                replica, credential = self._replicas[index]
                self.slots[number] = _Slot(
                    number,
                    replica,
                    credential,
                    Sealer(key, transcript, number, self.side),
                    Sealer(key, transcript, number, theirs),
                )
        self._transcript = transcript
        self.matched = True
        if not self.slots:
            return [*effects, Close("stranger")]
        if self.side == "dialler":
            for slot in self.slots.values():
                effects.append(self._claim(slot))
        return effects

    # --- the sealed part ---

    def _claim(self, slot: _Slot) -> Send:
        credential = slot.credential
        parts = claim_parts(
            self._transcript,
            slot.number,
            self.side,
            slot.replica.realm,
            credential.device,
            credential.grant,
        )
        signature = credential.sign(digest("proof", *parts))
        slot.claimed = True
        plain = credential.device + credential.grant + signature
        return Send(wire.pack(wire.Proof(slot.number, slot.ours.seal(plain, b"proof"))))

    def _proof(self, slot: _Slot, message: wire.Proof) -> list[Effect]:
        if slot.claim is not None or (self.side == "dialler" and not slot.claimed):
            return [Close("order")]
        plain = slot.theirs.open(message.sealed, b"proof")
        if plain is None or len(plain) != _PROOF:
            return [Close("proof")]
        slot.claim = DeviceId(plain[:32]), OperationId(plain[32:64]), plain[64:]
        slot.answered = slot.claimed  # a listener proves itself only after the dialler's was good
        if slot.replica.node_keys(slot.claim[0]) is None:
            slot.asked = True
            sealed = slot.ours.seal(b"", b"ask")
            return [Send(wire.pack(wire.AskPath(slot.number, sealed)))]
        return self._decide(slot)

    def _ask_path(self, slot: _Slot, message: wire.AskPath) -> list[Effect]:
        # The listener shows its path only to a dialler that has proven itself.
        allowed = slot.claimed and not slot.shown
        if not allowed or slot.theirs.open(message.sealed, b"ask") is None:
            return [Close("order")]
        slot.shown = True
        pieces = _pieces(slot.credential.operations)
        return [
            Send(
                wire.pack(
                    wire.Path(slot.number, n == len(pieces) - 1, slot.ours.seal(piece, b"path"))
                )
            )
            for n, piece in enumerate(pieces)
        ]

    def _path(self, slot: _Slot, message: wire.Path) -> list[Effect]:
        if not slot.asked or slot.proven:
            return [Close("order")]
        plain = slot.theirs.open(message.sealed, b"path")
        if plain is None:
            return [Close("proof")]
        slot.path += plain
        if len(slot.path) > MAX_PATH:
            return [Close("size")]
        if not message.last:
            return []
        slot.asked = False
        try:
            operations = _parse_path(bytes(slot.path))
        except Refused as error:
            return [Close(error.why)]
        slot.path.clear()
        return [Ingest(slot.replica.realm, operations, "path")]

    def _decide(self, slot: _Slot) -> list[Effect]:
        assert slot.claim is not None
        device, grant, signature = slot.claim
        keys = slot.replica.node_keys(device)
        parts = claim_parts(
            self._transcript, slot.number, other(self.side), slot.replica.realm, device, grant
        )
        if keys is None or not verify_claim("proof", keys.signing, signature, *parts):
            slot.dead = True
            everything = all(s.dead for s in self.slots.values())
            return [Close("proof") if everything else Count("proof")]
        slot.proven = True
        answer: list[Effect] = [] if slot.claimed else [self._claim(slot)]
        return [*answer, Proven(slot.replica.realm, device)]


_Path = tuple[carriage.WireOperation, ...]


def _pieces(operations: Sequence[Operation]) -> list[bytes]:
    """The operations as one CBOR array, cut for frames; at least one piece."""
    data = encode([carriage.pack_operation(operation) for operation in operations])
    return [data[i : i + _PATH_PIECE] for i in range(0, len(data), _PATH_PIECE)]


def _parse_path(data: bytes) -> tuple[Operation, ...]:
    try:
        return carriage.unpack_operations(msgspec.convert(decode(data, MAX_PATH), _Path))
    except msgspec.ValidationError as error:
        raise Refused("message") from error
