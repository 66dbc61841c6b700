"""Parts on demand, one stream of `/commons/parts/1`: the proof, then one part after the other.

    Fetch (who dialled):   proving ──▶ ready ──▶ asking ──▶ taking ──▶ ready
    Give (who listens):    proving ──▶ resting ──▶ looking ──▶ giving ──▶ resting

Who does not stand is given nothing, from one chunk to the next. Lengths are known from the signed
header, so nobody can send more; every chunk but the last is full and has a deadline, so nobody can
send slowly for ever. Whether the bytes are right shows when all are here: that, the disk and the
choice of peers are for whoever drives this. Reads no clock. Source: docs/protocol/parts.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from commons_crdt.errors import Refused
from commons_crdt.ids import DeviceId, OperationId, RealmId
from commons_protocol import part_messages as messages
from commons_protocol.effects import Close, Effect, Proven, Send
from commons_protocol.limits import Bucket
from commons_protocol.network import PeerId, ProtocolName
from commons_protocol.part_messages import CHUNK, MAX_CREDIT
from commons_protocol.proof import Prover, Random
from commons_protocol.replica import Replica
from commons_protocol.transcript import Side

PARTS = ProtocolName("/commons/parts/1")

PROOF_MS = 15_000
PATIENCE_MS = 20_000
"""For each answer and each full chunk: 1.6 KiB/s is the slowest that is waited for."""
IDLE_MS = 60_000
"""A giver lets go of who asks nothing, or takes nothing, for so long."""
_ASKS = 120.0
_ASKS_PER_SECOND = 4.0
READ_AHEAD = 4
"""Chunks that are read from the disk at once."""


class PartId(NamedTuple):
    """A part: the operation that names it, and the hash by which it does."""

    operation: OperationId
    hash: bytes


class PartStore(Protocol):
    """The parts of one realm on this node, as streams see them."""

    async def held(self, part: PartId) -> int | None:
        """How many bytes it has, salt included, if it is whole here and not erased."""

    async def read(self, part: PartId, offset: int, length: int) -> bytes:
        """So many bytes from ``offset`` on; none once it is not held any more."""


@dataclass(frozen=True, slots=True)
class Look:
    """Answer with ``Give.on_found``: how long the part is if it is held whole, else None."""

    realm: RealmId
    part: PartId


@dataclass(frozen=True, slots=True)
class ReadPart:
    """Answer with ``Give.on_read``: so many bytes from ``offset`` on; b"" if it is gone."""

    realm: RealmId
    part: PartId
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Keep:
    """Write these bytes behind the ``offset`` that is there, then call ``Fetch.on_kept``."""

    realm: RealmId
    part: PartId
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """The peer says whether it holds the part; nothing of it follows if it was only asked that."""

    realm: RealmId
    part: PartId
    held: bool


PartEffect = Effect | Look | ReadPart | Keep | Answered
FetchState = Literal["proving", "ready", "asking", "taking", "closed"]
GiveState = Literal["proving", "resting", "looking", "giving", "closed"]


class _Stream:
    """What both sides do alike: the proof, and knowing which realm a slot is."""

    def __init__(
        self,
        side: Side,
        own: PeerId,
        peer: PeerId,
        replicas: Sequence[Replica],
        random: Random,
        now: int,
    ) -> None:
        self.peer = peer
        self.closed = ""
        """The code of ``Close``, or "" while the stream lives."""
        self.devices: dict[RealmId, DeviceId] = {}
        """The peer's device in each realm that was proven."""
        self._prover = Prover(side, own, peer, replicas, random)
        self._replicas: dict[int, Replica] = {}
        self._began = now
        self._moved = now

    def begin(self) -> list[PartEffect]:
        """The first frame of this side."""
        return list(self._prover.begin())

    @property
    def settled(self) -> bool:
        """True once it is clear which realms are shared."""
        return self._prover.settled

    def stands(self, slot: int) -> bool:
        """True while the peer's node stands in the realm of a slot."""
        replica = self._replicas.get(slot)
        return replica is not None and replica.node_keys(self.devices[replica.realm]) is not None

    def _unpacked(
        self, frame: bytes
    ) -> messages.PartMessage | messages.ProofMessage | list[PartEffect]:
        try:
            return messages.unpack_parts(frame)
        except Refused as error:
            return self._close(error.why)

    def _prove(self, message: messages.ProofMessage) -> list[PartEffect]:
        return self._proven(self._prover.on_message(message))

    def on_path_ingested(self, realm: RealmId) -> list[PartEffect]:
        """The peer's path was given to the realm: judge its claim now."""
        return [] if self.closed else self._proven(self._prover.on_path_ingested(realm))

    def _proven(self, effects: Sequence[PartEffect]) -> list[PartEffect]:
        for n, effect in enumerate(effects):
            if isinstance(effect, Close):
                return [*effects[:n], *self._close(effect.code)]
            if isinstance(effect, Proven):
                slots = self._prover.slots.values()
                slot = next(one for one in slots if one.replica.realm == effect.realm)
                self.devices[effect.realm] = effect.device
                self._replicas[slot.number] = slot.replica
        return list(effects)

    def _close(self, code: str) -> list[PartEffect]:
        self.closed = code
        return [Close(code)]

    def _late(self, now: int, since: int, most: int) -> bool:
        """A clock that was set back starts the time anew."""
        if now < since:
            self._moved = self._began = now
            return False
        return now - since > most


