"""Whole rounds of two nodes, from the first Digest to the last: every frame on the wire."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from commons_crdt.ids import DeviceId, OperationId, RealmId, digest
from commons_crdt.operation import Operation, decode_header, operation_id
from commons_protocol import wire
from commons_protocol.allowances import Allowances
from commons_protocol.effects import Effect, Ingest, NeedVector, Read, Send
from commons_protocol.ends import ChainEnd, Vector, packed
from commons_protocol.network import PeerId
from commons_protocol.ranges import of_log
from commons_protocol.replica import Credential, Ingested, Range
from commons_protocol.sync import RealmSync
from commons_protocol.transcript import Side
from commons_protocol.wants import Memory
from making.judge_story import story

SLOT = 3


@dataclass
class Shelf:
    """A node's operations: a set without forks and cuts, so that an end is simply the last."""

    realm: RealmId
    held: dict[OperationId, Operation] = field(default_factory=dict)

    def put(self, operations: Iterable[Operation]) -> int:
        """Store what is new; how many these are."""
        before = len(self.held)
        self.held.update({operation_id(one.header): one for one in operations})
        return len(self.held) - before

    def ends(self) -> Vector:
        """Where its chains end."""
        last: dict[tuple[DeviceId, int], ChainEnd] = {}
        for ident, one in self.held.items():
            header = decode_header(one.header)
            chain = DeviceId(header.device), header.log
            if chain not in last or last[chain].seq < header.seq:
                last[chain] = ChainEnd(chain[0], header.log, header.seq, ident)
        return Vector.of(last.values())

    def of(self, ranges: Sequence[Range]) -> list[Operation]:
        """Operations of ranges, log 0 first."""
        named = {(one.device, one.log): one for one in ranges}
        found = []
        for one in self.held.values():
            header = decode_header(one.header)
            wanted = named.get((DeviceId(header.device), header.log))
            if wanted is not None and wanted.first <= header.seq <= wanted.last:
                found.append((header.log, header.lamport, one))
        return [one for _log, _lamport, one in sorted(found, key=lambda row: row[:2])]

    # as a `Replica`

    def digest(self) -> bytes:
        """Of all its ends."""
        return self.ends().digest()

    def log_zero(self, key: bytes) -> bytes:
        """The print of log 0."""
        return of_log(self.ends(), 0, key)

    def size(self) -> int:
        """How many operations there are."""
        return len(self.held)

    async def vector(self) -> Vector:
        """As ``ends``."""
        return self.ends()

    async def read(self, *_: object) -> NoReturn:
        """Reading is an effect here."""
        raise NotImplementedError

    async def ingest(self, *_: object) -> NoReturn:
        """Likewise."""
        raise NotImplementedError

    def epochs(self) -> Sequence[tuple[OperationId, bytes]]:
        """A stream that is proven needs none."""
        return ()

    def credential(self) -> Credential | None:
        """Likewise."""
        return None

    def node_keys(self, _device: DeviceId) -> None:
        """Likewise."""
        return


def rounds(key: bytes) -> list[dict[str, Any]]:
    """Rounds by name; ``key``: the stream's range key."""
    told = _chains()
    ones = [one for one in told if decode_header(one.header).log]
    # The last operations of two members' chains: nothing here builds on either.
    mine = ones[-1]
    other = next(
        one
        for one in reversed(ones)
        if decode_header(one.header).device != decode_header(mine.header).device
    )
    return [
        _played("the listener has nothing but the genesis", key, told, told[:1]),
        _played(
            "each lacks an operation of log 1", key,
            [one for one in told if one is not mine], [one for one in told if one is not other],
        ),
        _played("both are equal", key, told, told),
    ]  # fmt: skip


def _chains() -> list[Operation]:
    """The story, as far as its chains go on one by one."""
    last: dict[tuple[bytes, int], int] = {}
    found = []
    for one in story().operations.values():
        header = decode_header(one.header)
        chain = header.device, header.log
        if header.seq == last.get(chain, 0) + 1:
            last[chain] = header.seq
            found.append(one)
    return found


def _played(
    name: str, key: bytes, dialler: Sequence[Operation], listener: Sequence[Operation]
) -> dict[str, Any]:
    realm = RealmId(digest("v-realm", b"town"))
    shelves: dict[Side, Shelf] = {"dialler": Shelf(realm), "listener": Shelf(realm)}
    shelves["dialler"].put(dialler)
    shelves["listener"].put(listener)
    begin = {side: [packed(one).hex() for one in shelf.ends()] for side, shelf in shelves.items()}
    said = play(shelves, key)
    assert shelves["dialler"].digest() == shelves["listener"].digest(), "it ends equal"
    return {
        "name": name,
        "slot": SLOT,
        "range_key": key.hex(),
        "begin": begin,
        "operations": {
            side: [operation_id(one.header).hex() for one in some]
            for side, some in (("dialler", dialler), ("listener", listener))
        },
        "frames": [{"from": side, "frame": frame.hex()} for side, frame in said],
        "digest": shelves["dialler"].digest().hex(),
    }


def play(shelves: dict[Side, Shelf], key: bytes) -> list[tuple[Side, bytes]]:
    """Frames in the order in which they are sent; each is heard before the next but one is."""
    syncs = {
        side: RealmSync(
            shelf,
            SLOT,
            Memory(),
            0,
            allowed=Allowances().of(PeerId(side), shelf.realm, b""),
            range_key=key,
            leads=side == "dialler",
        )
        for side, shelf in shelves.items()
    }
    other: dict[Side, Side] = {"dialler": "listener", "listener": "dialler"}
    said: list[tuple[Side, bytes]] = []
    heard: deque[tuple[Side, bytes]] = deque()

    def do(side: Side, effects: Sequence[Effect]) -> None:
        sync, shelf = syncs[side], shelves[side]
        waiting = deque(effects)
        while waiting:
            match waiting.popleft():
                case Send(frame):
                    said.append((side, frame))
                    heard.append((other[side], frame))
                case NeedVector():
                    waiting.extend(sync.on_vector(shelf.ends(), 0))
                case Read(ranges=ranges):
                    waiting.extend(sync.on_read(shelf.of(ranges), None, 0))
                case Ingest(operations=operations):
                    waiting.extend(sync.on_ingested(Ingested(shelf.put(operations)), 0))

    do("dialler", syncs["dialler"].poke())
    while heard:
        side, frame = heard.popleft()
        message = wire.unpack_sync(frame)
        do(side, syncs[side].on_message(message, 0))
    return said
