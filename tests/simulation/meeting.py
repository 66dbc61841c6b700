"""Two or more nodes of the town in one process, and the streams between them.

A `Home` is one node's copy of the realm as sessions see it. A `Meeting` is one stream: it carries
out the effects of both sessions in any order that a test wants, and may be cut at any frame.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from nacl.signing import SigningKey
from tests.unit import town

from commons_crdt.authority.judge import Missing
from commons_crdt.device import DeviceKeys, DeviceSecrets
from commons_crdt.ids import ZERO, DeviceId, OperationId, RealmId, digest
from commons_crdt.operation import Operation, decode_header, operation_id
from commons_crdt.roles import Role
from commons_crdt.verdict import Verdict
from commons_protocol import carriage, wire
from commons_protocol.allowances import Allowances
from commons_protocol.effects import (
    Close,
    Compared,
    Count,
    Effect,
    Ingest,
    Met,
    NeedVector,
    Proven,
    Read,
    Send,
)
from commons_protocol.ends import ChainEnd, Vector
from commons_protocol.names import peer_of_key
from commons_protocol.network import MAX_FRAME, PeerId
from commons_protocol.ranges import of_log
from commons_protocol.replica import Credential, Ingested, Range
from commons_protocol.session import Session
from commons_protocol.wants import Memory

EPOCH = OperationId(digest("t-epoch", b"1"))
EPOCH_KEY = digest("t-key", b"1")


@dataclass(slots=True)
class Home:
    """A node: its copy of the realm, its device, and what sessions may ask of it."""

    copy: town.Replica
    device: DeviceSecrets
    keys: list[tuple[OperationId, bytes]] = field(default_factory=lambda: [(EPOCH, EPOCH_KEY)])
    refuses: Callable[[Operation], bool] = lambda _operation: False
    holds: Callable[[Operation], str] = lambda _operation: ""
    """Why this machine keeps an operation aside for now, or ""."""
    ingests: int = 0
    bodies: Counter[OperationId] = field(default_factory=Counter)
    """How often each operation was offered to this node."""

    @property
    def name(self) -> str:
        return self.copy.name

    @property
    def realm(self) -> RealmId:
        return self.copy.realm

    @property
    def peer(self) -> PeerId:
        return peer_of_key(bytes(SigningKey(digest("t-net", self.name.encode())).verify_key))

    def ends(self) -> list[ChainEnd]:
        places: dict[tuple[DeviceId, int], dict[int, list[OperationId]]] = {}
        for ident, s in self.copy.standings.items():
            places.setdefault((s.device, s.log), {}).setdefault(s.seq, []).append(ident)
        ends = []
        for (device, log), seqs in places.items():
            fork = self.copy.judge.forks.get((device, log), 0)
            top = fork - 1 if fork else max(seqs)
            last = seqs.get(top, [OperationId(ZERO)])[0]
            ends.append(ChainEnd(device, log, top, last, fork))
        return ends

    def digest(self) -> bytes:
        return Vector.of(self.ends()).digest()

    def log_zero(self, key: bytes) -> bytes:
        return of_log(Vector.of(self.ends()), 0, key)

    def size(self) -> int:
        return sum(end.seq for end in self.ends())

    async def vector(self) -> Vector:
        return Vector.of(self.ends())

    def give(
        self,
        ranges: Sequence[Range],
        after: int | None,
        limit: int,
        ids: Sequence[OperationId] = (),
    ) -> tuple[list[Operation], int | None]:
        wanted = {(r.device, r.log): (r.first, r.last) for r in ranges}
        assert len(wanted) == len(ranges), "a read names each chain once"
        found = []
        for n, (ident, s) in enumerate(self.copy.standings.items()):
            first, last = wanted.get((s.device, s.log), (1, 0))
            if first <= s.seq <= last or ident in ids:
                found.append((s.log, n, ident))
        found.sort()
        taken: list[Operation] = []
        size = 0
        for position, (_, _, ident) in enumerate(found):
            if position < (after or 0):
                continue
            operation = self.copy.operations[ident]
            if taken and size + carriage.operation_size(operation) > limit:
                return taken, position
            taken.append(operation)
            size += carriage.operation_size(operation)
        return taken, None

    async def read(
        self,
        ranges: Sequence[Range],
        after: int | None,
        limit: int,
        ids: Sequence[OperationId] = (),
    ) -> tuple[Sequence[Operation], int | None]:
        return self.give(ranges, after, limit, ids)

    def take(self, operations: Sequence[Operation]) -> Ingested:
        self.ingests += 1
        before = set(self.copy.operations)
        known = 0
        refused: Counter[str] = Counter()
        held: Counter[str] = Counter()
        missing: list[OperationId] = []
        unlinked: list[tuple[DeviceId, int, int]] = []
        for operation in operations:
            ident = operation_id(operation.header)
            self.bodies[ident] += 1
            if ident in self.copy.operations:
                known += 1
                continue
            if self.refuses(operation):
                refused["budget"] += 1
                continue
            if why := self.holds(operation):
                held[why] += 1
                continue
            outcome = self.copy.receive(operation)
            if isinstance(outcome, str):
                refused[outcome] += 1
            elif isinstance(outcome, Missing):
                missing.extend(outcome.ids)
                header = decode_header(operation.header)
                if header.prev in outcome.ids and header.seq > 1:
                    unlinked.append((DeviceId(header.device), header.log, header.seq))
        new = tuple(i for i in self.copy.operations if i not in before)
        return Ingested(len(new), known, refused, tuple(missing), tuple(unlinked), new, held)

    async def ingest(self, operations: Sequence[Operation], source: str) -> Ingested:
        return self.take(operations)

    def epochs(self) -> Sequence[tuple[OperationId, bytes]]:
        return self.keys

    def credential(self) -> Credential | None:
        grant = self.copy.judge.authority.devices.get(self.device.keys.id)
        if grant is None:
            return None
        log_zero = tuple(
            self.copy.operations[i] for i, s in self.copy.standings.items() if s.log == 0
        )
        return Credential(
            self.device.keys.id,
            grant.id,
            lambda message: SigningKey(self.device.signing).sign(message).signature,
            log_zero,
        )

    def node_keys(self, device: DeviceId) -> DeviceKeys | None:
        grant = self.copy.judge.authority.devices.get(device)
        if grant is None or not grant.unattended or grant.verdict is not Verdict.ACCEPTED:
            return None
        return grant.keys

    def whose(self, device: DeviceId) -> bytes:
        grant = self.copy.judge.authority.devices.get(device)
        return grant.member if grant is not None else device


def home(copy: town.Replica, owner: town.Person) -> Home:
    """A node of ``owner``, whose grant stands already or is written now."""
    device = town.secrets(f"{owner.name}'s node")
    if device.keys.id not in copy.judge.authority.devices:
        copy.grant_node(owner, device)
    return Home(copy, device)


def neighbourhood(*names: str) -> list[Home]:
    """Alice's node and those of her neighbours, all knowing the same."""
    alices = town.town()
    people = [town.person("alice")] + [alices.welcome(n, Role.MEMBER) for n in names]
    for who in people[1:]:
        alices.grant_node(who, town.secrets(f"{who.name}'s node"))
    homes = [home(alices, people[0])]
    return homes + [home(alices.island(who.name), who) for who in people[1:]]


