"""`python -m bench.intruder HOME ADDRESS`: a member's node that runs other software, and floods.

It goes on with the home of a stopped node: its keys, its copy of the community, its standing. It is
told by lines of JSON: {"mode": MODE, "seconds": S} floods one node for so long, as fast as this
process can; it says {"mode": MODE} when it begins, having proven itself, and in the end what
`Intruder.flood` returns. What it does to keep going: a session that the node ends is begun, and
proven, anew.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from bench.author import PASSPHRASE
from commons_crdt.author import Draft
from commons_crdt.device import DeviceSecrets
from commons_crdt.ids import DocumentId, OperationId, RealmId
from commons_crdt.operation import Operation
from commons_node.community import SEALING, SIGNING
from commons_node.domains import RULES, VIEWS
from commons_node.domains.membership.facts import NAME, PROFILE, Profile
from commons_node.home import Home
from commons_node.keystore.node_key import NodeKey
from commons_node.keystore.store import Keystore
from commons_node.peering.conversation import Conversation
from commons_node.realm.authoring import Budget, write_down
from commons_node.realm.realm import Realm
from commons_node.standing import NodeStanding
from commons_node.store.database import open_database
from commons_node.store.node_store import NODE_SCHEMA, NodeStore
from commons_node.store.realm_schema import REALM_SCHEMA
from commons_node.store.realm_store import RealmStore
from commons_node.verifier.pool import VerifierPool
from commons_protocol import carriage, wire
from commons_protocol.effects import Effect, Proven, Send
from commons_protocol.joining import JOIN
from commons_protocol.libp2p_host import Libp2pNetwork
from commons_protocol.network import Address, NetworkError, Stream
from commons_protocol.replica import Range
from commons_protocol.session import SYNC, Session
from commons_protocol.wants import Memory

MODES = ("pushes", "replays", "forged", "wants", "digests")
"""Valid operations that are new; the same again and again; forged ones; wants, one after the other,
in a round that does not end; digests."""
_FASTEST = 2_000
"""Frames a second for which there are new operations. Each is said many times in a row, as often as
is needed for that: of a peer about 100 pushes a second are looked at."""
_AHEAD_MS = 9 * 60_000
"""She claims a time that nobody else's clock refuses: her budget flows in by it."""
_TOGETHER = 16
"""Frames handed to the network at once."""
_DRAWN = 50
_FORGED = 400
_PROOF_S = 20.0
_BEGIN_S = 60.0
_GONE_S = 0.05


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Intruder:
    """The member's node; ``open`` must follow."""

    def __init__(self, home: Path, address: str) -> None:
        """``home`` of a stopped node; ``address`` of the node that is flooded."""
        self._home = home
        self._address = Address(address)
        self._standing = NodeStanding(NodeKey(home / "node.key"))
        self._pool = VerifierPool(1)
        self._network = Libp2pNetwork(
            self._standing.network_seed, [Address("/ip4/127.0.0.1/tcp/0")],
            {SYNC: self._deaf, JOIN: self._deaf}, lambda _event: None, {},
        )  # fmt: skip
        self._realm: Realm
        self._secrets: DeviceSecrets
        self._grant: OperationId
        self._member: DocumentId
        self._valid: list[Operation] = []
        self._lies: list[Operation] = []
        self._said = self._insists = 0
        self._sent = self._sessions = self._served = 0
        self._until = self._gone = 0.0

    @staticmethod
    async def _deaf(stream: Stream) -> None:
        await stream.reset()

    async def open(self) -> None:
        """Read the home, and be on the network."""
        store = NodeStore(await open_database(self._home / "node.db", NODE_SCHEMA))
        ((member, realm),) = (await store.members()).items()
        await store.database.close()
        database = await open_database(self._home / "realms" / f"{realm.hex()}.db", REALM_SCHEMA)
        self._realm = Realm(RealmId(realm), RealmStore(database), RULES, VIEWS, self._pool, _now_ms)
        await self._realm.open()
        await self._standing.refresh(self._realm)
        unlocked = await Keystore(Home(self._home).keys).unlock(member.hex(), PASSPHRASE)
        self._secrets = DeviceSecrets(unlocked.get(SIGNING), unlocked.get(SEALING))
        self._grant = self._realm.judge.authority.devices[self._secrets.keys.id].id
        self._member = DocumentId(member)
        await self._network.start()

    async def close(self) -> None:
        """Leave."""
        await self._network.stop()
        await self._realm.close()
        await self._pool.stop()

    async def flood(self, mode: str, seconds: float) -> dict[str, object]:
        """For so long from the first session on.

        How many frames were ``sent``, in how many ``sessions``, of how many operations ``signed``
        for it, how many wants were ``served``; in seconds from the first one, when the last session
        ended (``out``), if none began after it. Raises ``TimeoutError`` if no node talks with Eve.
        """
        self._sent = self._sessions = self._served = 0
        signed = await self._prepare(mode, seconds)
        self._until = time.monotonic() + _BEGIN_S
        while time.monotonic() < self._until:
            with suppress(NetworkError, TimeoutError):
                await self._session(mode, seconds)
            await asyncio.sleep(_GONE_S)
        if not self._sessions:
            raise TimeoutError("the node does not talk with Eve")
        return {
            "sent": self._sent, "seconds": seconds, "sessions": self._sessions, "signed": signed,
            "served": self._served, "out": round(self._gone - self._until + seconds, 2),
        }  # fmt: skip

    async def _prepare(self, mode: str, seconds: float) -> int:
        """Sign what this flood needs; how many."""
        if mode == "pushes":
            with suppress(Budget):
                while True:
                    some = await self._draw(_DRAWN)
                    await self._realm.ingest(some, "eve")  # the next ones build on them
                    self._valid += some
            self._insists = math.ceil(_FASTEST * seconds / len(self._valid))
            return len(self._valid)
        if mode == "forged":
            # Each for the next place of her chain, which stays free: of none the id is known.
            self._lies = [one for _ in range(_FORGED) for one in await self._draw(1)]
            return len(self._lies)
        return 0

    async def _draw(self, count: int) -> list[Operation]:
        """So many valid operations, one after the other."""
        names = [f"Eve {os.urandom(8).hex()}".encode() for _ in range(count)]
        drafts = [
            Draft.fact(PROFILE, Profile(), document=self._member, parts=[(NAME, name)])
            for name in names
        ]
        memory = self._realm.memory
        return await write_down(memory, drafts, self._secrets, self._grant, _now_ms() + _AHEAD_MS)

    async def _session(self, mode: str, seconds: float) -> None:
        """One session, proven, and then frames without end."""
        peer = await self._network.connect(self._address)
        stream = await self._network.open(peer, SYNC)
        replica: Any = _Other(self._realm) if mode == "wants" else self._realm
        kind = _Asking if mode == "wants" else Session
        session = kind(
            "dialler", self._network.peer_id, peer, [replica], lambda _realm: Memory(),
            os.urandom, _now_ms(),
        )  # fmt: skip
        proven = asyncio.Event()
        talk = Conversation(
            stream, session, [replica], _now_ms, opened_here=True,
            tell=lambda _talk, news: proven.set() if isinstance(news, Proven) else None,
            stored=lambda *_: None,
        )  # fmt: skip
        running = asyncio.create_task(talk.run())
        try:
            await asyncio.wait_for(proven.wait(), _PROOF_S)
            if not self._sessions:
                self._until = time.monotonic() + seconds
                _say({"mode": mode})
            self._sessions += 1
            async with asyncio.timeout(self._until - time.monotonic()):
                if isinstance(session, _Asking):
                    await talk.ended.wait()
                (slot,) = session._slots
                source = self._frames(mode)(slot)
                while not talk.ended.is_set():
                    self._sent += await self._send(stream, source)
        finally:
            self._gone = time.monotonic()
            if isinstance(session, _Asking):
                self._sent += session.asked
                self._served += session.served
            talk.end("stop")
            with suppress(Exception):
                await asyncio.wait_for(running, _PROOF_S)
            await stream.reset()

    async def _send(self, stream: Stream, source: Iterator[bytes]) -> int:
        """Some frames at once: a call for each would take longer than what it sends."""
        half: Any = stream
        some = list(islice(source, _TOGETHER))
        if not some:
            raise RuntimeError("Eve has said all that she had signed: sign more")
        data = b"".join(len(frame).to_bytes(4, "big") + frame for frame in some)
        await half._ask(half._half.write, data)
        return len(some)

    def _frames(self, mode: str) -> Callable[[int], Iterator[bytes]]:
        def fresh(slot: int) -> Iterator[bytes]:
            for operation in self._valid[self._said :]:
                self._said += 1
                yield from [carriage.pack_push(slot, [operation])] * self._insists

        def replays(slot: int) -> Iterator[bytes]:
            for operation in cycle(self._valid):
                yield carriage.pack_push(slot, [operation])

        def forged(slot: int) -> Iterator[bytes]:
            for one in cycle(self._lies):
                lie = Operation(one.header, os.urandom(64), one.body, one.parts)
                yield carriage.pack_push(slot, [lie])

        def digests(slot: int) -> Iterator[bytes]:
            while True:
                yield wire.pack(wire.Digest(slot, False, os.urandom(32), os.urandom(16)))

        return {"pushes": fresh, "replays": replays, "forged": forged, "digests": digests}[mode]


