"""Streams of `/commons/parts/1`: giving parts to who asks, and asking one peer for parts.

Drives the machines of `commons_protocol.parts`; one frame after the other, so a slow disk or a slow
peer slows the other side by itself. What is worth asking for, and whom, is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Literal

from commons_crdt.ids import RealmId
from commons_crdt.texts import _
from commons_protocol.effects import Close, Count, Ingest, Send
from commons_protocol.limits import Buckets
from commons_protocol.network import NetworkError, PeerId, Stream
from commons_protocol.part_messages import MAX_CREDIT
from commons_protocol.parts import (
    IDLE_MS,
    PARTS,
    Answered,
    Fetch,
    Give,
    Keep,
    Look,
    PartEffect,
    PartId,
    PartStore,
    ReadPart,
)

if TYPE_CHECKING:
    from commons_node.peering.peering import Peering

Stores = Callable[[RealmId], PartStore | None]
Write = Callable[[Sequence[bytes]], Awaitable[bool]]
"""Writes the next chunks; False: nothing more is wanted."""
Outcome = Literal["whole", "stopped", "lacking", "slow", "liar", "gone"]
"""All of it came; nobody wanted more; the peer has it not; was too slow; broke the rules; left."""

_OF_ONE_PEER = 2
_AT_ONCE = 16
_OPENED = 30.0
_OPENED_PER_SECOND = 0.5
_TICK_S = 1.0
_FLUSH = MAX_CREDIT // 2
"""Chunks that are written in one transaction."""
_QUIET = frozenset({"", "idle", "gone", "stop"})

_ENDS: dict[str, Outcome] = {"gone": "gone", "revoked": "gone", "slow": "slow"}
"""What the end of a stream says of the peer; any other code: it breaks the rules."""


class Visits:
    """Both sides for one node. All methods run in the daemon's loop."""

    def __init__(self, peering: Peering, stores: Stores) -> None:
        """``stores`` gives the parts of a realm of this node."""
        self._peering = peering
        self._stores = stores
        self._here: Counter[PeerId] = Counter()
        self._opened: Buckets[PeerId] = Buckets(_OPENED, _OPENED_PER_SECOND)

    # --- giving ---

    async def accept(self, stream: Stream) -> None:
        """The handler of inbound streams."""
        peering, peer = self._peering, stream.peer
        full = self._here[peer] >= _OF_ONE_PEER or self._here.total() >= _AT_ONCE
        if peering.stopped or peer in peering.network.blocked:
            await stream.reset()
        elif full or not self._opened.of(peer).take(peering.clock.now()):
            peering.count("parts_flood")
            await stream.reset()
        else:
            self._here[peer] += 1
            try:
                now = peering.clock.now()
                give = Give(peering.peer, peer, peering.replicas(), secrets.token_bytes, now)
                await _Driver(peering, stream, give, self._stores).give(give)
            finally:
                self._here[peer] -= 1
                self._here += Counter()  # forgets those at zero

    # --- asking ---

    async def open(self, peer: PeerId) -> Visit:
        """A visit at a connected peer, proven. Raises ``NetworkError``."""
        peering = self._peering
        stream = await peering.network.open(peer, PARTS, peering.settings.dial_timeout)
        now = peering.clock.now()
        talk = peering.talks.now.get(peer)
        spoken = talk.session.realms if talk is not None else {}
        # What is fetched is of these: of many communities, they must be among the tags.
        replicas = sorted(peering.replicas(), key=lambda one: one.realm not in spoken)
        fetch = Fetch(peering.peer, peer, replicas, secrets.token_bytes, now)
        visit = Visit(_Driver(peering, stream, fetch, self._stores), fetch)
        await visit.begin()
        return visit