class Thief(Home):
    """Knows the epoch's key and all of log 0, but no node of its own stands."""

    def credential(self) -> Credential | None:
        fake = town.secrets("thief's node")
        return Credential(
            fake.keys.id,
            OperationId(digest("t-none")),
            lambda message: SigningKey(fake.signing).sign(message).signature,
            (),
        )


@dataclass(slots=True)
class _End:
    home: Home
    session: Session
    inbox: deque[bytes] = field(default_factory=deque)
    todo: deque[NeedVector | Read | Ingest] = field(default_factory=deque)
    closed: bool = False


class Meeting:
    """One stream between a dialler and a listener."""

    def __init__(
        self,
        dialler: Sequence[Home],
        listener: Sequence[Home],
        *,
        seed: int = 0,
        memories: dict[tuple[str, RealmId], Memory] | None = None,
        now: int = town.START_MS,
        allowances: Allowances | None = None,
    ) -> None:
        """``allowances``: those of the listener's node, over many meetings."""
        self.now = now
        self.rng = random.Random(seed)
        self.frames: list[tuple[str, bytes]] = []
        self.effects: list[Effect] = []
        self.log: dict[str, list[Effect]] = {"dialler": [], "listener": []}
        shelves = memories if memories is not None else {}
        d, other = dialler[0], listener[0]
        self.d = _End(
            d,
            Session(
                "dialler", d.peer, other.peer, dialler,
                lambda realm: shelves.setdefault((d.name, realm), Memory()),
                self.rng.randbytes, now,
            ),
        )  # fmt: skip
        self.l = _End(
            other,
            Session(
                "listener", other.peer, d.peer, listener,
                lambda realm: shelves.setdefault((other.name, realm), Memory()),
                self.rng.randbytes, now, allowances=allowances,
            ),
        )  # fmt: skip
        self._homes = {"dialler": dialler, "listener": listener}
        self._do(self.d, self.d.session.begin())
        self._do(self.l, self.l.session.begin())

    def _side(self, end: _End) -> str:
        return "dialler" if end is self.d else "listener"

    def other(self, end: _End) -> _End:
        return self.l if end is self.d else self.d

    def _do(self, end: _End, effects: Sequence[Effect]) -> None:
        for effect in effects:
            self.log[self._side(end)].append(effect)
            match effect:
                case Send(frame):
                    assert len(frame) <= MAX_FRAME, "a frame fits the network"
                    self.frames.append((self._side(end), frame))
                    self.other(end).inbox.append(frame)
                case NeedVector() | Read() | Ingest():
                    end.todo.append(effect)
                case Close():
                    end.closed = True
                case _:
                    pass

    def _home(self, end: _End, realm: RealmId) -> Home:
        return next(h for h in self._homes[self._side(end)] if h.realm == realm)

    def deliver(self, end: _End) -> None:
        """The next frame for this side."""
        self._do(end, end.session.on_frame(end.inbox.popleft(), self.now))

    def answer(self, end: _End) -> None:
        """The next answer that this side waits for."""
        todo = end.todo.popleft()
        home = self._home(end, todo.realm)
        match todo:
            case NeedVector(realm):
                self._do(end, end.session.on_vector(realm, Vector.of(home.ends()), self.now))
            case Read(realm, ranges, after, limit, ids):
                found = home.give(ranges, after, limit, ids)
                self._do(end, end.session.on_read(realm, *found, self.now))
            case Ingest(realm, operations, purpose):
                result = home.take(operations)
                self._do(end, end.session.on_ingested(realm, purpose, result, self.now))

    def choices(self) -> list[tuple[Callable[[_End], None], _End]]:
        """Everything that may happen next."""
        found: list[tuple[Callable[[_End], None], _End]] = []
        for end in (self.d, self.l):
            if end.closed:
                continue
            if end.inbox:
                found.append((self.deliver, end))
            if end.todo:
                found.append((self.answer, end))
        return found

    def step(self, choose: Callable[[int], int] | None = None) -> bool:
        """Let one thing happen; False if nothing is left to happen."""
        found = self.choices()
        if not found:
            return False
        pick = choose(len(found)) if choose else self.rng.randrange(len(found))
        act, end = found[pick]
        act(end)
        self.now += 1
        return True

    def run(self, most: int = 100_000) -> Meeting:
        """Until nothing is left to happen."""
        for _ in range(most):
            if not self.step():
                return self
        raise AssertionError("the two never come to rest")

    def poke(self, end: _End) -> None:
        """This side wants to compare."""
        self._do(end, end.session.poke())

    def push(self, end: _End, operations: Sequence[Operation]) -> None:
        """This side has written something small."""
        self._do(end, end.session.push(end.home.realm, operations))

    def wait(self, ms: int) -> None:
        """Time passes."""
        self.now += ms
        for end in (self.d, self.l):
            self._do(end, end.session.tick(self.now))

    def sent(self, side: str) -> list[wire.SyncMessage]:
        """What one side has said."""
        return [wire.unpack_sync(f) for s, f in self.frames if s == side]

    def of(self, side: str, kind: type[Effect]) -> list[Effect]:
        """Effects of one kind of one side."""
        return [effect for effect in self.log[side] if isinstance(effect, kind)]

    @property
    def converged(self) -> bool:
        """Both sides say so."""
        return all(
            not end.closed
            and end.session.proven
            and all(sync.equal_now for sync in end.session.realms.values())
            for end in (self.d, self.l)
        )


__all__ = ["Compared", "Count", "Home", "Meeting", "Met", "Proven", "Thief",
           "home", "neighbourhood"]  # fmt: skip
