"""`reconcile`: two nodes hold a large realm in which a few chains end differently.

Two realms in SQLite with all that the daemon judges and stores, between them the daemon's own
`Conversation` over a real libp2p stream on loopback; no daemon around it. Counted is what the
kernel sent over TCP from the moment that the stream is opened, proof of standing included, until
both sides have compared equal. Then the same two compare once more, and once more.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import floor
from bench.floor import Signed
from bench.processes import tcp_bytes
from bench.town import Town, say
from bench.village import Village
from commons_crdt.operation import Operation, decode_header
from commons_node.domains import RULES, VIEWS
from commons_node.keystore.node_key import NodeKey
from commons_node.peering.conversation import Conversation
from commons_node.realm.realm import Realm
from commons_node.standing import NodeStanding
from commons_node.store.database import open_database
from commons_node.store.realm_schema import REALM_SCHEMA
from commons_node.store.realm_store import RealmStore
from commons_node.verifier.pool import VerifierPool
from commons_protocol import wire
from commons_protocol.carriage import operation_size
from commons_protocol.effects import Changed, Compared, Count, Met, Proven
from commons_protocol.libp2p_host import Libp2pNetwork
from commons_protocol.network import Address, PeerId, Stream
from commons_protocol.replica import Range
from commons_protocol.session import SYNC, Session
from commons_protocol.transcript import Side
from commons_protocol.wants import Memory

DIFFERING = 10
_PAGE = 8 << 20
_AT_ONCE = 10
_TAKEN = 1_000
_QUIET_S = 2.0
_EQUAL = 20
"""Fewer at once than a peer takes for a flood."""
_WAIT_S = 120.0


def measure(town: Town) -> dict[str, object]:
    """``devices, operations, differing, bytes, rounds, seconds, equal_bytes``.

    ``bytes``: both directions, without the operations themselves. ``rounds``: round trips from the
    first digest to the last. ``equal_bytes``: each way, of a comparison that finds nothing;
    ``equal_cpu_ms``: CPU of both sides for one, networks included. Beside it ``missing_bytes``, and
    ``floor_seconds``: the same operations verified and stored plainly.
    """
    folder = town.folder / "reconcile"
    folder.mkdir()
    return asyncio.run(_measure(folder, town.size.judged, town.size.devices))


async def _measure(folder: Path, operations: int, devices: int) -> dict[str, object]:
    async with AsyncExitStack() as stack:
        pool = VerifierPool(2)
        stack.push_async_callback(pool.stop)
        village = await stack.enter_async_context(Village.founded(folder, pool))
        bobs = NodeStanding(NodeKey(folder / "bob.key"))
        await village.admit_node(bobs)
        say(f"{devices} devices come in")
        await village.grow(devices)
        say(f"they write {operations} operations")
        await _fill(village, operations)
        say("bob's node takes all of them")
        bob = await stack.enter_async_context(_copied(village, folder / "bob.db", bobs, pool))
        missing = await _apart(village, bob)
        alice = _Side("listener", village.realm, village.standing)
        found = await stack.enter_async_context(_meeting(alice, _Side("dialler", bob, bobs)))
        keys = {one.secrets.keys.id: one.secrets.keys.signing for one in village.people}
        rows = [
            Signed(o.header, o.signature, keys[decode_header(o.header).device], operation_size(o))  # type: ignore[index]  # ids by shape
            for o in missing
        ]
        return {
            "devices": devices,
            "operations": alice.realm.size(),
            "differing": len(missing),
            **found,
            "bytes": int(str(found["wire_bytes"])) - sum(row.size for row in rows),
            "missing_bytes": sum(row.size for row in rows),
            "floor_seconds": round(floor.verify_and_store(rows, folder), 3),
        }


# --- two copies of one realm ---


async def _fill(village: Village, operations: int) -> None:
    """Everybody writes in turn, until the realm holds so many operations."""
    while (left := operations - village.realm.size()) > 0:
        village.pass_time()
        batch: list[Operation] = []
        for one in village.people:
            count = min(_AT_ONCE, left)
            batch += await village.facts(one, count)
            left -= count
            if len(batch) >= _TAKEN or not left:
                await village.take(batch)
                batch = []
            if not left:
                break
        if batch:
            await village.take(batch)


@asynccontextmanager
async def _copied(
    village: Village, file: Path, standing: NodeStanding, pool: VerifierPool
) -> AsyncIterator[Realm]:
    """A realm that has taken in all that the village's holds."""
    database = await open_database(file, REALM_SCHEMA)
    try:
        held = village.realm
        realm = Realm(held.realm, RealmStore(database), RULES, VIEWS, pool, lambda: village.now_ms)
        await realm.open()
        for log in (0, 1):
            ranges = [Range(e.device, log, 1, e.seq) for e in await held.vector() if e.log == log]
            after: int | None = 0
            while after is not None:
                page, after = await held.read(ranges, after or None, _PAGE)
                for at in range(0, len(page), _TAKEN):
                    await realm.ingest(page[at : at + _TAKEN], "bench")
        await standing.refresh(realm)
        if realm.digest() != held.digest():
            raise RuntimeError("the copy is not what it was copied from")
        yield realm
    finally:
        await database.close()


