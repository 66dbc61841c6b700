"""One sync stream as tasks: carries out what `commons_protocol.session` asks for.

The reader never waits for the disk or for the writer, so credit alone slows a peer. It decides
nothing about who may talk; `Peering` does. A batch that is being stored when the stream ends is
stored to its end.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence

from commons_crdt.errors import CommonsError
from commons_crdt.ids import RealmId
from commons_node.peering.load import Load
from commons_protocol.effects import (
    Changed,
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
from commons_protocol.network import NetworkError, PeerId, Stream
from commons_protocol.replica import Ingested, Replica
from commons_protocol.session import Session

_FLUSH_S = 3.0
MOST_QUEUED = 24 << 20
"""Bytes for a peer that takes them slowly: all that it may have given credit for, and some pushes
of what is written here meanwhile."""

_NOTHING = Ingested()
_PAUSE_S = 0.25
"""At most so long a peer's pushes wait after others of the same peer were stored."""

_log = logging.getLogger(__name__)

Tell = Callable[["Conversation", Proven | Compared | Changed | Met | Count], None]
Stored = Callable[["Conversation", Replica, Ingested], None]


class Conversation:
    """A session on a stream. ``run`` returns the code of its end and never raises."""

    def __init__(
        self,
        stream: Stream,
        session: Session,
        replicas: Sequence[Replica],
        now: Callable[[], int],
        *,
        opened_here: bool,
        tell: Tell,
        stored: Stored,
        load: Load | None = None,
    ) -> None:
        """``tell`` hears what is for the daemon, ``stored`` what came of every batch.

        ``load`` says when a push is too much.
        """
        self.session = session
        self.opened_here = opened_here
        self.offered = frozenset(r.realm for r in replicas if r.credential() is not None)
        """The realms that this side could prove when the stream began."""
        self.ended = asyncio.Event()
        self.code = ""
        self.was_proven = False
        self.queued = 0
        """Bytes that wait to be sent."""
        self._stream = stream
        self._replicas: Mapping[RealmId, Replica] = {r.realm: r for r in replicas}
        self._now = now
        self._tell = tell
        self._stored = stored
        self._load = load or Load()
        self._out: deque[bytes] = deque()
        self._waking = asyncio.Event()
        self._closing = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ingests: set[asyncio.Task[None]] = set()
        self._pushed: dict[RealmId, list[Ingest]] = {}
        """Pushes that came while others of this peer were being stored: they are stored together,
        so that whoever pushes much has one place in the realm's queue, like everybody else."""

    @property
    def peer(self) -> PeerId:
        """Who is at the other end."""
        return self._stream.peer

    @property
    def rests(self) -> bool:
        """True while all that is shared is equal, and nothing is being compared."""
        realms = self.session.realms.values()
        return all(sync.phase == "idle" and sync.equal_now for sync in realms)

    async def run(self) -> str:
        """Talk until either side ends it."""
        reader = asyncio.create_task(self._read(), name="sync reader")
        writer = asyncio.create_task(self._write(), name="sync writer")
        closing = asyncio.create_task(self._closing.wait())
        self.perform(self.session.begin())
        try:
            await asyncio.wait([reader, writer, closing], return_when=asyncio.FIRST_COMPLETED)
            if self.code and not writer.done():
                self._waking.set()  # nothing follows: what is queued still goes out
                await asyncio.wait([writer], timeout=_FLUSH_S)
        finally:
            for task in (reader, writer, closing, *self._tasks):
                task.cancel()
            self.code = self.code or "gone"
            self.session.closed = self.session.closed or self.code
            await (self._stream.close() if writer.done() else self._stream.reset())
            self.ended.set()
        return self.code

    def end(self, code: str) -> None:
        """End it from this side; what is queued still goes out."""
        self.code = self.code or code
        self.session.closed = self.session.closed or code
        self._closing.set()

    async def drained(self) -> None:
        """Wait for the batches that are still being stored."""
        if self._ingests:
            await asyncio.wait(tuple(self._ingests))

    def perform(self, effects: Sequence[Effect]) -> None:
        """Carry out effects, in their order."""
        for effect in effects:
            match effect:
                case Send(frame):
                    self._out.append(frame)
                    self.queued += len(frame)
                    self._waking.set()
                    if self.queued > MOST_QUEUED:
                        self.end("slow")
                case NeedVector(realm):
                    self._start(self._vector(self._replicas[realm]), self._tasks)
                case Read():
                    self._start(self._serve(effect), self._tasks)
                case Ingest(purpose="push") if self._load.sheds("push"):
                    self._shed(effect)
                case Ingest(purpose="push"):
                    self._take_push(effect)
                case Ingest():
                    self._start(self._ingest(effect), self._ingests)
                case Close(code):
                    self.end(code)
                case _:
                    if isinstance(effect, Proven):
                        self.was_proven = True
                    self._tell(self, effect)

    def tick(self) -> None:
        """Let the session look at the time."""
        if effects := self.session.tick(self._now()):
            self.perform(effects)

    # --- tasks ---

    def _start(self, work: Awaitable[None], group: set[asyncio.Task[None]]) -> None:
        task = asyncio.ensure_future(self._guarded(work))
        group.add(task)
        task.add_done_callback(group.discard)

    async def _guarded(self, work: Awaitable[None]) -> None:
        try:
            await work
        except CommonsError as error:  # the disk is full, or has damaged a file: no fault of ours
            _log.warning("a sync session ends: %s", error)
            self._tell(self, Count("session"))
            self.end("failed")
        except Exception:
            _log.exception("a sync session ends: its work failed")
            self._tell(self, Count("session"))
            self.end("failed")

    async def _read(self) -> None:
        try:
            while True:
                frame = await self._stream.receive()
                self._load.frames += 1
                self.perform(self.session.on_frame(frame, self._now()))
                if self.session.closed:
                    return
        except NetworkError:
            return
        except Exception:
            _log.exception("a sync session ends: a frame could not be handled")
            self._tell(self, Count("session"))
            self.end("failed")

    async def _write(self) -> None:
        try:
            while True:
                while self._out:
                    frame = self._out.popleft()
                    await self._stream.send(frame)
                    self.queued -= len(frame)
                if self.code:
                    return
                self._waking.clear()
                await self._waking.wait()
        except NetworkError:
            return

    async def _vector(self, replica: Replica) -> None:
        vector = await replica.vector()
        self.perform(self.session.on_vector(replica.realm, vector, self._now()))

    async def _serve(self, read: Read) -> None:
        replica = self._replicas[read.realm]
        operations, after = await replica.read(read.ranges, read.after, read.limit, read.ids)
        self.perform(self.session.on_read(read.realm, operations, after, self._now()))

    def _shed(self, push: Ingest) -> None:
        """Not now: the next comparison brings it, and until then nobody says to be in sync."""
        self._tell(self, Count("shed_push"))
        put_off = Ingested(held={"load": len(push.operations)})
        self.perform(self.session.on_ingested(push.realm, "push", put_off, self._now()))

    def _take_push(self, push: Ingest) -> None:
        self._load.begin("push")
        waiting = self._pushed.get(push.realm)
        if waiting is not None:
            waiting.append(push)
            return
        self._pushed[push.realm] = [push]
        self._start(self._store_pushes(push.realm), self._ingests)

    async def _store_pushes(self, realm: RealmId) -> None:
        replica = self._replicas[realm]
        some: list[Ingest] = []
        clock = asyncio.get_running_loop().time
        try:
            while some := self._pushed[realm]:
                self._pushed[realm] = []
                operations = tuple(one for push in some for one in push.operations)
                began = clock()
                result = await replica.ingest(operations, self._stream.peer)
                took = clock() - began
                self._load.end("push", len(some))
                done, some = some, []
                self._stored(self, replica, result)
                for push in done:
                    self.perform(self.session.on_ingested(realm, push.purpose, result, self._now()))
                    result = _NOTHING  # what came of all of them was told with the first
                if self._pushed[realm]:  # who pushes without end has the realm half of the time
                    await asyncio.sleep(min(took, _PAUSE_S))
        finally:
            self._load.end("push", len(some) + len(self._pushed.pop(realm)))

    async def _ingest(self, ingest: Ingest) -> None:
        replica = self._replicas[ingest.realm]
        with self._load.taking(ingest.purpose):
            result = await replica.ingest(ingest.operations, self._stream.peer)
        self._stored(self, replica, result)
        self.perform(self.session.on_ingested(ingest.realm, ingest.purpose, result, self._now()))