class _Other:
    """Eve's copy of the community, which says that it holds something else: a round begins."""

    def __init__(self, realm: Realm) -> None:
        self._realm = realm
        self._digest = os.urandom(32)

    def digest(self) -> bytes:
        return self._digest

    def log_zero(self, key: bytes) -> bytes:
        return key[:16]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._realm, name)


class _Asking(Session):
    """Once both know what differs she is never done: she asks for whole chains, one by one."""

    asked = served = 0
    _chains: Iterator[Range] | None = None

    def _closing(self, effects: list[Effect]) -> list[Effect]:
        """In the place of the word that she is done, the first want."""
        found = super()._closing(effects)
        done = [
            isinstance(e, Send) and isinstance(wire.unpack_sync(e.frame), wire.Done) for e in found
        ]
        if True not in done:
            return found
        sync = next(iter(self.realms.values()))
        assert sync._mine is not None, "both have compared"
        self._chains = cycle([Range(e.device, e.log, 1, e.seq) for e in sync._mine if e.seq])
        return [*found[: done.index(True)], self._want()]

    def _want(self) -> Send:
        assert self._chains is not None
        self.asked += 1
        (slot,) = self._slots
        return Send(wire.pack(wire.Want(slot, wire.MAX_CREDIT, (next(self._chains),), ())))

    def on_frame(self, frame: bytes, now: int) -> list[Effect]:
        """What is served is thrown away, and more of it is asked for."""
        if self._chains is None or self.closed:
            return super().on_frame(frame, now)
        match wire.unpack_sync(frame):
            case wire.Served():
                self.served += 1
                return [self._want()]
            case wire.Operations(slot) | wire.Piece(slot):
                self.asked += 1
                return [Send(wire.pack(wire.Credit(slot, 1)))]
            case _:
                return []


async def _main(home: Path, address: str) -> None:
    intruder = Intruder(home, address)
    await intruder.open()
    try:
        _say({"open": True})
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            told = json.loads(line)
            _say(await intruder.flood(told["mode"], told["seconds"]))
    finally:
        await intruder.close()  # its workers hold the pipe that it speaks to


def _say(answer: dict[str, object]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), sys.argv[2]))
