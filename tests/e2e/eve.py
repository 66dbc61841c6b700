"""Eve: a stranger, a thief, and a member whose node runs other software than ours.

She speaks the real protocol over real libp2p. As a member she joined properly with a node of her
own; that node is stopped, and this program goes on with its home: its keys, its copy of the
realm, its place in everybody's eyes. What she signs is validly signed, whatever it says.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Self, TypeVar

from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID
from tests.e2e.neighbourhood import PASSPHRASE, House

from commons_crdt.author import Draft
from commons_crdt.device import DeviceSecrets
from commons_crdt.ids import OperationId, RealmId, digest
from commons_crdt.operation import Operation
from commons_node.community import SEALING, SIGNING
from commons_node.domains import RULES, VIEWS
from commons_node.keystore.node_key import NodeKey
from commons_node.keystore.store import Keystore
from commons_node.peering.conversation import Conversation
from commons_node.realm.authoring import write_down
from commons_node.realm.realm import Realm
from commons_node.standing import NodeStanding
from commons_node.store.database import open_database
from commons_node.store.realm_schema import REALM_SCHEMA
from commons_node.store.realm_store import RealmStore
from commons_node.verifier.pool import VerifierPool
from commons_protocol import carriage, wire
from commons_protocol.effects import Send
from commons_protocol.joining import JOIN
from commons_protocol.libp2p_host import Libp2pNetwork
from commons_protocol.network import (
    Address,
    NetworkError,
    PeerId,
    ProtocolName,
    Stream,
    StreamClosed,
)
from commons_protocol.replica import Credential, Replica
from commons_protocol.session import SYNC, Session
from commons_protocol.transcript import Side
from commons_protocol.wants import Memory

T = TypeVar("T")
ANYWHERE = [Address("/ip4/127.0.0.1/tcp/0")]
_CALL_S = 60.0
_PROOF_S = 20.0


def now_ms() -> int:
    """This machine's clock."""
    return time.time_ns() // 1_000_000


class Elsewhere:
    """An asyncio loop in a thread of its own, so that tests can stay plain."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="eve", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], seconds: float = _CALL_S) -> T:
        """The result of ``work``, within a bound."""
        return asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, seconds), self.loop).result(
            seconds + 5
        )

    def end(self) -> None:
        """Stop the loop."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


class Line:
    """A stream with somebody, frame by frame."""

    def __init__(self, elsewhere: Elsewhere, stream: Stream) -> None:
        self._elsewhere = elsewhere
        self._stream = stream

    def say(self, frame: bytes) -> None:
        """Send a frame; the other side may have gone."""
        with suppress(NetworkError):
            self._elsewhere.run(self._stream.send(frame))

    def hear(self, seconds: float = 30.0) -> bytes | None:
        """The next frame, None at the end of the stream."""
        try:
            return self._elsewhere.run(self._stream.receive(), seconds)
        except StreamClosed:
            return None

    def end(self) -> None:
        """Drop it."""
        self._elsewhere.run(self._stream.reset())