class _Driver:
    """One stream and its machine: carries out what both sides ask for alike."""

    def __init__(
        self, peering: Peering, stream: Stream, machine: Fetch | Give, stores: Stores
    ) -> None:
        self.peering = peering
        self.stream = stream
        self._machine = machine
        self._stores = stores
        self._coming: asyncio.Task[bytes] | None = None

    def now(self) -> int:
        """Milliseconds."""
        return self.peering.clock.now()

    async def next(self) -> list[PartEffect]:
        """What follows from the next frame, or from the time. Raises ``NetworkError``."""
        if self._coming is None:
            self._coming = asyncio.create_task(self.stream.receive(), name="part frame")
        await asyncio.wait({self._coming}, timeout=_TICK_S)
        if not self._coming.done():
            return self._machine.tick(self.now())
        frame, self._coming = self._coming.result(), None
        return self._machine.on_frame(frame, self.now())

    async def carry_out(self, effects: Sequence[PartEffect]) -> list[PartEffect]:
        """Do what is asked; those that are for one side only are given back."""
        rest: list[PartEffect] = []
        todo = list(effects)
        while todo:
            effect = todo.pop(0)
            match effect:
                case Send(frame):
                    async with asyncio.timeout(IDLE_MS / 1000):
                        await self.stream.send(frame)
                case Ingest(realm, operations, _):
                    replica = next(r for r in self.peering.replicas() if r.realm == realm)
                    result = await replica.ingest(operations, self.stream.peer)
                    self.peering.learned(realm, result)
                    todo += self._machine.on_path_ingested(realm)
                case Count(code):
                    self.peering.count(code)
                case Close(code):
                    if code not in _QUIET:
                        self.peering.count(code)
                case _:
                    rest.append(effect)
        return rest

    async def give(self, give: Give) -> None:
        """Give until the end of the stream."""
        try:
            effects = give.begin()
            while not give.closed:
                for effect in await self.carry_out(effects):
                    await self._answer(give, effect)
                effects = await self._next_unless(give)
            await self.carry_out(effects)
        except (NetworkError, TimeoutError):
            pass
        finally:
            await self.end()

    async def _next_unless(self, give: Give) -> list[PartEffect]:
        return [] if give.closed else await self.next()

    async def _answer(self, give: Give, effect: PartEffect) -> None:
        todo: list[PartEffect] = [effect]
        while todo and not give.closed:
            match todo.pop(0):
                case Look(realm, part):
                    store = self._stores(realm)
                    found = None if store is None else await store.held(part)
                    todo += await self.carry_out(give.on_found(found))
                case ReadPart(realm, part, offset, length):
                    store = self._stores(realm)
                    data = b"" if store is None else await store.read(part, offset, length)
                    todo += await self.carry_out(give.on_read(data))
                case _:
                    continue

    async def end(self) -> None:
        """Close the stream, whatever it waits for."""
        await (self.stream.close() if not self._machine.closed else self.stream.reset())
        if self._coming is not None:
            self._coming.cancel()
            await asyncio.wait({self._coming})
            if not self._coming.cancelled():
                self._coming.exception()


class Visit:
    """A stream on which this node asks one peer, one part after the other."""

    def __init__(self, driver: _Driver, fetch: Fetch) -> None:
        """``begin`` must follow."""
        self._driver = driver
        self._fetch = fetch
        self.open = True

    @property
    def peer(self) -> PeerId:
        """Who is asked."""
        return self._fetch.peer

    def shares(self, realm: RealmId) -> bool:
        """True if the peer has proven itself in a realm."""
        return realm in self._fetch.devices

    async def begin(self) -> None:
        """Prove, and see the proof. Raises ``NetworkError``."""
        try:
            effects = self._fetch.begin()
            while not self._fetch.settled and not self._fetch.closed:
                await self._driver.carry_out(effects)
                effects = await self._driver.next()
            await self._driver.carry_out(effects)
        except TimeoutError:
            self._fetch.closed = "slow"
        except BaseException:
            await self.close()
            raise
        if self._fetch.closed or not self._fetch.devices:
            await self.close()
            raise NetworkError(_("the peer shares nothing of which it has parts"))

    async def holds(self, realm: RealmId, part: PartId, length: int) -> bool:
        """Ask whether the peer holds a part; False also if it does not answer."""
        found = False

        async def never(_data: Sequence[bytes]) -> bool:
            return False

        def heard(held: bool) -> None:
            nonlocal found
            found = held

        effects = self._fetch.ask(realm, part, length, self._driver.now())
        await self._talk(effects, never, heard)
        return found

    async def fetch(
        self, realm: RealmId, part: PartId, length: int, offset: int, write: Write
    ) -> Outcome:
        """Get a part of ``length`` bytes from ``offset`` on. Never raises what the network does."""
        effects = self._fetch.want(realm, part, length, offset, self._driver.now())
        return await self._talk(effects, write, lambda _held: None)

    async def _talk(
        self, effects: list[PartEffect], write: Write, heard: Callable[[bool], None]
    ) -> Outcome:
        """One question, to its end. What came is written, whatever happens to the peer."""
        fetch, driver = self._fetch, self._driver
        chunks: list[bytes] = []
        outcome: Outcome = "whole"
        wanted = True
        try:
            while True:
                for effect in await driver.carry_out(effects):
                    if isinstance(effect, Keep):
                        chunks.append(effect.data)
                    elif isinstance(effect, Answered):
                        heard(effect.held)
                        outcome = "whole" if effect.held else "lacking"
                if fetch.closed or fetch.state == "ready":
                    break
                effects = []
                if len(chunks) >= _FLUSH:
                    some, chunks = chunks, []
                    if not (wanted := await write(some)):
                        break
                    effects = fetch.on_kept(len(some))
                if not effects:
                    effects = await driver.next()
        except (NetworkError, TimeoutError):
            outcome = "gone"
            fetch.closed = fetch.closed or "gone"
        except BaseException:
            await self.close()  # the disk is full, or nobody waits any more
            raise
        if fetch.closed:
            outcome = _ENDS.get(fetch.closed, "liar")
        try:
            if chunks and wanted and outcome != "liar":
                wanted = await write(chunks)
        finally:
            if fetch.closed or fetch.state != "ready":
                await self.close()
        return outcome if wanted or outcome == "whole" else "stopped"

    async def close(self) -> None:
        """End the stream."""
        self.open = False
        await self._driver.end()
