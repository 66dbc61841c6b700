"""`python -m bench.intruder HOME ADDRESS`: a member's node that runs other software, and floods.

It goes on with the home of a stopped node: its keys, its copy of the community, its standing. It is
told by lines of JSON: {"mode": MODE, "seconds": S} floods one node for so long, as fast as this
process can; it says {"mode": MODE} when it begins, having proven itself, and in the end {"sent":
FRAMES, "seconds": S, "sessions": N}. What it does to keep going:
a session that the node ends is begun, and proven, anew.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from typing import Any

from bench.author import PASSPHRASE
from commons_crdt.author import Draft
from commons_crdt.device import DeviceSecrets
from commons_crdt.ids import DocumentId, RealmId
from commons_crdt.operation import Operation
from commons_node.community import SEALING, SIGNING
from commons_node.domains import RULES, VIEWS
from commons_node.domains.membership.facts import NAME, PROFILE, Profile
from commons_node.home import Home
from commons_node.keystore.node_key import NodeKey
from commons_node.keystore.store import Keystore
from commons_node.peering.conversation import Conversation
from commons_node.realm.authoring import write_down
from commons_node.realm.realm import Realm
from commons_node.standing import NodeStanding
from commons_node.store.database import open_database
from commons_node.store.node_store import NODE_SCHEMA, NodeStore
from commons_node.store.realm_schema import REALM_SCHEMA
from commons_node.store.realm_store import RealmStore
from commons_node.verifier.pool import VerifierPool
from commons_protocol import carriage, wire
from commons_protocol.effects import Proven
from commons_protocol.joining import JOIN
from commons_protocol.libp2p_host import Libp2pNetwork
from commons_protocol.network import Address, NetworkError, Stream
from commons_protocol.replica import Range
from commons_protocol.session import SYNC, Session
from commons_protocol.wants import Memory

MODES = ("pushes", "refused", "wants", "digests")
"""Valid operations, one each; forged ones; wants that nobody waits for; digests."""
SIGNED = 400
"""Valid operations that are signed before the flood: about what is left of a newcomer's budget. A
steward gets 5,000 more an hour; then they are sent again."""
_TOGETHER = 16
"""Frames handed to the network at once."""
_SLICE = 500
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
        self._operations: Sequence[Operation] = ()
        self._sent = self._sessions = 0
        self._until = 0.0

    @staticmethod
    async def _deaf(stream: Stream) -> None:
        await stream.reset()

    async def open(self) -> None:
        """Read the home, sign what is valid, and be on the network."""
        store = NodeStore(await open_database(self._home / "node.db", NODE_SCHEMA))
        ((member, realm),) = (await store.members()).items()
        await store.database.close()
        database = await open_database(self._home / "realms" / f"{realm.hex()}.db", REALM_SCHEMA)
        self._realm = Realm(RealmId(realm), RealmStore(database), RULES, VIEWS, self._pool, _now_ms)
        await self._realm.open()
        await self._standing.refresh(self._realm)
        unlocked = await Keystore(Home(self._home).keys).unlock(member.hex(), PASSPHRASE)
        secrets = DeviceSecrets(unlocked.get(SIGNING), unlocked.get(SEALING))
        grant = self._realm.judge.authority.devices[secrets.keys.id].id
        drafts = [
            Draft.fact(
                PROFILE, Profile(), document=DocumentId(member), parts=[(NAME, f"Eve {n}".encode())]
            )
            for n in range(SIGNED)
        ]
        self._operations = await write_down(self._realm.memory, drafts, secrets, grant, _now_ms())
        await self._network.start()

    async def close(self) -> None:
        """Leave."""
        await self._network.stop()
        await self._realm.close()
        await self._pool.stop()

    async def flood(self, mode: str, seconds: float) -> dict[str, object]:
        """For so long from the first session on; how many frames were sent, in how many sessions.

        Raises ``TimeoutError`` if no node talks with Eve.
        """
        self._sent = self._sessions = 0
        self._until = time.monotonic() + _BEGIN_S
        while time.monotonic() < self._until:
            with suppress(NetworkError, TimeoutError):
                await self._session(mode, seconds)
            await asyncio.sleep(_GONE_S)
        if not self._sessions:
            raise TimeoutError("the node does not talk with Eve")
        return {"sent": self._sent, "seconds": seconds, "sessions": self._sessions}

    async def _session(self, mode: str, seconds: float) -> None:
        """One session, proven, and then frames without end."""
        peer = await self._network.connect(self._address)
        stream = await self._network.open(peer, SYNC)
        session = Session(
            "dialler", self._network.peer_id, peer, [self._realm], lambda _realm: Memory(),
            os.urandom, _now_ms(),
        )  # fmt: skip
        proven = asyncio.Event()
        talk = Conversation(
            stream, session, [self._realm], _now_ms, opened_here=True,
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
            (slot,) = session._slots
            source = self._frames(mode)(slot)
            async with asyncio.timeout(self._until - time.monotonic()):
                while not talk.ended.is_set():
                    self._sent += await self._send(stream, source)
        finally:
            talk.end("stop")
            with suppress(Exception):
                await asyncio.wait_for(running, _PROOF_S)
            await stream.reset()

    async def _send(self, stream: Stream, source: Iterator[bytes]) -> int:
        """Some frames at once: a call for each would take longer than what it sends."""
        half: Any = stream
        some = [next(source) for _ in range(_TOGETHER)]
        data = b"".join(len(frame).to_bytes(4, "big") + frame for frame in some)
        await half._ask(half._half.write, data)
        return len(some)

    def _frames(self, mode: str) -> Callable[[int], Iterator[bytes]]:
        realm = self._realm
        operations = cycle(self._operations)

        def valid(slot: int) -> Iterator[bytes]:
            for operation in operations:
                yield carriage.pack_push(slot, [operation])

        def forged(slot: int) -> Iterator[bytes]:
            for one in operations:
                lie = Operation(one.header, os.urandom(64), one.body, one.parts)
                yield carriage.pack_push(slot, [lie])

        def wants(slot: int) -> Iterator[bytes]:
            ends = [end for end in realm.memory.ends.vector() if end.seq]
            for end in cycle(ends):
                span = Range(end.device, end.log, 1, end.seq)
                yield wire.pack(wire.Want(slot, 64, (span,), ()))

        def digests(slot: int) -> Iterator[bytes]:
            while True:
                yield wire.pack(wire.Digest(slot, False, os.urandom(32), os.urandom(16)))

        return {"pushes": valid, "refused": forged, "wants": wants, "digests": digests}[mode]


async def _main(home: Path, address: str) -> None:
    intruder = Intruder(home, address)
    await intruder.open()
    _say({"signed": SIGNED})
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        told = json.loads(line)
        _say(await intruder.flood(told["mode"], told["seconds"]))
    await intruder.close()


def _say(answer: dict[str, object]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), sys.argv[2]))