class Stranger:
    """A libp2p node without any membership. A context manager."""

    def __init__(self, seed: bytes | None = None) -> None:
        """``seed`` of the transport key; a fresh one for nobody in particular."""
        self.elsewhere = Elsewhere()
        self.heard: list[tuple[str, PeerId, bytes]] = []
        self.refusals: Counter[str] = Counter()
        self.talks: list[asyncio.Task[Any]] = []
        self.network = Libp2pNetwork(
            seed or os.urandom(32),
            ANYWHERE,
            {SYNC: self._called, JOIN: self._deaf},
            lambda _event: None,
            self.refusals,
        )

    @staticmethod
    async def _deaf(stream: Stream) -> None:
        await stream.reset()

    async def _called(self, stream: Stream) -> None:
        """Somebody wants to compare."""
        await stream.reset()

    def __enter__(self) -> Self:
        self.addresses = self.elsewhere.run(self.network.start())
        return self

    def __exit__(self, *_error: object) -> None:
        try:
            self.elsewhere.run(self._leave())
        finally:
            self.elsewhere.end()

    async def _leave(self) -> None:
        for talk in self.talks:
            talk.cancel()
        await asyncio.gather(*self.talks, return_exceptions=True)
        await self.network.stop()

    def dial(self, house: House) -> PeerId:
        """Be connected with a house's node."""
        return self.elsewhere.run(self.network.connect(Address(house.address)))

    def open(self, house: House, protocol: ProtocolName) -> Line:
        """A stream with a house's node."""
        peer = self.dial(house)
        return Line(self.elsewhere, self.elsewhere.run(self.network.open(peer, protocol)))

    # -- what libp2p tells anybody -------------------------------------------------------------

    def identify(self, house: House) -> bytes:
        """What the node's libp2p says of itself to whoever asks."""
        peer = self.dial(house)

        async def ask(host: Any) -> bytes:
            stream = await host._host.new_stream(
                ID.from_base58(peer), [TProtocol("/ipfs/id/1.0.0")]
            )
            answer = bytes(await stream.read(65_536))
            await stream.reset()
            return answer

        return self.elsewhere.run(self.network._call(ask))

    def topics(self, house: House) -> set[str]:
        """The gossip topics that a node is seen to hear."""
        peer = ID.from_base58(self.dial(house))

        async def look(host: Any) -> set[str]:
            return {topic for topic, who in host._pubsub.peer_topics.items() if peer in who}

        return self.elsewhere.run(self.network._call(look))

    def listen_to(self, topics: set[str]) -> None:
        """Hear everything that is said on these topics, into ``heard``."""

        async def subscribe() -> None:
            for topic in topics:
                self.network.subscribe(
                    topic,
                    lambda peer, data, topic=topic: self.heard.append((topic, peer, data)),  # type: ignore[misc]  # binds it
                )

        self.elsewhere.run(subscribe())

    def shout(self, topic: str, data: bytes) -> None:
        """Say something on a topic."""
        self.elsewhere.run(self.network.publish(topic, data))

    def guess(self, house: House) -> list[tuple[int, int]]:
        """Open /commons/sync/1 and play along: (number, length) of each frame that comes back."""
        line = self.open(house, SYNC)
        line.say(wire.pack(wire.Hello(wire.VERSION, os.urandom(32))))
        line.say(wire.pack(wire.Tags(os.urandom(256))))
        shape = []
        while (frame := line.hear()) is not None:
            shape.append((frame[1], len(frame)))
        return shape

    def knock(self, house: House, invite: bytes | None = None) -> list[tuple[int, int]]:
        """Open /commons/join/1 and knock with nothing: what comes back, as in ``guess``."""
        line = self.open(house, JOIN)
        shape = []
        frame = line.hear()
        line.say(wire.pack(wire.Knock(invite or os.urandom(32), os.urandom(64))))
        while frame is not None:
            shape.append((frame[1], len(frame)))
            frame = line.hear()
        return shape

    def begin(self, stream: Stream, replica: Replica, side: Side = "dialler") -> Conversation:
        """Drive the protocol's own state machine on a stream."""
        session = Session(
            side, self.network.peer_id, stream.peer, [replica], lambda _realm: Memory(),
            os.urandom, now_ms(),
        )  # fmt: skip
        conversation = Conversation(
            stream, session, [replica], now_ms, opened_here=side == "dialler",
            tell=lambda *_: None, stored=lambda *_: None,
        )  # fmt: skip
        self.talks.append(asyncio.ensure_future(conversation.run()))
        return conversation

    def break_in(
        self, house: House, realm: RealmId, epochs: Sequence[tuple[OperationId, bytes]]
    ) -> tuple[str, int]:
        """With stolen epoch keys and no grant: how the stream ended, and how much was told."""
        thief = _Thief(realm, epochs)

        async def attempt() -> tuple[str, int]:
            peer = await self.network.connect(Address(house.address))
            stream = await self.network.open(peer, SYNC)
            conversation = self.begin(stream, thief)  # type: ignore[arg-type]  # as much as it needs
            await asyncio.wait_for(conversation.ended.wait(), _PROOF_S)
            assert not conversation.was_proven
            return conversation.code, thief.got

        return self.elsewhere.run(attempt())


class Talk:
    """What Eve says to one node: on the conversation that lives, whoever of the two dialled."""

    def __init__(self, eve: Eve, house: House) -> None:
        self._eve = eve
        self._house = house

    @property
    def conversation(self) -> Conversation:
        """The one that lives now; another one is begun if there is none."""
        return self._eve.conversation(self._house)

    @property
    def slot(self) -> int:
        """The slot of the only realm."""
        return next(iter(self.conversation.session._slots))

    def say(self, *frames: bytes) -> None:
        """Frames of Eve's own making."""
        conversation = self.conversation

        async def send() -> None:
            conversation.perform([Send(frame) for frame in frames])

        self._eve.elsewhere.run(send())

    def push(self, *operations: Operation) -> None:
        """Operations that nobody asked for, whatever their size."""
        for operation in operations:
            self.say(carriage.pack_push(self.slot, [operation]))

    def ended(self, conversation: Conversation, seconds: float = 20.0) -> bool:
        """Whether the node ends a conversation."""

        async def wait() -> bool:
            with suppress(TimeoutError):
                await asyncio.wait_for(conversation.ended.wait(), seconds)
            return conversation.ended.is_set()

        return self._eve.elsewhere.run(wait())