async def _apart(village: Village, bob: Realm) -> list[Operation]:
    """Some write one more operation, half of them at alice's node, the others at bob's."""
    village.pass_time()
    some = random.Random(1).sample(village.people, DIFFERING)
    written = [(await village.facts(one, 1))[0] for one in some]
    half = DIFFERING // 2
    await village.take(written[:half])
    await bob.ingest(written[half:], "bench")
    if bob.digest() == village.realm.digest():
        raise RuntimeError("nothing differs")
    return written


# --- what they say to each other ---


@dataclass
class _Side:
    """One node: its realm, its network and what its conversation tells."""

    side: Side
    realm: Realm
    standing: NodeStanding
    talk: Conversation | None = None
    turns: list[float] = field(default_factory=list)
    """When it began to speak after the other had."""
    equal: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, _talk: Conversation, news: Proven | Compared | Changed | Met | Count) -> None:
        """See ``Conversation``."""
        if isinstance(news, Compared) and news.equal:
            self.equal.set()

    async def converse(self, stream: Stream, own: PeerId) -> None:
        """Until the stream ends."""
        session = Session(
            self.side, own, stream.peer, [self.realm], lambda _realm: Memory(),
            random.Random(self.side).randbytes, _now(),
        )  # fmt: skip
        self.talk = Conversation(
            stream, session, [self.realm], _now, opened_here=self.side == "dialler",
            tell=self.tell, stored=lambda _talk, _replica, _result: None,
        )  # fmt: skip
        code = await self.talk.run()
        if code not in {"stop", "gone"}:
            say(f"{self.side}: {code}")


class _Listened:
    """A stream that notes from the first digest on who speaks: each change is half a round trip."""

    def __init__(self, stream: Stream, said: list[str], who: str) -> None:
        self._stream, self._said, self._who = stream, said, who
        self.peer = stream.peer
        self.close, self.reset = stream.close, stream.reset

    def _note(self, who: str, frame: bytes) -> None:
        compared = self._said or isinstance(wire.unpack_sync(frame), wire.Digest)
        if compared and self._said[-1:] != [who]:
            self._said.append(who)

    async def send(self, frame: bytes) -> None:
        """See ``Stream``."""
        self._note(self._who, frame)
        await self._stream.send(frame)

    async def receive(self) -> bytes:
        """See ``Stream``."""
        frame = await self._stream.receive()
        self._note(f"not {self._who}", frame)
        return frame


def _now() -> int:
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def _meeting(alice: _Side, bob: _Side) -> AsyncIterator[dict[str, object]]:
    """What it took the two to become equal, and to see that they are."""
    here = Libp2pNetwork(
        alice.standing.network_seed, [Address("/ip4/127.0.0.1/tcp/0")],
        {SYNC: lambda stream: alice.converse(stream, here.peer_id)}, lambda _event: None, {},
    )  # fmt: skip
    there = Libp2pNetwork(
        bob.standing.network_seed, [Address("/ip4/127.0.0.1/tcp/0")], {}, lambda _event: None, {}
    )
    talking: asyncio.Task[None] | None = None
    try:
        (address,), _ = await here.start(), await there.start()
        ports = {int(address.split("/")[4])}
        await there.connect(address)
        await asyncio.sleep(_QUIET_S)  # what libp2p says of itself is not ours
        said: list[str] = []
        before = _sent(ports)
        began = time.monotonic()
        stream = _Listened(await there.open(here.peer_id, SYNC), said, "bob")
        talking = asyncio.create_task(bob.converse(stream, there.peer_id))
        await _both(alice, bob)
        seconds = time.monotonic() - began
        await asyncio.sleep(_QUIET_S)
        wire = _sent(ports) - before
        if alice.realm.digest() != bob.realm.digest():
            raise RuntimeError("they are not equal")
        before, turns, worked = _sent(ports), len(said), time.process_time()
        for _ in range(_EQUAL):
            assert bob.talk is not None
            bob.talk.perform(bob.talk.session.poke())
            await _both(alice, bob)
        worked = time.process_time() - worked
        await asyncio.sleep(_QUIET_S)
        yield {
            "wire_bytes": wire,
            "rounds": turns / 2,
            "seconds": round(seconds, 3),
            "equal_bytes": round((_sent(ports) - before) / 2 / _EQUAL),
            "equal_rounds": (len(said) - turns) / 2 / _EQUAL,
            "equal_cpu_ms": round(worked / _EQUAL * 1000, 2),
        }
    finally:
        if bob.talk is not None:
            bob.talk.end("stop")
        if talking is not None:
            await talking
        await there.stop()
        await here.stop()


async def _both(alice: _Side, bob: _Side) -> None:
    for one in (alice, bob):
        await asyncio.wait_for(one.equal.wait(), _WAIT_S)
    for one in (alice, bob):
        one.equal.clear()


def _sent(ports: set[int]) -> int:
    """Bytes over TCP so far, both directions, seen from the end that was dialled."""
    return sum(n for (here, _), n in tcp_bytes(ports).items() if here in ports)
