"""Two rooms (real realms over SQLite) and the session between their nodes, in one process.

Like `meeting`, where the nodes are; what a realm refuses, keeps and passes on is the product's own.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from nacl.signing import SigningKey
from tests.simulation.meeting import EPOCH, EPOCH_KEY
from tests.unit import town
from tests.unit.rooms import Room

from commons_crdt.device import DeviceSecrets
from commons_crdt.ids import RealmId, digest
from commons_crdt.operation import Operation, operation_id
from commons_node.standing import path_to
from commons_protocol import wire
from commons_protocol.effects import Close, Effect, Ingest, NeedVector, Read, Send
from commons_protocol.names import peer_of_key
from commons_protocol.network import PeerId
from commons_protocol.replica import Credential
from commons_protocol.session import Session
from commons_protocol.transcript import Side
from commons_protocol.wants import Memory


async def stand(room: Room, node: DeviceSecrets) -> None:
    """Let the room's node prove itself with this device, if it is granted here."""
    granted = room.realm.judge.authority.devices[node.keys.id]
    log_0 = [operation for _, operation in await room.realm.store.everything("c.log = 0")]
    room.realm.epochs = lambda: [(EPOCH, EPOCH_KEY)]  # type: ignore[method-assign]  # the town has no epochs
    key = SigningKey(node.signing)
    room.realm.own_credential = Credential(
        node.keys.id, granted.id, lambda data: key.sign(data).signature, path_to(granted.id, log_0)
    )


def peer(room: Room) -> PeerId:
    """The transport key of a room's node."""
    return peer_of_key(bytes(SigningKey(digest("t-net", room.path.name.encode())).verify_key))


@dataclass(slots=True)
class _End:
    room: Room
    session: Session
    inbox: deque[bytes] = field(default_factory=deque)
    sent: list[bytes] = field(default_factory=list)
    closed: str = ""


class Talk:
    """One stream between the nodes of two rooms."""

    def __init__(self, dialler: Room, listener: Room) -> None:
        self.now = town.START_MS
        self.memories: dict[tuple[str, RealmId], Memory] = {}
        self.d, self.l = (
            self._end("dialler", dialler, listener),
            self._end("listener", listener, dialler),
        )
        self.offered: list[tuple[Room, Operation]] = []

    def _end(self, side: Side, room: Room, other: Room) -> _End:
        def memory(realm: RealmId) -> Memory:
            return self.memories.setdefault((room.path.name, realm), Memory())

        chance = random.Random(room.path.name)
        session = Session(
            side, peer(room), peer(other), [room.realm], memory, chance.randbytes, self.now
        )
        return _End(room, session)

    async def begin(self) -> Talk:
        for end in (self.d, self.l):
            await self._do(end, end.session.begin())
        return await self.run()

    async def run(self, most: int = 10_000) -> Talk:
        """Until nothing is left to happen."""
        for _ in range(most):
            busy = [end for end in (self.d, self.l) if end.inbox and not end.closed]
            if not busy:
                return self
            self.now += 1
            end = busy[0]
            await self._do(end, end.session.on_frame(end.inbox.popleft(), self.now))
        raise AssertionError("the two never come to rest")

    async def poke(self) -> Talk:
        """The dialler wants to compare."""
        await self._do(self.d, self.d.session.poke())
        return await self.run()

    async def push(self, end: _End, operations: Sequence[Operation]) -> None:
        """One side has written something small."""
        await self._do(end, end.session.push(end.room.realm.realm, operations))
        await self.run()

    async def _do(self, end: _End, effects: Sequence[Effect]) -> None:
        other = self.l if end is self.d else self.d
        realm = end.room.realm
        for effect in effects:
            match effect:
                case Send(frame):
                    end.sent.append(frame)
                    other.inbox.append(frame)
                case NeedVector():
                    found = await realm.vector()
                    await self._do(end, end.session.on_vector(realm.realm, found, self.now))
                case Read(_, ranges, after, limit, ids):
                    page, cursor = await realm.read(ranges, after, limit, ids)
                    answer = end.session.on_read(realm.realm, page, cursor, self.now)
                    await self._do(end, answer)
                case Ingest(_, operations, purpose):
                    self.offered += [(end.room, one) for one in operations]
                    result = await realm.ingest(operations, purpose)
                    answer = end.session.on_ingested(realm.realm, purpose, result, self.now)
                    await self._do(end, answer)
                case Close(code):
                    end.closed = code
                case _:
                    pass

    @property
    def converged(self) -> bool:
        """Both sides say so."""
        return all(
            end.session.proven and all(sync.equal_now for sync in end.session.realms.values())
            for end in (self.d, self.l)
        )

    def told(self, room: Room) -> list[bytes]:
        """The ids that this side was offered, as often as it was."""
        return [operation_id(one.header) for to, one in self.offered if to is room]

    def frames(self, end: _End) -> list[wire.SyncMessage]:
        """What one side has said."""
        return [wire.unpack_sync(frame) for frame in end.sent]


async def meet(one: Room, other: Room, rounds: int = 4) -> Talk:
    """The two nodes meet and compare until they have nothing more to say."""
    talk = await Talk(one, other).begin()
    for _ in range(rounds):
        await talk.poke()
    return talk


async def asks_once(one: Room, other: Room) -> bool:
    """True if a session between these two is one question and one answer: they are equal."""
    talk = await Talk(one, other).begin()
    said = (len(talk.d.sent), len(talk.l.sent))
    await talk.poke()
    return (len(talk.d.sent), len(talk.l.sent)) == (said[0] + 1, said[1] + 1) and talk.converged