class _Thief:
    """A realm as somebody has it who stole an epoch key: no grant, no operations."""

    def __init__(self, realm: RealmId, epochs: Sequence[tuple[OperationId, bytes]]) -> None:
        self.realm = realm
        self._epochs = epochs
        self._device = DeviceSecrets(os.urandom(32), os.urandom(32))
        self.got = 0

    def digest(self) -> bytes:
        return bytes(32)

    def log_zero(self, key: bytes) -> bytes:
        return key[:16]

    def epochs(self) -> Sequence[tuple[OperationId, bytes]]:
        return self._epochs

    def credential(self) -> Credential:
        keys = self._device.keys
        return Credential(keys.id, OperationId(digest("t-none")), lambda _data: os.urandom(64), ())

    def node_keys(self, device: bytes) -> None:
        del device

    def whose(self, device: bytes) -> bytes:
        return device

    async def ingest(self, operations: Sequence[Operation], source: str) -> Any:
        del source
        self.got += len(operations)
        raise AssertionError("a thief is told nothing")


class Eve(Stranger):
    """A member of the community, with the keys and the state of a node that has been stopped."""

    def __init__(self, house: House) -> None:
        """``house``: Eve's own, which has joined, agreed with the others, and was stopped."""
        assert house.process.poll() is not None, "Eve's own node is stopped"
        self.house = house
        self.standing = NodeStanding(NodeKey(house.home / "node.key"))
        super().__init__(self.standing.network_seed)
        self.pool = VerifierPool(1)
        self._live: list[Conversation] = []
        self.realm: Realm
        self.secrets: DeviceSecrets
        self.grant: OperationId

    def __enter__(self) -> Self:
        super().__enter__()
        self.elsewhere.run(self._open())
        return self

    async def _open(self) -> None:
        (file,) = (self.house.home / "realms").glob("*.db")
        database = await open_database(file, REALM_SCHEMA)
        self.realm = Realm(
            RealmId(bytes.fromhex(file.stem)), RealmStore(database), RULES, VIEWS, self.pool, now_ms
        )
        await self.realm.open()
        await self.standing.refresh(self.realm)
        unlocked = await Keystore(self.house.home / "keys").unlock(self.house.member, PASSPHRASE)
        self.secrets = DeviceSecrets(unlocked.get(SIGNING), unlocked.get(SEALING))
        self.grant = self.realm.judge.authority.devices[self.secrets.keys.id].id

    async def _leave(self) -> None:
        await super()._leave()
        await self.realm.close()
        await self.pool.stop()

    # -- talking -------------------------------------------------------------------------------

    def talk(self, house: House) -> Talk:
        """Be in a conversation with a node, proven on both sides."""
        talk = Talk(self, house)
        assert talk.conversation.was_proven
        return talk

    def conversation(self, house: House) -> Conversation:
        """The one that lives, or a new one."""
        for _ in range(20):
            found = self.elsewhere.run(self._converse(house))
            if found is not None:
                return found
            time.sleep(0.2)  # both dialled at once, or the last one is just being closed
        raise AssertionError(f"{house.name}'s node does not talk with Eve's: {house.log()}")

    async def _called(self, stream: Stream) -> None:
        await self._hold(self.begin(stream, self.realm, "listener"))

    async def _hold(self, conversation: Conversation) -> None:
        """Until it ends, this is a conversation with its peer; of two the node keeps one."""
        self._live.append(conversation)
        await conversation.ended.wait()
        self._live.remove(conversation)

    async def _converse(self, house: House) -> Conversation | None:
        peer = await self.network.connect(Address(house.address))
        if not any(one.peer == peer for one in self._live):
            try:
                begun = self.begin(await self.network.open(peer, SYNC), self.realm)
            except NetworkError:
                return None
            self.talks.append(asyncio.ensure_future(self._hold(begun)))
            await asyncio.sleep(0)
        deadline = self.elsewhere.loop.time() + _PROOF_S
        while present := [one for one in self._live if one.peer == peer]:
            proven = [one for one in present if one.was_proven and not one.ended.is_set()]
            if len(proven) == len(present) == 1 or self.elsewhere.loop.time() > deadline:
                return proven[0] if proven else None
            await asyncio.sleep(0.02)
        return None

    # -- writing -------------------------------------------------------------------------------

    def draw(self, *drafts: Draft, at_ms: int | None = None) -> list[Operation]:
        """Signed operations at the end of Eve's chains, stored nowhere."""
        when = at_ms or now_ms()
        return self.elsewhere.run(
            write_down(self.realm.memory, drafts, self.secrets, self.grant, when)
        )

    def keep(self, *operations: Operation) -> None:
        """Let Eve's own copy of the realm go on from these."""
        self.elsewhere.run(self.realm.ingest(operations, "eve"))

    def edits_of(self, document: bytes) -> list[tuple[OperationId, bytes]]:
        """(operation, change) of a document's applied edits, in causal order."""
        rows = self.elsewhere.run(self.realm.store.edits(document))  # type: ignore[arg-type]  # an id
        return [(row.id, row.body[32:]) for row in rows if row.applied == "" and row.body]


@contextmanager
def gone_bad(house: House) -> Iterator[Eve]:
    """Stop the node of ``house``, and go on as Eve with its home."""
    house.stop()
    with Eve(house) as eve:
        yield eve
