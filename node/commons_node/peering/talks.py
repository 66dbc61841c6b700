"""The conversations of this node: at most one with each peer, and a way to each known one.

Keeps them going, looks at the time for them, and passes on what they report. Who is known and
what is hinted at stands elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from commons_crdt.ids import RealmId
from commons_crdt.texts import _
from commons_node.peering.conversation import Conversation
from commons_node.peering.patience import Patience
from commons_node.peering.showing import Showing
from commons_node.peering.turns import Turns
from commons_node.peering.types import InTurn
from commons_node.peering.ways import Way
from commons_protocol.allowances import Allowances
from commons_protocol.circuit import is_relayed
from commons_protocol.effects import Changed, Compared, Count, Met, Proven
from commons_protocol.names import node_id
from commons_protocol.network import NetworkError, PeerId, Stream, Unreachable
from commons_protocol.replica import Ingested, Replica
from commons_protocol.session import SYNC, Session
from commons_protocol.wants import Memory

if TYPE_CHECKING:
    from commons_node.peering.peering import Peering

MOST_RUMOURS = 32
"""Ways that are tried at once to nodes that others speak of."""
_NO_REFUSALS = frozenset({"gone", "stop", "refresh", "replaced", "blocked", "place"})

_log = logging.getLogger(__name__)


class Talks:
    """Sessions by peer. All methods run in the daemon's loop."""

    def __init__(self, peering: Peering) -> None:
        """No conversation yet."""
        self.now: dict[PeerId, Conversation] = {}
        self.ways: dict[PeerId, Way] = {}
        self.denied: dict[PeerId, frozenset[RealmId]] = {}
        """Who did not accept this node's device, and where, the last time that we spoke."""
        self._peering = peering
        self._tasks: dict[PeerId, asyncio.Task[None]] = {}
        self._due: dict[PeerId, float] = {}
        self._settling: set[RealmId] = set()
        self._memories: dict[tuple[PeerId, RealmId], Memory] = {}
        self._turns = Turns()
        self.allowances = Allowances()
        """What peers, and members, have left of what they may say; outlives every stream."""
        self._patience = Patience()
        self._showing = Showing()
        self._moved: asyncio.Event | None = None

    # --- ways ---

    def keep(self, peer: PeerId, tries: int | None = None) -> None:
        """Keep a conversation with this peer going; ``tries`` None: for ever."""
        peering = self._peering
        known = peering.book.get(node_id(peer))
        if peering.stopped or peer == peering.peer or (known is not None and known.blocked):
            return
        if peer in peering.network.blocked:
            return
        running = self._tasks.get(peer)
        if running is not None and not running.done():
            self.ways[peer].allow(tries)
            return
        rumours = sum(way.tries is not None for way in self.ways.values())
        if tries is not None and rumours >= MOST_RUMOURS:
            return  # a member may say of anybody where they are; we do not dial the world for it
        way = Way(peer, peering.settings, lambda: self.now.get(peer), self._dial, tries)
        self.ways[peer] = way
        self._tasks[peer] = peering.spawn(way.run(), "way to a peer")
        self._tasks[peer].add_done_callback(lambda task: self._forget(peer, task))

    def _forget(self, peer: PeerId, task: asyncio.Task[None]) -> None:
        """A way that was tried in vain leaves nothing."""
        if self._tasks.get(peer) is task:
            del self._tasks[peer]
            self.ways.pop(peer, None)

    def leave(self, peer: PeerId) -> None:
        """Talk with this peer no more."""
        self.ways.pop(peer, None)
        self.denied.pop(peer, None)
        task = self._tasks.pop(peer, None)
        if peer in self.now:
            self.now[peer].end("blocked")
        if task is not None:
            task.cancel()
        self._patience.forget(peer)
        self._showing.forget(peer)
        for key in [key for key in self._memories if key[0] == peer]:
            del self._memories[key]
        self.changed(peer)

    def hurry(self, peer: PeerId) -> None:
        """Dial this peer now, if there is no conversation with it."""
        if peer not in self.now and peer in self.ways:
            self.ways[peer].kick()

    def met(self, peer: PeerId) -> None:
        """A connection with this peer stands: talk, if there is no conversation with it."""
        if peer not in self.now and peer in self.ways:
            self.ways[peer].met()

    def hint(self, peer: PeerId) -> None:
        """Somebody says that this peer is there: look soon, if there is no conversation with it."""
        if peer not in self.now and peer in self.ways:
            self.ways[peer].hint()

    def hurry_all(self) -> None:
        """Dial everybody who is not here."""
        for peer in tuple(self.ways):
            self.hurry(peer)

    async def _dial(self, peer: PeerId) -> Conversation | None:
        network, seconds = self._peering.network, self._peering.settings.dial_timeout
        if peer not in network.peers():
            await self._connect(peer)
            if peer in self.now:
                return None  # it was faster
        try:
            stream = await network.open(peer, SYNC, seconds)
        except Unreachable:
            # What stands as a connection may lead nowhere: it is tried, and made anew if it does.
            with suppress(NetworkError):
                await self._connect(peer)
            raise
        return await self._talk(stream, opened_here=True)

    async def _connect(self, peer: PeerId) -> None:
        """Be connected with it for sure. Raises ``Unreachable``."""
        if not self._peering.places.may_dial(peer):
            raise InTurn
        book, node = self._peering.book, node_id(peer)
        known = book.get(node)
        addresses = known.addresses if known is not None else book.heard(node)
        straight = tuple(one for one in addresses if not is_relayed(one))
        # Who uses the same relay can be met there, wherever it has moved.
        met = self._peering.relays.to(peer) if known is not None else ()
        relayed = [*dict.fromkeys((*filter(is_relayed, addresses), *met))]
        if not straight and not relayed:
            raise Unreachable(_("no address of it is known"))
        network, seconds = self._peering.network, self._peering.settings.dial_timeout
        if not relayed:
            await network.connect_any(straight, seconds)
            return
        tried: list[tuple[str, NetworkError]] = []
        if straight:
            try:
                await network.connect_any(straight, seconds / 2)
            except Unreachable as error:
                tried.append(("", error))
            else:
                return
        try:
            await network.connect_any(relayed, seconds)
        except Unreachable as error:
            raise type(error)(causes=(*tried, ("", error))) from error

    # --- conversations ---

    async def accept(self, stream: Stream) -> None:
        """The handler of inbound sync streams."""
        if self._peering.stopped or stream.peer in self._peering.network.blocked:
            await stream.reset()
        elif not self.allowances.opens(stream.peer, self._peering.clock.now()):
            self._peering.count("sync_flood")
            await stream.reset()
        else:
            await self._talk(stream, opened_here=False)

    async def _talk(self, stream: Stream, *, opened_here: bool) -> Conversation | None:
        """Talk on a stream until its end; None if another conversation goes on instead."""
        peer = stream.peer
        while (present := self.now.get(peer)) is not None:
            # Both dialled: the stream of the smaller peer id stays. Of one side the newer stays.
            mine = self._peering.peer < peer
            if opened_here not in {present.opened_here, mine}:
                await stream.reset()
                present.perform(present.session.poke())  # finds out whether it still lives
                return None
            present.end("replaced")
            await present.ended.wait()
        talk = self._conversation(stream, opened_here=opened_here)
        self.now[peer] = talk
        self._due[peer] = self._next_round()
        try:
            code = await talk.run()
            if opened_here and talk.session.matched:
                self._showing.shown(peer)
            if talk.session.denied or talk.was_proven:
                self.denied[peer] = talk.session.denied
            _log.debug("a sync session with %s… ended: %s", peer[-8:], code)
            if code not in _NO_REFUSALS:
                self._peering.count(code)
            self._peering.guard.ended(talk, code)
        finally:
            if self.now.get(peer) is talk:
                del self.now[peer]
                self._due.pop(peer, None)
                self._peering.acquaintance.gone(peer)
                self._peering.spawn(self._peering.shares.write(node_id(peer)), "note comparisons")
            for realm in self._turns.leave(peer):
                self.settle(realm)
            self.changed(peer)
        return talk

    def _conversation(self, stream: Stream, *, opened_here: bool) -> Conversation:
        peering, peer = self._peering, stream.peer
        now = peering.clock.now
        replicas = tuple(peering.replicas())
        session = Session(
            "dialler" if opened_here else "listener",
            peering.peer,
            peer,
            replicas,
            lambda realm: self._memories.setdefault((peer, realm), Memory()),
            secrets.token_bytes,
            now(),
            allowances=self.allowances,
            proof_timeout=round(peering.settings.proof_timeout * 1000),
            round_timeout=round(peering.settings.round_timeout * 1000),
            may_pull=lambda realm, size: self._turns.take(realm, peer, size, now()),
            turn=self._showing.turn(peer),
            met=peering.shares.of(node_id(peer)),
        )
        return Conversation(
            stream,
            session,
            replicas,
            now,
            opened_here=opened_here,
            tell=self._told,
            stored=self._stored,
            load=peering.load,
        )

    def _told(self, talk: Conversation, news: Proven | Compared | Changed | Met | Count) -> None:
        acquaintance = self._peering.acquaintance
        match news:
            case Count(code):
                self._peering.count(code)
                for realm in talk.session.realms if code == "shed_push" else ():
                    self.settle(realm)
            case Met(_, nodes):
                acquaintance.met(talk, nodes)
            case Proven(realm, device):
                _log.debug("%s… is of community %s", talk.peer[-8:], realm.hex()[:8])
                self._peering.spawn(acquaintance.seen(talk.peer), "note a peer")
                self._peering.spawn(
                    self._peering.shares.proven(node_id(talk.peer), realm), "note a community"
                )
                self._peering.guard.proven(talk, device)
                self._peering.on_change("peer", node_id(talk.peer))
            case Compared(realm, equal, number):
                now = self._peering.clock.now()
                self._peering.shares.ended(node_id(talk.peer), realm, now)
                if self._turns.leave(talk.peer, realm):
                    self.settle(realm)
                if number == 1:
                    acquaintance.introduce(realm)
                if equal:
                    self._peering.spawn(acquaintance.seen(talk.peer), "note a peer")
                self.changed(talk.peer)
            case Changed():
                self.changed(talk.peer)

    def _stored(self, talk: Conversation, replica: Replica, result: Ingested) -> None:
        self._turns.moved(replica.realm, talk.peer, self._peering.clock.now())
        self._peering.guard.brought(talk, result.refused)
        self._peering.learned(replica.realm, result)

    def changed(self, peer: PeerId) -> None:
        """Wake whoever waits for a change, and tell the daemon."""
        if self._moved is not None:
            self._moved.set()
            self._moved = None
        self._peering.on_change("sync", node_id(peer))

    @property
    def moved(self) -> asyncio.Event:
        """Set with the next change of any sync state; ask for it before you look."""
        if self._moved is None:
            self._moved = asyncio.Event()
        return self._moved

    # --- time ---

    def tick(self) -> None:
        """About once a second: deadlines, and the round that is due."""
        now = asyncio.get_running_loop().time()
        for peer, talk in tuple(self.now.items()):
            talk.tick()
            session = talk.session
            if session.settled and self._patience.over(peer, lacking=session.lacks, now=now):
                talk.end("refresh")
                continue
            if self._showing.over(peer, more=talk.rests and session.left_out, now=now):
                talk.end("refresh")
                continue
            if now >= self._due.setdefault(peer, self._next_round()):
                self._due[peer] = self._next_round()
                talk.perform(talk.session.poke())

    def _next_round(self) -> float:
        jitter = random.uniform(0.75, 1.25)  # noqa: S311 - no secret
        return asyncio.get_running_loop().time() + self._peering.settings.sync_interval * jitter

    def poke(self, realm: RealmId | None = None) -> None:
        """Compare with everybody now."""
        for talk in tuple(self.now.values()):
            talk.perform(talk.session.poke(realm))

    def room_again(self) -> None:
        """There is room on the disk: ask again for what was not taken, without waiting."""
        for memory in self._memories.values():
            if memory.held.get("disk"):
                memory.forget()
        self.poke()

    def settle(self, realm: RealmId) -> None:
        """Compare with everybody soon, once for all that happens until then."""
        if realm not in self._settling and not self._peering.stopped:
            self._settling.add(realm)
            loop = asyncio.get_running_loop()
            loop.call_later(self._peering.settings.settle, self._settled, realm)

    def _settled(self, realm: RealmId) -> None:
        self._settling.discard(realm)
        for talk in tuple(self.now.values()):
            sync = talk.session.realms.get(realm)
            if sync is not None and sync.phase == "idle" and not sync.equal_now:
                talk.perform(talk.session.poke(realm))