class Fetch(_Stream):
    """Who asks. ``want`` and ``ask`` begin when ``state`` is ``ready``."""

    def __init__(
        self, own: PeerId, peer: PeerId, replicas: Sequence[Replica], random: Random, now: int
    ) -> None:
        """``now``: milliseconds, as everywhere here."""
        super().__init__("dialler", own, peer, replicas, random, now)
        self._part: PartId | None = None
        self._slot = 0
        self._length = self._at = 0
        self._only_asking = False
        self._answered = True
        self._credit = 0

    @property
    def state(self) -> FetchState:
        """Where the machine is."""
        if self.closed:
            return "closed"
        if not self._replicas:
            return "proving"
        if self._part is None:
            return "ready"
        return "taking" if self._answered else "asking"

    def ask(self, realm: RealmId, part: PartId, length: int, now: int) -> list[PartEffect]:
        """Ask whether the peer holds a part; ``Answered`` says it."""
        return self._begin(realm, part, length, 0, 0, now)

    def want(
        self, realm: RealmId, part: PartId, length: int, offset: int, now: int
    ) -> list[PartEffect]:
        """Ask for a part of ``length`` bytes (its header says so) from ``offset`` on."""
        return self._begin(realm, part, length, offset, MAX_CREDIT, now)

    def _begin(
        self, realm: RealmId, part: PartId, length: int, offset: int, credit: int, now: int
    ) -> list[PartEffect]:
        slot = next((n for n, one in self._replicas.items() if one.realm == realm), None)
        if self.state != "ready" or slot is None or not 0 <= offset < length:
            raise ValueError("ask when ready, for what is not here yet, where it is shared")
        if not self.stands(slot):
            return self._close("revoked")
        self._part, self._slot, self._length, self._at = part, slot, length, offset
        self._credit, self._only_asking, self._answered = credit, credit == 0, False
        self._moved = now
        return [Send(messages.pack(messages.AskPart(slot, *part, offset, credit)))]

    def on_frame(self, frame: bytes, now: int) -> list[PartEffect]:
        """A frame from the peer."""
        if self.closed:
            return []
        message = self._unpacked(frame)
        match message:
            case list():
                return message
            case messages.AskPart() | messages.More():
                return self._close("order")
            case messages.Holding() | messages.Lacking() | messages.Chunk():
                if self._part is None or message.slot != self._slot:
                    return self._close("order")
                self._moved = now
                return self._answer(message)
            case _:
                return self._prove(message)

    def _answer(
        self, message: messages.Holding | messages.Lacking | messages.Chunk
    ) -> list[PartEffect]:
        realm, part = self._replicas[self._slot].realm, self._part
        assert part is not None
        match message:
            case messages.Lacking():  # in the middle, too: it may be erased meanwhile
                return self._over(Answered(realm, part, held=False))
            case messages.Holding(_, length):
                if self._answered:
                    return self._close("order")
                if length != self._length:
                    return self._close("part")
                self._answered = True
                answer = Answered(realm, part, held=True)
                return self._over(answer) if self._only_asking else [answer]
            case messages.Chunk(_, data):
                if not self._answered or self._credit < 1:
                    return self._close("order")
                if len(data) != min(CHUNK, self._length - self._at):
                    return self._close("part")
                keep = Keep(realm, part, self._at, data)
                self._credit -= 1
                self._at += len(data)
                return self._over(keep) if self._at == self._length else [keep]

    def _over(self, effect: PartEffect) -> list[PartEffect]:
        self._part, self._credit = None, 0
        return [effect]

    def on_kept(self, chunks: int) -> list[PartEffect]:
        """So many chunks are on the disk: as many more may come."""
        if self.closed or self._part is None:
            return []
        left = -(-(self._length - self._at) // CHUNK)
        grant = min(chunks, MAX_CREDIT - self._credit, left - self._credit)
        if grant < 1:
            return []
        self._credit += grant
        return [Send(messages.pack(messages.More(self._slot, grant)))]

    def tick(self, now: int) -> list[PartEffect]:
        """Time passed; call about once a second."""
        if self.state == "proving" and self._late(now, self._began, PROOF_MS):
            return self._close("proof_timeout")
        if self._part is not None and not self.closed and self._late(now, self._moved, PATIENCE_MS):
            return self._close("slow")
        return []


class Give(_Stream):
    """Who is asked."""

    def __init__(
        self, own: PeerId, peer: PeerId, replicas: Sequence[Replica], random: Random, now: int
    ) -> None:
        """See ``Fetch``."""
        super().__init__("listener", own, peer, replicas, random, now)
        self._part: PartId | None = None
        self._slot = 0
        self._length = self._at = 0
        self._looking = self._reading = False
        self._credit = 0
        self._ready = b""
        self._asks = Bucket(_ASKS, _ASKS_PER_SECOND)

    @property
    def state(self) -> GiveState:
        """Where the machine is."""
        if self.closed:
            return "closed"
        if not self._replicas:
            return "proving"
        if self._part is None:
            return "resting"
        return "looking" if self._looking else "giving"

    def on_frame(self, frame: bytes, now: int) -> list[PartEffect]:
        """A frame from the peer."""
        if self.closed:
            return []
        message = self._unpacked(frame)
        match message:
            case list():
                return message
            case messages.AskPart():
                self._moved = now
                return self._asked(message, now)
            case messages.More():
                self._moved = now
                if self._part is None:
                    return []  # it crossed with the last chunk
                if message.slot != self._slot or self._looking:
                    return self._close("order")
                if self._credit + message.chunks > MAX_CREDIT:
                    return self._close("credit")
                self._credit += message.chunks
                return self._pump()
            case messages.Holding() | messages.Lacking() | messages.Chunk():
                return self._close("order")
            case _:
                return self._prove(message)

    def _asked(self, message: messages.AskPart, now: int) -> list[PartEffect]:
        if message.slot not in self._replicas or self._part is not None or self._reading:
            return self._close("order")
        if not self.stands(message.slot):
            return self._close("revoked")
        if not self._asks.take(now):
            return self._close("flood")
        part = PartId(OperationId(message.operation), message.hash)
        self._part, self._slot, self._at = part, message.slot, message.offset
        self._credit, self._looking = message.credit, True
        return [Look(self._replicas[message.slot].realm, part)]

    def on_found(self, length: int | None) -> list[PartEffect]:
        """The answer to ``Look``."""
        if self.closed or not self._looking:
            return []
        self._looking = False
        only_asked = self._credit == 0
        if length is None:
            return self._lack()
        if self._at >= length:
            return self._close("order")
        self._length, self._ready = length, b""
        holding = Send(messages.pack(messages.Holding(self._slot, length)))
        if only_asked:
            self._part = None
            return [holding]
        return [holding, *self._pump()]

    def on_read(self, data: bytes) -> list[PartEffect]:
        """The answer to ``ReadPart``."""
        self._reading = False
        if self.closed or self._part is None:
            return []
        self._ready += data
        if not data:
            return self._lack()  # erased, or let go of, meanwhile
        return self._pump()

    def _lack(self) -> list[PartEffect]:
        slot, self._part, self._ready, self._credit = self._slot, None, b"", 0
        return [Send(messages.pack(messages.Lacking(slot)))]

    def _pump(self) -> list[PartEffect]:
        effects: list[PartEffect] = []
        if not self.stands(self._slot):
            return self._close("revoked")
        while self._ready and self._credit:
            data = self._ready[:CHUNK]
            if len(data) < min(CHUNK, self._length - self._at):
                break
            self._ready = self._ready[len(data) :]
            self._at += len(data)
            self._credit -= 1
            effects.append(Send(messages.pack(messages.Chunk(self._slot, data))))
        if self._at == self._length:
            self._part = None
        elif self._part is not None and self._credit and not self._reading:
            self._reading = True
            realm, offset = self._replicas[self._slot].realm, self._at + len(self._ready)
            length = min(READ_AHEAD, self._credit) * CHUNK
            length = min(length, self._length - offset)
            effects.append(ReadPart(realm, self._part, offset, length))
        return effects

    def tick(self, now: int) -> list[PartEffect]:
        """Time passed; call about once a second."""
        if self.state == "proving" and self._late(now, self._began, PROOF_MS):
            return self._close("proof_timeout")
        if self.state != "proving" and not self.closed and self._late(now, self._moved, IDLE_MS):
            return self._close("idle")
        return []
